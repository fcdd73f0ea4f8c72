//! Rules for a disk that fills up and for snapshots that fail. Pure: bytes and times are arguments.
//!
//! Every data directory holds a reserve file of [`RESERVE_BYTES`], without content. A write on a full disk
//! takes bytes of the reserve, slice by slice, so that votes and entries from other nodes reach the disk.
//! Writes of clients are refused long before: while less than [`MIN_FREE_BYTES`] are free, or while the
//! reserve is incomplete.

use std::fmt;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::timing::SNAPSHOT_BACKOFF;

/// Bytes reserved for Raft in every data directory.
pub(crate) const RESERVE_BYTES: u64 = 4 << 20;
/// Free bytes below which no write of a client is proposed.
pub(super) const MIN_FREE_BYTES: u64 = 4 << 20;
/// Bytes that must be free beyond [`MIN_FREE_BYTES`] before writes are admitted again.
const MARGIN_BYTES: u64 = 1 << 20;
/// Bytes taken from the reserve at a time.
const SLICE_BYTES: u64 = 256 << 10;
/// Free bytes, those of the reserve included, below which the storage is not opened.
const OPEN_BYTES: u64 = 512 << 10;

/// Space on the disk of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    /// Bytes available to any process.
    pub free_bytes: u64,
    /// Bytes in the reserve.
    pub reserve_bytes: u64,
}

/// Lack of space, the cause for refusing a write or a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Too little of the disk is free.
    Disk {
        /// Free bytes.
        free_bytes: u64,
        /// Bytes required to be free.
        needed_bytes: u64,
    },
    /// The log has reached its limit, because no snapshot could be written.
    Log {
        /// Bytes of entries in the log.
        log_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk { free_bytes, needed_bytes } => {
                write!(f, "{free_bytes} bytes of the disk are free, {needed_bytes} are needed")
            }
            Self::Log { log_bytes, max_bytes } => write!(
                f,
                "the log holds {log_bytes} bytes (limit {max_bytes}, storage.max_log_bytes), until a snapshot cuts it"
            ),
        }
    }
}

impl Space {
    fn missing_reserve(self) -> u64 {
        RESERVE_BYTES.saturating_sub(self.reserve_bytes)
    }

    /// Returns the bytes to add to the reserve now: all missing bytes, or none.
    pub(super) fn reserve_to_add(self) -> u64 {
        let missing = self.missing_reserve();
        let enough = self.free_bytes >= missing + MIN_FREE_BYTES + MARGIN_BYTES;
        if enough { missing } else { 0 }
    }

    /// Returns the length of the reserve without one slice; none if the reserve is empty.
    pub(super) fn reserve_after_slice(self) -> Option<u64> {
        (self.reserve_bytes > 0).then(|| self.reserve_bytes.saturating_sub(SLICE_BYTES))
    }

    /// Refuses a write of `bytes` bytes if the space to keep free would be used.
    pub(super) fn has_space_for(self, bytes: u64) -> Result<(), Shortage> {
        let needed_bytes = bytes + self.missing_reserve() + MIN_FREE_BYTES;
        if self.free_bytes >= needed_bytes {
            return Ok(());
        }
        Err(Shortage::Disk { free_bytes: self.free_bytes, needed_bytes })
    }

    /// Refuses to open a storage without space for any write.
    pub(super) fn may_open(self) -> Result<(), Shortage> {
        let free_bytes = self.free_bytes.saturating_add(self.reserve_bytes);
        if free_bytes >= OPEN_BYTES {
            return Ok(());
        }
        Err(Shortage::Disk { free_bytes, needed_bytes: OPEN_BYTES })
    }
}

/// Admission of writes to the log of one node, with hysteresis between refusal and admission.
#[derive(Debug, Default)]
pub(super) struct Admission {
    refusing: bool,
}

impl Admission {
    /// Refuses writes for lack of space.
    pub(super) fn judge(&mut self, space: Space, log_bytes: u64, max_log_bytes: u64) -> Result<(), Shortage> {
        let margin = if self.refusing { MARGIN_BYTES } else { 0 };
        let log_margin = if self.refusing { max_log_bytes / 16 } else { 0 };
        let verdict = if log_bytes > max_log_bytes.saturating_sub(log_margin) {
            Err(Shortage::Log { log_bytes, max_bytes: max_log_bytes })
        } else {
            space.has_space_for(margin).and_then(|()| match space.missing_reserve() {
                0 => Ok(()),
                missing => Err(Shortage::Disk {
                    free_bytes: space.free_bytes,
                    needed_bytes: missing + MIN_FREE_BYTES + MARGIN_BYTES,
                }),
            })
        };
        self.refusing = verdict.is_err();
        verdict
    }
}

/// Cause for deferring a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deferred {
    /// Lack of space.
    NoSpace(Shortage),
    /// Pause after a failed snapshot, until this time.
    Until(Duration),
}

/// Schedule of snapshots. Times count from any fixed moment.
#[derive(Debug)]
pub(super) struct SnapshotRule {
    backoff: Backoff,
    not_before: Duration,
    wanted: bool,
}

impl Default for SnapshotRule {
    fn default() -> Self {
        Self { backoff: Backoff::new(SNAPSHOT_BACKOFF), not_before: Duration::ZERO, wanted: false }
    }
}

impl SnapshotRule {
    /// Requests a snapshot of a state of `state_bytes` bytes, which requires free space for twice the
    /// state.
    pub(super) fn ask(&mut self, now: Duration, state_bytes: u64, space: Space) -> Result<(), Deferred> {
        self.wanted = true;
        self.check(now, state_bytes, space)
    }

    /// True if a deferred snapshot can be built now.
    pub(super) fn is_due(&self, now: Duration, state_bytes: u64, space: Space) -> bool {
        self.wanted && self.check(now, state_bytes, space).is_ok()
    }

    /// True if a snapshot is deferred or being built.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Records a written snapshot, or that no snapshot is wanted any more.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Records a failed snapshot. Returns the pause before the next attempt.
    pub(super) fn failed(&mut self, now: Duration) -> Duration {
        self.wanted = true;
        let pause = self.backoff.pause();
        self.not_before = now + pause;
        pause
    }

    fn check(&self, now: Duration, state_bytes: u64, space: Space) -> Result<(), Deferred> {
        if now < self.not_before {
            return Err(Deferred::Until(self.not_before));
        }
        space.has_space_for(2 * state_bytes).map_err(Deferred::NoSpace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const WHOLE: u64 = RESERVE_BYTES;
    const MAX_LOG: u64 = 64 * MIB;

    fn space(free_bytes: u64, reserve_bytes: u64) -> Space {
        Space { free_bytes, reserve_bytes }
    }

    fn disk(free_bytes: u64, needed_bytes: u64) -> Result<(), Shortage> {
        Err(Shortage::Disk { free_bytes, needed_bytes })
    }

    /// Each step: free bytes, bytes in the reserve, bytes in the log, and the expected verdict.
    #[test]
    fn writes_are_admitted_while_there_is_room() {
        let steps = [
            (100 * MIB, WHOLE, 0, Ok(())),
            (4 * MIB, WHOLE, 0, Ok(())),
            (4 * MIB - 1, WHOLE, 0, disk(4 * MIB - 1, 4 * MIB)),
            // A little more room is not enough: one write would fill it again.
            (4 * MIB, WHOLE, 0, disk(4 * MIB, 5 * MIB)),
            (5 * MIB, WHOLE, 0, Ok(())),
            (0, 0, 0, disk(0, 8 * MIB)),
            // Free again, but the reserve is not whole yet.
            (9 * MIB, WHOLE - 1, 0, disk(9 * MIB, 5 * MIB + 1)),
            (9 * MIB, WHOLE, 0, Ok(())),
            (u64::MAX, WHOLE, MAX_LOG, Ok(())),
            (u64::MAX, WHOLE, MAX_LOG + 1, Err(Shortage::Log { log_bytes: MAX_LOG + 1, max_bytes: MAX_LOG })),
            (u64::MAX, WHOLE, MAX_LOG, Err(Shortage::Log { log_bytes: MAX_LOG, max_bytes: MAX_LOG })),
            (u64::MAX, WHOLE, 60 * MIB, Ok(())),
        ];
        let mut admission = Admission::default();
        for (n, (free, reserve, log, expected)) in steps.into_iter().enumerate() {
            assert_eq!(admission.judge(space(free, reserve), log, MAX_LOG), expected, "step {n}");
        }
    }

    #[test]
    fn the_reserve_is_made_only_where_room_is_left_beside_it() {
        let check = |free, reserve, expected| {
            assert_eq!(space(free, reserve).reserve_to_add(), expected, "{free} free, {reserve} reserved");
        };
        check(9 * MIB, 0, 4 * MIB);
        check(9 * MIB - 1, 0, 0);
        check(6 * MIB, 3 * MIB, MIB);
        check(u64::MAX, WHOLE, 0);
    }

    #[test]
    fn the_reserve_is_used_up_slice_by_slice() {
        let mut left = WHOLE;
        let mut slices = 0;
        while let Some(next) = space(0, left).reserve_after_slice() {
            assert!(next < left);
            (left, slices) = (next, slices + 1);
        }
        assert_eq!((left, slices), (0, 16));
        assert_eq!(space(0, 1).reserve_after_slice(), Some(0));
    }

    #[test]
    fn a_storage_is_opened_where_it_can_write() {
        assert_eq!(space(0, WHOLE).may_open(), Ok(()));
        assert_eq!(space(512 << 10, 0).may_open(), Ok(()));
        assert_eq!(space(100, 50).may_open(), disk(150, 512 << 10));
    }

    #[derive(Debug)]
    enum Step {
        Ask(u64, Result<(), Deferred>),
        Due(u64, bool),
        Fail(u64, u64),
        Done,
    }

    /// Runs the steps against a state of 10 MiB, with constant `space`.
    fn check(space: Space, steps: &[Step]) {
        let mut rule = SnapshotRule::default();
        let ms = Duration::from_millis;
        for step in steps {
            match step {
                Step::Ask(at, expected) => {
                    assert_eq!(rule.ask(ms(*at), 10 * MIB, space), *expected, "{step:?}")
                }
                Step::Due(at, expected) => {
                    assert_eq!(rule.is_due(ms(*at), 10 * MIB, space), *expected, "{step:?}");
                }
                Step::Fail(at, pause) => assert_eq!(rule.failed(ms(*at)), ms(*pause), "{step:?}"),
                Step::Done => rule.succeeded(),
            }
        }
    }

    #[test]
    fn a_snapshot_takes_room_for_twice_the_state_and_the_reserve() {
        let no_room =
            |free, needed| Err(Deferred::NoSpace(Shortage::Disk { free_bytes: free, needed_bytes: needed }));
        check(space(24 * MIB, WHOLE), &[Step::Ask(0, Ok(()))]);
        check(space(24 * MIB - 1, WHOLE), &[Step::Ask(0, no_room(24 * MIB - 1, 24 * MIB))]);
        check(space(24 * MIB, 0), &[Step::Ask(0, no_room(24 * MIB, 28 * MIB)), Step::Due(9, false)]);
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_pauses() {
        let until = |ms| Err(Deferred::Until(Duration::from_millis(ms)));
        check(
            space(u64::MAX, WHOLE),
            &[
                Step::Due(0, false),
                Step::Ask(0, Ok(())),
                Step::Fail(10, 1000),
                Step::Ask(1009, until(1010)),
                Step::Due(1009, false),
                Step::Due(1010, true),
                Step::Fail(1010, 2000),
                Step::Fail(5000, 4000),
                Step::Fail(10_000, 8000),
                Step::Fail(20_000, 16_000),
                Step::Fail(40_000, 32_000),
                Step::Fail(100_000, 60_000),
                Step::Fail(200_000, 60_000),
                Step::Done,
                Step::Due(200_000, false),
                Step::Ask(200_000, Ok(())),
                Step::Fail(200_000, 1000),
            ],
        );
    }
}
