//! Settings that hold for the whole cluster: defaults that embedding uses, and notes for operators.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Actor, Refusal, Row, RowError, Table};
use crate::format::{Format, FormatVersion, NoForm};

/// Settings at a time, at most.
pub const MAX_SETTINGS: usize = 1024;
/// Length of a note, at most.
pub const MAX_NOTE_BYTES: usize = 4096;
/// Estimate of a setting's size besides its texts: key, names, time.
const SETTING_OVERHEAD_BYTES: usize = 256;
const NOTE_PREFIX: &str = "note.";
const MAX_NOTE_NAME_CHARS: usize = 64;

/// Which setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SettingKey {
    /// Bits per sample where a request does not say.
    Bits,
    /// Whether to deflate secrets that get shorter by it.
    Compress,
    /// What becomes of a cover's metadata where a request does not say.
    Metadata,
    /// A note of this name (`note.NAME`).
    Note(String),
}

/// Why a text is not a setting's key.
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

/// What a setting is set to. In JSON the plain value: a number, a truth value, a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// For `compress`.
    Flag(bool),
    /// For `bits`.
    Number(u8),
    /// For `metadata` (`keep` or `strip`) and for notes.
    Text(String),
}

/// Why a value does not fit its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingValueError {
    /// Not what this setting takes.
    #[error("`{key}` takes {takes}")]
    WrongValue {
        /// The setting.
        key: String,
        /// What it takes.
        takes: &'static str,
    },
    /// A note that is too long.
    #[error("a note has {MAX_NOTE_BYTES} bytes at most, this one has {bytes}")]
    NoteTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl SettingValue {
    /// The value for `key` that JSON stands for.
    ///
    /// # Errors
    /// [`SettingValueError`] says what the key takes.
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

/// A setting with its history's last step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Which.
    pub key: SettingKey,
    /// What it is.
    pub value: SettingValue,
    /// The log index of the command that set it. It grows with every change, also across a deletion.
    pub version: u64,
    /// When, in milliseconds since 1970, by the clock of the leader.
    pub updated_at_ms: u64,
    /// Who.
    pub updated_by: Actor,
    /// What it was before; none if it is new.
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
    /// About as many bytes as it takes, in memory and as JSON.
    fn len_bytes(&self) -> usize {
        let of = |value: &SettingValue| match value {
            SettingValue::Text(text) => text.len(),
            SettingValue::Flag(_) | SettingValue::Number(_) => 0,
        };
        SETTING_OVERHEAD_BYTES + of(&self.value) + self.previous.as_ref().map_or(0, of)
    }
}

/// Most that a page of settings may hold. One setting is always on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageBounds {
    /// Settings.
    pub max_settings: usize,
    /// Their bytes together, roughly.
    pub max_bytes: usize,
}

/// Settings that follow each other by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsPage {
    /// By key.
    pub settings: Vec<Setting>,
    /// True if there are further ones after the last of them.
    pub has_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settings(BTreeMap<SettingKey, Setting>);

pub(super) struct Put<'a> {
    pub key: &'a SettingKey,
    pub value: &'a SettingValue,
    pub if_version: Option<u64>,
    pub index: u64,
}

impl Settings {
    pub(super) fn put(
        &mut self,
        put: &Put<'_>,
        actor: &Actor,
        now_ms: u64,
    ) -> Result<(Setting, Row), Refusal> {
        let earlier = self.0.get(put.key);
        check_version(earlier, put.if_version)?;
        if earlier.is_none() && self.0.len() >= MAX_SETTINGS {
            return Err(Refusal::TooManySettings { max: MAX_SETTINGS as u64 });
        }
        let setting = Setting {
            key: put.key.clone(),
            value: put.value.clone(),
            version: put.index,
            updated_at_ms: now_ms,
            updated_by: actor.clone(),
            previous: earlier.map(|setting| setting.value.clone()),
        };
        self.0.insert(setting.key.clone(), setting.clone());
        let row = row(&setting);
        Ok((setting, row))
    }

    pub(super) fn delete(
        &mut self,
        key: &SettingKey,
        if_version: Option<u64>,
    ) -> Result<(Setting, Row), Refusal> {
        check_version(self.0.get(key), if_version)?;
        let setting = self.0.remove(key).ok_or_else(|| Refusal::NoSuchSetting { key: key.clone() })?;
        Ok((setting, Row::deleted(Table::Settings, key.to_string())))
    }

    pub(super) fn find(&self, key: &SettingKey) -> Option<&Setting> {
        self.0.get(key)
    }

    pub(super) fn page(&self, after: Option<&SettingKey>, bounds: PageBounds) -> SettingsPage {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.0.range((from, Bound::Unbounded)).map(|(_, setting)| setting).peekable();
        let (mut settings, mut bytes) = (Vec::new(), 0);
        while let Some(setting) = rest.next_if(|next| {
            let fits = bytes + next.len_bytes() <= bounds.max_bytes;
            settings.len() < bounds.max_settings && (fits || settings.is_empty())
        }) {
            bytes += setting.len_bytes();
            settings.push(setting.clone());
        }
        SettingsPage { settings, has_more: rest.peek().is_some() }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.0.values().map(row)
    }

    pub(super) fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        if let Some(setting) = row.read::<Setting>()? {
            self.0.insert(setting.key.clone(), setting);
        }
        Ok(())
    }
}

fn check_version(setting: Option<&Setting>, if_version: Option<u64>) -> Result<(), Refusal> {
    let actual = setting.map_or(0, |setting| setting.version);
    match if_version {
        Some(expected) if expected != actual => Err(Refusal::VersionMismatch { expected, actual }),
        _ => Ok(()),
    }
}

fn row(setting: &Setting) -> Row {
    Row::put(Table::Settings, setting.key.to_string(), setting)
}
