//! What nodes say to each other, above the transport.
//!
//! Every call names the cluster it is meant for and, where it is meant for one data directory, that directory's id: a
//! process that took over a name must not answer for the one before it.

use api::status::Role;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog::{Command, Outcome};
use crate::format::{Announcement, FormatVersion};
use crate::handle::{TransferError, Transferred};
use crate::status::NodeFigures;
use crate::types::{ClusterId, LogId, RaftId, SnapshotMeta, TypeConfig, Vote};

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};

/// A call and whom it is meant for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    /// Version of the call: the one that the caller's cluster has activated. Release 0.1 names none.
    #[serde(rename = "v", default = "first", skip_serializing_if = "is_first")]
    pub version: FormatVersion,
    /// The caller's cluster.
    pub cluster: ClusterId,
    /// The caller.
    pub from: RaftId,
    /// Whom it is meant for; none: whoever answers to the name.
    pub to: Option<RaftId>,
    /// The call.
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
pub(crate) enum Unread {
    /// It is of a newer version. The connection goes on.
    Newer(Refused),
    /// It is no call.
    Malformed(serde_json::Error),
}

/// The version of a call that may not be understood otherwise.
#[derive(Deserialize)]
struct VersionOnly {
    #[serde(rename = "v", default = "first")]
    version: FormatVersion,
}

impl<T: DeserializeOwned> Envelope<T> {
    /// The call in the body of a frame. Versions 1 and 2 differ in nothing but what a call may carry.
    ///
    /// # Errors
    /// [`Unread::Newer`] if the version is above those that this release reads.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Unread> {
        let read: Result<Self, _> = serde_json::from_slice(body);
        let version = match &read {
            Ok(envelope) => Ok(envelope.version),
            Err(_) => serde_json::from_slice(body).map(|VersionOnly { version }| version),
        };
        match version {
            Ok(version) if version > FormatVersion::LATEST => {
                let reads = FormatVersion::LATEST;
                let reason =
                    format!("a call of version {version}; this node's release reads versions 1 to {reads}");
                Err(Unread::Newer(Refused::NotReady(reason)))
            }
            _ => read.map_err(Unread::Malformed),
        }
    }
}

/// A call on a connection for calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Call {
    /// Raft: append entries, or a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// Raft: a candidate asks for a vote.
    Vote(VoteRequest<TypeConfig>),
    /// Raft: would you vote for me?
    PreVote(VoteRequest<TypeConfig>),
    /// Raft: the leader asks a node to take over.
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// Which log index must be applied before a read is linearizable?
    ReadIndex {
        /// How long the caller waits.
        timeout_ms: u64,
    },
    /// A command to propose.
    Submit {
        /// The command.
        command: Box<Command>,
        /// How long the caller waits.
        timeout_ms: u64,
    },
    /// The caller asks to become a member under this name.
    Join {
        /// Its name.
        name: String,
        /// Its announcement. Release 0.1 makes none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        announcement: Option<Announcement>,
    },
    /// The leader is asked to hand leadership over.
    HandOver {
        /// To whom; none: to whoever is the furthest.
        to: Option<String>,
        /// How long the caller waits.
        timeout_ms: u64,
    },
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// To [`Call::Append`].
    Append(AppendEntriesResponse<TypeConfig>),
    /// To [`Call::Vote`] and [`Call::PreVote`].
    Vote(VoteResponse<TypeConfig>),
    /// To [`Call::TransferLeader`].
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    /// To [`Call::ReadIndex`].
    ReadIndex {
        /// The log index to have applied.
        index: u64,
    },
    /// To [`Call::Submit`].
    Outcome(Box<Outcome>),
    /// To [`Call::Join`]: the caller is a member.
    Joined,
    /// The call was not carried out, and nothing was proposed.
    Refused(Refused),
    /// To [`Call::HandOver`].
    HandedOver(Result<Transferred, TransferError>),
    /// The command was proposed, but it is not known what became of it.
    OutcomeUnknown,
}

/// Why a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refused {
    /// The process under this name has another data directory than the one that is meant.
    #[error("the node under this name is {actual} now, not {meant}")]
    WrongNode {
        /// Who was meant.
        meant: RaftId,
        /// Who is there.
        actual: RaftId,
    },
    /// It belongs to another cluster, or to none yet.
    #[error("the node belongs to {}, not to cluster {meant}", actual.map_or("no cluster".to_owned(), |id| format!("cluster {id}")))]
    ForeignCluster {
        /// The cluster that was meant.
        meant: ClusterId,
        /// The one it belongs to.
        actual: Option<ClusterId>,
    },
    /// Somebody else leads.
    #[error("the node does not lead")]
    NotLeader {
        /// Who leads, as far as it knows.
        leader: Option<String>,
    },
    /// There is no quorum at the moment.
    #[error("no quorum: {0}")]
    NoQuorum(String),
    /// The name is not in the leader's configuration.
    #[error("{name} is not configured on {on}")]
    NotConfigured {
        /// The unknown name.
        name: String,
        /// Whose configuration lacks it.
        on: String,
    },
    /// The disks of too many voters are full.
    #[error("{0}")]
    StorageFull(String),
    /// It does not take calls at the moment.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// A probe: are you there?
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// Counts up on each connection.
    pub seq: u64,
    /// Who asks.
    pub from: RaftId,
    /// The cluster that it belongs to.
    pub cluster: Option<ClusterId>,
}

/// What a node says of itself when it is probed. Answered from memory; unknown fields of newer releases are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Its id.
    pub raft_id: RaftId,
    /// The cluster it belongs to.
    pub cluster_id: Option<ClusterId>,
    /// Most voters that a committed membership it knows of ever had.
    pub largest_voter_set: usize,
    /// What it is.
    pub role: Role,
    /// Whether it votes.
    pub voter: bool,
    /// Whether the asking node's id is in its membership.
    pub knows_you: bool,
    /// The Raft term.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<String>,
    /// Its last log entry.
    pub last_log_id: Option<LogId>,
    /// The index of the last entry it applied.
    pub applied_index: Option<u64>,
    /// Hash of its configuration.
    pub config_hash: String,
    /// Its release.
    pub version: String,
    /// For how long its Raft or its disk has been at the same thing, in milliseconds; 0 if it does not lead.
    #[serde(default)]
    pub stuck_ms: u64,
    /// Index up to which it knows the log to be committed.
    #[serde(default)]
    pub committed_index: Option<u64>,
    /// Failure of its storage, in words.
    #[serde(default)]
    pub storage_failure: Option<String>,
    /// Its clock, in milliseconds since 1970; 0 from releases that do not tell.
    #[serde(default)]
    pub clock_ms: u64,
    /// Remedy for that.
    #[serde(default)]
    pub storage_remedy: Option<String>,
    /// Lack of room on its disk, for which it takes no writes of clients, in words.
    #[serde(default)]
    pub storage_full: Option<String>,
    /// File that it cannot write snapshots to, and the cause.
    #[serde(default)]
    pub snapshot_trouble: Option<String>,
    /// Versions of the formats that it reads. Release 0.1 does not tell.
    #[serde(default)]
    pub announcement: Option<Announcement>,
    /// Release that it needs, where it cannot read what was committed.
    #[serde(default)]
    pub needs_release: Option<String>,
    /// How it is doing.
    pub figures: NodeFigures,
}

impl Report {
    /// Versions of the formats that the node reads.
    pub(crate) fn announced(&self) -> Announcement {
        let told = self.announcement.clone();
        told.unwrap_or_else(|| Announcement::of_the_first_release(self.raft_id, &self.version))
    }
}

/// The answer to a probe.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProbeAnswer {
    /// The probe's.
    pub seq: u64,
    /// What it says of itself.
    pub report: Report,
}

/// The first frame on a connection for a snapshot; chunks of raw bytes follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotOffer {
    /// The leader's vote.
    pub vote: Vote,
    /// What the snapshot says of itself.
    pub meta: SnapshotMeta,
    /// Its length.
    pub bytes: u64,
}

/// The last frame on a connection for a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SnapshotReply {
    /// It is installed, or was not needed.
    Installed(SnapshotResponse<TypeConfig>),
    /// It was not taken.
    Refused(Refused),
    /// It could not be installed.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A call of release 0.1, and the same with other members.
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
                Unread::Newer(refused) => refused.to_string(),
                Unread::Malformed(_) => "malformed".to_owned(),
            });
            assert_eq!(read, expected.map_err(str::to_owned), "{version:?}");
        };
        let join = json!({"join": {"name": "n2"}});
        check(None, join.clone(), Ok(1));
        check(Some(1), join.clone(), Ok(1));
        check(Some(2), join.clone(), Ok(2));
        let newer = "not ready: a call of version 3; this node's release reads versions 1 to 2";
        check(Some(3), join, Err(newer));
        check(Some(3), json!({"of_another_kind": [1]}), Err(newer));
        check(Some(2), json!({"of_another_kind": [1]}), Err("malformed"));
        check(None, json!(null), Err("malformed"));
    }

    /// Before anything is activated, what is sent is what release 0.1 sends and reads.
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
