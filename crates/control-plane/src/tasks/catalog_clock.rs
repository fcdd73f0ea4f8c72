//! Ticks of the catalogue's clock: the leader proposes a tick after a while without a command, and while keys
//! are over, which commands forget in steps.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use crate::calls::Calls;
use crate::catalog::{Action, Catalog};
use crate::format::FormatVersion;
use crate::message::Reply;
use crate::observer::Observer;
use crate::raft::node::Node;
use crate::signals::Signals;
use crate::timing::{CLOCK_CHECK_INTERVAL, EXPIRY_INTERVAL, TICK_AFTER, TICKED_WITHIN};
use crate::world::clock;

/// Proposes ticks until the node stops.
pub(crate) async fn run(observer: Arc<Observer>, calls: Arc<Calls>, signals: Arc<Signals>) {
    let mut pause = CLOCK_CHECK_INTERVAL;
    while signals.sleep(pause).await {
        pause = CLOCK_CHECK_INTERVAL;
        let seen = observer.observe();
        let Some(node) = seen.node.clone().filter(|node| seen.is_leader() && is_due(node, seen.term()))
        else {
            continue;
        };
        let tick = calls.own_command(Action::Tick);
        let proposing = calls.propose_here(&node, tick, clock::now() + TICKED_WITHIN);
        match signals.unless_stopped(proposing).await {
            Some(Reply::Outcome(_)) => {
                if node.state.catalog(Catalog::has_forgettable_keys) {
                    pause = EXPIRY_INTERVAL;
                }
            }
            Some(other) => debug!(?other, "tick of the catalogue's clock not applied; retried"),
            None => return,
        }
    }
}

/// True if the leader of `term` should propose a tick.
fn is_due(node: &Node, term: u64) -> bool {
    if node.state.activated_version() < FormatVersion::THIRD || !node.has_applied_term(term) {
        return false;
    }
    let stamp_ms = node.state.stamp_ms(term);
    node.state.catalog(|catalog| {
        let behind_ms = stamp_ms.saturating_sub(catalog.clock_ms().unwrap_or_default());
        Duration::from_millis(behind_ms) >= TICK_AFTER || catalog.has_forgettable_keys()
    })
}
