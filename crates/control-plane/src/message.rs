//! Calls between nodes, above the transport.
//!
//! Every call names its target cluster and, if meant for one data directory, the Raft id of the directory: a
//! process under a reused name must not answer for its predecessor.

use api::status::Role;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog::{Command, Outcome, Refusal};
use crate::errors::{TransferError, Transferred};
use crate::format::{Announcement, FormatVersion};
use crate::ids::{ClusterId, RaftId};
use crate::marks::{Marks, OwnMark};
use crate::status::NodeFigures;
use crate::types::{LogId, SnapshotMeta, TypeConfig, Vote};

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};

/// A call with its target.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    /// Version of the call: the format version activated by the caller's cluster. Release 0.1 names none.
    #[serde(rename = "v", default = "first", skip_serializing_if = "is_first")]
    pub version: FormatVersion,
    /// Cluster of the caller.
    pub cluster: ClusterId,
    /// Raft id of the caller.
    pub from: RaftId,
    /// Raft id of the target; none: any process under the name.
    pub to: Option<RaftId>,
    /// Body of the call.
    pub body: T,
}

fn first() -> FormatVersion {
    FormatVersion::FIRST
}

fn is_first(version: &FormatVersion) -> bool {
    *version == FormatVersion::FIRST
}

/// Failure to read a call.
#[derive(Debug)]
pub(crate) enum ReadCallError {
    /// The call is of a newer version. The connection remains open.
    Newer(Refused),
    /// The frame is no call.
    Malformed(serde_json::Error),
}

/// Version of a call, read even if the rest is not understood.
#[derive(Deserialize)]
struct CallVersion {
    #[serde(rename = "v", default = "first")]
    version: FormatVersion,
}

impl<T: DeserializeOwned> Envelope<T> {
    /// Reads a call from the body of a frame. Versions 1 to 3 differ only in the permitted content of
    /// a call.
    ///
    /// # Errors
    /// [`ReadCallError::Newer`] if the version is above [`FormatVersion::LATEST`];
    /// [`ReadCallError::Malformed`] if the body is no call.
    pub(crate) fn read(body: &[u8]) -> Result<Self, ReadCallError> {
        let read: Result<Self, _> = serde_json::from_slice(body);
        let version = match &read {
            Ok(envelope) => Ok(envelope.version),
            Err(_) => serde_json::from_slice(body).map(|CallVersion { version }| version),
        };
        match version {
            Ok(version) if version > FormatVersion::LATEST => {
                let reads = FormatVersion::LATEST;
                let reason =
                    format!("a call of version {version}; this node's release reads versions 1 to {reads}");
                Err(ReadCallError::Newer(Refused::NotReady(reason)))
            }
            _ => read.map_err(ReadCallError::Malformed),
        }
    }
}

/// A call on a connection for calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Call {
    /// Raft: append of entries, or heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// Raft: request of a candidate for a vote.
    Vote(VoteRequest<TypeConfig>),
    /// Raft: request for a pre-vote.
    PreVote(VoteRequest<TypeConfig>),
    /// Raft: request of the leader to take over.
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// Request for the log index that a linearizable read needs.
    ReadIndex {
        /// Limit on the caller's wait, in milliseconds.
        timeout_ms: u64,
    },
    /// Command to propose.
    Submit {
        /// The command.
        command: Box<Command>,
        /// Limit on the caller's wait, in milliseconds.
        timeout_ms: u64,
    },
    /// Request of the caller for membership.
    Join {
        /// Name of the caller.
        name: String,
        /// Announcement of the caller. Release 0.1 makes none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        announcement: Option<Announcement>,
    },
    /// Request for a leadership transfer.
    HandOver {
        /// Name of the target; none: the voter with the longest log.
        to: Option<String>,
        /// Limit on the caller's wait, in milliseconds.
        timeout_ms: u64,
    },
}

/// Answer to a call.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Answer to [`Call::Append`].
    Append(AppendEntriesResponse<TypeConfig>),
    /// Answer to [`Call::Vote`] and [`Call::PreVote`].
    Vote(VoteResponse<TypeConfig>),
    /// Answer to [`Call::TransferLeader`].
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    /// Answer to [`Call::ReadIndex`].
    ReadIndex {
        /// Log index to apply before the read.
        index: u64,
    },
    /// Answer to [`Call::Submit`].
    Outcome(Box<Outcome>),
    /// Answer to [`Call::Join`]: the caller is a member.
    Joined,
    /// Refusal: the call was not carried out, and nothing was proposed.
    Refused(Refused),
    /// Answer to [`Call::HandOver`].
    HandedOver(Result<Transferred, TransferError>),
    /// The command was proposed, with an unknown outcome.
    OutcomeUnknown,
}

/// Reason why a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refused {
    /// The process under the name has another data directory than the target.
    #[error("Raft id {actual} answers under this name, not {meant}")]
    WrongNode {
        /// Raft id of the target.
        meant: RaftId,
        /// Raft id found under the name.
        actual: RaftId,
    },
    /// The node belongs to another cluster, or to none yet.
    #[error("the node belongs to {}, not to cluster {meant}", actual.map_or("no cluster".to_owned(), |id| format!("cluster {id}")))]
    ForeignCluster {
        /// Target cluster.
        meant: ClusterId,
        /// Cluster of the node.
        actual: Option<ClusterId>,
    },
    /// Another node leads.
    #[error("the node does not lead")]
    NotLeader {
        /// Name of the leader, as far as known to the node.
        leader: Option<String>,
    },
    /// No quorum answers at the moment.
    #[error("no quorum: {0}")]
    NoQuorum(String),
    /// The name is not in the leader's configuration.
    #[error("{name} is not configured on {on}")]
    NotConfigured {
        /// Unknown name.
        name: String,
        /// Name of the node whose configuration lacks the name.
        on: String,
    },
    /// The disks of the leader or of too many voters are full.
    #[error("{0}")]
    StorageFull(String),
    /// The deduplication table has no room for the key. From version 3 on.
    #[error("{0}")]
    NoRoom(Refusal),
    /// The node takes no calls at the moment.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Probe of a peer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// Number of the probe, ascending on each connection.
    pub seq: u64,
    /// Raft id of the sender.
    pub from: RaftId,
    /// Cluster of the sender.
    pub cluster: Option<ClusterId>,
}

/// Report of a node about itself, in answer to a probe. From memory; unknown fields of newer releases are
/// ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Raft id of the node.
    pub raft_id: RaftId,
    /// Cluster of the node.
    pub cluster_id: Option<ClusterId>,
    /// Size of the largest voter set in the node's log or applied state.
    pub largest_voter_set: usize,
    /// Role of the node.
    pub role: Role,
    /// True if the node is a voter.
    pub voter: bool,
    /// True if the Raft id of the probe's sender is in the node's membership.
    #[serde(rename = "knows_you")]
    pub lists_sender: bool,
    /// Raft term.
    pub term: u64,
    /// Name of the leader, as far as known to the node.
    pub leader: Option<String>,
    /// Id of the last log entry.
    pub last_log_id: Option<LogId>,
    /// Index of the last applied entry.
    pub applied_index: Option<u64>,
    /// Hash of the node's configuration.
    pub config_hash: String,
    /// Release of the node.
    pub version: String,
    /// Time for which Raft or the disk of a leading node has been blocked, in milliseconds; 0 if the node
    /// does not lead.
    #[serde(default)]
    pub stuck_ms: u64,
    /// Index up to which the node knows the log to be committed.
    #[serde(default)]
    pub committed_index: Option<u64>,
    /// Description of a storage failure.
    #[serde(default)]
    pub storage_failure: Option<String>,
    /// Clock of the node, in milliseconds since 1970; 0 from releases without the field.
    #[serde(default)]
    pub clock_ms: u64,
    /// Remedy for `storage_failure`.
    #[serde(default)]
    pub storage_remedy: Option<String>,
    /// Description of a lack of disk space for which the node takes no writes of clients.
    #[serde(default)]
    pub storage_full: Option<String>,
    /// File to which the node cannot write snapshots, and the cause.
    #[serde(default)]
    pub snapshot_trouble: Option<String>,
    /// Format versions that the node reads. None from release 0.1.
    #[serde(default)]
    pub announcement: Option<Announcement>,
    /// Release required to read the committed entries; none if the node reads them.
    #[serde(default)]
    pub needs_release: Option<String>,
    /// Mark of the node's data directory; none before the storage is open, and from earlier releases.
    #[serde(default)]
    pub mark: Option<OwnMark>,
    /// Marks of other data directories, the sender's among them; none before the storage is open, and from
    /// earlier releases.
    #[serde(default)]
    pub marks: Option<Marks>,
    /// True if the data directory of the node has lost votes or entries.
    #[serde(default)]
    pub reverted: bool,
    /// Difference between the history applied by the node and that of the other nodes.
    #[serde(default)]
    pub diverged: Option<Divergence>,
    /// Figures of the node.
    pub figures: NodeFigures,
}

/// Difference between the entries applied by a node and those of a leader of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "an applied entry differs from the leader's: {own} here, {leader} there; entries from {first_lost} on are lost to the \
     cluster"
)]
pub(crate) struct Divergence {
    /// Last committed entry of the node.
    pub own: LogId,
    /// Entry of the leader.
    pub leader: LogId,
    /// First index at which the histories are known to differ.
    pub first_lost: u64,
}

impl Report {
    /// Returns the format versions that the node reads.
    pub(crate) fn announced(&self) -> Announcement {
        let announcement = self.announcement.clone();
        announcement.unwrap_or_else(|| Announcement::of_the_first_release(self.raft_id, &self.version))
    }
}

/// Answer to a probe.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProbeAnswer {
    /// Number of the probe.
    pub seq: u64,
    /// Lateness to be expected of the node, in milliseconds; 0 from releases without the field.
    #[serde(default)]
    pub late_ms: u64,
    /// Longest time, of late, in which the node did not run, in milliseconds; 0 from releases without the
    /// field.
    #[serde(default)]
    pub stall_ms: u64,
    /// Report of the node.
    pub report: Report,
}

/// First frame on a connection for a snapshot; chunks of raw bytes follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotOffer {
    /// Vote of the leader.
    pub vote: Vote,
    /// Metadata of the snapshot.
    pub meta: SnapshotMeta,
    /// Length of the snapshot, in bytes.
    pub bytes: u64,
}

/// Last frame on a connection for a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SnapshotReply {
    /// The snapshot is installed, or was not needed.
    Installed(SnapshotResponse<TypeConfig>),
    /// The snapshot was refused.
    Refused(Refused),
    /// The snapshot could not be installed.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Builds a call of release 0.1, or of `version`, with an unknown member.
    fn call(version: Option<u32>, body: serde_json::Value) -> Vec<u8> {
        let mut call = json!({
            "cluster": "67e55044-10b1-426f-9247-bb680e5fe0c8", "from": 1, "to": null, "body": body, "of_a_later_release": 7
        });
        if let Some(version) = version {
            call["v"] = version.into();
        }
        call.to_string().into_bytes()
    }

    #[test]
    fn calls_are_read_from_the_first_version_to_the_latest() {
        let check = |version, body, expected: Result<u32, &str>| {
            let read = Envelope::<Call>::read(&call(version, body));
            let read = read.map(|envelope| envelope.version.number()).map_err(|error| match error {
                ReadCallError::Newer(refused) => refused.to_string(),
                ReadCallError::Malformed(_) => "malformed".to_owned(),
            });
            assert_eq!(read, expected.map_err(str::to_owned), "{version:?}");
        };
        let join = json!({"join": {"name": "n2"}});
        check(None, join.clone(), Ok(1));
        check(Some(1), join.clone(), Ok(1));
        check(Some(2), join.clone(), Ok(2));
        check(Some(3), join.clone(), Ok(3));
        let newer = "not ready: a call of version 4; this node's release reads versions 1 to 3";
        check(Some(4), join, Err(newer));
        check(Some(4), json!({"of_another_kind": [1]}), Err(newer));
        check(Some(2), json!({"of_another_kind": [1]}), Err("malformed"));
        check(None, json!(null), Err("malformed"));
    }

    /// Before any activation, a call has the form that release 0.1 sends and reads.
    #[test]
    fn a_call_of_the_first_version_names_none() {
        let (version, from) = (FormatVersion::FIRST, RaftId::from(1));
        let cluster = serde_json::from_value(json!("67e55044-10b1-426f-9247-bb680e5fe0c8")).unwrap();
        let body = Call::Join { name: "n2".to_owned(), announcement: None };
        let sent = serde_json::to_value(Envelope { version, cluster, from, to: None, body }).unwrap();
        let expected = json!({"cluster": cluster, "from": 1, "to": null, "body": {"join": {"name": "n2"}}});
        assert_eq!(sent, expected);
    }
}
