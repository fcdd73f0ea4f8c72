//! File descriptors: the number that the control plane may hold, reserved ahead of all other connections.
//!
//! Without a descriptor for a snapshot or a vote, Raft ends. Each part of the control plane that opens
//! descriptors has a bound; the module adds up the bounds.

use crate::network::{ConnectionLimits, MAX_CLOSING, MAX_DIALLING_PER_PEER, MAX_IDLE_PER_PEER};

/// Descriptors for log, state, lock, snapshots, listener, event queues of the runtimes, and short-lived
/// files.
const FILES: usize = 24;
/// Connections to one peer besides idle and dialling connections: probes, a snapshot, appends and votes in
/// flight.
const OWN_CONNECTIONS_PER_PEER: usize = 6;

/// Sizes of a control plane, the largest first: writes in flight, and pending connections at the port for
/// nodes.
const SIZES: [(usize, usize); 5] = [(64, 128), (32, 96), (16, 64), (8, 48), (4, 32)];

/// Number of writes in flight per linearizable read in flight.
const WRITES_PER_READ: usize = 4;

/// Size of a control plane, which determines the number of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    writes: usize,
    pending: usize,
    nodes: usize,
}

impl Descriptors {
    /// Returns the largest size for a cluster of `nodes` that takes at most `budget` descriptors; the
    /// smallest size if all take more.
    pub fn within(budget: usize, nodes: usize) -> Self {
        let size = |(writes, pending)| Self { writes, pending, nodes };
        let sizes = SIZES.map(size);
        let smallest = sizes[sizes.len() - 1];
        sizes.into_iter().find(|size| size.total() <= budget).unwrap_or(smallest)
    }

    /// Returns the largest number of descriptors at a time.
    pub fn total(&self) -> usize {
        let peers = self.nodes.saturating_sub(1);
        let out =
            self.calls() + peers * (MAX_IDLE_PER_PEER + MAX_DIALLING_PER_PEER + OWN_CONNECTIONS_PER_PEER);
        FILES + out + self.rules().total(peers) + MAX_CLOSING
    }

    /// Returns the limit on writes in flight on the local node. A follower forwards each write on a separate
    /// connection.
    pub(crate) fn writes(&self) -> usize {
        self.writes
    }

    /// Returns the limit on linearizable reads in flight on the local node. Reads have separate permits, so
    /// that writes continue under any number of reads.
    pub(crate) fn reads(&self) -> usize {
        self.writes / WRITES_PER_READ
    }

    fn calls(&self) -> usize {
        self.writes() + self.reads()
    }

    /// Returns the limits of the port for nodes.
    pub(crate) fn rules(&self) -> ConnectionLimits {
        ConnectionLimits::new(self.pending, self.calls())
    }
}

impl Default for Descriptors {
    /// Returns the largest size, for three nodes.
    fn default() -> Self {
        Self::within(usize::MAX, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_size_that_fits_is_taken() {
        let check = |budget, nodes, writes, total| {
            let found = Descriptors::within(budget, nodes);
            assert_eq!((found.writes, found.total()), (writes, total), "{budget} for {nodes}");
        };
        check(usize::MAX, 1, 64, 346);
        check(usize::MAX, 3, 64, 578);
        check(577, 3, 32, 386);
        check(385, 3, 16, 274);
        check(273, 3, 8, 218);
        check(217, 3, 4, 182);
        check(0, 3, 4, 182);
        check(512, 9, 8, 494);
    }
}
