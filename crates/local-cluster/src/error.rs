//! Failures of what this crate does with nodes.

use std::io;
use std::path::PathBuf;

/// Failure to start or to look at a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalClusterError {
    /// The node was to be started and runs.
    #[error("{id} runs already; stop it before the start")]
    AlreadyRunning {
        /// Node.
        id: String,
    },
    /// The file for the node's output cannot be opened.
    #[error("cannot open the log {}", path.display())]
    Log {
        /// File.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The process cannot be started.
    #[error("cannot start the process {}", program.display())]
    Spawn {
        /// Program.
        program: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The process id cannot be written.
    #[error("cannot write {}", path.display())]
    PidFile {
        /// File.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The system does not tell whether the process runs.
    #[error("cannot look at the process of {id}")]
    Wait {
        /// Node.
        id: String,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// This process is to end with a parent that the environment names wrongly.
    #[error("{} is not the id of a process: `{text}`", crate::parent::VARIABLE)]
    ParentName {
        /// Value of the variable.
        text: String,
    },
    /// The system does not bind this process to its parent.
    #[error("cannot bind this node to the process that started it")]
    Bind(#[source] io::Error),
    /// The parent has ended before this process was bound to it.
    #[error("the process that started this node is gone")]
    ParentGone,
}
