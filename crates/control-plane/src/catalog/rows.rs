//! Rows of the catalogue's state: one for each setting, each remembered request and each announcement.

use serde::{Deserialize, Serialize};

use crate::format::{Format, FormatError, FormatVersion};

/// Which part of the catalogue a row belongs to. The order is the order in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Cluster settings by key.
    Settings,
    /// Outcomes of requests by idempotency key.
    Requests,
    /// Announcements of nodes by Raft id. Empty below version 2.
    Announcements,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 3] = [Self::Settings, Self::Requests, Self::Announcements];

    /// Its name in the storage.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Requests => "requests",
            Self::Announcements => "announcements",
        }
    }
}

/// A row that is there, or, without a value, no longer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Which table.
    pub table: Table,
    /// Which row of it.
    pub key: String,
    /// Versioned JSON; none: the row is deleted.
    pub value: Option<String>,
}

/// Why a row cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Written by a newer release.
    #[error("row `{key}` of table {table} has version {found}; this release reads versions up to {known}")]
    UnknownVersion {
        /// The table.
        table: &'static str,
        /// The row.
        key: String,
        /// What it says.
        found: FormatVersion,
        /// Newest version of such rows that this release reads.
        known: FormatVersion,
    },
    /// Not what such a row looks like.
    #[error("row `{key}` of table {table} is damaged")]
    Malformed {
        /// The table.
        table: &'static str,
        /// The row.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: FormatVersion,
    row: T,
}

/// The version alone.
#[derive(Deserialize)]
struct VersionOnly {
    v: FormatVersion,
}

impl Row {
    /// A row that is there.
    pub(super) fn put<T: Format + Serialize>(table: Table, key: impl Into<String>, row: &T) -> Self {
        let value = serde_json::to_string(&Versioned { v: T::SINCE, row }).expect("rows have text keys only");
        Self { table, key: key.into(), value: Some(value) }
    }

    /// A row that no longer is.
    pub(super) fn deleted(table: Table, key: impl Into<String>) -> Self {
        Self { table, key: key.into(), value: None }
    }

    /// Version of the row's form; that of the first one where the row is deleted or names none.
    pub(crate) fn version(&self) -> FormatVersion {
        let named = self.value.as_deref().and_then(|text| serde_json::from_str::<VersionOnly>(text).ok());
        named.map_or(FormatVersion::FIRST, |named| named.v)
    }

    /// The row's value in its newest form, or none for a deleted one.
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
