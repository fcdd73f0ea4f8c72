//! Status documents of every node during a drill, checked against the rules of the document.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Client, ClusterStatus};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::cluster::{DrillCluster, NamedEndpoint};

/// Interval between two requests to a node.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// Most different contradictions kept.
const MAX_KEPT: usize = 8;

/// Contradictions found since the start; the nodes are asked until the value is dropped.
pub(super) struct Statuses {
    found: Arc<Mutex<BTreeSet<String>>>,
    _askers: JoinSet<()>,
}

impl Statuses {
    /// Starts to ask every node.
    pub(super) fn watch(cluster: &DrillCluster) -> Self {
        let found = Arc::new(Mutex::new(BTreeSet::new()));
        let mut askers = JoinSet::new();
        for node in &cluster.nodes {
            askers.spawn(ask(cluster.client.clone(), node.clone(), Arc::clone(&found)));
        }
        Self { found, _askers: askers }
    }

    /// Returns the contradictions found so far, each with the node that sent the document.
    pub(super) fn contradictions(&self) -> Vec<String> {
        self.found.lock().expect("nothing panics while it is held").iter().cloned().collect()
    }
}

async fn ask(client: Client, node: NamedEndpoint, found: Arc<Mutex<BTreeSet<String>>>) {
    let mut pace = interval(ASK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        if let Ok(status) = client.status_of(&node.endpoint).await {
            note(&status, &mut found.lock().expect("nothing panics while it is held"));
        }
    }
}

fn note(status: &ClusterStatus, found: &mut BTreeSet<String>) {
    for contradiction in status.contradictions() {
        if found.len() < MAX_KEPT {
            found.insert(format!("the status of {} contradicts itself: {contradiction}", status.node_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use client::{NodeStatus, Role};

    use super::*;

    #[test]
    fn contradictions_are_kept_once_and_within_bounds() {
        let leads = |id: &str| NodeStatus { id: id.to_owned(), role: Role::Leader, ..NodeStatus::default() };
        let nodes = (0..20).map(|n| leads(&format!("n{n}"))).collect();
        let status = ClusterStatus { node_id: "n1".to_owned(), nodes, ..ClusterStatus::default() };
        let mut found = BTreeSet::new();
        note(&status, &mut found);
        note(&status, &mut found);
        assert_eq!(found.len(), MAX_KEPT);
        assert!(
            found.contains("the status of n1 contradicts itself: n0 has the role Leader, leader_id is None")
        );
    }
}
