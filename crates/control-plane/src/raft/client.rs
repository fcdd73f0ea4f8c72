//! openraft's network interface: calls of openraft in envelopes, over [`crate::network::Links`].

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;

use super::directories::Directories;
use crate::identity::DataDir;
use crate::ids::RaftId;
use crate::message::{Call, Envelope, Refused, Reply, SnapshotOffer, SnapshotReply};
use crate::network::{CallError, Delivery, Links, Purpose};
use crate::storage::{SnapshotFile, StateView};
use crate::timing::{
    APPEND_DURABLE_WITHIN, SNAPSHOT_CHUNK_WITHIN, SNAPSHOT_INSTALL_WITHIN, SNAPSHOT_TRANSFER_RETRY_AFTER,
};
use crate::types::{LogId, Member, TypeConfig, Vote};
use crate::world::clock;
use crate::world::task;

/// Length of a snapshot chunk.
const CHUNK_BYTES: usize = 1 << 20;

/// Factory of openraft's clients.
#[derive(Clone)]
pub(crate) struct Factory {
    data: Arc<DataDir>,
    links: Links,
    /// Applied state, which names the activated format version.
    state: StateView,
    directories: Arc<Directories>,
}

impl Factory {
    /// Creates the factory for the Raft of one data directory.
    pub(crate) fn new(
        data: Arc<DataDir>,
        links: Links,
        state: StateView,
        directories: Arc<Directories>,
    ) -> Self {
        Self { data, links, state, directories }
    }
}

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = RaftClient;

    async fn new_client(&mut self, target: RaftId, member: &Member) -> RaftClient {
        RaftClient { local: self.clone(), target, name: member.name.clone() }
    }
}

/// Client for one data directory of one peer.
pub(crate) struct RaftClient {
    local: Factory,
    target: RaftId,
    name: String,
}

impl RaftClient {
    fn envelope<T>(&self, body: T) -> Result<Envelope<T>, Unreachable<TypeConfig>> {
        let identity = self.local.data.identity();
        let cluster = identity.cluster_id.ok_or_else(|| unreachable(&"this node belongs to no cluster"))?;
        let version = self.local.state.activated_version();
        Ok(Envelope { version, cluster, from: identity.raft_id, to: Some(self.target), body })
    }

    async fn call(&self, call: Call, option: &RPCOption) -> Result<Reply, RPCError<TypeConfig>> {
        self.check_directory()?;
        let deadline = clock::now() + option.hard_ttl();
        let envelope = self.envelope(call)?;
        let reply = self.call_peer(envelope, deadline).await?;
        // The directory may have been found to have gone back meanwhile.
        self.check_directory()?;
        Ok(reply)
    }

    /// Refuses to count anything of a directory that went back in time.
    fn check_directory(&self) -> Result<(), Unreachable<TypeConfig>> {
        if self.local.directories.is_reverted(self.target) {
            return Err(unreachable(&"the data directory of the peer went back in time"));
        }
        Ok(())
    }

    async fn call_peer(
        &self,
        envelope: Envelope<Call>,
        deadline: Instant,
    ) -> Result<Reply, RPCError<TypeConfig>> {
        match self.local.links.call(&self.name, &envelope, Delivery::AtLeastOnce, deadline).await {
            Ok(Reply::Refused(refused)) => Err(refusal(&refused)),
            Ok(reply) => Ok(reply),
            // `Unreachable` makes openraft wait a little before a retry; a lost answer is retried at once.
            Err(error @ CallError::Lost { .. }) => Err(RPCError::Network(NetworkError::new(&error))),
            Err(error) => Err(RPCError::Unreachable(Unreachable::new(&error))),
        }
    }

    fn acknowledged(&self, vote: &Vote, last: Option<LogId>) {
        if let Some(last) = last {
            self.local.directories.note_acknowledged(self.target, vote, last);
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let network = |error: &dyn std::fmt::Display| {
            StreamingError::Network(NetworkError::new(&io::Error::other(error.to_string())))
        };
        let within = |limit: Duration| clock::now() + limit;
        self.check_directory()?;
        let dialled =
            self.local.links.dial(&self.name, Purpose::Snapshot, within(SNAPSHOT_CHUNK_WITHIN)).await;
        let mut channel = dialled.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))?;
        let SnapshotOf::<TypeConfig, SnapshotFile> { meta, snapshot: file } = snapshot;
        let bytes = file.len_bytes();
        let last = meta.last_log_id;
        let offer = self.envelope(SnapshotOffer { vote, meta, bytes })?;
        channel.send(&offer).await.map_err(|error| network(&error))?;
        let mut offset = 0;
        while offset < bytes {
            let source = file.clone();
            let read = task::blocking(move || source.read_at(offset, CHUNK_BYTES)).await;
            let chunk = read.map_err(|error| network(&error))?.map_err(|error| network(&error))?;
            let sent = clock::timeout(SNAPSHOT_CHUNK_WITHIN, channel.send_bytes(&chunk)).await;
            sent.map_err(|_| network(&"no progress"))?.map_err(|error| network(&error))?;
            offset += chunk.len() as u64;
        }
        let answer = clock::timeout(SNAPSHOT_INSTALL_WITHIN, channel.recv::<SnapshotReply>()).await;
        match answer.map_err(|_| network(&"no answer"))?.map_err(|error| network(&error))? {
            SnapshotReply::Installed(response) => {
                self.check_directory()?;
                if let Some(last) = last.filter(|_| response.vote <= vote) {
                    self.local.directories.note_acknowledged(self.target, &vote, last);
                }
                Ok(response)
            }
            SnapshotReply::Refused(refused) => {
                Err(StreamingError::Unreachable(Unreachable::new(&io::Error::other(refused.to_string()))))
            }
            SnapshotReply::Failed(reason) => Err(network(&reason)),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for RaftClient {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // openraft's time limit is made for heartbeats; entries wait for the peer's disk.
        let option = if rpc.entries.is_empty() {
            option
        } else {
            RPCOption::new(option.hard_ttl().max(APPEND_DURABLE_WITHIN))
        };
        let (vote, previous) = (rpc.vote, rpc.prev_log_id);
        let last = rpc.entries.last().map(|entry| entry.log_id).or(previous);
        // Known before the request: what is acknowledged meanwhile is no reason to doubt an older conflict.
        let acknowledged = self.local.directories.acknowledged(self.target, &vote);
        let response = match self.call(Call::Append(rpc), &option).await? {
            Reply::Append(response) => response,
            other => return Err(unexpected(&other)),
        };
        match &response {
            AppendEntriesResponse::Success => self.acknowledged(&vote, last),
            AppendEntriesResponse::PartialSuccess(last) => self.acknowledged(&vote, *last),
            // openraft takes for granted that no entry is lost once acknowledged, and must not learn of it.
            AppendEntriesResponse::Conflict => {
                if let Some(lost) = acknowledged.filter(|acknowledged| previous <= Some(*acknowledged)) {
                    self.local.directories.note_lost(self.target, &vote, lost);
                    return Err(RPCError::Unreachable(unreachable(&"the peer lost an acknowledged entry")));
                }
            }
            AppendEntriesResponse::HigherVote(_) => {}
        }
        Ok(response)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(Call::Vote(rpc), &option).await? {
            Reply::Vote(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(Call::PreVote(rpc), &option).await? {
            Reply::Vote(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(Call::TransferLeader(request), &option).await? {
            Reply::TransferLeader(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends the snapshot on a dedicated connection, concurrently with heartbeats. The time limits apply to
    /// progress: openraft's time limit covers the whole call, too short for any long snapshot.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sending = async {
            let sent = self.send_snapshot(vote, snapshot).await;
            if sent.is_err() {
                clock::sleep(SNAPSHOT_TRANSFER_RETRY_AFTER).await;
            }
            sent
        };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent,
        }
    }
}

fn unreachable(reason: &dyn std::fmt::Display) -> Unreachable<TypeConfig> {
    Unreachable::new(&io::Error::other(reason.to_string()))
}

fn refusal(refused: &Refused) -> RPCError<TypeConfig> {
    RPCError::Unreachable(unreachable(refused))
}

fn unexpected(reply: &Reply) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(&io::Error::other(format!("an answer to another call: {reply:?}"))))
}
