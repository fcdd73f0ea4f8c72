//! What is written into the log.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{SettingKey, SettingValue};

/// The version of commands that this release writes, and the only one it reads.
const VERSION: u32 = 1;
/// Characters of an idempotency key, at most.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 200;
const MAX_ACTOR_CHARS: usize = 100;

/// One request to change the catalogue, with everything that applying it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Command {
    /// What makes repeating it safe.
    pub request: RequestKey,
    /// When it was proposed, in milliseconds since 1970, by the clock of the leader.
    pub proposed_at_ms: u64,
    /// Who asked for it.
    pub actor: Actor,
    /// What to do.
    pub action: Action,
}

/// What makes repeating a request safe: the first one applied counts, a later one under the same key gets its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestKey {
    /// The client's `Idempotency-Key`, or one that the server minted.
    pub key: String,
    /// Whether the server minted it: nobody outside can repeat it later, so it is remembered for minutes only.
    pub minted: bool,
    /// HMAC-SHA-256 of the request under a key derived from the cluster's secret, in hexadecimal: tells a repetition
    /// from another request under the same key.
    pub fingerprint: String,
    /// The id that the answer carries, the first time and every time.
    pub request_id: String,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// What they call themselves; nobody checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By which right.
    pub authority: Authority,
    /// The name of the node that took the request in.
    pub via: String,
}

/// By which right somebody changes the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// They are on the node's own machine.
    Loopback,
    /// They know the admin token.
    AdminToken,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Set a setting.
    PutSetting {
        /// Which.
        key: SettingKey,
        /// To what.
        value: SettingValue,
        /// Only if it is at this version; 0: only if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_version: Option<u64>,
    },
    /// Delete a setting.
    DeleteSetting {
        /// Which.
        key: SettingKey,
        /// Only if it is at this version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_version: Option<u64>,
    },
}

/// Why bytes are not a command of this release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Written by a newer release.
    #[error("a command of version {found}; this release knows version {VERSION}")]
    UnknownVersion {
        /// What it says.
        found: u32,
    },
    /// Not what a command looks like.
    #[error("a damaged command: {0}")]
    Malformed(String),
    /// Longer than a part of a command may be.
    #[error("the {part} of a command has more than {max} characters")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// The limit.
        max: usize,
    },
}

/// The version is read before the rest is understood.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    v: u32,
    body: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyV1 {
    request: RequestKey,
    proposed_at_ms: u64,
    actor: Actor,
    action: Action,
}

impl TryFrom<Stored> for Command {
    type Error = CommandError;

    fn try_from(stored: Stored) -> Result<Self, CommandError> {
        if stored.v != VERSION {
            return Err(CommandError::UnknownVersion { found: stored.v });
        }
        let body: BodyV1 = serde_json::from_value(stored.body)
            .map_err(|error| CommandError::Malformed(error.to_string()))?;
        let BodyV1 { request, proposed_at_ms, actor, action } = body;
        let command = Self { request, proposed_at_ms, actor, action };
        command.check()?;
        Ok(command)
    }
}

impl From<Command> for Stored {
    fn from(command: Command) -> Self {
        let Command { request, proposed_at_ms, actor, action } = command;
        let body = BodyV1 { request, proposed_at_ms, actor, action };
        let body = serde_json::to_value(body).expect("maps with text keys and no failing parts");
        Self { v: VERSION, body }
    }
}

impl Command {
    /// Whether every part is as short as it may be.
    ///
    /// # Errors
    /// [`CommandError::TooLong`] names the part.
    pub fn check(&self) -> Result<(), CommandError> {
        let name = self.actor.name.as_deref().unwrap_or_default();
        let parts = [
            ("idempotency key", self.request.key.as_str(), MAX_IDEMPOTENCY_KEY_CHARS),
            ("request id", &self.request.request_id, MAX_ACTOR_CHARS),
            ("fingerprint", &self.request.fingerprint, MAX_ACTOR_CHARS),
            ("actor's name", name, MAX_ACTOR_CHARS),
            ("node's name", &self.actor.via, MAX_ACTOR_CHARS),
        ];
        match parts.into_iter().find(|(_, text, max)| text.chars().count() > *max) {
            Some((part, _, max)) => Err(CommandError::TooLong { part, max }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::PutSetting { key, .. } => write!(f, "put setting {key}"),
            Action::DeleteSetting { key, .. } => write!(f, "delete setting {key}"),
        }
    }
}
