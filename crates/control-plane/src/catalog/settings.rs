//! Cluster-wide settings: defaults for embedding, and notes for operators.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::actor::Actor;
use super::outcome::Refusal;
use super::rows::{Row, RowError, Table};
use super::setting::{Setting, SettingKey, SettingValue};

/// Maximum number of settings.
pub const MAX_SETTINGS: usize = 1024;

/// Limits of a page of settings. A page always has at least one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageBounds {
    /// Maximum number of settings.
    pub max_settings: usize,
    /// Approximate maximum of the total size in bytes.
    pub max_bytes: usize,
}

/// Consecutive settings in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsPage {
    /// Settings in key order.
    pub settings: Vec<Setting>,
    /// True if more settings follow the last.
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
        debug_assert!(earlier.is_none_or(|earlier| earlier.version < put.index), "versions grow");
        self.0.insert(setting.key.clone(), setting.clone());
        debug_assert!(self.0.len() <= MAX_SETTINGS, "the table is bounded");
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

    /// Returns the latest time of a change.
    pub(super) fn latest_change_ms(&self) -> u64 {
        self.0.values().map(|setting| setting.updated_at_ms).max().unwrap_or_default()
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
