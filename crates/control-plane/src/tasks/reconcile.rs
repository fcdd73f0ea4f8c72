//! Reconciliation of the membership with the configuration, on the leader. The module `membership` decides,
//! and this module acts.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use tracing::{info, warn};

use crate::ids::RaftId;
use crate::membership::{MembershipFacts, MembershipStep, next_step};
use crate::observation::Observation;
use crate::observer::Observer;
use crate::planted::{Mistake, is_planted};
use crate::raft::node::Node;
use crate::signals::Signals;
use crate::timing::{MEMBERSHIP_CHANGE_WITHIN, MEMBERSHIP_CHECK_INTERVAL};
use crate::world::{self, Note, clock};

/// The task that reconciles the membership with the configuration.
pub(crate) struct Reconciler {
    observer: Arc<Observer>,
    signals: Arc<Signals>,
    /// Keeps a node under test from changing the membership.
    #[cfg(test)]
    pub held: std::sync::atomic::AtomicBool,
}

impl Reconciler {
    /// Creates the task.
    pub(crate) fn new(observer: Arc<Observer>, signals: Arc<Signals>) -> Self {
        Self {
            observer,
            signals,
            #[cfg(test)]
            held: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Reconciles the membership with the configuration whenever the local node leads, until the stop.
    pub(crate) async fn run(self: Arc<Self>) {
        while self.signals.sleep_until_changed(MEMBERSHIP_CHECK_INTERVAL).await {
            let seen = self.observer.observe();
            if !seen.is_leader() {
                continue;
            }
            #[cfg(test)]
            if self.held.load(std::sync::atomic::Ordering::Relaxed) {
                continue;
            }
            if let (Some(node), Some(step)) = (seen.node.clone(), self.decide(&seen)) {
                let changed = clock::timeout(MEMBERSHIP_CHANGE_WITHIN, carry_out(&node, step)).await;
                if changed.is_err() {
                    warn!("membership change not finished in time");
                }
            }
        }
    }

    fn decide(&self, seen: &Observation) -> Option<MembershipStep> {
        let membership = seen.membership()?;
        let names = self.observer.names();
        let (present, caught_up) = (self.observer.present(seen), self.observer.caught_up(seen));
        let step = next_step(&MembershipFacts {
            configured: &names,
            membership: &membership,
            present: &present,
            caught_up: &caught_up,
        });
        let left = matches!(step, Some(MembershipStep::FinishJoint { .. }));
        step.filter(|_| !(left && is_planted(Mistake::JointChangeLeft)))
    }
}

/// Notes the voters that a change adds.
fn note_change(node: &Node, voters: &BTreeSet<RaftId>) {
    let metrics = node.raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    let present: BTreeSet<RaftId> = membership.voter_ids().collect();
    let added = voters.difference(&present).filter_map(|id| membership.get_node(id));
    let added: Vec<&str> = added.map(|member| member.name.as_str()).collect();
    world::note(Note::ChangesVoters { added: &added, last: node.last_log_id().map_or(0, |id| id.index) });
}

async fn carry_out(node: &Node, step: MembershipStep) {
    let list = |ids: &BTreeSet<RaftId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let changed = match step {
        MembershipStep::FinishJoint { voters } => {
            world::note(Note::ResumesChange);
            info!(voters = list(&voters), "joint change of voters resumed");
            node.raft.change_membership(voters, false).await
        }
        MembershipStep::ChangeVoters { voters } => {
            note_change(node, &voters);
            info!(voters = list(&voters), "change of voters started");
            node.raft.change_membership(voters, false).await
        }
        MembershipStep::RemoveLearners { learners } => {
            info!(learners = list(&learners), "removal of replaced learners started");
            node.raft.change_membership(ChangeMembers::RemoveNodes(learners), false).await
        }
    };
    if let Err(error) = changed {
        warn!(%error, "membership change failed; retried");
    }
}
