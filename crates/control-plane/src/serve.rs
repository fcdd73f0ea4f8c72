//! Calls from other nodes. Every caller has proven knowledge of the cluster's key.

use std::sync::Arc;
use std::time::Duration;

use crate::world::clock::timeout;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest};
use openraft::type_config::alias::SnapshotOf;
use tracing::{debug, error, info, warn};

use crate::calls::Calls;
use crate::identity::DataDir;
use crate::ids::{ClusterId, RaftId};
use crate::message::{
    Call, Divergence, Envelope, Probe, ProbeAnswer, ReadCallError, Refused, Reply, SnapshotOffer,
    SnapshotReply,
};
use crate::network::{Channel, FrameError, Incoming, Purpose};
use crate::observer::Observer;
use crate::raft::node::Node;
use crate::raft::slot::RaftSlot;
use crate::storage::{SnapshotError, SnapshotFile, SnapshotReceiver};
use crate::suspicion::Suspicion;
use crate::tasks::election::Elections;
use crate::tasks::join::Joining;
use crate::timing::{MAX_CALL_TIMEOUT, RAFT_ANSWER_WITHIN, SNAPSHOT_CHUNK_WITHIN};
use crate::types::{LogId, TypeConfig};
use crate::world::clock;
use crate::world::task;

/// Answers to calls from other nodes.
pub(crate) struct Inbound {
    pub observer: Arc<Observer>,
    pub raft: Arc<RaftSlot>,
    pub data: Arc<DataDir>,
    pub suspicion: Arc<Suspicion>,
    pub elections: Arc<Elections>,
    pub calls: Arc<Calls>,
    pub joining: Arc<Joining>,
}

impl Inbound {
    /// Serves a connection until it ends.
    pub(crate) async fn serve(&self, incoming: Incoming) {
        let peer = incoming.peer_name;
        let channel = incoming.channel;
        let served = match incoming.purpose {
            Purpose::Probe => self.answer_probes(channel).await,
            Purpose::Rpc => self.answer_calls(&peer, channel).await,
            Purpose::Snapshot => self.receive_snapshot(&peer, channel).await,
        };
        if let Err(error) = served {
            debug!(peer, %error, "connection ended");
        }
    }

    async fn answer_probes(&self, mut channel: Channel) -> Result<(), FrameError> {
        loop {
            let probe: Probe = channel.recv().await?;
            channel.send(&self.probe_answer(&probe)).await?;
        }
    }

    fn probe_answer(&self, probe: &Probe) -> ProbeAnswer {
        let (late, stall) = {
            let detector = self.suspicion.detector();
            (detector.lateness(), detector.stall(clock::now()))
        };
        let (late_ms, stall_ms) = (late.as_millis() as u64, stall.as_millis() as u64);
        ProbeAnswer { seq: probe.seq, late_ms, stall_ms, report: self.observer.report(probe.from) }
    }

    async fn answer_calls(&self, peer: &str, mut channel: Channel) -> Result<(), FrameError> {
        loop {
            let reply = match Envelope::read(&channel.recv_bytes().await?) {
                Ok(envelope) => self.answer(peer, envelope).await,
                Err(ReadCallError::Newer(refused)) => Reply::Refused(refused),
                Err(ReadCallError::Malformed(error)) => return Err(FrameError::Malformed(error)),
            };
            channel.send(&reply).await?;
        }
    }

    async fn answer(&self, peer: &str, envelope: Envelope<Call>) -> Reply {
        let node = match self.admit(envelope.cluster, envelope.to) {
            Ok(node) => node,
            Err(refused) => {
                debug!(peer, %refused, "call refused");
                return Reply::Refused(refused);
            }
        };
        let bounded =
            |timeout_ms: u64| clock::now() + Duration::from_millis(timeout_ms).min(MAX_CALL_TIMEOUT);
        match envelope.body {
            Call::Append(request) => within(self.append(&node, peer, request)).await,
            Call::Vote(request) => within(self.vote(&node, envelope.from, request, false)).await,
            Call::PreVote(request) => within(self.vote(&node, envelope.from, request, true)).await,
            Call::TransferLeader(request) => {
                let taken = node.raft.handle_transfer_leader(request).await;
                taken.map_or_else(|fatal| ended(&fatal), Reply::TransferLeader)
            }
            Call::ReadIndex { timeout_ms } => self.calls.read_index_here(&node, bounded(timeout_ms)).await,
            Call::Submit { command, timeout_ms } => {
                self.calls.propose_here(&node, *command, bounded(timeout_ms)).await
            }
            Call::HandOver { to, timeout_ms } => {
                self.calls.hand_over_here(to.as_deref(), bounded(timeout_ms)).await
            }
            Call::Join { name, announcement } => {
                self.joining.admit_learner(&node, envelope.from, &name, announcement).await
            }
        }
    }

    /// Returns the running Raft for a call to the local data directory and its cluster, or the refusal.
    fn admit(&self, cluster: ClusterId, to: Option<RaftId>) -> Result<Arc<Node>, Refused> {
        let identity = self.observer.identity();
        if !identity.is_known() {
            return Err(Refused::NotReady("its data directory cannot be opened".to_owned()));
        }
        if let Some(meant) = to.filter(|meant| *meant != identity.raft_id) {
            return Err(Refused::WrongNode { meant, actual: identity.raft_id });
        }
        if identity.cluster_id != Some(cluster) {
            return Err(Refused::ForeignCluster { meant: cluster, actual: identity.cluster_id });
        }
        if let Some(stays) = identity.superseded_by {
            return Err(Refused::NotReady(format!("its cluster gave way to {stays}")));
        }
        let node =
            self.raft.node().ok_or_else(|| Refused::NotReady("its storage is being opened".to_owned()))?;
        if !node.may_promise() {
            let reason =
                "its data directory is compared with what the other nodes remember, or went back in time";
            return Err(Refused::NotReady(reason.to_owned()));
        }
        Ok(node)
    }

    async fn vote(
        &self,
        node: &Node,
        from: RaftId,
        request: VoteRequest<TypeConfig>,
        pre_vote: bool,
    ) -> Reply {
        let answered = self.elections.answer(node, from, request, pre_vote).await;
        answered.map_or_else(|fatal| ended(&fatal), Reply::Vote)
    }

    async fn append(&self, node: &Arc<Node>, peer: &str, request: AppendEntriesRequest<TypeConfig>) -> Reply {
        let arrived = clock::now();
        if node.note_arrival(&request.vote) {
            self.suspicion.detector().lives(peer, arrived);
            self.suspicion.campaigns().append(arrived);
        }
        match contradiction(node, &request).await {
            Ok(None) => {}
            // The leader goes back until the histories agree, so that the first difference is found.
            Ok(Some(Contradiction::Before(divergence))) => {
                node.note_contradiction(divergence);
                return Reply::Append(AppendEntriesResponse::Conflict);
            }
            Ok(Some(Contradiction::At(divergence))) => {
                error!(peer, %divergence, "history differs from the leader's");
                self.raft.diverge(node, divergence, self.data.path());
                return ended(&divergence);
            }
            Err(fatal) => return ended(&fatal),
        }
        match node.raft.append_entries(request).await {
            Ok(response) => {
                if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                    node.note_append(arrived);
                }
                Reply::Append(response)
            }
            Err(fatal) => ended(&fatal),
        }
    }

    async fn receive_snapshot(&self, peer: &str, mut channel: Channel) -> Result<(), FrameError> {
        let envelope: Envelope<SnapshotOffer> = match Envelope::read(&channel.recv_bytes().await?) {
            Ok(envelope) => envelope,
            Err(ReadCallError::Newer(refused)) => {
                return channel.send(&SnapshotReply::Refused(refused)).await;
            }
            Err(ReadCallError::Malformed(error)) => return Err(FrameError::Malformed(error)),
        };
        let reply = match self.admit(envelope.cluster, envelope.to) {
            Err(refused) => SnapshotReply::Refused(refused),
            Ok(node) => match self.take_snapshot(&node, peer, &mut channel, envelope.body).await {
                Ok(response) => SnapshotReply::Installed(response),
                Err(reason) => {
                    warn!(peer, reason, "cannot take a snapshot");
                    SnapshotReply::Failed(reason)
                }
            },
        };
        channel.send(&reply).await
    }

    async fn take_snapshot(
        &self,
        node: &Arc<Node>,
        peer: &str,
        channel: &mut Channel,
        offer: SnapshotOffer,
    ) -> Result<SnapshotResponse<TypeConfig>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let directory = self.data.snapshots();
        // A snapshot takes the place of entries that cannot be compared any more.
        if let Some(divergence) = node.contradiction() {
            error!(peer, %divergence, "history differs from the leader's");
            self.raft.diverge(node, divergence, self.data.path());
            return Err(text(&divergence));
        }
        // The file, and the new state beside the replaced state.
        let needed_bytes = 3u64.saturating_mul(offer.bytes);
        node.disk.has_space_for(needed_bytes).map_err(|shortage| text(&shortage))?;
        let mut receiver = blocking(move || SnapshotReceiver::create(&directory, offer.bytes)).await?;
        while receiver.received_bytes() < offer.bytes {
            let chunk = timeout(SNAPSHOT_CHUNK_WITHIN, channel.recv_bytes()).await;
            let chunk = chunk.map_err(|_| "no progress".to_owned())?.map_err(|error| text(&error))?;
            if chunk.is_empty() {
                return Err("an empty chunk".to_owned());
            }
            receiver = blocking(move || receiver.write(&chunk).map(|()| receiver)).await?;
        }
        let finished = task::blocking(move || receiver.finish()).await;
        let file = match finished.map_err(|error| text(&error))? {
            Err(SnapshotError::NeedsRelease(needed)) => {
                node.stop_for(&needed);
                return Err(text(&needed));
            }
            finished => finished.map_err(|error| crate::error_chain::text_with_sources(&error))?,
        };
        info!(peer, bytes = offer.bytes, "snapshot received");
        // Other processes may have filled the disk meanwhile. A failed installation would end Raft; a refused
        // snapshot is offered again.
        node.disk.has_space_for(needed_bytes - offer.bytes).map_err(|shortage| text(&shortage))?;
        let snapshot = SnapshotOf::<TypeConfig, SnapshotFile> { meta: offer.meta, snapshot: file };
        node.raft.install_full_snapshot(offer.vote, snapshot).await.map_err(|error| text(&error))
    }
}

/// Limits the wait for `reply`: the caller of an append or a vote gives up earlier, and the connection's
/// permit is needed.
async fn within(reply: impl Future<Output = Reply>) -> Reply {
    let late = || Reply::Refused(Refused::NotReady("the disk is too slow".to_owned()));
    timeout(RAFT_ANSWER_WITHIN, reply).await.unwrap_or_else(|_| late())
}

fn ended(fatal: &dyn std::fmt::Display) -> Reply {
    Reply::Refused(Refused::NotReady(fatal.to_string()))
}

/// Runs disk operations away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, String> {
    let done = task::blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| crate::error_chain::text_with_sources(&error))
}

/// Contradiction between a leader's entries and the local committed ones.
enum Contradiction {
    /// In the entry before those that were sent: an earlier one may be the first.
    Before(Divergence),
    /// In an entry that was sent.
    At(Divergence),
}

/// Compares the entries of an append with the local committed entries, which no leader of the cluster may
/// replace. Asks Raft only if the append reaches below the committed entry.
async fn contradiction(
    node: &Node,
    request: &AppendEntriesRequest<TypeConfig>,
) -> Result<Option<Contradiction>, impl std::fmt::Display> {
    // After a restart, the log may know less of it than the state.
    let committed = node.log.committed().max(node.state.last_applied()).filter(|committed| {
        // Entries behind the committed one are Raft's to compare.
        request.prev_log_id.is_none_or(|previous| {
            previous.index < committed.index || previous.index == committed.index && previous != *committed
        })
    });
    let Some(committed) = committed else { return Ok(None) };
    let (vote, previous) = (request.vote, request.prev_log_id);
    let sent: Vec<LogId> = request.entries.iter().map(|entry| entry.log_id).collect();
    node.raft
        .with_raft_state(move |state| {
            if vote < *state.vote_ref() {
                return None;
            }
            let differs = |theirs: &LogId| {
                let local = state.log_ids.get(theirs.index);
                theirs.index <= committed.index && local.is_some_and(|local| local != *theirs)
            };
            let found = |leader: LogId| Divergence { own: committed, leader, first_lost: leader.index };
            if let Some(previous) = previous.filter(differs) {
                return Some(Contradiction::Before(found(previous)));
            }
            sent.into_iter().find(differs).map(|entry| Contradiction::At(found(entry)))
        })
        .await
}
