//! Errors of the control plane's interface, some of which travel between nodes.

use std::io;
use std::net::SocketAddr;

use api::Code;
use serde::{Deserialize, Serialize};

use crate::raft::error::RaftOpenError;
use crate::secret::SecretError;

/// Reason why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The secret of the cluster cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data directory is another node's or in use, the storage was written by another release, or Raft
    /// cannot be set up. Any other failure of the storage does not prevent a start.
    #[error(transparent)]
    Open(#[from] RaftOpenError),
    /// The port for other nodes cannot be opened.
    #[error("cannot listen for other nodes on {address}{}", help_with_listening(.source))]
    Listen {
        /// Address of the port.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The threads cannot be started.
    #[error("cannot start the threads of the control plane")]
    Threads(#[source] io::Error),
}

/// Returns the operator's next step for an address that cannot be listened on.
fn help_with_listening(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; is another node running?",
        io::ErrorKind::AddrNotAvailable => {
            "; this is not an address of this machine: correct `ip` or `bind_ip` of this node"
        }
        _ => "",
    }
}

/// Reason why the control plane did not carry out a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ControlError {
    /// No leader was reached before the deadline. Nothing was proposed.
    #[error("no quorum answered in time: {reason}")]
    NoQuorum {
        /// Nodes or answers that are missing.
        reason: String,
    },
    /// A quorum answered, but the local node did not apply the required log index in time.
    #[error(
        "this node is behind the leader: log index {index} not applied before the deadline; ask another node"
    )]
    Behind {
        /// Log index required by the read.
        index: u64,
    },
    /// The local node belongs to no cluster yet. Nothing was proposed.
    #[error("this node has not joined a cluster yet: {waiting_for}")]
    NotJoined {
        /// Condition for joining.
        waiting_for: String,
    },
    /// The local one-voter cluster gave way to another cluster. Nothing was proposed.
    #[error("{message}")]
    ForeignCluster {
        /// Description of the conflict and the operator's next step.
        message: String,
    },
    /// The command was proposed, and the deadline passed before an answer.
    #[error(
        "outcome unknown: the command was proposed, and no answer came before the deadline; retry with the same key"
    )]
    OutcomeUnknown,
    /// Too many linearizable reads, or too many writes, in flight on the local node. Nothing was proposed.
    #[error("too many calls of the control plane in flight on this node (limit {max})")]
    Overloaded {
        /// Limit.
        max: usize,
    },
    /// The disks of the leader or of too many voters are full. Nothing was proposed.
    #[error("no disk space for changes: {reason}")]
    StorageFull {
        /// Nodes without room, and the figures.
        reason: String,
    },
    /// The local storage failed. Nothing was proposed.
    #[error("this node's storage failed: {0}")]
    Storage(String),
    /// The node stops or is paused. Nothing was proposed.
    #[error("the control plane of this node is stopped")]
    Stopped,
}

impl ControlError {
    /// Returns the code of the problem document.
    pub fn code(&self) -> Code {
        match self {
            Self::NoQuorum { .. } => Code::NoQuorum,
            Self::Behind { .. } => Code::Behind,
            Self::NotJoined { .. } => Code::NotJoined,
            Self::ForeignCluster { .. } => Code::ForeignCluster,
            Self::OutcomeUnknown => Code::OutcomeUnknown,
            Self::Overloaded { .. } => Code::Overloaded,
            Self::StorageFull { .. } => Code::StorageFull,
            Self::Storage(_) => Code::StorageFailed,
            Self::Stopped => Code::Stopped,
        }
    }
}

/// Result of a leadership transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// Name of the former leader.
    pub from: String,
    /// Name of the present leader; equal to `from` if the requested node led already.
    pub to: String,
    /// Term of the new leader.
    pub term: u64,
}

/// Reason why leadership was not transferred. The former leader goes on leading, or an election finds another
/// leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TransferError {
    /// No leader could be asked, as for any call.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No node of the configuration has the name.
    #[error("{name} is not a node of this cluster")]
    UnknownNode {
        /// Requested name.
        name: String,
    },
    /// The node cannot lead at the moment.
    #[error("{name} cannot lead: {reason}")]
    Unfit {
        /// Name of the node.
        name: String,
        /// Cause: no vote, no answer, or a log that is behind.
        reason: String,
    },
    /// No voter can take over.
    #[error("no voter can lead: {reason}")]
    NoSuccessor {
        /// Cause.
        reason: String,
    },
    /// The transfer was attempted, and the target did not become leader in time.
    #[error("leadership transfer to {to} timed out; {leader} leads")]
    NotTaken {
        /// Target of the transfer.
        to: String,
        /// Present leader, as far as the answering node knows.
        leader: String,
    },
}

impl TransferError {
    /// Returns the code of the problem document.
    pub fn code(&self) -> Code {
        match self {
            Self::Control(error) => error.code(),
            Self::UnknownNode { .. } => Code::UnknownNode,
            Self::Unfit { .. } => Code::CannotLead,
            Self::NoSuccessor { .. } => Code::NoSuccessor,
            Self::NotTaken { .. } => Code::TransferFailed,
        }
    }
}
