//! What an operator should know, in words.

use std::collections::BTreeMap;

use crate::core::{Core, Moment};
use crate::peers::Peer;
use crate::status::Notice;

/// Everything worth telling, most urgent first.
pub(crate) fn notices(
    core: &Core,
    moment: &Moment,
    peers: &BTreeMap<String, Peer>,
    quorum: bool,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut tell = |code: &str, message: String| notices.push(Notice { code: code.to_owned(), message });
    if let Some(failure) = core.failure.lock().expect("no panic while it is held").clone() {
        tell(
            "storage_failed",
            format!("the storage of this node failed and is being opened again: {failure}"),
        );
    }
    if let Some(message) = foreign(moment) {
        tell("foreign_cluster", message);
    } else if let Some(message) = core.stranger.lock().expect("no panic while it is held").clone() {
        tell("foreign_cluster_met", message);
    }
    for (name, peer) in peers.iter().filter(|(_, peer)| peer.refuses(moment.now)) {
        let reason = peer.failure.clone().unwrap_or_default();
        tell("peer_refuses", format!("{name} is there but does not talk to {}: {reason}", core.options.me));
    }
    if moment.identity.cluster_id.is_none() {
        tell("not_joined", waits_to_join(core, moment, peers));
    } else if moment.identity.gave_way_to.is_none() {
        if !quorum {
            tell("no_quorum", no_quorum(core, moment, peers));
        }
        let joint = moment.membership().is_some_and(|m| m.membership().get_joint_config().len() > 1);
        if joint {
            tell("joint_membership", "a change of voters is half done; the leader finishes it".to_owned());
        }
        let waiting = core.waiting_for(moment);
        if quorum && !waiting.is_empty() {
            let (voters, _) = moment.names();
            tell(
                "waiting_for_nodes",
                format!(
                    "{} of {} nodes vote ({}); waiting for {} to come and catch up, then all vote together",
                    voters.len(),
                    core.options.nodes.len(),
                    voters.join(", "),
                    waiting.join(", ")
                ),
            );
        }
    }
    for (name, peer) in peers {
        let differs = peer
            .recent_report(moment.now)
            .is_some_and(|report| report.config_hash != core.options.config_hash);
        if differs {
            tell(
                "config_differs",
                format!("{name} runs with another configuration than {}", core.options.me),
            );
        }
    }
    notices
}

/// What to say while this node's cluster has given way to another one.
pub(crate) fn foreign(moment: &Moment) -> Option<String> {
    let stays = moment.identity.gave_way_to?;
    let own = moment.identity.cluster_id.map(|id| id.to_string()).unwrap_or_default();
    Some(format!(
        "this node's cluster {own} had one voter only and gave way to cluster {stays}, which it met later: it takes no more \
         changes. Its settings can still be read here. To join {stays}, stop this node, move its data directory away and \
         start it again"
    ))
}

/// What a node without a cluster waits for.
pub(crate) fn waits_to_join(core: &Core, moment: &Moment, peers: &BTreeMap<String, Peer>) -> String {
    let reach = |healthy: bool| -> Vec<&str> {
        let matching = peers.iter().filter(|(_, peer)| peer.is_healthy(moment.now) == healthy);
        matching.map(|(name, _)| name.as_str()).collect()
    };
    let (there, away) = (reach(true), reach(false));
    let first = core.options.nodes.first().map_or("", |node| node.name.as_str());
    let mut text = "this node belongs to no cluster yet and waits to join one".to_owned();
    if !there.is_empty() {
        text += &format!("; there without a cluster too: {}", there.join(", "));
    }
    if !away.is_empty() {
        text += &format!("; no answer from {}", away.join(", "));
    }
    if first != core.options.me {
        text += &format!("; {first}, the first node of the configuration, can found one");
    }
    text
}

/// Who is missing.
pub(crate) fn no_quorum(core: &Core, moment: &Moment, peers: &BTreeMap<String, Peer>) -> String {
    let (voters, _) = moment.names();
    let reachable = |name: &&String| {
        **name == core.options.me || peers.get(*name).is_some_and(|peer| peer.is_healthy(moment.now))
    };
    let (there, away): (Vec<&String>, Vec<&String>) = voters.iter().partition(reachable);
    let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let needed = voters.len() / 2 + 1;
    if there.len() >= needed {
        return format!("no leader at the moment; {} of {} voters are there", there.len(), voters.len());
    }
    format!(
        "{} of {} voters are there ({}), {needed} are needed; waiting for {}",
        there.len(),
        voters.len(),
        list(there),
        list(away)
    )
}
