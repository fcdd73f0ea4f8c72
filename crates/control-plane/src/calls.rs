//! Reads and writes of the control plane: forwarded to the leader, and retried within their deadlines.

use std::sync::Arc;
use std::time::Instant;

use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use tracing::debug;

use crate::catalog::{Action, Actor, Authority, Command, Outcome, Refusal, RequestKey, Stamp, StoredCommand};
use crate::errors::{ControlError, TransferError, Transferred};
use crate::format::FormatVersion;
use crate::ids::RaftId;
use crate::message::{Call, Envelope, Refused, Reply};
use crate::network::{CallError, Delivery, Links};
use crate::observation::Observation;
use crate::observer::Observer;
use crate::planted::{Mistake, is_planted};
use crate::raft::node::Node;
use crate::raft::slot::RaftSlot;
use crate::signals::Signals;
use crate::suspicion::Suspicion;
use crate::tasks::handover::Transfers;
use crate::timing::{CALL_ATTEMPT_WITHIN, CALL_RETRY_AFTER, CALL_RETRY_DURING_ELECTION, ELECTION_GRACE};
use crate::world::clock;
use crate::world::task;

/// Result of an attempt.
enum Attempt<T> {
    Done(T),
    /// Nothing was proposed, with the reason.
    NotYet(String),
    /// The command may have been proposed.
    Unknown,
    /// The leader refuses writes for lack of disk space; nothing was proposed.
    Full(String),
    /// The leader has no room for the idempotency key; nothing was proposed.
    NoRoom(Refusal),
}

/// Reads and writes of the local node.
pub(crate) struct Calls {
    pub observer: Arc<Observer>,
    pub raft: Arc<RaftSlot>,
    pub links: Links,
    pub suspicion: Arc<Suspicion>,
    pub transfers: Arc<Transfers>,
    pub signals: Arc<Signals>,
}

impl Calls {
    /// Has the leader apply the command, retrying until the deadline.
    pub(crate) async fn submit(
        &self,
        mut command: Command,
        deadline: Instant,
    ) -> Result<Outcome, ControlError> {
        if self.raft.activated() < FormatVersion::THIRD {
            // A leader of an older release does not read the form.
            command.source = None;
        }
        let mut proposed = false;
        let mut last_reason;
        let started = clock::now();
        loop {
            let seen = self.ready(proposed)?;
            let until = deadline.min(clock::now() + CALL_ATTEMPT_WITHIN);
            match self.submit_once(&seen, &command, until).await {
                Attempt::Done(outcome) => return Ok(outcome),
                Attempt::NotYet(reason) => last_reason = reason,
                Attempt::Unknown => {
                    proposed = true;
                    last_reason = "no answer".to_owned();
                }
                Attempt::Full(_) if proposed => return Err(ControlError::OutcomeUnknown),
                Attempt::Full(reason) => return Err(ControlError::StorageFull { reason }),
                Attempt::NoRoom(_) if proposed => return Err(ControlError::OutcomeUnknown),
                Attempt::NoRoom(refusal) => {
                    return Ok(Outcome::Refused { refusal, request_id: command.request.request_id });
                }
            }
            debug!(reason = last_reason, "write retried");
            if !self.wait_to_retry(started, deadline).await {
                return Err(if proposed {
                    ControlError::OutcomeUnknown
                } else {
                    self.no_quorum(last_reason)
                });
            }
        }
    }

    /// Has the leader transfer leadership, retrying until the deadline.
    pub(crate) async fn transfer_leader(
        &self,
        to: Option<String>,
        deadline: Instant,
    ) -> Result<Transferred, TransferError> {
        let started = clock::now();
        loop {
            let seen = self.ready(false)?;
            let call = Call::HandOver { to: to.clone(), timeout_ms: left_ms(deadline) };
            let reason = match self.ask_leader(&seen, call, deadline).await {
                Attempt::Done(Reply::HandedOver(result)) => return result,
                Attempt::Done(Reply::Refused(refused)) => refused.to_string(),
                Attempt::NotYet(reason) => reason,
                // Leadership may have moved; the status shows the leader.
                Attempt::Done(_) | Attempt::Unknown | Attempt::Full(_) | Attempt::NoRoom(_) => {
                    return Err(ControlError::OutcomeUnknown.into());
                }
            };
            if !self.wait_to_retry(started, deadline).await {
                return Err(self.no_quorum(reason).into());
            }
        }
    }

    /// Returns the local state of a node that belongs to a cluster.
    pub(crate) fn local(&self) -> Result<Arc<Node>, ControlError> {
        self.ready(false)?;
        self.raft.node().ok_or_else(|| self.storage_error())
    }

    /// Returns the local state once a linearizable read is possible: the leader names a log index, and the
    /// local node waits until the index is applied.
    pub(crate) async fn linearize(&self, deadline: Instant) -> Result<Arc<Node>, ControlError> {
        let started = clock::now();
        loop {
            let seen = self.ready(false)?;
            let until = deadline.min(clock::now() + CALL_ATTEMPT_WITHIN);
            let reason = match self.read_index_once(&seen, until).await {
                Attempt::Done(index) => {
                    let node = self.raft.node().ok_or_else(|| self.storage_error())?;
                    let applied = clock::timeout_at(deadline, node.state.wait_applied(index)).await;
                    match applied {
                        Ok(()) => {
                            let applied = node.state.last_applied().map(|id| id.index);
                            debug_assert!(applied >= Some(index), "the read misses an acknowledged write");
                            return Ok(node);
                        }
                        Err(_) => return Err(ControlError::Behind { index }),
                    }
                }
                Attempt::NotYet(reason) => reason,
                Attempt::Unknown | Attempt::Full(_) | Attempt::NoRoom(_) => {
                    "no answer from the leader".to_owned()
                }
            };
            if !self.wait_to_retry(started, deadline).await {
                return Err(self.no_quorum(reason));
            }
        }
    }

    /// Returns the state of Raft, or the error for a node that cannot serve a call now.
    fn ready(&self, proposed: bool) -> Result<Observation, ControlError> {
        let refuse = |error| Err(if proposed { ControlError::OutcomeUnknown } else { error });
        if self.signals.is_stopping() {
            return refuse(ControlError::Stopped);
        }
        let seen = self.observer.observe();
        let view = || self.observer.view(&seen);
        if seen.identity.superseded_by.is_some() {
            let condition = crate::notices::foreign(&view());
            return refuse(ControlError::ForeignCluster {
                message: condition.map(|condition| condition.message).unwrap_or_default(),
            });
        }
        if seen.node.is_none() && self.raft.failure().is_some() {
            return refuse(self.storage_error());
        }
        if seen.identity.cluster_id.is_none() {
            return refuse(ControlError::NotJoined {
                waiting_for: crate::notices::not_joined(&view()).message,
            });
        }
        Ok(seen)
    }

    /// Waits for a short pause. False if the deadline is near, or if no quorum exists after the time of an
    /// election.
    async fn wait_to_retry(&self, started: Instant, deadline: Instant) -> bool {
        let now = clock::now();
        let given_up = now.saturating_duration_since(started) > ELECTION_GRACE
            && !self.observer.has_quorum(&self.observer.observe());
        if given_up || now + CALL_RETRY_AFTER >= deadline {
            return false;
        }
        let since_began = now.saturating_duration_since(started);
        let pause = if since_began < ELECTION_GRACE { CALL_RETRY_DURING_ELECTION } else { CALL_RETRY_AFTER };
        let Some(node) = self.raft.node() else {
            clock::sleep(pause).await;
            return true;
        };
        let mut metrics = node.watch();
        let changed = async {
            // A Raft that ended reports no more changes; the next one needs its time.
            if metrics.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = clock::timeout(pause, changed).await;
        true
    }

    fn no_quorum(&self, last_reason: String) -> ControlError {
        let seen = self.observer.observe();
        let view = self.observer.view(&seen);
        let reason = if view.quorum() { last_reason } else { crate::notices::no_quorum(&view).message };
        ControlError::NoQuorum { reason }
    }

    fn storage_error(&self) -> ControlError {
        let failure = self.raft.failure();
        ControlError::Storage(
            failure.map_or_else(|| "being opened".to_owned(), |failure| failure.to_string()),
        )
    }

    async fn submit_once(&self, seen: &Observation, command: &Command, until: Instant) -> Attempt<Outcome> {
        let command = Box::new(command.clone());
        match self.ask_leader(seen, Call::Submit { command, timeout_ms: left_ms(until) }, until).await {
            Attempt::Done(Reply::Outcome(outcome)) => Attempt::Done(*outcome),
            Attempt::Done(Reply::Refused(Refused::StorageFull(reason))) => Attempt::Full(reason),
            Attempt::Done(Reply::Refused(Refused::NoRoom(refusal))) => Attempt::NoRoom(refusal),
            Attempt::Done(Reply::Refused(refused)) => Attempt::NotYet(refused.to_string()),
            Attempt::NotYet(reason) => Attempt::NotYet(reason),
            Attempt::Full(reason) => Attempt::Full(reason),
            Attempt::NoRoom(refusal) => Attempt::NoRoom(refusal),
            Attempt::Done(_) | Attempt::Unknown => Attempt::Unknown,
        }
    }

    async fn read_index_once(&self, seen: &Observation, until: Instant) -> Attempt<u64> {
        match self.ask_leader(seen, Call::ReadIndex { timeout_ms: left_ms(until) }, until).await {
            Attempt::Done(Reply::ReadIndex { index }) => Attempt::Done(index),
            Attempt::Done(Reply::Refused(refused)) => Attempt::NotYet(refused.to_string()),
            Attempt::NotYet(reason) | Attempt::Full(reason) => Attempt::NotYet(reason),
            Attempt::Done(_) | Attempt::Unknown | Attempt::NoRoom(_) => Attempt::Unknown,
        }
    }

    /// Has the leader answer, either the local node or a peer.
    async fn ask_leader(&self, seen: &Observation, call: Call, until: Instant) -> Attempt<Reply> {
        if !seen.leads() {
            return self.forward(seen, call, until).await;
        }
        let Some(node) = &seen.node else { return Attempt::NotYet("no storage".to_owned()) };
        Attempt::Done(match call {
            Call::Submit { command, .. } => self.propose_here(node, *command, until).await,
            Call::HandOver { to, .. } => self.hand_over_here(to.as_deref(), until).await,
            _ => self.read_index_here(node, until).await,
        })
    }

    /// Forwards a call to the leader on another node.
    async fn forward(&self, seen: &Observation, call: Call, until: Instant) -> Attempt<Reply> {
        let Some(cluster) = seen.identity.cluster_id else { return Attempt::NotYet("no cluster".to_owned()) };
        let Some((leader, name)) = seen.leadership.leader.zip(seen.leader_name()) else {
            return Attempt::NotYet("no leader is known".to_owned());
        };
        let Some(node) = &seen.node else { return Attempt::NotYet("no storage".to_owned()) };
        if self.is_deposed(node, leader) {
            return Attempt::NotYet(format!("the leader {name} is suspected to have failed"));
        }
        let (version, from) = (self.raft.activated(), seen.identity.raft_id);
        let envelope = Envelope { version, cluster, from, to: Some(leader), body: call };
        // A transfer moves the vote before the answer arrives.
        let hands_over = matches!(envelope.body, Call::HandOver { .. });
        // Sent once only: a repetition by the link would hide that the command may have been proposed.
        let reply = tokio::select! {
            biased;
            reply = self.links.call::<_, Reply>(&name, &envelope, Delivery::AtMostOnce, until) => reply,
            () = self.deposed(node, leader), if !hands_over => return Attempt::Unknown,
        };
        match reply {
            Ok(reply) => Attempt::Done(reply),
            Err(CallError::Lost { .. }) => Attempt::Unknown,
            Err(error) => Attempt::NotYet(error.to_string()),
        }
    }

    /// True once `leader` no longer leads as far as the local node knows, or is suspected: its answer is not
    /// awaited any more.
    fn is_deposed(&self, node: &Node, leader: RaftId) -> bool {
        node.voted_leader() != Some(leader)
            || self.suspicion.campaigns().evidence_against(node.vote(), clock::now()).is_some()
    }

    /// Returns once [`Self::is_deposed`] holds.
    async fn deposed(&self, node: &Node, leader: RaftId) {
        let mut metrics = node.watch();
        let mut evidence = self.suspicion.watch_evidence();
        while !self.is_deposed(node, leader) {
            tokio::select! {
                biased;
                // A Raft that ended reports no new leader.
                changed = metrics.changed() => if changed.is_err() { return },
                // The sender lives as long as the suspicion.
                _ = evidence.changed() => {}
            }
        }
    }

    /// Proposes the command if the local node leads.
    ///
    /// The leader stamps the command: a caller decides neither about the age of idempotency keys nor about
    /// the room for them.
    pub(crate) async fn propose_here(&self, node: &Node, mut command: Command, until: Instant) -> Reply {
        let seen = self.observer.observe();
        if let Some(refused) = self.cannot_lead(&seen) {
            return Reply::Refused(refused);
        }
        if let Some(reason) = self.observer.refuses_writes(&seen, node) {
            return Reply::Refused(Refused::StorageFull(reason));
        }
        command.proposed_at_ms = (self.observer.options().clock_ms)();
        let clock_ms = match is_planted(Mistake::WallClockStamp) {
            false => node.state.stamp_ms(seen.term()),
            true => command.proposed_at_ms,
        };
        command.stamp = Stamp { clock_ms, idempotency_bytes: self.observer.options().idempotency_bytes };
        // Before it has applied an entry of its term, the leader may not know the key of an earlier attempt.
        if node.has_applied_term(seen.term())
            && let Some(refusal) = node.state.catalog(|catalog| catalog.refuses(&command))
        {
            return Reply::Refused(Refused::NoRoom(refusal));
        }
        let command = StoredCommand::new(command, node.state.activated_version());
        match clock::timeout_at(until, node.raft.client_write(command)).await {
            Ok(Ok(written)) => Reply::Outcome(Box::new(written.data)),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                Reply::Refused(Refused::NotLeader { leader: self.observer.observe().leader_name() })
            }
            // Discarded, or Raft ended meanwhile: the entry may have been committed.
            Ok(Err(_)) | Err(_) => Reply::OutcomeUnknown,
        }
    }

    /// Builds a command of the local node. Its key is not remembered.
    pub(crate) fn own_command(&self, action: Action) -> Command {
        let options = self.observer.options();
        let key = String::new();
        Command {
            request: RequestKey { key, minted: true, fingerprint: String::new(), request_id: String::new() },
            proposed_at_ms: (options.clock_ms)(),
            stamp: Stamp::default(),
            actor: Actor { name: None, authority: Authority::Loopback, via: options.me.clone() },
            source: None,
            action,
        }
    }

    /// Transfers leadership if the local node leads.
    pub(crate) async fn hand_over_here(&self, to: Option<&str>, until: Instant) -> Reply {
        if let Some(refused) = self.cannot_lead(&self.observer.observe()) {
            return Reply::Refused(refused);
        }
        // Not cancelled at the deadline: the leader refuses writes until the transfer has ended.
        let (transfers, to) = (Arc::clone(&self.transfers), to.map(str::to_owned));
        let transfer = task::spawn(async move { transfers.transfer(to.as_deref()).await });
        match clock::timeout_at(until, transfer).await {
            Ok(Ok(result)) => Reply::HandedOver(result),
            Ok(Err(_)) | Err(_) => Reply::OutcomeUnknown,
        }
    }

    /// Returns the log index that a state has to reach for a linearizable read, confirmed by a quorum (§6.4
    /// of the Raft dissertation). Leases are not trusted: a lease can be given up.
    pub(crate) async fn read_index_here(&self, node: &Node, until: Instant) -> Reply {
        if let Some(refused) = self.cannot_lead(&self.observer.observe()) {
            return Reply::Refused(refused);
        }
        if is_planted(Mistake::NoReadIndex) {
            return Reply::ReadIndex { index: node.state.last_applied().map_or(0, |id| id.index) };
        }
        let read = node.raft.get_read_log_id(ReadPolicy::ReadIndex);
        match clock::timeout_at(until, read).await {
            Ok(Ok((log_id, _))) => Reply::ReadIndex { index: log_id.log_id().index },
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => {
                Reply::Refused(Refused::NotLeader { leader: self.observer.observe().leader_name() })
            }
            Ok(Err(error)) => Reply::Refused(Refused::NoQuorum(error.to_string())),
            Err(_) => Reply::Refused(Refused::NoQuorum("no quorum confirmed in time".to_owned())),
        }
    }

    /// Returns the refusal if the local node is not acknowledged as the leader.
    fn cannot_lead(&self, seen: &Observation) -> Option<Refused> {
        let leads = seen.is_leader();
        // Without a majority in reach nothing would be committed, and the outcome would be unknown without
        // need.
        if leads && self.observer.view(seen).leader().is_some() {
            return None;
        }
        Some(Refused::NotLeader { leader: seen.leader_name().filter(|_| !leads) })
    }
}

fn left_ms(until: Instant) -> u64 {
    until.saturating_duration_since(clock::now()).as_millis() as u64
}
