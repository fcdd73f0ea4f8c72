//! Reasons why Raft cannot be started.

use std::path::Path;

use crate::error_chain::text_with_sources;
use crate::identity::DataDirError;
use crate::storage::{StorageFailure, Unopened};

/// Reason why Raft cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum RaftOpenError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log or the state machine cannot be opened.
    #[error("cannot open the storage")]
    Storage(#[source] Unopened),
    /// The timers are invalid.
    #[error("invalid timers: {0}")]
    Timers(String),
    /// openraft does not start.
    #[error("cannot start Raft: {0}")]
    Raft(String),
}

impl RaftOpenError {
    /// True for a mistake of the operator, which no waiting repairs: the node ends at its start.
    pub(crate) fn is_mistake(&self) -> bool {
        match self {
            Self::DataDir(error) => error.is_mistake(),
            Self::Storage(unopened) => unopened.error.is_of_another_release(),
            Self::Timers(_) => true,
            Self::Raft(_) => false,
        }
    }

    /// Returns the error as a storage failure for operators, with file and remedy.
    pub(crate) fn failure(&self, data_dir: &Path) -> StorageFailure {
        match self {
            Self::DataDir(error) => error.failure(data_dir),
            Self::Storage(unopened) => StorageFailure::unopened(unopened, data_dir),
            Self::Timers(_) | Self::Raft(_) => {
                StorageFailure::other(data_dir, data_dir, text_with_sources(self))
            }
        }
    }
}
