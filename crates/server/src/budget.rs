//! Memory budgets shared by all requests, counted before allocation.
//!
//! [`Budget`] refuses unavailable memory at once; [`QueuedBudget`] queues requests in order of arrival.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// A number of bytes, shared by all holders.
#[derive(Debug)]
pub(crate) struct Budget {
    total_bytes: u64,
    used_bytes: Mutex<u64>,
}

/// Error of a budget without sufficient memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory budget is exhausted")]
pub(crate) struct Exhausted;

/// A part of a [`Budget`], returned on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// Creates a budget of `total_bytes`.
    pub(crate) fn new(total_bytes: u64) -> Arc<Self> {
        Arc::new(Self { total_bytes, used_bytes: Mutex::new(0) })
    }

    /// Total size in bytes.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes currently taken.
    pub(crate) fn used_bytes(&self) -> u64 {
        *self.used()
    }

    /// Returns a share of nothing, to grow later.
    pub(crate) fn empty_share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }

    /// Locks the counter. A counter is never left half changed, so a poisoned lock is harmless.
    fn used(&self) -> MutexGuard<'_, u64> {
        self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes `bytes` more, if available.
    ///
    /// # Errors
    /// [`Exhausted`] without a change, if fewer bytes are available.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let mut used = self.budget.used();
        if bytes > self.budget.total_bytes.saturating_sub(*used) {
            return Err(Exhausted);
        }
        *used += bytes;
        debug_assert!(*used <= self.budget.total_bytes, "shares never exceed the budget");
        self.bytes += bytes;
        Ok(())
    }

    /// Splits `bytes` off as a separate share; the whole share if smaller.
    pub(crate) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: Arc::clone(&self.budget), bytes }
    }

    /// Returns all bytes and keeps an empty share.
    pub(crate) fn give_back(&mut self) {
        let mut used = self.budget.used();
        debug_assert!(self.bytes <= *used, "each share is a part of what is used");
        *used -= std::mem::take(&mut self.bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Bytes whose memory counts until dropped.
#[derive(Debug)]
pub(crate) struct CountedBytes {
    bytes: Vec<u8>,
    _memory: Share,
}

impl CountedBytes {
    /// Joins `bytes` with the share of their memory.
    pub(crate) fn new(bytes: Vec<u8>, memory: Share) -> Self {
        Self { bytes, _memory: memory }
    }
}

impl Deref for CountedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A budget with a queue: first come, first served.
#[derive(Debug)]
pub(crate) struct QueuedBudget {
    kibibytes: Arc<Semaphore>,
    total_kibibytes: u32,
}

impl QueuedBudget {
    /// Creates a budget of `total_bytes`, rounded down to KiB.
    pub(crate) fn new(total_bytes: u64) -> Self {
        let total_kibibytes = u32::try_from(total_bytes >> 10).unwrap_or(u32::MAX).min(Self::MAX_KIBIBYTES);
        Self { kibibytes: Arc::new(Semaphore::new(total_kibibytes as usize)), total_kibibytes }
    }

    /// Maximum of a semaphore on any machine: 512 GiB.
    const MAX_KIBIBYTES: u32 = u32::MAX >> 3;

    /// Bytes currently taken.
    pub(crate) fn used_bytes(&self) -> u64 {
        (u64::from(self.total_kibibytes) - self.kibibytes.available_permits() as u64) << 10
    }

    /// Waits for `bytes` until `deadline`. A request above the total counts as the total: callers refuse
    /// impossible requests beforehand.
    ///
    /// # Errors
    /// [`Exhausted`] at the deadline.
    pub(crate) async fn take(
        &self,
        bytes: u64,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, Exhausted> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.total_kibibytes);
        match timeout_at(deadline, Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes)).await {
            Ok(Ok(share)) => {
                debug_assert_eq!(share.num_permits(), kibibytes as usize, "a share is granted whole");
                Ok(share)
            }
            Ok(Err(_)) | Err(_) => Err(Exhausted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shares_never_exceed_the_budget() {
        let budget = Budget::new(100);
        let mut first = budget.empty_share();
        first.grow(60).unwrap();
        let mut second = budget.empty_share();
        assert_eq!(second.grow(41), Err(Exhausted));
        assert_eq!(second.grow(u64::MAX), Err(Exhausted));
        second.grow(40).unwrap();
        assert_eq!(budget.used_bytes(), 100);
        first.give_back();
        assert_eq!(budget.used_bytes(), 40);
        let part = second.split(30);
        assert_eq!(budget.used_bytes(), 40);
        drop(part);
        assert_eq!(budget.used_bytes(), 10);
        assert_eq!(second.split(100).bytes, 10);
        assert_eq!(budget.used_bytes(), 0);
        drop(first);
        drop(second);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn shares_are_waited_for_in_order_and_not_for_ever() {
        let budget = QueuedBudget::new(100 << 10);
        let soon = || Instant::now() + Duration::from_secs(1);
        let held = budget.take(80 << 10, soon()).await.unwrap();
        assert_eq!(budget.used_bytes(), 80 << 10);
        assert_eq!(budget.take(30 << 10, soon()).await.unwrap_err(), Exhausted);
        let (large, small) = tokio::join!(budget.take(60 << 10, soon()), async {
            let small = budget.take(10 << 10, soon());
            drop(held);
            small.await
        });
        drop((large.unwrap(), small.unwrap()));
        assert_eq!(budget.take(u64::MAX, soon()).await.unwrap().num_permits(), 100);
    }
}
