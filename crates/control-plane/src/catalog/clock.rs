//! Clock of the catalogue, which tells the age of idempotency keys.
//!
//! A count of milliseconds in the replicated state: commands advance it to the stamp of the leader that
//! proposed them, and nothing takes it back. A leader's stamp is the clock applied with the first entry of
//! the leader's own term, plus the time passed since then by the boot clock of the leader's machine. The
//! clock therefore never runs faster than real time, whatever the wall clocks show, and stands still without
//! a leader. Exists from version 3 on; below, the wall clock of the leader counts.

use serde::{Deserialize, Serialize};

use super::rows::{Row, RowError, Table};
use crate::format::{Format, FormatVersion, NoForm};

/// Key of the only row.
const KEY: &str = "clock";

/// The clock; not started below version 3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clock(Option<Reading>);

/// Reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reading {
    /// The clock, in milliseconds.
    pub now_ms: u64,
    /// The clock at its start: the greatest time of any proposal before.
    pub started_at_ms: u64,
}

impl Format for Reading {
    const SINCE: FormatVersion = FormatVersion::THIRD;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

impl Clock {
    /// Starts the clock.
    pub(super) fn start(&mut self, at_ms: u64) -> Row {
        debug_assert!(self.0.is_none(), "the clock starts once");
        let reading = Reading { now_ms: at_ms, started_at_ms: at_ms };
        self.0 = Some(reading);
        row(&reading)
    }

    /// Advances the clock to a leader's stamp. Returns the row to write, if the clock has changed.
    pub(super) fn advance(&mut self, stamp_ms: u64) -> Option<Row> {
        let reading = self.0.as_mut().filter(|reading| reading.now_ms < stamp_ms)?;
        reading.now_ms = stamp_ms;
        Some(row(reading))
    }

    /// Returns the reading; none below version 3.
    pub(super) fn reading(&self) -> Option<Reading> {
        self.0
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.0.iter().map(row)
    }

    pub(super) fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        self.0 = row.read()?;
        Ok(())
    }
}

fn row(reading: &Reading) -> Row {
    Row::put(Table::Clock, KEY, reading)
}
