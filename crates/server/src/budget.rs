//! Memory that all requests share, counted before it is taken.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes that all holders together may not exceed.
#[derive(Debug)]
pub(crate) struct Budget {
    total_bytes: u64,
    used_bytes: Mutex<u64>,
    given_back: Condvar,
}

/// There is not that much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory for this is used up")]
pub(crate) struct Exhausted;

/// A part of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// A budget of `total_bytes`.
    pub(crate) fn new(total_bytes: u64) -> Arc<Self> {
        Arc::new(Self { total_bytes, used_bytes: Mutex::new(0), given_back: Condvar::new() })
    }

    /// Bytes taken now.
    pub(crate) fn used_bytes(&self) -> u64 {
        *self.used()
    }

    /// A share of nothing, to grow later.
    pub(crate) fn empty_share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }

    /// Waits until `bytes` are free and takes them. Blocks the thread: for pixel threads only. More than there
    /// is in all is never free.
    pub(crate) fn wait_for(self: &Arc<Self>, bytes: u64) -> Result<Share, Exhausted> {
        if bytes > self.total_bytes {
            return Err(Exhausted);
        }
        let mut used = self.used();
        while *used + bytes > self.total_bytes {
            used = self.given_back.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Ok(Share { budget: Arc::clone(self), bytes })
    }

    /// A counter is never left half changed, so a poisoned lock means nothing here.
    fn used(&self) -> MutexGuard<'_, u64> {
        self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes `bytes` more, if they are free.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let mut used = self.budget.used();
        if *used + bytes > self.budget.total_bytes {
            return Err(Exhausted);
        }
        *used += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.budget.used() -= self.bytes;
        self.budget.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget() {
        let budget = Budget::new(100);
        let mut first = budget.empty_share();
        first.grow(60).unwrap();
        let mut second = budget.empty_share();
        assert_eq!(second.grow(41), Err(Exhausted));
        second.grow(40).unwrap();
        assert_eq!(budget.used_bytes(), 100);
        drop(first);
        assert_eq!(budget.used_bytes(), 40);
        assert!(budget.wait_for(101).is_err());
    }

    #[test]
    fn waiting_ends_when_a_share_is_given_back() {
        let budget = Budget::new(100);
        let held = budget.wait_for(80).unwrap();
        let waiter = std::thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.wait_for(50).map(|share| share.bytes)
        });
        drop(held);
        assert_eq!(waiter.join().unwrap(), Ok(50));
        assert_eq!(budget.used_bytes(), 0);
    }
}
