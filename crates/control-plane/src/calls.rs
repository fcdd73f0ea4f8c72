//! Reads and writes of the control plane: forwarded to the leader, and retried within their deadlines.

use std::sync::Arc;
use std::time::Instant;

use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use tracing::debug;

use crate::catalog::{Command, Outcome, StoredCommand};
use crate::core::{Core, Moment};
use crate::errors::{ControlError, TransferError, Transferred};
use crate::ids::RaftId;
use crate::message::{Call, Envelope, Refused, Reply};
use crate::network::CallError;
use crate::raft::node::Node;
use crate::timing::{CALL_ATTEMPT_WITHIN, CALL_RETRY_AFTER, CALL_RETRY_DURING_ELECTION, ELECTION_GRACE};

/// Result of an attempt.
enum Attempt<T> {
    Done(T),
    /// Nothing was proposed, with the reason.
    NotYet(String),
    /// The command may have been proposed.
    Unknown,
    /// The leader refuses writes for want of disk space; nothing was proposed.
    Full(String),
}

/// Has the leader apply the command, retrying until the deadline.
pub(crate) async fn submit(
    core: &Arc<Core>,
    command: Command,
    deadline: Instant,
) -> Result<Outcome, ControlError> {
    let mut proposed = false;
    let mut last_reason;
    let started = Instant::now();
    loop {
        let moment = ready(core, proposed)?;
        let until = deadline.min(Instant::now() + CALL_ATTEMPT_WITHIN);
        match submit_once(core, &moment, &command, until).await {
            Attempt::Done(outcome) => return Ok(outcome),
            Attempt::NotYet(reason) => last_reason = reason,
            Attempt::Unknown => {
                proposed = true;
                last_reason = "no answer".to_owned();
            }
            Attempt::Full(_) if proposed => return Err(ControlError::OutcomeUnknown),
            Attempt::Full(reason) => return Err(ControlError::StorageFull { reason }),
        }
        debug!(reason = last_reason, "a write is tried again");
        if !may_retry(core, started, deadline).await {
            return Err(if proposed { ControlError::OutcomeUnknown } else { no_quorum(core, last_reason) });
        }
    }
}

/// Has the leader transfer leadership, retrying until the deadline.
pub(crate) async fn transfer_leader(
    core: &Arc<Core>,
    to: Option<String>,
    deadline: Instant,
) -> Result<Transferred, TransferError> {
    let started = Instant::now();
    loop {
        let moment = ready(core, false)?;
        let call = Call::HandOver { to: to.clone(), timeout_ms: left_ms(deadline) };
        let reason = match ask_leader(core, &moment, call, deadline).await {
            Attempt::Done(Reply::HandedOver(result)) => return result,
            Attempt::Done(Reply::Refused(refused)) => refused.to_string(),
            Attempt::NotYet(reason) => reason,
            // Leadership may have moved; the status shows the leader.
            Attempt::Done(_) | Attempt::Unknown | Attempt::Full(_) => {
                return Err(ControlError::OutcomeUnknown.into());
            }
        };
        if !may_retry(core, started, deadline).await {
            return Err(no_quorum(core, reason).into());
        }
    }
}

/// Returns the local state of a node that belongs to a cluster.
pub(crate) fn local(core: &Core) -> Result<Arc<Node>, ControlError> {
    ready(core, false)?;
    core.node.load_full().ok_or_else(|| storage_error(core))
}

/// Returns the local state once a linearizable read is possible: the leader names a log index, and the local
/// node waits until the index is applied.
pub(crate) async fn linearize(core: &Arc<Core>, deadline: Instant) -> Result<Arc<Node>, ControlError> {
    let started = Instant::now();
    loop {
        let moment = ready(core, false)?;
        let until = deadline.min(Instant::now() + CALL_ATTEMPT_WITHIN);
        let reason = match read_index_once(core, &moment, until).await {
            Attempt::Done(index) => {
                let node = core.node.load_full().ok_or_else(|| storage_error(core))?;
                let applied = tokio::time::timeout_at(deadline.into(), node.state.wait_applied(index)).await;
                match applied {
                    Ok(()) => return Ok(node),
                    Err(_) => return Err(ControlError::Behind { index }),
                }
            }
            Attempt::NotYet(reason) => reason,
            Attempt::Unknown | Attempt::Full(_) => "no answer from the leader".to_owned(),
        };
        if !may_retry(core, started, deadline).await {
            return Err(no_quorum(core, reason));
        }
    }
}

/// Returns the state of Raft, or the error for a node that cannot serve a call at the moment.
fn ready(core: &Core, proposed: bool) -> Result<Moment, ControlError> {
    let refuse = |error| Err(if proposed { ControlError::OutcomeUnknown } else { error });
    if core.stopping.is_cancelled() {
        return refuse(ControlError::Stopped);
    }
    let moment = core.moment();
    let view = || core.view(&moment, &core.peers.all());
    if moment.identity.gave_way_to.is_some() {
        let told = crate::notices::foreign(&view());
        return refuse(ControlError::ForeignCluster {
            message: told.map(|told| told.message).unwrap_or_default(),
        });
    }
    if moment.node.is_none() && core.failure.lock().expect("no panic while it is held").is_some() {
        return refuse(storage_error(core));
    }
    if moment.identity.cluster_id.is_none() {
        return refuse(ControlError::NotJoined { waiting_for: crate::notices::not_joined(&view()).message });
    }
    Ok(moment)
}

/// Waits for a short pause. False if the deadline is near, or if no quorum exists after the time of an
/// election.
async fn may_retry(core: &Core, started: Instant, deadline: Instant) -> bool {
    let now = Instant::now();
    let given_up =
        now.saturating_duration_since(started) > ELECTION_GRACE && !core.has_quorum(&core.moment());
    if given_up || now + CALL_RETRY_AFTER >= deadline {
        return false;
    }
    let since_began = now.saturating_duration_since(started);
    let pause = if since_began < ELECTION_GRACE { CALL_RETRY_DURING_ELECTION } else { CALL_RETRY_AFTER };
    let Some(node) = core.node.load_full() else {
        tokio::time::sleep(pause).await;
        return true;
    };
    let mut metrics = node.watch();
    let _ = tokio::time::timeout(pause, metrics.changed()).await;
    true
}

fn no_quorum(core: &Core, last_reason: String) -> ControlError {
    let moment = core.moment();
    let view = core.view(&moment, &core.peers.all());
    let reason = if view.quorum() { last_reason } else { crate::notices::no_quorum(&view).message };
    ControlError::NoQuorum { reason }
}

fn storage_error(core: &Core) -> ControlError {
    let failure = core.failure.lock().expect("no panic while it is held").clone();
    ControlError::Storage(
        failure.map_or_else(|| "it is being opened".to_owned(), |failure| failure.to_string()),
    )
}

async fn submit_once(
    core: &Arc<Core>,
    moment: &Moment,
    command: &Command,
    until: Instant,
) -> Attempt<Outcome> {
    let command = Box::new(command.clone());
    match ask_leader(core, moment, Call::Submit { command, timeout_ms: left_ms(until) }, until).await {
        Attempt::Done(Reply::Outcome(outcome)) => Attempt::Done(*outcome),
        Attempt::Done(Reply::Refused(Refused::StorageFull(reason))) => Attempt::Full(reason),
        Attempt::Done(Reply::Refused(refused)) => Attempt::NotYet(refused.to_string()),
        Attempt::NotYet(reason) => Attempt::NotYet(reason),
        Attempt::Full(reason) => Attempt::Full(reason),
        Attempt::Done(_) | Attempt::Unknown => Attempt::Unknown,
    }
}

async fn read_index_once(core: &Arc<Core>, moment: &Moment, until: Instant) -> Attempt<u64> {
    match ask_leader(core, moment, Call::ReadIndex { timeout_ms: left_ms(until) }, until).await {
        Attempt::Done(Reply::ReadIndex { index }) => Attempt::Done(index),
        Attempt::Done(Reply::Refused(refused)) => Attempt::NotYet(refused.to_string()),
        Attempt::NotYet(reason) | Attempt::Full(reason) => Attempt::NotYet(reason),
        Attempt::Done(_) | Attempt::Unknown => Attempt::Unknown,
    }
}

fn left_ms(until: Instant) -> u64 {
    until.saturating_duration_since(Instant::now()).as_millis() as u64
}

/// Has the leader answer, either the local node or a peer.
async fn ask_leader(core: &Arc<Core>, moment: &Moment, call: Call, until: Instant) -> Attempt<Reply> {
    if !moment.leads() {
        return forward(core, moment, call, until).await;
    }
    let Some(node) = &moment.node else { return Attempt::NotYet("no storage".to_owned()) };
    Attempt::Done(match call {
        Call::Submit { command, .. } => propose_here(core, node, *command, until).await,
        Call::HandOver { to, .. } => hand_over_here(core, to.as_deref(), until).await,
        _ => read_index_here(core, node, until).await,
    })
}

/// Forwards a call to the leader on another node.
async fn forward(core: &Core, moment: &Moment, call: Call, until: Instant) -> Attempt<Reply> {
    let Some(cluster) = moment.identity.cluster_id else { return Attempt::NotYet("no cluster".to_owned()) };
    let Some((leader, name)) = moment.standing.leader.zip(moment.leader_name()) else {
        return Attempt::NotYet("no leader is known".to_owned());
    };
    let Some(node) = &moment.node else { return Attempt::NotYet("no storage".to_owned()) };
    if is_deposed(core, node, leader) {
        return Attempt::NotYet(format!("the leader {name} is suspected to have failed"));
    }
    let (version, from) = (core.activated(), moment.identity.raft_id);
    let envelope = Envelope { version, cluster, from, to: Some(leader), body: call };
    // A transfer moves the vote before the answer arrives.
    let hands_over = matches!(envelope.body, Call::HandOver { .. });
    // Sent once only: a repetition by the link would hide that the command may have been proposed.
    let reply = tokio::select! {
        reply = core.links.call_once::<_, Reply>(&name, &envelope, until.into()) => reply,
        () = deposed(core, node, leader), if !hands_over => return Attempt::Unknown,
    };
    match reply {
        Ok(reply) => Attempt::Done(reply),
        Err(CallError::Lost { .. }) => Attempt::Unknown,
        Err(error) => Attempt::NotYet(error.to_string()),
    }
}

/// True once `leader` no longer leads as far as the local node knows, or is suspected: its answer is not
/// awaited any more.
fn is_deposed(core: &Core, node: &Node, leader: RaftId) -> bool {
    node.voted_leader() != Some(leader) || core.campaigns().held(node.vote(), Instant::now()).is_some()
}

/// Returns once [`is_deposed`] holds.
async fn deposed(core: &Core, node: &Node, leader: RaftId) {
    let mut metrics = node.watch();
    let mut evidence = core.evidence.subscribe();
    while !is_deposed(core, node, leader) {
        tokio::select! {
            // A Raft that ended reports no new leader.
            changed = metrics.changed() => if changed.is_err() { return },
            // The sender lives as long as `core`.
            _ = evidence.changed() => {}
        }
    }
}

/// Proposes the command if the local node leads.
///
/// The leader's clock counts: a follower with a wrong clock must not make all nodes forget idempotency keys.
pub(crate) async fn propose_here(core: &Core, node: &Node, mut command: Command, until: Instant) -> Reply {
    let moment = core.moment();
    if let Some(refused) = cannot_lead(core, &moment) {
        return Reply::Refused(refused);
    }
    if let Some(reason) = core.refuses_writes(&moment, node) {
        return Reply::Refused(Refused::StorageFull(reason));
    }
    command.proposed_at_ms = (core.options.clock_ms)();
    let command = StoredCommand::new(command, node.state.activated_version());
    match tokio::time::timeout_at(until.into(), node.raft.client_write(command)).await {
        Ok(Ok(written)) => Reply::Outcome(Box::new(written.data)),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
            Reply::Refused(Refused::NotLeader { leader: core.moment().leader_name() })
        }
        // Discarded, or Raft ended meanwhile: the entry may have been committed.
        Ok(Err(_)) | Err(_) => Reply::OutcomeUnknown,
    }
}

/// Transfers leadership if the local node leads.
pub(crate) async fn hand_over_here(core: &Arc<Core>, to: Option<&str>, until: Instant) -> Reply {
    if let Some(refused) = cannot_lead(core, &core.moment()) {
        return Reply::Refused(refused);
    }
    // Not cancelled at the deadline: the leader refuses writes until the transfer has ended.
    let (core, to) = (Arc::clone(core), to.map(str::to_owned));
    let transfer = tokio::spawn(async move { crate::tasks::handover::transfer(&core, to.as_deref()).await });
    match tokio::time::timeout_at(until.into(), transfer).await {
        Ok(Ok(result)) => Reply::HandedOver(result),
        Ok(Err(_)) | Err(_) => Reply::OutcomeUnknown,
    }
}

/// Returns the log index that a state has to reach for a linearizable read, confirmed by a quorum (§6.4 of
/// the Raft dissertation). Leases are not trusted: a lease can be given up.
pub(crate) async fn read_index_here(core: &Core, node: &Node, until: Instant) -> Reply {
    if let Some(refused) = cannot_lead(core, &core.moment()) {
        return Reply::Refused(refused);
    }
    let read = node.raft.get_read_log_id(ReadPolicy::ReadIndex);
    match tokio::time::timeout_at(until.into(), read).await {
        Ok(Ok((log_id, _))) => Reply::ReadIndex { index: log_id.log_id().index },
        Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => {
            Reply::Refused(Refused::NotLeader { leader: core.moment().leader_name() })
        }
        Ok(Err(error)) => Reply::Refused(Refused::NoQuorum(error.to_string())),
        Err(_) => Reply::Refused(Refused::NoQuorum("no quorum confirmed in time".to_owned())),
    }
}

/// Returns the refusal if the local node is not acknowledged as the leader.
fn cannot_lead(core: &Core, moment: &Moment) -> Option<Refused> {
    let leads = moment.standing.leader == Some(moment.identity.raft_id);
    // Without a majority in reach nothing would be committed, and the outcome would be unknown without need.
    if leads && core.view(moment, &core.peers.all()).leader().is_some() {
        return None;
    }
    Some(Refused::NotLeader { leader: moment.leader_name().filter(|_| !leads) })
}
