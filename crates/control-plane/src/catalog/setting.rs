//! One setting: key, value, and the latest change.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use crate::format::{Format, FormatVersion, NoForm};

/// Maximum length of a note.
pub const MAX_NOTE_BYTES: usize = 4096;
/// Estimated size of a setting without the texts: key, names, time.
const SETTING_OVERHEAD_BYTES: usize = 256;
const NOTE_PREFIX: &str = "note.";
const MAX_NOTE_NAME_CHARS: usize = 64;

/// Key of a setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SettingKey {
    /// Default bits per sample.
    Bits,
    /// Default deflation of secrets that shrink.
    Compress,
    /// Default treatment of a cover's metadata.
    Metadata,
    /// A note with this name (`note.NAME`).
    Note(String),
}

/// Error for a text that is not the key of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no setting: there are `bits`, `compress`, `metadata`, and notes called `note.NAME` with up to \
     {MAX_NOTE_NAME_CHARS} characters of a-z, 0-9, `.`, `_` and `-` for NAME"
)]
pub struct SettingKeyError(String);

impl FromStr for SettingKey {
    type Err = SettingKeyError;

    fn from_str(text: &str) -> Result<Self, SettingKeyError> {
        match text {
            "bits" => return Ok(Self::Bits),
            "compress" => return Ok(Self::Compress),
            "metadata" => return Ok(Self::Metadata),
            _ => {}
        }
        let fits = |name: &str| {
            (1..=MAX_NOTE_NAME_CHARS).contains(&name.len())
                && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        };
        match text.strip_prefix(NOTE_PREFIX) {
            Some(name) if fits(name) => Ok(Self::Note(name.to_owned())),
            _ => Err(SettingKeyError(text.chars().take(MAX_NOTE_NAME_CHARS * 2).collect())),
        }
    }
}

impl TryFrom<String> for SettingKey {
    type Error = SettingKeyError;

    fn try_from(text: String) -> Result<Self, SettingKeyError> {
        text.parse()
    }
}

impl From<SettingKey> for String {
    fn from(key: SettingKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for SettingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits => f.write_str("bits"),
            Self::Compress => f.write_str("compress"),
            Self::Metadata => f.write_str("metadata"),
            Self::Note(name) => write!(f, "{NOTE_PREFIX}{name}"),
        }
    }
}

/// Value of a setting. In JSON the plain value: a number, a boolean, a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Value of `compress`.
    Flag(bool),
    /// Value of `bits`.
    Number(u8),
    /// Value of `metadata` (`keep` or `strip`) and of notes.
    Text(String),
}

/// Failure to read a value for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingValueError {
    /// Value of the wrong type or range.
    #[error("`{key}` takes {takes}")]
    WrongValue {
        /// Key of the setting.
        key: String,
        /// Description of valid values.
        takes: &'static str,
    },
    /// Note longer than the limit.
    #[error("a note has {MAX_NOTE_BYTES} bytes at most, this one has {bytes}")]
    NoteTooLong {
        /// Length in bytes.
        bytes: usize,
    },
}

impl SettingValue {
    /// Parses the JSON value for `key`.
    ///
    /// # Errors
    /// [`SettingValueError`] describes the valid values.
    pub fn from_json(key: &SettingKey, json: &serde_json::Value) -> Result<Self, SettingValueError> {
        let wrong = |takes| SettingValueError::WrongValue { key: key.to_string(), takes };
        match key {
            SettingKey::Bits => match json.as_u64() {
                Some(bits @ 1..=4) => Ok(Self::Number(bits as u8)),
                _ => Err(wrong("a whole number from 1 to 4")),
            },
            SettingKey::Compress => json.as_bool().map(Self::Flag).ok_or_else(|| wrong("true or false")),
            SettingKey::Metadata => match json.as_str() {
                Some(policy @ ("keep" | "strip")) => Ok(Self::Text(policy.to_owned())),
                _ => Err(wrong("\"keep\" or \"strip\"")),
            },
            SettingKey::Note(_) => match json.as_str() {
                Some(text) if text.len() > MAX_NOTE_BYTES => {
                    Err(SettingValueError::NoteTooLong { bytes: text.len() })
                }
                Some(text) => Ok(Self::Text(text.to_owned())),
                None => Err(wrong("a text")),
            },
        }
    }
}

/// A setting with the latest change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Key of the setting.
    pub key: SettingKey,
    /// Current value.
    pub value: SettingValue,
    /// Log index of the latest change. Grows with every change, also across a deletion.
    pub version: u64,
    /// Time of the latest change, in milliseconds since 1970, by the clock of the leader.
    pub updated_at_ms: u64,
    /// Originator of the latest change.
    pub updated_by: Actor,
    /// Previous value; none for a new setting.
    pub previous: Option<SettingValue>,
}

impl Format for Setting {
    const SINCE: FormatVersion = FormatVersion::FIRST;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

impl Setting {
    /// Estimates the size in bytes, in memory and as JSON.
    pub(super) fn len_bytes(&self) -> usize {
        let of = |value: &SettingValue| match value {
            SettingValue::Text(text) => text.len(),
            SettingValue::Flag(_) | SettingValue::Number(_) => 0,
        };
        SETTING_OVERHEAD_BYTES + of(&self.value) + self.previous.as_ref().map_or(0, of)
    }
}
