//! Probes: every peer is asked how it is, again and again, on a connection of its own. Answers come from memory, so that
//! a full disk or a busy log does not look like a dead node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use crate::core::Core;
use crate::message::{Probe, ProbeAnswer, Report};
use crate::network::{CallError, Channel, FrameError, FrameReceiver, FrameSender, Purpose};
use crate::peers::{Failure, HEALTHY_WITHIN};
use crate::status::EventKind;

/// Probes one peer until the node stops.
pub(crate) async fn run(core: Arc<Core>, peer: String) {
    loop {
        let began = Instant::now();
        let probing = core.stopping.run_until_cancelled(connect_and_probe(&core, &peer)).await;
        let Some(failure) = probing else { return };
        failed(&core, &peer, &failure);
        tokio::time::sleep(core.options.timing.probe_interval.saturating_sub(began.elapsed())).await;
    }
}

async fn connect_and_probe(core: &Core, peer: &str) -> Failure {
    let deadline = tokio::time::Instant::now() + HEALTHY_WITHIN;
    match core.links.dial(peer, Purpose::Probe, deadline).await {
        Ok(channel) => Failure { reason: probe_on(core, peer, channel).await, refused: false },
        Err(error) => {
            let refused = matches!(error, CallError::Refused { .. });
            Failure { reason: crate::text_with_sources(&error), refused }
        }
    }
}

/// Sends a probe every interval, whether or not the one before was answered, until the connection fails or nothing was
/// answered for too long. Returns why.
async fn probe_on(core: &Core, peer: &str, channel: Channel) -> String {
    let (sender, receiver) = channel.split();
    let answered = AtomicU64::new(0);
    // Neither is cut off half-way through a frame and used again: whichever ends first ends the connection.
    tokio::select! {
        failure = send(core, sender, &answered) => failure,
        error = receive(core, peer, receiver, &answered) => crate::text_with_sources(&error),
    }
}

async fn send(core: &Core, mut sender: FrameSender, answered: &AtomicU64) -> String {
    let from = core.identity().raft_id;
    let mut ticks = tokio::time::interval(core.options.timing.probe_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way: VecDeque<(u64, Instant)> = VecDeque::new();
    for seq in 1.. {
        ticks.tick().await;
        let answered = answered.load(Ordering::Relaxed);
        while under_way.front().is_some_and(|(seq, _)| *seq <= answered) {
            under_way.pop_front();
        }
        if under_way.front().is_some_and(|(_, sent_at)| sent_at.elapsed() > HEALTHY_WITHIN) {
            return format!("no answer within {} ms", HEALTHY_WITHIN.as_millis());
        }
        if let Err(error) = sender.send(&Probe { seq, from, cluster: core.identity().cluster_id }).await {
            return crate::text_with_sources(&error);
        }
        under_way.push_back((seq, Instant::now()));
    }
    unreachable!("sequence numbers do not end")
}

async fn receive(core: &Core, peer: &str, mut receiver: FrameReceiver, answered: &AtomicU64) -> FrameError {
    loop {
        match receiver.recv::<ProbeAnswer>().await {
            Ok(answer) => {
                answered.store(answer.seq, Ordering::Relaxed);
                heard(core, peer, answer.report);
            }
            Err(error) => return error,
        }
    }
}

fn heard(core: &Core, name: &str, report: Report) {
    let now = Instant::now();
    let same_config = report.config_hash == core.options.config_hash;
    let before = core.peers.answered(name, report, now);
    if before.failed_probes > 0 || !before.is_healthy(now) {
        info!(peer = name, "peer answers");
        core.events.tell(EventKind::Peer {
            peer: name.to_owned(),
            healthy: true,
            failed_probes: before.failed_probes,
        });
        core.changed.notify_waiters();
    }
    let same_before = before.recent_report(now).map(|report| report.config_hash == core.options.config_hash);
    if same_before != Some(same_config) && !(same_before.is_none() && same_config) {
        if same_config {
            info!(peer = name, "peer runs with the same configuration again");
        } else {
            warn!(peer = name, "peer runs with another configuration than this node");
        }
        core.events.tell(EventKind::Config { peer: name.to_owned(), same: same_config });
    }
}

/// A failed probe: the first ones in a row are logged, then ever fewer, so that a node which stays away does not fill the
/// log.
fn failed(core: &Core, name: &str, failure: &Failure) {
    let count = core.peers.failed(name, failure);
    let failure = &failure.reason;
    if count == 1 {
        core.events.tell(EventKind::Peer { peer: name.to_owned(), healthy: false, failed_probes: count });
        core.changed.notify_waiters();
    }
    if count > 3 && !count.is_power_of_two() {
        return;
    }
    let leads = leader(core).as_deref() == Some(name);
    if leads {
        warn!(peer = name, count, failure, "failed to reach leader");
    } else if count == 1 {
        warn!(peer = name, count, failure, "failed to reach peer");
    } else {
        debug!(peer = name, count, failure, "failed to reach peer");
    }
}

/// Who led according to the vote, also if nothing was heard of it for a while.
fn leader(core: &Core) -> Option<String> {
    let node = core.node.load_full()?;
    let leader = node.voted_leader()?;
    core.moment().name_of(leader)
}
