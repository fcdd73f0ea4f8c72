//! Idempotency keys of changes in flight on this node.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum number of changes in flight on one node.
pub(crate) const MAX_IN_FLIGHT: usize = 1024;

/// Keys in flight.
#[derive(Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<String>>>);

/// Permit of a key in flight, returned on drop.
pub(crate) struct InFlightGuard {
    keys: Arc<Mutex<HashSet<String>>>,
    key: String,
}

/// Reason for not admitting a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// The number of changes in flight on this node is at the limit.
    #[error("too many changes in flight on this node (limit {MAX_IN_FLIGHT})")]
    TooMany,
    /// A change with the same key is in flight.
    #[error("a request with this idempotency key is in flight; wait for its answer, or repeat it later")]
    SameKey,
}

impl InFlight {
    /// Admits a change with this key.
    ///
    /// # Errors
    /// [`NotAdmitted`] if the node has too many changes in flight, or one with the same key.
    pub(crate) fn enter(&self, key: &str) -> Result<InFlightGuard, NotAdmitted> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_IN_FLIGHT {
            return Err(NotAdmitted::TooMany);
        }
        if !keys.insert(key.to_owned()) {
            return Err(NotAdmitted::SameKey);
        }
        Ok(InFlightGuard { keys: Arc::clone(&self.0), key: key.to_owned() })
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let was_held = self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        debug_assert!(was_held, "a key leaves once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_flight_once() {
        let in_flight = InFlight::default();
        let first = in_flight.enter("a");
        assert_eq!(in_flight.enter("a").err(), Some(NotAdmitted::SameKey));
        assert!(in_flight.enter("b").is_ok());
        drop(first);
        assert!(in_flight.enter("a").is_ok());
    }

    #[test]
    fn changes_in_flight_are_bounded() {
        let in_flight = InFlight::default();
        let held: Vec<_> = (0..MAX_IN_FLIGHT).map(|i| in_flight.enter(&i.to_string()).ok()).collect();
        assert_eq!(in_flight.enter("one more").err(), Some(NotAdmitted::TooMany));
        drop(held);
        assert!(in_flight.enter("one more").is_ok());
    }
}
