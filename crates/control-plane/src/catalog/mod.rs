//! The replicated state machine: the durable state of the cluster, and the effect of commands.
//!
//! Pure: no I/O, no clock, no randomness. Every node applies the same commands in the same order and
//! reaches the same state, so all outside data of a command (time, originator) is part of the command.
//! [`Catalog::apply`] decides and returns the changes as [`Row`]s; the storage writes these rows and
//! nothing else.
//!
//! Formats are versioned and pinned by golden files: commands ([`Command`]) and rows ([`Row`]).

mod actor;
mod announcements;
mod clock;
mod command;
mod outcome;
mod requests;
mod rows;
mod setting;
mod settings;
mod state;

pub use actor::{Actor, Authority, Source};
pub use command::{
    Action, Command, CommandError, DEFAULT_IDEMPOTENCY_BYTES, MAX_IDEMPOTENCY_KEY_CHARS, RequestKey, Stamp,
    StoredCommand, UnreadableCommand,
};
pub use outcome::{Outcome, Refusal};
pub use rows::{Row, RowError, Table};
pub use setting::{MAX_NOTE_BYTES, Setting, SettingKey, SettingKeyError, SettingValue, SettingValueError};
pub use settings::{MAX_SETTINGS, PageBounds, SettingsPage};
pub use state::{Catalog, Context};

pub use crate::timing::{KEEP_CLIENT_KEYS_MS, KEEP_MINTED_KEYS_MS};

#[cfg(test)]
mod tests;
