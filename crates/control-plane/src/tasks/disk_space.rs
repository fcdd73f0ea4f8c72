//! Care of the disk space: measures the space, restores the reserve, tests a disk without writes, builds
//! postponed snapshots, and transfers leadership while the leader's disk is full and the remaining voters
//! have room.

use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use crate::observer::Observer;
use crate::raft::node::Node;
use crate::raft::slot::RaftSlot;
use crate::signals::Signals;
use crate::tasks::handover::Transfers;
use crate::timing::{DISK_CHECK_INTERVAL, FULL_DISK_TRANSFER_INTERVAL};
use crate::world::clock;
use crate::world::task;

/// Checks the disk space until the node stops.
pub(crate) async fn run(
    observer: Arc<Observer>,
    raft: Arc<RaftSlot>,
    transfers: Arc<Transfers>,
    signals: Arc<Signals>,
) {
    let mut attempted_at: Option<Instant> = None;
    let mut reported = None;
    while signals.sleep(DISK_CHECK_INTERVAL).await {
        let Some(node) = raft.node() else { continue };
        let disk = Arc::clone(&node.disk);
        // On a disk that hangs only this task waits.
        let _ = task::blocking(move || disk.maintain()).await;
        let is_full = node.log_needs_snapshot() && node.disk.snapshot_trouble().is_none();
        if is_full || node.disk.snapshot_is_due() {
            // After an error Raft has ended.
            let _ = node.raft.trigger().snapshot().await;
        }
        let shortage = node.shortage();
        if shortage.is_some() != reported.is_some() {
            match &shortage {
                Some(shortage) => warn!(%shortage, "writes refused for lack of disk space"),
                None => info!("disk space sufficient; writes admitted again"),
            }
        }
        reported = shortage;
        let may_try = attempted_at.is_none_or(|at| clock::since(at) >= FULL_DISK_TRANSFER_INTERVAL);
        if reported.is_some() && may_try && others_can_lead(&observer, &node) {
            attempted_at = Some(clock::now());
            info!("disk full; leadership transfer started");
            if let Err(error) = transfers.transfer(None).await {
                warn!(%error, "leadership not transferred");
            }
        }
    }
}

/// True if the local node leads and the remaining voters are a quorum with room.
fn others_can_lead(observer: &Observer, node: &Node) -> bool {
    let seen = observer.observe();
    seen.leads()
        && observer.with_voter_space(&seen, node, |space| space.others_have_space(seen.identity.raft_id))
}
