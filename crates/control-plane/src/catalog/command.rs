//! Commands: the content of the log's entries.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actor::{Actor, Owner, Source};
use super::setting::{SettingKey, SettingValue};
use crate::format::{
    Announcement, Format, FormatError, FormatVersion, MAX_RELEASE_BYTES, NeedsRelease, NoForm,
};

/// Maximum length of an idempotency key, in characters.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 200;
/// Limit on the deduplication table where a command names none, in bytes.
pub const DEFAULT_IDEMPOTENCY_BYTES: u64 = 64 << 20;
const MAX_ACTOR_CHARS: usize = 100;
/// Maximum number of announcements in an activation.
const MAX_ANNOUNCED: usize = 64;

/// A request to change the catalogue, with all data required for applying the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Command {
    /// Key that makes repetitions safe.
    pub request: RequestKey,
    /// Time of the proposal, in milliseconds since 1970, by the wall clock of the leader. Only displayed from
    /// version 3 on.
    pub proposed_at_ms: u64,
    /// Values of the proposing leader.
    pub stamp: Stamp,
    /// Originator of the request.
    pub actor: Actor,
    /// Network of the originator, as recorded by the node that received the request.
    pub source: Option<Source>,
    /// Requested action.
    pub action: Action,
}

/// Values that the proposing leader adds to a command: every node decides by them, whatever its own clock and
/// configuration. Part of the form from version 3 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Time to which the command advances the catalogue's clock, in milliseconds; 0 leaves the clock alone.
    pub clock_ms: u64,
    /// Limit on the deduplication table, in bytes.
    pub idempotency_bytes: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Self { clock_ms: 0, idempotency_bytes: DEFAULT_IDEMPOTENCY_BYTES }
    }
}

/// Key for deduplication: the first applied request counts, a later request under the same key gets the
/// same outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestKey {
    /// Value of the client's `Idempotency-Key`, or a key minted by the server.
    pub key: String,
    /// True if the server minted the key: no client can repeat the request later, so the key is remembered
    /// for minutes only.
    pub minted: bool,
    /// HMAC-SHA-256 of the request under a key derived from the cluster's secret, in hexadecimal:
    /// distinguishes a repetition from a different request under the same key.
    pub fingerprint: String,
    /// Request id in the answer, the same for every repetition.
    pub request_id: String,
}

/// Action of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Creation or change of a setting.
    PutSetting {
        /// Key of the setting.
        key: SettingKey,
        /// New value.
        value: SettingValue,
        /// Required current version; 0 requires that the setting does not exist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_version: Option<u64>,
    },
    /// Deletion of a setting.
    DeleteSetting {
        /// Key of the setting.
        key: SettingKey,
        /// Required current version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_version: Option<u64>,
    },
    /// Replacement of a node's announcement.
    Announce {
        /// The announcement.
        announcement: Announcement,
    },
    /// Increase of the version of the formats written by the cluster. Refused unless covered by the
    /// announcements of all members.
    Activate {
        /// Version to activate.
        version: FormatVersion,
        /// First release able to read the version.
        release: String,
        /// Announcements to apply first. Below version 2 there are no rows for announcements yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        announced: Vec<Announcement>,
    },
    /// Advance of the catalogue's clock by the stamp of the command, without any other effect.
    Tick,
}

impl Action {
    /// Returns the version that introduced the action: below this version, the action is refused when
    /// applied.
    pub fn since(&self) -> FormatVersion {
        match self {
            Self::PutSetting { .. } | Self::DeleteSetting { .. } => FormatVersion::FIRST,
            Self::Announce { .. } | Self::Activate { .. } => FormatVersion::SECOND,
            Self::Tick => FormatVersion::THIRD,
        }
    }
}

/// Failure to read a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Written by a newer release.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// Version without a form.
    #[error("a command of version {found}; this release reads versions 1 to {}", FormatVersion::LATEST)]
    UnknownVersion {
        /// Version in the command.
        found: FormatVersion,
    },
    /// Malformed command.
    #[error("a damaged command: {0}")]
    Malformed(String),
    /// Too many announcements in an activation.
    #[error("an activation with {count} announcements (limit {MAX_ANNOUNCED})")]
    TooManyAnnounced {
        /// Number of announcements.
        count: usize,
    },
    /// Part of a command longer than the limit.
    #[error("the {part} of a command has more than {max} characters")]
    TooLong {
        /// Name of the part.
        part: &'static str,
        /// Limit in characters.
        max: usize,
    },
}

/// A command with the version, which is read before the rest is parsed.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    v: FormatVersion,
    /// First release able to read the version; present from version 2 on.
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

/// Form with announcements and activations. Older actions have the same text as in the previous form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyV2 {
    request: RequestKey,
    proposed_at_ms: u64,
    actor: Actor,
    action: Action,
}

/// Form with the leader's stamp and the network of the originator.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyV3 {
    request: RequestKey,
    proposed_at_ms: u64,
    clock_ms: u64,
    idempotency_bytes: u64,
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
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

impl Format for BodyV3 {
    const SINCE: FormatVersion = FormatVersion::THIRD;
    type Previous = BodyV2;

    fn upgrade(previous: BodyV2) -> Self {
        let BodyV2 { request, proposed_at_ms, actor, action } = previous;
        let Stamp { clock_ms, idempotency_bytes } = Stamp::default();
        Self { request, proposed_at_ms, clock_ms, idempotency_bytes, actor, source: None, action }
    }
}

impl Stored {
    fn write(version: FormatVersion, command: Command) -> Self {
        debug_assert!(version >= command.action.since(), "an action in a form that does not know it");
        let Command { request, proposed_at_ms, stamp, actor, source, action } = command;
        let body = if version < BodyV3::SINCE {
            serde_json::to_value(BodyV2 { request, proposed_at_ms, actor, action })
        } else {
            let Stamp { clock_ms, idempotency_bytes } = stamp;
            let body = BodyV3 { request, proposed_at_ms, clock_ms, idempotency_bytes, actor, source, action };
            serde_json::to_value(body)
        };
        let body = body.expect("maps with text keys and no failing parts");
        Self { v: version, needs: needs(version), body }
    }

    fn read(self) -> Result<Command, CommandError> {
        let found = self.v;
        let body = BodyV3::read(found, self.body).map_err(|error| match error {
            FormatError::UnknownVersion { .. } => CommandError::UnknownVersion { found },
            FormatError::Malformed(error) => CommandError::Malformed(error.to_string()),
        })?;
        let BodyV3 { request, proposed_at_ms, clock_ms, idempotency_bytes, actor, source, action } = body;
        if action.since() > found {
            let needed = action.since();
            return Err(CommandError::Malformed(format!(
                "version {found} has no action of version {needed}"
            )));
        }
        let stamp = Stamp { clock_ms, idempotency_bytes };
        let command = Command { request, proposed_at_ms, stamp, actor, source, action };
        command.check()?;
        Ok(command)
    }
}

/// Returns the first release able to read the version, for forms with this name.
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
        Self::write(command.since(), command)
    }
}

/// A command as stored in the log. A command of a newer release is kept unchanged, so that a node may hold
/// and forward unreadable entries: an unreadable entry must not be applied, and need not be until
/// committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub enum StoredCommand {
    /// A command of a version readable by this release.
    Known {
        /// Version of the stored form.
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
    /// Wraps a command in the newest form not above the activated version, or in the first form with the
    /// command's action.
    pub fn new(mut command: Command, activated: FormatVersion) -> Self {
        let version = activated.min(BodyV3::SINCE).max(command.action.since());
        if version < BodyV3::SINCE {
            // What the form lacks must not count on the leader alone, which applies the command from memory.
            (command.stamp, command.source) = (Stamp::default(), None);
        }
        Self::Known { version, command }
    }

    /// Returns the version of the form.
    pub fn version(&self) -> FormatVersion {
        match self {
            Self::Known { version, .. } => *version,
            Self::Unreadable(unreadable) => unreadable.version,
        }
    }

    /// Returns the command.
    ///
    /// # Errors
    /// [`NeedsRelease`] names the release able to read the command.
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
    /// Returns the first version with a form for the command, apart from the stamp.
    fn since(&self) -> FormatVersion {
        let since = if self.source.is_some() { BodyV3::SINCE } else { FormatVersion::FIRST };
        since.max(self.action.since())
    }

    /// Returns the owner of the command's idempotency key.
    pub(super) fn owner(&self) -> Owner {
        Owner { authority: self.actor.authority, source: self.source }
    }

    /// Checks the lengths of all parts.
    ///
    /// # Errors
    /// [`CommandError::TooLong`] names the part, [`CommandError::TooManyAnnounced`] the number of
    /// announcements.
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
            Self::PutSetting { .. } | Self::DeleteSetting { .. } | Self::Tick => Ok(()),
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
            Action::Tick => write!(f, "tick"),
        }
    }
}
