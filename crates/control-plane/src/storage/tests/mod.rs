//! Tests of the storage, with shared fixtures.

mod disk;
mod disk_space;
pub(crate) mod first_release;
pub(crate) mod formats;
mod keys;
mod log;
mod lost_log;
mod memory;
mod power;
mod restart;
mod snapshots;
mod suite;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream;
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogReader, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, Membership};

use super::log::DurabilityWatch;
use super::*;
use crate::catalog::{
    Action, Actor, Authority, Command, RequestKey, Setting, SettingKey, SettingValue, Stamp, StoredCommand,
};
use crate::format::{Announcement, FormatVersion};
use crate::ids::RaftId;
use crate::types::{Entry, LogId, Member, Vote};

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    let leader = openraft::impls::leader_id_std::LeaderId { term, voted_for: RaftId::from(1) };
    LogId::new(openraft::vote::RaftLeaderId::to_committed(&leader), index)
}

pub(crate) fn vote(term: u64) -> Vote {
    Vote::new(term, RaftId::from(1))
}

/// Returns the vote of a term, committed.
fn confirmed(term: u64) -> Vote {
    Vote::new_committed(term, RaftId::from(1))
}

pub(crate) fn blank(term: u64, index: u64) -> Entry {
    Entry::new_blank(log_id(term, index))
}

fn blanks(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes.map(|index| blank(term, index)).collect()
}

fn membership(term: u64, index: u64, voters: impl IntoIterator<Item = u64>) -> Entry {
    let voters: BTreeSet<RaftId> = voters.into_iter().map(RaftId::from).collect();
    let nodes: BTreeMap<RaftId, Member> = voters
        .iter()
        .map(|id| (*id, Member { name: format!("n{}", u64::from_str_radix(&id.to_string(), 16).unwrap()) }))
        .collect();
    Entry::new_membership(log_id(term, index), Membership::new(vec![voters], nodes).unwrap())
}

/// Returns an entry that sets the note `note.NAME` to `text`.
fn note(term: u64, index: u64, name: &str, text: &str) -> Entry {
    let command = Command {
        request: RequestKey {
            key: format!("key-{index}"),
            minted: false,
            fingerprint: "00ff".into(),
            request_id: format!("request-{index}"),
        },
        proposed_at_ms: 1_700_000_000_000 + index,
        stamp: Stamp::default(),
        source: None,
        actor: Actor { name: Some("alice".into()), authority: Authority::Loopback, via: "n1".into() },
        action: Action::PutSetting {
            key: SettingKey::Note(name.into()),
            value: SettingValue::Text(text.into()),
            if_version: None,
        },
    };
    let command = StoredCommand::new(command, FormatVersion::FIRST);
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(command) }
}

/// Returns an entry that activates a version announced by n1 alone.
fn activate(term: u64, index: u64, version: u32) -> Entry {
    activate_for(RaftId::from(1), term, index, version)
}

/// Returns an entry that activates a version announced by a single node.
fn activate_for(raft_id: RaftId, term: u64, index: u64, version: u32) -> Entry {
    let EntryPayload::Normal(command) = note(term, index, "a", "").payload else { unreachable!() };
    let version = FormatVersion::new(version);
    let (min, release) = (FormatVersion::FIRST, format!("0.{version}"));
    let announced = vec![Announcement { raft_id, min, max: version, release: release.clone() }];
    let action = Action::Activate { version, release, announced };
    let command = Command { action, ..command.command().unwrap().clone() };
    let command = StoredCommand::new(command, FormatVersion::FIRST);
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(command) }
}

/// Returns an entry with a command of release 1.7.
fn newer(term: u64, index: u64) -> Entry {
    let command = serde_json::json!({"v": 9, "needs": "1.7", "body": {"of": "another kind"}});
    let command = serde_json::from_value(command).unwrap();
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(command) }
}

/// Returns the text of the note `note.NAME`.
fn note_text(view: &StateView, name: &str) -> Option<String> {
    view.catalog(|catalog| match catalog.setting(&SettingKey::Note(name.into())) {
        Some(Setting { value: SettingValue::Text(text), .. }) => Some(text.clone()),
        _ => None,
    })
}

async fn apply(state: &mut StateMachine, entries: impl IntoIterator<Item = Entry>) {
    let entries: Vec<_> = entries.into_iter().map(|entry| Ok((entry, None))).collect();
    state.apply(stream::iter(entries)).await.unwrap();
}

async fn build(state: &mut StateMachine) -> SnapshotFile {
    state.get_snapshot_builder().await.build_snapshot().await.unwrap().snapshot
}

async fn entries(log: &LogStore) -> Vec<Entry> {
    log.clone().try_get_log_entries(..).await.unwrap()
}

/// Owner of the logs under test, before the node belongs to a cluster.
const OWNER: LogOwner = LogOwner { raft_id: RaftId::UNKNOWN, is_member: false };

/// Opens all files in a data directory, without a limit on the log.
fn open(dir: &Path) -> Result<Storage, StorageError> {
    super::open(dir, u64::MAX, OWNER).map_err(|unopened| unopened.error)
}

pub(crate) fn open_log(path: &Path) -> Result<LogStore, StorageError> {
    LogStore::open(path, &Arc::new(DiskSpace::unlimited()), OWNER)
}

fn open_state(dir: &Path, log: DurabilityWatch) -> Result<StateMachine, StorageError> {
    StateMachine::open(dir, log, Arc::new(DiskSpace::unlimited()))
}

/// Opens the state alone, without a wait for the log.
fn state_in(dir: &Path) -> StateMachine {
    open_state(dir, DurabilityWatch::everything()).unwrap()
}

/// Formats an error with all sources, as shown to operators.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
