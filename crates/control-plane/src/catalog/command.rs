//! Commands: the content of the log's entries.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{SettingKey, SettingValue};
use crate::format::{
    Announcement, Format, FormatError, FormatVersion, MAX_RELEASE_BYTES, NeedsRelease, NoForm,
};

/// Characters of an idempotency key, at most.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 200;
const MAX_ACTOR_CHARS: usize = 100;
/// Announcements that go with an activation, at most.
const MAX_ANNOUNCED: usize = 64;

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
    /// Replace the announcement of a node.
    Announce {
        /// The announcement.
        announcement: Announcement,
    },
    /// Raise the version of the formats that the cluster writes. Refused unless announcements of all members
    /// cover it.
    Activate {
        /// The version.
        version: FormatVersion,
        /// First release that reads it.
        release: String,
        /// Announcements to take in first. Below version 2 there are no rows of them yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        announced: Vec<Announcement>,
    },
}

impl Action {
    /// Version that introduced the action: below it, the action is refused when applied.
    pub fn since(&self) -> FormatVersion {
        match self {
            Self::PutSetting { .. } | Self::DeleteSetting { .. } => FormatVersion::FIRST,
            Self::Announce { .. } | Self::Activate { .. } => FormatVersion::SECOND,
        }
    }
}

/// Why bytes are not a command of this release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Written by a newer release.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// No form has the version.
    #[error("a command of version {found}; this release reads versions 1 to {}", FormatVersion::LATEST)]
    UnknownVersion {
        /// What it says.
        found: FormatVersion,
    },
    /// Not what a command looks like.
    #[error("a damaged command: {0}")]
    Malformed(String),
    /// More announcements than may go with an activation.
    #[error("an activation with {count} announcements (limit {MAX_ANNOUNCED})")]
    TooManyAnnounced {
        /// Announcements.
        count: usize,
    },
    /// Longer than a part of a command may be.
    #[error("the {part} of a command has more than {max} characters")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// The limit.
        max: usize,
    },
}

/// A command with its version, which is read before the rest is understood.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    v: FormatVersion,
    /// First release that reads the version; told from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
    body: Value,
}

/// Form of release 0.1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyV1 {
    request: RequestKey,
    proposed_at_ms: u64,
    actor: Actor,
    action: ActionV1,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum ActionV1 {
    PutSetting {
        key: SettingKey,
        value: SettingValue,
        #[serde(default)]
        if_version: Option<u64>,
    },
    DeleteSetting {
        key: SettingKey,
        #[serde(default)]
        if_version: Option<u64>,
    },
}

/// Form with announcements and activations. It writes every older action as the form before does.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyV2 {
    request: RequestKey,
    proposed_at_ms: u64,
    actor: Actor,
    action: Action,
}

impl Format for BodyV1 {
    const SINCE: FormatVersion = FormatVersion::FIRST;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

impl Format for BodyV2 {
    const SINCE: FormatVersion = FormatVersion::SECOND;
    type Previous = BodyV1;

    fn upgrade(previous: BodyV1) -> Self {
        let BodyV1 { request, proposed_at_ms, actor, action } = previous;
        let action = match action {
            ActionV1::PutSetting { key, value, if_version } => Action::PutSetting { key, value, if_version },
            ActionV1::DeleteSetting { key, if_version } => Action::DeleteSetting { key, if_version },
        };
        Self { request, proposed_at_ms, actor, action }
    }
}

impl Stored {
    fn write(version: FormatVersion, command: Command) -> Self {
        debug_assert!(version >= command.action.since(), "an action in a form that does not know it");
        let Command { request, proposed_at_ms, actor, action } = command;
        let body = BodyV2 { request, proposed_at_ms, actor, action };
        let body = serde_json::to_value(body).expect("maps with text keys and no failing parts");
        Self { v: version, needs: needs(version), body }
    }

    fn read(self) -> Result<Command, CommandError> {
        let found = self.v;
        let body = BodyV2::read(found, self.body).map_err(|error| match error {
            FormatError::UnknownVersion { .. } => CommandError::UnknownVersion { found },
            FormatError::Malformed(error) => CommandError::Malformed(error.to_string()),
        })?;
        let BodyV2 { request, proposed_at_ms, actor, action } = body;
        let command = Command { request, proposed_at_ms, actor, action };
        command.check()?;
        Ok(command)
    }
}

/// First release that reads the version, where a form names it.
fn needs(version: FormatVersion) -> Option<String> {
    (version > FormatVersion::FIRST).then(|| version.release().unwrap_or_default().to_owned())
}

impl TryFrom<Stored> for Command {
    type Error = CommandError;

    fn try_from(stored: Stored) -> Result<Self, CommandError> {
        match StoredCommand::try_from(stored)? {
            StoredCommand::Known { command, .. } => Ok(command),
            StoredCommand::Unreadable(unreadable) => Err(unreadable.needs_release().into()),
        }
    }
}

impl From<Command> for Stored {
    fn from(command: Command) -> Self {
        Self::write(command.action.since(), command)
    }
}

/// A command as the log keeps it. One of a newer release is kept as it came, so that a node may hold and pass
/// on entries that it cannot read: it must not apply any, and need not as long as none is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub enum StoredCommand {
    /// A command of a version that this release reads.
    Known {
        /// Version of the form that it is kept in.
        version: FormatVersion,
        /// The command.
        command: Command,
    },
    /// A command of a newer version.
    Unreadable(UnreadableCommand),
}

/// A command of a newer release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableCommand {
    version: FormatVersion,
    needs: String,
    body: Value,
}

impl StoredCommand {
    /// The command in the newest form that is not above the activated version, or in the first one that has
    /// its action.
    pub fn new(command: Command, activated: FormatVersion) -> Self {
        let version = activated.min(BodyV2::SINCE).max(command.action.since());
        Self::Known { version, command }
    }

    /// Version of the form.
    pub fn version(&self) -> FormatVersion {
        match self {
            Self::Known { version, .. } => *version,
            Self::Unreadable(unreadable) => unreadable.version,
        }
    }

    /// The command.
    ///
    /// # Errors
    /// [`NeedsRelease`] names the release that reads it.
    pub fn command(&self) -> Result<&Command, NeedsRelease> {
        match self {
            Self::Known { command, .. } => Ok(command),
            Self::Unreadable(unreadable) => Err(unreadable.needs_release()),
        }
    }
}

impl UnreadableCommand {
    fn needs_release(&self) -> NeedsRelease {
        let what = "a command in the log".to_owned();
        NeedsRelease { what, version: self.version, release: self.needs.clone() }
    }
}

impl TryFrom<Stored> for StoredCommand {
    type Error = CommandError;

    fn try_from(stored: Stored) -> Result<Self, CommandError> {
        let version = stored.v;
        match stored {
            Stored { needs: Some(needs), body, .. } if version > FormatVersion::LATEST => {
                check_release(&needs)?;
                Ok(Self::Unreadable(UnreadableCommand { version, needs, body }))
            }
            stored => Ok(Self::Known { version, command: stored.read()? }),
        }
    }
}

impl From<StoredCommand> for Stored {
    fn from(command: StoredCommand) -> Self {
        match command {
            StoredCommand::Known { version, command } => Self::write(version, command),
            StoredCommand::Unreadable(UnreadableCommand { version, needs, body }) => {
                Self { v: version, needs: Some(needs), body }
            }
        }
    }
}

impl fmt::Display for StoredCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { command, .. } => command.fmt(f),
            Self::Unreadable(unreadable) => write!(f, "command of version {}", unreadable.version),
        }
    }
}

fn check_release(release: &str) -> Result<(), CommandError> {
    if release.len() <= MAX_RELEASE_BYTES {
        return Ok(());
    }
    Err(CommandError::TooLong { part: "release", max: MAX_RELEASE_BYTES })
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
            None => self.action.check(),
        }
    }
}

impl Action {
    fn check(&self) -> Result<(), CommandError> {
        match self {
            Self::PutSetting { .. } | Self::DeleteSetting { .. } => Ok(()),
            Self::Announce { announcement } => check_release(&announcement.release),
            Self::Activate { announced, .. } if announced.len() > MAX_ANNOUNCED => {
                Err(CommandError::TooManyAnnounced { count: announced.len() })
            }
            Self::Activate { release, announced, .. } => {
                check_release(release)?;
                announced.iter().try_for_each(|announcement| check_release(&announcement.release))
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::PutSetting { key, .. } => write!(f, "put setting {key}"),
            Action::DeleteSetting { key, .. } => write!(f, "delete setting {key}"),
            Action::Announce { announcement } => write!(f, "announce {}", announcement.raft_id),
            Action::Activate { version, .. } => write!(f, "activate version {version}"),
        }
    }
}
