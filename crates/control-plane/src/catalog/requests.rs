//! Deduplication table: outcomes of requests, kept for repetitions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::RequestKey;
use super::outcome::{Outcome, Refusal};
use super::rows::{Row, RowError, Table};
use crate::format::{Format, FormatVersion, NoForm};
use crate::planted::{Mistake, is_planted};
use crate::timing::{KEEP_CLIENT_KEYS_MS, KEEP_MINTED_KEYS_MS};

/// Maximum number of remembered keys. Beyond, new requests are refused: early removal of a key would break
/// the guarantee.
const MAX_KEYS: usize = 250_000;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Requests {
    by_key: BTreeMap<String, Remembered>,
    by_expiry: BTreeSet<(u64, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    fingerprint: String,
    forget_at_ms: u64,
    outcome: Outcome,
}

impl Format for Remembered {
    const SINCE: FormatVersion = FormatVersion::FIRST;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

impl Requests {
    /// Removes expired outcomes. The time is part of the command, so that every node removes the same
    /// outcomes.
    pub(super) fn remove_expired(&mut self, now_ms: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some((forget_at_ms, key)) = self.by_expiry.first() {
            if *forget_at_ms > now_ms {
                break;
            }
            rows.push(Row::deleted(Table::Requests, key.clone()));
            self.by_key.remove(key);
            self.by_expiry.pop_first();
        }
        debug_assert_eq!(self.by_key.len(), self.by_expiry.len(), "one expiry for each key");
        rows
    }

    /// Returns the outcome of an earlier request under this key.
    pub(super) fn replay(&self, request: &RequestKey) -> Option<Outcome> {
        if is_planted(Mistake::NoDeduplication) {
            return None;
        }
        let earlier = self.by_key.get(&request.key)?;
        if earlier.fingerprint == request.fingerprint {
            return Some(earlier.outcome.clone());
        }
        let request_id = request.request_id.clone();
        Some(Outcome::Refused { refusal: Refusal::KeyReused, request_id })
    }

    pub(super) fn check_room(&self) -> Result<(), Refusal> {
        if self.by_key.len() < MAX_KEYS {
            return Ok(());
        }
        Err(Refusal::TooManyKeys { max: MAX_KEYS as u64 })
    }

    pub(super) fn remember(&mut self, request: &RequestKey, now_ms: u64, outcome: Outcome) -> Row {
        let keep_ms = if request.minted { KEEP_MINTED_KEYS_MS } else { KEEP_CLIENT_KEYS_MS };
        let remembered = Remembered {
            fingerprint: request.fingerprint.clone(),
            forget_at_ms: now_ms.saturating_add(keep_ms),
            outcome,
        };
        let row = Row::put(Table::Requests, request.key.clone(), &remembered);
        self.insert(request.key.clone(), remembered);
        row
    }

    fn insert(&mut self, key: String, remembered: Remembered) {
        let forget_at_ms = remembered.forget_at_ms;
        if let Some(earlier) = self.by_key.insert(key.clone(), remembered) {
            self.by_expiry.remove(&(earlier.forget_at_ms, key.clone()));
        }
        // After the removal of the earlier entry, which may have the same expiry.
        self.by_expiry.insert((forget_at_ms, key));
        debug_assert_eq!(self.by_key.len(), self.by_expiry.len(), "one expiry for each key");
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.by_key.iter().map(|(key, remembered)| Row::put(Table::Requests, key.clone(), remembered))
    }

    pub(super) fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        if let Some(remembered) = row.read::<Remembered>()? {
            self.insert(row.key.clone(), remembered);
        }
        Ok(())
    }
}
