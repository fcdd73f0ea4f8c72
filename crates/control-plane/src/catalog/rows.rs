//! How the catalogue's state is cut into rows: one for each setting and each remembered request.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Which part of the catalogue a row belongs to. The order is the order in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Cluster settings by key.
    Settings,
    /// Outcomes of requests by idempotency key.
    Requests,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 2] = [Self::Settings, Self::Requests];

    /// Its name in the storage.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Requests => "requests",
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
    #[error("row `{key}` of table {table} has version {found}; this release knows version {known}")]
    UnknownVersion {
        /// The table.
        table: &'static str,
        /// The row.
        key: String,
        /// What it says.
        found: u32,
        /// What this release reads.
        known: u32,
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
    v: u32,
    row: T,
}

impl Row {
    /// A row that is there.
    pub(super) fn put<T: Serialize>(table: Table, key: impl Into<String>, version: u32, row: &T) -> Self {
        let value = serde_json::to_string(&Versioned { v: version, row }).expect("rows have text keys only");
        Self { table, key: key.into(), value: Some(value) }
    }

    /// A row that no longer is.
    pub(super) fn deleted(table: Table, key: impl Into<String>) -> Self {
        Self { table, key: key.into(), value: None }
    }

    /// The row's value, or none for a deleted one.
    pub(super) fn read<T: DeserializeOwned>(&self, known: u32) -> Result<Option<T>, RowError> {
        let Some(text) = &self.value else { return Ok(None) };
        let table = self.table.name();
        let malformed = |source| RowError::Malformed { table, key: self.key.clone(), source };
        let versioned: Versioned<serde_json::Value> = serde_json::from_str(text).map_err(malformed)?;
        if versioned.v != known {
            let key = self.key.clone();
            return Err(RowError::UnknownVersion { table, key, found: versioned.v, known });
        }
        serde_json::from_value(versioned.row).map(Some).map_err(malformed)
    }
}
