//! Rows of the catalogue's state: one for each setting, each remembered request and each announcement, and
//! one for the clock.

use serde::{Deserialize, Serialize};

use crate::format::{Format, FormatError, FormatVersion};

/// Table of the catalogue. The order is the order in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Cluster settings by key.
    Settings,
    /// Outcomes of requests by idempotency key.
    Requests,
    /// Announcements of nodes by Raft id. Empty below version 2.
    Announcements,
    /// Clock of the catalogue. Empty below version 3.
    Clock,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Settings, Self::Requests, Self::Announcements, Self::Clock];

    /// Returns the name in the storage.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Requests => "requests",
            Self::Announcements => "announcements",
            Self::Clock => "clock",
        }
    }
}

/// A row, or, without a value, the deletion of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Table of the row.
    pub table: Table,
    /// Key of the row in the table.
    pub key: String,
    /// Versioned JSON; none for a deleted row.
    pub value: Option<String>,
}

/// Failure to read a row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Written by a newer release.
    #[error("row `{key}` of table {table} has version {found}; this release reads versions up to {known}")]
    UnknownVersion {
        /// Name of the table.
        table: &'static str,
        /// Key of the row.
        key: String,
        /// Version in the row.
        found: FormatVersion,
        /// Newest version of such rows readable by this release.
        known: FormatVersion,
    },
    /// Malformed row.
    #[error("row `{key}` of table {table} is damaged")]
    Malformed {
        /// Name of the table.
        table: &'static str,
        /// Key of the row.
        key: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: FormatVersion,
    row: T,
}

/// The version alone, without the row.
#[derive(Deserialize)]
struct RowVersion {
    v: FormatVersion,
}

impl Row {
    /// Returns a row with a value.
    pub(super) fn put<T: Format + Serialize>(table: Table, key: impl Into<String>, row: &T) -> Self {
        let value = serde_json::to_string(&Versioned { v: T::SINCE, row }).expect("rows have text keys only");
        Self { table, key: key.into(), value: Some(value) }
    }

    /// Returns the deletion of a row.
    pub(super) fn deleted(table: Table, key: impl Into<String>) -> Self {
        Self { table, key: key.into(), value: None }
    }

    /// Returns the version of the row's form; the first version for a deleted row and for a row without a
    /// version.
    pub(crate) fn version(&self) -> FormatVersion {
        let named = self.value.as_deref().and_then(|text| serde_json::from_str::<RowVersion>(text).ok());
        named.map_or(FormatVersion::FIRST, |named| named.v)
    }

    /// Reads the row's value in the newest form, or none for a deleted row.
    pub(super) fn read<T: Format>(&self) -> Result<Option<T>, RowError> {
        let Some(text) = &self.value else { return Ok(None) };
        let (table, key) = (self.table.name(), || self.key.clone());
        let malformed = |source| RowError::Malformed { table, key: key(), source };
        let versioned: Versioned<serde_json::Value> = serde_json::from_str(text).map_err(malformed)?;
        T::read(versioned.v, versioned.row).map(Some).map_err(|error| match error {
            FormatError::UnknownVersion { found, known } => {
                RowError::UnknownVersion { table, key: key(), found, known }
            }
            FormatError::Malformed(source) => malformed(source),
        })
    }
}
