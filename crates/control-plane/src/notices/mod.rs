//! Conditions for an operator, from one node's view. Pure.
//!
//! A message names its subject, with figures and files if there are any; the remedy is the operator's next
//! step.

mod first_seen;

use api::notices as codes;
use api::status::{Health, Role};

use crate::assess::{MissingVoters, NodeView, View};
use crate::format::Activated;
use crate::ids::RaftId;
use crate::status::Condition;
use crate::timing::{HEALTHY_WITHIN, MAX_CLOCK_OFFSET_MS};

pub(crate) use first_seen::FirstSeen;

/// Part of the deduplication table, in percent, from which on there is a notice.
const FULL_PERCENT: u64 = 90;

/// Knowledge of one node from which conditions follow.
#[derive(Debug, Clone)]
pub(crate) struct Situation<'a> {
    /// View of the cluster.
    pub view: &'a View,
    /// Conflict with another cluster, in words, where neither gives way.
    pub conflict: Option<String>,
    /// True during a joint change of the voters.
    pub joint: bool,
    /// Configured nodes that have to join and catch up before all become voters together.
    pub waiting_for: Vec<String>,
}

impl Situation<'_> {
    /// Returns the conditions, most urgent first.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let view = self.view;
        let mut conditions = Vec::new();
        conditions.extend(view.nodes.iter().filter_map(|node| directory(view, node)));
        conditions.extend(view.nodes.iter().filter_map(|node| storage(view, node)));
        conditions.extend(view.nodes.iter().flat_map(|node| disk_space(view, node)));
        match foreign(view) {
            Some(condition) => conditions.push(condition),
            None => conditions.extend(self.conflict.clone().map(foreign_cluster_met)),
        }
        if view.cluster_id.is_none() {
            // A node with an unreadable directory does not know its cluster.
            conditions.extend(view.is_identified().then(|| not_joined(view)));
        } else if view.superseded_by.is_none() {
            conditions.extend(self.of_the_quorum());
        }
        conditions.extend(view.nodes.iter().filter_map(|node| of_a_node(view, node)));
        conditions
    }

    /// Returns the conditions of the node's own cluster.
    fn of_the_quorum(&self) -> Vec<Condition> {
        let view = self.view;
        let mut conditions = Vec::new();
        conditions.extend(votes_lost(view));
        conditions.extend(keys_full(view));
        let quorum = view.quorum();
        if !quorum {
            conditions.push(no_quorum(view));
        }
        if self.joint {
            conditions.push(Condition {
                code: codes::JOINT_MEMBERSHIP,
                node: None,
                message: "a change of the voters is in progress".to_owned(),
                remedy: Some("none needed: this leader or the next one finishes the change".to_owned()),
            });
        }
        if quorum {
            conditions.extend(self.missing_nodes());
        }
        conditions
    }

    /// Returns the condition of configured nodes without a vote.
    fn missing_nodes(&self) -> Option<Condition> {
        let view = self.view;
        let mut voters: Vec<String> = view.voters.values().cloned().collect();
        voters.sort();
        if !self.waiting_for.is_empty() {
            let message = format!(
                "{} of {} configured nodes vote ({}); {} must join and catch up before all vote",
                voters.len(),
                view.nodes.len(),
                listed(&voters),
                listed(&self.waiting_for)
            );
            let remedy = Some(format!("start {}", listed(&self.waiting_for)));
            return Some(Condition { code: codes::WAITING_FOR_NODES, node: None, message, remedy });
        }
        // Two voters survive no failure, so they are never formed automatically.
        (view.nodes.len() == 2 && voters.len() == 1).then(|| Condition {
            code: codes::TWO_NODES,
            node: None,
            message: format!(
                "{} votes alone of 2 configured nodes: two voters would not survive the loss of either",
                listed(&voters)
            ),
            remedy: Some("add a third node to the configuration of every node".to_owned()),
        })
    }
}

/// Returns the condition of a node whose data directory went back in time, or whose history differs.
fn directory(view: &View, node: &NodeView) -> Option<Condition> {
    let name = &node.address.name;
    let is_reverted = |node: &&NodeView| view.health(node) == Health::Reverted;
    match view.health(node) {
        Health::Reverted => {}
        Health::HistoryDiverged => {
            let report = node.report.as_ref()?;
            return Some(Condition {
                code: codes::HISTORY_DIVERGED,
                node: Some(name.clone()),
                message: format!("the history of {name} differs: {}", report.diverged?),
                remedy: report.storage_remedy.clone(),
            });
        }
        _ => return None,
    }
    let failure = node.report.as_ref().and_then(|report| report.storage_failure.clone());
    let cause = failure.map(|failure| format!(": {failure}")).unwrap_or_default();
    let others: Vec<String> =
        view.nodes.iter().filter(is_reverted).map(|node| node.address.name.clone()).collect();
    let remedy = if others.len() > 1 {
        format!(
            "{} went back in time together, so that none is replaced: put back the latest content of their data \
             directories; without any, move them away once the others have a quorum",
            listed(&others)
        )
    } else {
        format!(
            "none needed while the others have a quorum: {name} sets the directory aside and joins anew; otherwise put \
             back its latest content"
        )
    };
    Some(Condition {
        code: codes::REVERTED,
        node: Some(name.clone()),
        message: format!("{name} has lost votes or entries that it had promised to keep{cause}"),
        remedy: Some(remedy),
    })
}

/// Returns the condition of a node with a failed storage.
fn storage(view: &View, node: &NodeView) -> Option<Condition> {
    let name = &node.address.name;
    let report = node.report.as_ref()?;
    let failure = report.storage_failure.as_ref()?;
    let health = view.health(node);
    let has_own_condition = matches!(health, Health::Reverted | Health::HistoryDiverged);
    if has_own_condition || *name != view.me && health != Health::StorageFailed {
        return None;
    }
    if let Some(release) = &report.needs_release {
        return Some(Condition {
            code: codes::NEEDS_RELEASE,
            node: Some(name.clone()),
            message: format!("{name} cannot read what the cluster has stored: {failure}"),
            remedy: Some(format!(
                "start release {release} or a newer one on {name}; it serves embed and extract meanwhile"
            )),
        });
    }
    Some(Condition {
        code: codes::STORAGE_FAILED,
        node: Some(name.clone()),
        message: format!("the storage of {name} failed: {failure}"),
        remedy: Some(format!(
            "{}; the node tries again by itself, and serves embed and extract meanwhile",
            report.storage_remedy.as_deref().unwrap_or("check its disk")
        )),
    })
}

/// Returns the conditions of a node without room for changes, or for snapshots.
fn disk_space(view: &View, node: &NodeView) -> Vec<Condition> {
    let name = &node.address.name;
    let answers = node.answered_age.is_some_and(|age| age < HEALTHY_WITHIN) && !node.port_refused;
    let Some(report) = node.report.as_ref().filter(|_| *name == view.me || answers) else {
        return Vec::new();
    };
    let full = report.storage_full.as_ref().map(|shortage| Condition {
        code: codes::STORAGE_FULL,
        node: Some(name.clone()),
        message: format!("{name} refuses changes for lack of disk space: {shortage}"),
        remedy: Some(format!("free space on the file system with the data of {name}")),
    });
    let trouble = report.snapshot_trouble.as_ref().map(|trouble| Condition {
        code: codes::SNAPSHOTS_FAIL,
        node: Some(name.clone()),
        message: format!(
            "{name} cannot write snapshots: {trouble}; its log grows up to storage.max_log_bytes"
        ),
        remedy: Some(format!(
            "free space there, or check the disk of {name}; snapshots are tried again by themselves"
        )),
    });
    full.into_iter().chain(trouble).collect()
}

/// Returns the condition of a node whose cluster gave way to another cluster.
pub(crate) fn foreign(view: &View) -> Option<Condition> {
    let stays = view.superseded_by?;
    let own = view.cluster_id.map_or_else(|| "without an id".to_owned(), |id| id.to_string());
    Some(Condition {
        code: codes::FOREIGN_CLUSTER,
        node: Some(view.me.clone()),
        message: format!(
            "{}: the cluster {own} of this node had one voter only and gave way to cluster {stays}, met later; no more \
             changes are taken, settings can still be read here",
            view.me
        ),
        remedy: Some(format!(
            "to join {stays}: stop {}, move its data directory away, start it again",
            view.me
        )),
    })
}

fn foreign_cluster_met(message: String) -> Condition {
    let remedy =
        "decide which cluster stays, and move the data directories of the other one's nodes away".to_owned();
    Condition { code: codes::FOREIGN_CLUSTER_MET, node: None, message, remedy: Some(remedy) }
}

/// Returns the condition of a node without a cluster.
pub(crate) fn not_joined(view: &View) -> Condition {
    let others = || view.nodes.iter().filter(|node| node.address.name != view.me);
    let named = |wanted: &dyn Fn(&NodeView) -> bool| -> Vec<String> {
        others().filter(|node| wanted(node)).map(|node| node.address.name.clone()).collect()
    };
    let reaches =
        |node: &NodeView| matches!(view.health(node), Health::Ok | Health::NotVoting | Health::Lagging);
    let belongs = |node: &NodeView| node.report.as_ref().is_some_and(|report| report.cluster_id.is_some());
    let leads = |node: &NodeView| node.report.as_ref().is_some_and(|report| report.role == Role::Leader);
    let members = named(&|node| reaches(node) && belongs(node));
    let fresh = named(&|node| reaches(node) && !belongs(node));
    let missing = named(&|node| !reaches(node));
    let mut parts = vec![format!("{} belongs to no cluster yet and waits to join one", view.me)];
    if !members.is_empty() && !others().any(|node| reaches(node) && leads(node)) {
        parts.push(format!("{} of a cluster without a leader answers", listed(&members)));
    }
    if !fresh.is_empty() {
        parts.push(format!("{} without a cluster answers too", listed(&fresh)));
    }
    if !missing.is_empty() {
        parts.push(format!("no answer from {}", listed(&missing)));
    }
    let first = view.nodes.first().map_or("", |node| node.address.name.as_str());
    let remedy = match first {
        first if first == view.me => {
            format!("start {}", listed(if missing.is_empty() { &fresh } else { &missing }))
        }
        first => format!("start {first}: as the first configured node, it founds a cluster or leads to one"),
    };
    let remedy = (!(missing.is_empty() && fresh.is_empty())).then_some(remedy);
    Condition { code: codes::NOT_JOINED, node: Some(view.me.clone()), message: parts.join("; "), remedy }
}

/// Returns the condition of a cluster without a quorum, or without a leader.
pub(crate) fn no_quorum(view: &View) -> Condition {
    let voters = view.configs.last().map_or(0, |config| config.len());
    let (message, remedy) = match view.missing_voters() {
        _ if voters == 0 => (
            format!("{} has not received the membership of its cluster yet", view.me),
            Some("none needed while a leader is there: it sends the log".to_owned()),
        ),
        None => (format!("no leader is known; {voters} of {voters} voters are enough for an election"), None),
        Some(MissingVoters { needed, healthy, missing }) => (
            format!(
                "{} of {} voters are healthy{}; {needed} are needed, {} missing",
                healthy.len(),
                healthy.len() + missing.len(),
                if healthy.is_empty() { String::new() } else { format!(" ({})", listed(&healthy)) },
                is_or_are(&missing),
            ),
            Some(format!("start {}, or follow the remedy in its notice", listed(&missing))),
        ),
    };
    Condition { code: codes::NO_QUORUM, node: None, message, remedy }
}

/// Returns the condition of a deduplication table without room, or with little.
fn keys_full(view: &View) -> Option<Condition> {
    let (bytes, limit_bytes) = view.key_bytes;
    if bytes < limit_bytes / 100 * FULL_PERCENT {
        return None;
    }
    Some(Condition {
        code: codes::IDEMPOTENCY_KEYS_FULL,
        node: None,
        message: format!(
            "idempotency keys of the last 24 h take {bytes} of {limit_bytes} bytes; without room, changes of the cluster are \
             refused (too_many_keys)"
        ),
        remedy: Some(
            "find the client that makes so many changes, or raise limits.idempotency_bytes on every node"
                .to_owned(),
        ),
    })
}

/// Returns the condition of lost votes: too many voters returned with new data directories for a quorum of
/// the old directories.
fn votes_lost(view: &View) -> Option<Condition> {
    let replaced = |id: &RaftId| {
        let name = view.voters.get(id)?;
        let node = view.nodes.iter().find(|node| node.address.name == *name)?;
        let heard = view.health(node).is_healthy();
        let report = node.report.as_ref().filter(|report| heard && report.raft_id != *id)?;
        Some((name.clone(), report.raft_id))
    };
    let config = view.configs.iter().find(|config| {
        let lost = config.iter().filter(|id| replaced(id).is_some()).count();
        config.len() - lost <= config.len() / 2
    })?;
    let lost: Vec<String> = config.iter().filter_map(|id| replaced(id).map(|(name, _)| name)).collect();
    Some(Condition {
        code: codes::VOTES_LOST,
        node: None,
        message: format!(
            "{} returned with new data directories: {} of {} votes are lost, and no leader can be elected",
            listed(&lost),
            lost.len(),
            config.len()
        ),
        remedy: Some(format!(
            "stop {} and put the old data directories back; without them, export what this cluster holds and found a new \
             one (a later release will have `stegctl recover`)",
            listed(&lost)
        )),
    })
}

/// Returns the most urgent condition of one node, besides its storage.
fn of_a_node(view: &View, node: &NodeView) -> Option<Condition> {
    let name = &node.address.name;
    let condition = |code, message, remedy: &str| {
        let remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
        Some(Condition { code, node: Some(name.clone()), message, remedy })
    };
    if let Some(reason) =
        node.handshake_failure.as_ref().filter(|_| view.health(node) == Health::HandshakeFailed)
    {
        let message = format!("{name} answers, but its handshake with {} failed: {reason}", view.me);
        return condition(
            codes::PEER_REFUSES,
            message,
            "give both nodes the same cluster.key, cluster_name and release",
        );
    }
    if let Some(older) = older_release(view, node) {
        return Some(older);
    }
    match view.health(node) {
        Health::Lagging => {
            let message =
                format!("{name} is {} entries behind the leader and does not catch up", node.behind);
            return condition(
                codes::LAGGING,
                message,
                "check its disk and network; restart it if it stays behind",
            );
        }
        Health::ForeignCluster if view.superseded_by.is_none() => {
            let message = format!("{name} belongs to another cluster than {}", view.me);
            let remedy = format!("stop {name}, move its data directory away, start it again");
            return condition(codes::FOREIGN_NODE, message, &remedy);
        }
        _ => {}
    }
    if let Some(clock) = node.clock.filter(|clock| clock.exceeds(MAX_CLOCK_OFFSET_MS)) {
        let seconds = clock.ms as f64 / 1000.0;
        let (by, way) = (seconds.abs(), if seconds < 0.0 { "behind" } else { "ahead of" });
        let message = format!("the clock of {name} is {by:.1} s {way} the one of {}", view.me);
        return condition(
            codes::CLOCKS_DIFFER,
            message,
            "synchronize the clocks, for example with chrony or systemd-timesyncd",
        );
    }
    let heard = view.health(node).is_healthy();
    let report = node.report.as_ref().filter(|_| heard)?;
    if report.config_hash != view.config_hash {
        let message = format!("{name} runs with another configuration than {}", view.me);
        return condition(
            codes::CONFIG_DIFFERS,
            message,
            "give both nodes the same file and restart the one that was changed",
        );
    }
    None
}

/// Returns the condition of a node whose release does not read the activated format version.
fn older_release(view: &View, node: &NodeView) -> Option<Condition> {
    let name = &node.address.name;
    let answers = node.answered_age.is_some_and(|age| age < HEALTHY_WITHIN) && !node.port_refused;
    let announced = node.report.as_ref().filter(|_| answers && *name != view.me)?.announced();
    let Activated { version, release } = &view.activated;
    if announced.covers(*version) {
        return None;
    }
    Some(Condition {
        code: codes::NEEDS_RELEASE,
        node: Some(name.clone()),
        message: format!(
            "{name} runs release {}, which does not read format version {version} that the cluster has activated",
            announced.release
        ),
        remedy: Some(format!("start release {release} or a newer one on {name}")),
    })
}

fn listed(names: &[String]) -> String {
    names.join(", ")
}

fn is_or_are(names: &[String]) -> String {
    format!("{} {}", listed(names), if names.len() == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests;
