//! File descriptors of the process: the control plane's are reserved first, connections get the rest.

use control_plane::Descriptors;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::listener::{MAX_CLOSING, Rules};

/// Descriptors of the process itself: standard streams, log file, listener, event queue and signals of the
/// HTTP runtime, name look-ups, and files open briefly, such as those under `/proc`.
const OWN: usize = 24;
/// Minimum number of places for connections: a node with fewer is of no use.
const MIN_PLACES: usize = 16;
/// Size of the lobby for few places and for many.
const LOBBY: [usize; 2] = [18, 64];
/// Minimum number of places for the large lobby.
const MANY_PLACES: usize = 256;

/// Division of the descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Descriptors of the control plane.
    pub(crate) control: Descriptors,
    /// Places for HTTP connections.
    pub(crate) connections: Rules,
}

/// Error of a limit on open files that is too low for any node.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the limit on open files is {limit}, a node of a cluster of {nodes} needs {needed} at least; raise it \
     (`ulimit -Hn`, LimitNOFILE= of systemd, --ulimit nofile= of Docker)"
)]
pub(crate) struct TooFew {
    limit: usize,
    needed: usize,
    nodes: usize,
}

impl Plan {
    /// Divides a limit on open files: up to half for the control plane of a cluster of `nodes`, the rest for
    /// connections, up to `max_connections`.
    ///
    /// # Errors
    /// [`TooFew`] if the limit is too low for a node.
    pub(crate) fn new(limit: usize, nodes: usize, max_connections: usize) -> Result<Self, TooFew> {
        let control = Descriptors::within((limit / 2).saturating_sub(OWN), nodes);
        let reserved = OWN + control.total() + MAX_CLOSING;
        let [small, large] = LOBBY;
        let needed = reserved + small + MIN_PLACES.min(max_connections);
        if limit < needed {
            return Err(TooFew { limit, needed, nodes });
        }
        let left = limit - reserved;
        let lobby = if left.saturating_sub(large) >= MANY_PLACES { large } else { small };
        let places = max_connections.min(left - lobby);
        debug_assert!(reserved + lobby + places <= limit, "no more is shared out than there is");
        Ok(Self { control, connections: Rules { places, lobby } })
    }
}

/// Raises the limit on open files as far as the system allows, and returns it.
pub(crate) fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!(%error, "limit on open files not raised");
            limit.current
        }
    };
    current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_the_control_plane_leaves() {
        let check = |limit, nodes, places: usize, lobby: usize| {
            let plan = Plan::new(limit, nodes, 2048).unwrap();
            assert_eq!(
                (plan.connections.places, plan.connections.lobby),
                (places, lobby),
                "{limit}, {nodes} nodes"
            );
            let total = OWN + plan.control.total() + MAX_CLOSING + places + lobby;
            assert!(total <= limit, "{total} of {limit}");
        };
        check(usize::MAX, 3, 2048, 64);
        check(1 << 20, 9, 2048, 64);
        check(4096, 3, 2048, 64);
        check(1024, 3, 534, 64);
        check(512, 3, 236, 18);
        check(256, 3, 16, 18);
        let few = |max_connections| Plan::new(236, 3, max_connections).map(|plan| plan.connections.places);
        assert_eq!(few(1), Err(TooFew { limit: 236, needed: 241, nodes: 3 }));
        assert_eq!(few(2048), Err(TooFew { limit: 236, needed: 256, nodes: 3 }));
    }
}
