//! Restart of a node on existing files.

use openraft::StorageHelper;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use redb::{Database, ReadableTable, TableDefinition};

use super::super::database::begin_durable;
use super::super::record;
use super::*;
use crate::catalog::Catalog;
use crate::format::Activated;

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const SETTINGS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("settings");

/// Runs the first steps of openraft at startup.
async fn start(storage: &mut Storage) {
    let mut helper = StorageHelper::new(&mut storage.log, &mut storage.state).with_id(RaftId::from(1));
    helper.get_initial_state().await.unwrap();
}

async fn close(storage: Storage) {
    storage.log.close().await;
    storage.state.view().close().await;
}

fn catalog(view: &StateView) -> Catalog {
    view.catalog(Clone::clone)
}

/// Creates a node with a membership, a snapshot, a purged log and entries after it. Returns the last
/// catalogue.
async fn lived_in(dir: &Path) -> Catalog {
    let mut storage = open(dir).unwrap();
    let mut log = vec![membership(1, 0, [1, 2, 3]), membership(1, 1, [1])];
    log.extend((2..12).map(|index| note(1, index, &format!("n{}", index % 4), &index.to_string())));
    storage.log.save_vote(&vote(1)).await.unwrap();
    storage.log.blocking_append(log.clone()).await.unwrap();
    storage.log.save_committed(Some(log_id(1, 10))).await.unwrap();
    apply(&mut storage.state, log[..8].to_vec()).await;
    build(&mut storage.state).await;
    storage.log.purge(log_id(1, 5)).await.unwrap();
    apply(&mut storage.state, log[8..11].to_vec()).await;
    storage.log.save_vote(&vote(2)).await.unwrap();
    let last = catalog(&storage.state.view());
    close(storage).await;
    last
}

#[tokio::test]
async fn log_vote_and_state_are_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let expected = lived_in(dir.path()).await;
    let mut storage = open(dir.path()).unwrap();
    let view = storage.state.view();
    assert_eq!(storage.log.read_vote().await.unwrap(), Some(vote(2)));
    assert_eq!(storage.log.read_committed().await.unwrap(), Some(log_id(1, 10)));
    let indexes: Vec<_> = entries(&storage.log).await.iter().map(|entry| entry.log_id.index).collect();
    assert_eq!(indexes, (6..12).collect::<Vec<_>>());
    assert_eq!(view.last_applied(), Some(log_id(1, 10)));
    assert_eq!(view.largest_voter_set(), 3);
    assert_eq!(*view.membership().log_id(), Some(log_id(1, 1)));
    assert_eq!(catalog(&view), expected);
    start(&mut storage).await;
    assert_eq!(catalog(&view), expected);
}

/// Damages the folder of a node, and expects the state restored from snapshot and log.
async fn comes_back(harm: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let expected = lived_in(dir.path()).await;
    harm(dir.path());
    let mut storage = open(dir.path()).unwrap();
    start(&mut storage).await;
    let view = storage.state.view();
    assert_eq!(view.last_applied(), Some(log_id(1, 10)));
    assert_eq!(view.largest_voter_set(), 3);
    assert_eq!(*view.membership().log_id(), Some(log_id(1, 1)));
    assert_eq!(catalog(&view), expected);
}

#[tokio::test]
async fn a_lost_state_file_is_built_again() {
    comes_back(|dir| fs::remove_file(dir.join(STATE_FILE)).unwrap()).await;
}

#[tokio::test]
async fn a_damaged_state_file_is_built_again() {
    comes_back(|dir| fs::write(dir.join(STATE_FILE), "not a database, and quite certainly so").unwrap())
        .await;
    comes_back(|dir| {
        let path = dir.join(STATE_FILE);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    })
    .await;
    comes_back(|dir| {
        let path = dir.join(STATE_FILE);
        let bytes = fs::read(&path).unwrap();
        let text = b"alice";
        let damaged: Vec<u8> =
            bytes.iter().map(|byte| if text.contains(byte) { byte ^ 1 } else { *byte }).collect();
        fs::write(&path, damaged).unwrap();
    })
    .await;
    comes_back(|dir| {
        change_state(dir, |transaction| {
            let mut rows = transaction.open_table(SETTINGS).unwrap();
            let mut record = rows.get("note.n1").unwrap().unwrap().value().to_vec();
            *record.last_mut().unwrap() ^= 1;
            rows.insert("note.n1", record.as_slice()).unwrap();
        });
        assert!(!dir.join("state.redb.damaged").exists());
    })
    .await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_set_aside_while_the_state_is_whole() {
    comes_back(|dir| fs::write(dir.join(SNAPSHOT_DIR).join("7-1.snap"), "STEGSNAP").unwrap()).await;
}

fn change_state(dir: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(dir.join(STATE_FILE)).unwrap();
    let transaction = begin_durable(&database).unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

/// Returns the error of opening the storage. Files opened by the previous attempt are closed by a separate
/// thread, a moment later.
fn refusal(dir: &Path) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let text = in_full(&open(dir).map(drop).unwrap_err());
        if !text.contains("Database already open") || std::time::Instant::now() > deadline {
            return text;
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_neither_state_nor_snapshot_has_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    lived_in(dir.path()).await;
    fs::remove_file(dir.path().join(STATE_FILE)).unwrap();
    fs::write(dir.path().join(SNAPSHOT_DIR).join("7-1.snap"), "STEGSNAP").unwrap();
    let refusal = refusal(dir.path());
    assert!(refusal.starts_with("the log was purged up to 1.5, and neither"), "{refusal}");
    assert!(dir.path().join(SNAPSHOT_DIR).join("7-1.damaged").exists());
}

#[tokio::test]
async fn a_missing_log_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    lived_in(dir.path()).await;
    fs::remove_file(dir.path().join(LOG_FILE)).unwrap();
    let refusal = refusal(dir.path());
    assert!(
        refusal.ends_with(
            "log.redb is missing: without its votes this node must rejoin with an empty data directory"
        ),
        "{refusal}"
    );
}

#[tokio::test]
async fn files_that_were_not_completed_are_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log.new"), [0; 4096]).unwrap();
    fs::write(dir.path().join("state.new"), [0; 4096]).unwrap();
    close(open(dir.path()).unwrap()).await;
    assert!(!dir.path().join("log.new").exists() && !dir.path().join("state.new").exists());
}

#[tokio::test]
async fn a_state_of_another_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    lived_in(dir.path()).await;
    let row = record::encode_text(FormatVersion::FIRST, br#"{"v":2,"row":{}}"#);
    change_state(dir.path(), |transaction| {
        transaction.open_table(SETTINGS).unwrap().insert("note.n1", row.as_slice()).unwrap();
    });
    assert_eq!(
        refusal(dir.path()),
        "cannot read the state: row `note.n1` of table settings has version 2; this release reads versions up to 1"
    );
    change_state(dir.path(), |transaction| {
        transaction.open_table(META).unwrap().insert("progress", [9u8, 0, 0, 0, 0].as_slice()).unwrap();
        transaction.open_table(SETTINGS).unwrap().remove("note.n1").unwrap();
    });
    assert_eq!(
        refusal(dir.path()),
        "cannot read what is applied: record version 9; this release reads versions 1 to 3"
    );
}

/// Earlier entries are applied and durable, and the unreadable entry is not skipped.
#[tokio::test]
async fn an_entry_of_a_newer_release_ends_applying_and_names_the_release() {
    let dir = tempfile::tempdir().unwrap();
    let needs = "a command in the log has version 9, and this release reads versions 1 to 3; release 1.7 or a newer one is \
                 needed";
    for _ in 0..2 {
        let mut state = state_in(dir.path());
        let entries = [note(1, 0, "a", "1"), newer(1, 1), note(1, 2, "a", "2")];
        let left = entries.into_iter().filter(|entry| state.view().last_applied() < Some(entry.log_id));
        let left: Vec<_> = left.map(|entry| Ok((entry, None))).collect();
        let error = state.apply(stream::iter(left)).await.unwrap_err();
        assert_eq!(error.to_string(), needs);
        assert_eq!(state.view().needed().map(ToString::to_string).as_deref(), Some(needs));
        assert_eq!(state.view().last_applied(), Some(log_id(1, 0)));
        assert_eq!(note_text(&state.view(), "a").as_deref(), Some("1"));
        state.view().close().await;
    }
}

/// A node with a downgraded binary: the announcement covers the version, and the release does not.
#[tokio::test]
async fn a_version_beyond_this_release_ends_applying_and_every_later_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [membership(1, 0, [1])]).await;
    let entries = [activate(1, 1, 4), note(1, 2, "a", "1")].map(|entry| Ok((entry, None)));
    let error = state.apply(stream::iter(entries)).await.unwrap_err();
    let needs = "the format that the cluster has activated has version 4, and this release reads versions 1 to 3; release \
                 0.4 or a newer one is needed";
    assert_eq!(error.to_string(), needs);
    state.view().close().await;
    let error = open_state(dir.path(), DurabilityWatch::everything()).err().unwrap();
    assert!(error.is_of_another_release());
    assert_eq!(
        (error.to_string(), error.needs_release().unwrap().release.as_str()),
        (needs.to_owned(), "0.4")
    );
}

#[tokio::test]
async fn an_activated_version_survives_restarts_and_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [membership(1, 0, [1]), note(1, 1, "a", "1")]).await;
    assert_eq!(state.view().activated(), Activated::default());
    apply(&mut state, [activate(1, 2, 2)]).await;
    assert_eq!(state.view().activated(), Activated::of(FormatVersion::SECOND));
    let snapshot = build(&mut state).await;
    state.view().close().await;
    let state = state_in(dir.path());
    assert_eq!(state.view().activated(), Activated::of(FormatVersion::SECOND));
    assert_eq!(state.view().catalog(|catalog| catalog.announcements().len()), 1);
    let other = tempfile::tempdir().unwrap();
    let mut installed = state_in(other.path());
    installed.install_snapshot(&snapshot.meta().clone(), snapshot).await.unwrap();
    assert_eq!(installed.view().activated(), Activated::of(FormatVersion::SECOND));
    assert_eq!(note_text(&installed.view(), "a").as_deref(), Some("1"));
}

#[tokio::test]
async fn the_state_file_opens_again_after_a_close_and_after_a_drop() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [note(1, 0, "a", "1")]).await;
    let view = state.view();
    view.close().await;
    let state = state_in(dir.path());
    assert_eq!(note_text(&state.view(), "a").as_deref(), Some("1"));
    drop(state);
    while open_state(dir.path(), DurabilityWatch::everything()).is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(note_text(&view, "a").as_deref(), Some("1"), "a view outlives the file");
}
