//! Deduplication table: outcomes of requests, kept for repetitions.
//!
//! From version 3 on the table is bounded in bytes, with a share for each [`Owner`], the age of a key is told
//! by the catalogue's clock, and a command forgets a bounded number of keys. Below, each command forgets all
//! keys that are older than its own time of proposal, as in release 0.1.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::actor::Owner;
use super::clock::Reading;
use super::command::RequestKey;
use super::outcome::{Outcome, Refusal};
use super::rows::{Row, RowError, Table};
use crate::format::{Format, FormatVersion, NoForm};
use crate::planted::{Mistake, is_planted};
use crate::timing::{KEEP_CLIENT_KEYS_MS, KEEP_MINTED_KEYS_MS};

/// Maximum number of remembered keys below version 3. Beyond, new requests are refused: early removal of a
/// key would break the guarantee.
const MAX_KEYS: usize = 250_000;
/// Maximum number of keys that a command forgets, from version 3 on: readers of the state wait meanwhile.
pub(super) const MAX_FORGOTTEN: usize = 128;
/// Part of the table that one owner may take.
const OWNERS: u64 = 8;
/// Bytes of a row besides the texts of key and fingerprint, answer included. An upper estimate of the memory
/// and of the place in the state file, whose pages are filled by two thirds where keys come in no order.
const ROW_BYTES: u64 = 672;
/// Times that the text of a key counts: in the trees of the file it stands in pages of two levels.
const KEY_COPIES: u64 = 3;

/// Outcomes by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Requests {
    by_key: BTreeMap<Arc<str>, Remembered>,
    /// Keys with an owner.
    owned: Expiries,
    /// Keys from below version 3, which have no owner.
    unowned: Expiries,
    /// Bytes of the keys with an owner.
    bytes: u64,
    shares: BTreeMap<Owner, u64>,
}

/// Keys by the time to forget them.
type Expiries = BTreeSet<(u64, Arc<str>)>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Remembered {
    fingerprint: Box<str>,
    forget_at_ms: u64,
    owner: Option<Owner>,
    outcome: Outcome,
}

/// Form of release 0.1, which rows from below version 3 keep.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RememberedV1 {
    fingerprint: Box<str>,
    forget_at_ms: u64,
    outcome: Outcome,
}

/// Form with an owner.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RememberedV3 {
    fingerprint: Box<str>,
    forget_at_ms: u64,
    owner: Option<Owner>,
    outcome: Outcome,
}

impl Format for RememberedV1 {
    const SINCE: FormatVersion = FormatVersion::FIRST;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

impl Format for RememberedV3 {
    const SINCE: FormatVersion = FormatVersion::THIRD;
    type Previous = RememberedV1;

    fn upgrade(RememberedV1 { fingerprint, forget_at_ms, outcome }: RememberedV1) -> Self {
        Self { fingerprint, forget_at_ms, owner: None, outcome }
    }
}

/// Limit on the table for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Originator of the request.
    pub owner: Owner,
    /// Limit on the table, in bytes.
    pub max_bytes: u64,
}

impl Remembered {
    /// True once the key no longer counts. Keys from below version 3 were stamped by wall clocks that may
    /// have been wrong, so they are kept for the whole time from the start of the clock on.
    fn is_over(&self, clock: Reading) -> bool {
        let forget_at_ms = match self.owner {
            Some(_) => self.forget_at_ms,
            None => unowned_until(clock),
        };
        forget_at_ms <= clock.now_ms
    }
}

fn unowned_until(clock: Reading) -> u64 {
    clock.started_at_ms.saturating_add(KEEP_CLIENT_KEYS_MS)
}

impl Requests {
    /// Forgets every key that is over at `now_ms`. The time is part of the command, so that every node
    /// forgets the same keys. Below version 3 only.
    pub(super) fn forget_all(&mut self, now_ms: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some((_, key)) = self.unowned.first().filter(|(forget_at_ms, _)| *forget_at_ms <= now_ms) {
            let key = Arc::clone(key);
            rows.push(self.remove(&key));
        }
        rows
    }

    /// Forgets keys that are over, at most [`MAX_FORGOTTEN`]. From version 3 on.
    pub(super) fn forget_some(&mut self, clock: Reading) -> Vec<Row> {
        let over: Vec<Arc<str>> = self.over(clock).take(MAX_FORGOTTEN).map(Arc::clone).collect();
        over.iter().map(|key| self.remove(key)).collect()
    }

    /// True if keys are over and not forgotten yet.
    pub(super) fn has_forgettable(&self, clock: Reading) -> bool {
        self.over(clock).next().is_some()
    }

    /// Returns the keys that are over, in the order in which they are forgotten.
    fn over(&self, clock: Reading) -> impl Iterator<Item = &Arc<str>> {
        let unowned = (unowned_until(clock) <= clock.now_ms).then_some(&self.unowned);
        let owned = self.owned.iter().take_while(move |(forget_at_ms, _)| *forget_at_ms <= clock.now_ms);
        unowned.into_iter().flatten().chain(owned).map(|(_, key)| key)
    }

    /// Returns the outcome of an earlier request under this key. Without a `clock` (below version 3) a key
    /// counts until it is forgotten.
    pub(super) fn replay(&self, request: &RequestKey, clock: Option<Reading>) -> Option<Outcome> {
        if is_planted(Mistake::NoDeduplication) {
            return None;
        }
        let earlier = self.by_key.get(request.key.as_str())?;
        if clock.is_some_and(|clock| earlier.is_over(clock)) {
            return None;
        }
        if earlier.fingerprint.as_ref() == request.fingerprint {
            return Some(earlier.outcome.clone());
        }
        let request_id = request.request_id.clone();
        Some(Outcome::Refused { refusal: Refusal::KeyReused, request_id })
    }

    /// Refuses a request once the number of keys is at the limit. Below version 3 only.
    pub(super) fn check_count(&self) -> Result<(), Refusal> {
        if self.by_key.len() < MAX_KEYS {
            return Ok(());
        }
        Err(Refusal::TooManyKeys { max: MAX_KEYS as u64 })
    }

    /// Refuses a request without room in the table, or in the owner's share of the table. From version 3 on.
    pub(super) fn check_room(&self, request: &RequestKey, room: Room) -> Result<(), Refusal> {
        self.check_room_beside(request, room, [0, 0])
    }

    /// Same as [`Self::check_room`] for a request that is applied once `clock` has come: the keys that the
    /// request itself forgets take no room. For the leader, before a proposal.
    pub(super) fn check_room_at(
        &self,
        request: &RequestKey,
        room: Room,
        clock: Reading,
    ) -> Result<(), Refusal> {
        let mut freed = [0, 0];
        for key in self.over(clock).take(MAX_FORGOTTEN) {
            let Some(remembered) = self.by_key.get(key) else { continue };
            let Some(owner) = remembered.owner else { continue };
            let bytes = row_bytes(key, &remembered.fingerprint);
            freed[0] += bytes;
            freed[1] += if owner == room.owner { bytes } else { 0 };
        }
        self.check_room_beside(request, room, freed)
    }

    fn check_room_beside(
        &self,
        request: &RequestKey,
        Room { owner, max_bytes }: Room,
        [freed, freed_of_owner]: [u64; 2],
    ) -> Result<(), Refusal> {
        let needed = row_bytes(&request.key, &request.fingerprint);
        if self.bytes - freed + needed > max_bytes {
            return Err(Refusal::TableFull { max_bytes });
        }
        let max_bytes = max_bytes / OWNERS;
        let share = self.shares.get(&owner).copied().unwrap_or_default();
        if share - freed_of_owner + needed > max_bytes {
            return Err(Refusal::ShareFull { max_bytes });
        }
        Ok(())
    }

    /// Keeps an outcome. Without an owner: below version 3.
    pub(super) fn remember(
        &mut self,
        request: &RequestKey,
        now_ms: u64,
        owner: Option<Owner>,
        outcome: Outcome,
    ) -> Row {
        let keep_ms = if request.minted { KEEP_MINTED_KEYS_MS } else { KEEP_CLIENT_KEYS_MS };
        let remembered = Remembered {
            fingerprint: request.fingerprint.as_str().into(),
            forget_at_ms: now_ms.saturating_add(keep_ms),
            owner,
            outcome,
        };
        let row = row(&request.key, &remembered);
        self.insert(request.key.as_str().into(), remembered);
        row
    }

    fn insert(&mut self, key: Arc<str>, remembered: Remembered) {
        self.take(&key);
        let (owner, forget_at_ms) = (remembered.owner, remembered.forget_at_ms);
        if let Some(owner) = owner {
            let bytes = row_bytes(&key, &remembered.fingerprint);
            self.bytes += bytes;
            *self.shares.entry(owner).or_default() += bytes;
        }
        self.expiries(owner).insert((forget_at_ms, Arc::clone(&key)));
        self.by_key.insert(key, remembered);
        debug_assert_eq!(self.by_key.len(), self.owned.len() + self.unowned.len(), "one expiry for each key");
    }

    fn remove(&mut self, key: &Arc<str>) -> Row {
        self.take(key);
        debug_assert_eq!(self.by_key.len(), self.owned.len() + self.unowned.len(), "one expiry for each key");
        Row::deleted(Table::Requests, key.as_ref())
    }

    fn take(&mut self, key: &Arc<str>) {
        let Some(earlier) = self.by_key.remove(key) else { return };
        self.expiries(earlier.owner).remove(&(earlier.forget_at_ms, Arc::clone(key)));
        let Some(owner) = earlier.owner else { return };
        let bytes = row_bytes(key, &earlier.fingerprint);
        self.bytes -= bytes;
        if let Some(share) = self.shares.get_mut(&owner) {
            *share -= bytes;
            if *share == 0 {
                self.shares.remove(&owner);
            }
        }
    }

    fn expiries(&mut self, owner: Option<Owner>) -> &mut Expiries {
        if owner.is_some() { &mut self.owned } else { &mut self.unowned }
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Returns the bytes of the keys with an owner.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the latest time of a proposal below version 3, as far as the keys tell.
    pub(super) fn latest_proposal_ms(&self) -> u64 {
        self.unowned.last().map_or(0, |(forget_at_ms, _)| forget_at_ms.saturating_sub(KEEP_CLIENT_KEYS_MS))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.by_key.iter().map(|(key, remembered)| row(key, remembered))
    }

    pub(super) fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        if let Some(RememberedV3 { fingerprint, forget_at_ms, owner, outcome }) = row.read()? {
            let remembered = Remembered { fingerprint, forget_at_ms, owner, outcome };
            self.insert(row.key.as_str().into(), remembered);
        }
        Ok(())
    }
}

/// Estimates the bytes of a row, in memory and on disk.
fn row_bytes(key: &str, fingerprint: &str) -> u64 {
    ROW_BYTES + KEY_COPIES * key.len() as u64 + fingerprint.len() as u64
}

fn row(key: &str, remembered: &Remembered) -> Row {
    let Remembered { fingerprint, forget_at_ms, owner, outcome } = remembered.clone();
    match owner {
        None => Row::put(Table::Requests, key, &RememberedV1 { fingerprint, forget_at_ms, outcome }),
        Some(_) => {
            Row::put(Table::Requests, key, &RememberedV3 { fingerprint, forget_at_ms, owner, outcome })
        }
    }
}
