//! Outcomes of commands.

use serde::{Deserialize, Serialize};

use super::setting::{Setting, SettingKey};
use crate::format::FormatVersion;
use crate::ids::RaftId;

/// Outcome of applying a command, the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// No command in the entry (a new leader's first entry, a membership).
    Nothing,
    /// Setting written.
    SettingPut {
        /// The setting with author, time and previous value.
        setting: Setting,
        /// Id of the request.
        request_id: String,
    },
    /// Setting deleted.
    SettingDeleted {
        /// The setting before the deletion.
        setting: Setting,
        /// Id of the request.
        request_id: String,
    },
    /// Announcement of a node recorded.
    Announced,
    /// Version activated: the cluster writes at least the requested version.
    Activated {
        /// Activated version.
        version: FormatVersion,
    },
    /// Command refused, without any change.
    Refused {
        /// Cause of the refusal.
        refusal: Refusal,
        /// Id of the refused request.
        request_id: String,
    },
}

/// Cause of refusing a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// Idempotency key reused for a different request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too many remembered idempotency keys.
    #[error("too many idempotency keys remembered (limit {max}), none of them expired; retry later")]
    TooManyKeys {
        /// Limit on remembered keys.
        max: u64,
    },
    /// Unknown setting.
    #[error("no setting `{key}`")]
    NoSuchSetting {
        /// Key of the setting.
        key: SettingKey,
    },
    /// Current version different from the version required by the caller.
    #[error("the setting is at version {actual}, not {expected}")]
    VersionMismatch {
        /// Version required by the caller.
        expected: u64,
        /// Current version; 0 if the setting does not exist.
        actual: u64,
    },
    /// Too many settings.
    #[error("too many settings (limit {max}); delete one first")]
    TooManySettings {
        /// Limit on settings.
        max: u64,
    },
    /// Action of a version above the activated version.
    #[error("the action requires format version {needed}; the cluster has activated version {activated}")]
    NotActivated {
        /// Version of the action.
        needed: FormatVersion,
        /// Activated version.
        activated: FormatVersion,
    },
    /// Version to activate not announced by all members.
    #[error("format version {version} is not covered by the announcements of {nodes:?}")]
    NotCovered {
        /// Version to activate.
        version: FormatVersion,
        /// Members without a covering announcement.
        nodes: Vec<RaftId>,
    },
}
