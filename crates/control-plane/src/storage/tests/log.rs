//! The log: grouping, order, reading and failing.

use futures_util::FutureExt;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use openraft::type_config::TypeConfigExt;
use redb::{Database, ReadableTable};

use super::super::database::begin_durable;
use super::super::writer::{ENTRIES, META, VOTE};
use super::disk::Disk;
use super::*;
use crate::types::TypeConfig;

/// Submits an append. The receiver resolves once the append is durable.
async fn begin_append(
    log: &mut LogStore,
    entries: Vec<Entry>,
) -> impl Future<Output = std::io::Result<()>> + use<> {
    let (flushed, told) = TypeConfig::oneshot();
    log.append(entries, IOFlushed::signal(flushed)).await.unwrap();
    async { told.await.unwrap() }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_goes_into_one_commit() {
    let disk = Disk::default();
    let mut log = LogStore::with_backend(disk.clone()).unwrap();
    disk.hold();
    let mut flushed = vec![begin_append(&mut log, vec![blank(1, 0)]).await];
    until(|| disk.is_waiting()).await;
    for index in 1..50 {
        flushed.push(begin_append(&mut log, vec![blank(1, index)]).await);
    }
    assert_eq!(entries(&log).await, blanks(1, 0..50), "readable before it is durable");
    let stats = log.flush_stats();
    assert_eq!((stats.commits, stats.writes), (0, 0));
    assert!(stats.oldest_unfinished.is_some());
    disk.release();
    for told in flushed {
        told.await.unwrap();
    }
    let stats = log.flush_stats();
    assert_eq!((stats.commits, stats.writes), (2, 50));
    assert_eq!(stats.oldest_unfinished, None);
    assert!(
        stats.worst.is_some_and(|worst| worst <= stats.total)
            && stats.buckets.iter().sum::<u64>() == stats.commits
    );
}

#[tokio::test]
async fn only_a_vote_that_adds_nothing_to_the_durable_one_is_not_waited_for() {
    let disk = Disk::default();
    let mut log = LogStore::with_backend(disk.clone()).unwrap();
    log.save_vote(&vote(2)).await.unwrap();
    disk.hold();
    log.save_vote(&confirmed(2)).await.unwrap();
    until(|| disk.is_waiting()).await;
    let mut other = log.clone();
    let saving = tokio::spawn(async move { other.save_vote(&confirmed(3)).await });
    assert_eq!(log.read_vote().await.unwrap(), Some(confirmed(2)));
    assert!(!saving.is_finished(), "no vote was given to the leader of term 3");
    disk.release();
    saving.await.unwrap().unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(confirmed(3)));
}

#[tokio::test]
async fn what_is_committed_waits_for_a_commit_that_reaches_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let mut log = open_log(&path).unwrap();
    log.blocking_append(blanks(1, 0..3)).await.unwrap();
    log.save_committed(Some(log_id(1, 1))).await.unwrap();
    assert_eq!(log.flush_stats().commits, 1, "it causes no commit");
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 1)));
    log.save_vote(&vote(2)).await.unwrap();
    log.save_committed(Some(log_id(1, 7))).await.unwrap();
    log.save_vote(&vote(3)).await.unwrap();
    log.close().await;
    let mut log = open_log(&path).unwrap();
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 1)), "entry 7 is not in the log");
}

#[tokio::test]
async fn a_failed_write_fails_everyone_and_everything() {
    let disk = Disk::default();
    let mut log = LogStore::with_backend(disk.clone()).unwrap();
    log.blocking_append(blanks(1, 0..3)).await.unwrap();
    disk.hold();
    let first = begin_append(&mut log, vec![blank(1, 3)]).await;
    until(|| disk.is_waiting()).await;
    let second = begin_append(&mut log, vec![blank(1, 4)]).await;
    disk.fail();
    disk.release();
    assert!(first.await.is_err());
    assert!(second.await.is_err());
    assert!(log.save_vote(&vote(1)).await.is_err());
    assert!(log.read_vote().await.is_err());
    assert!(log.try_get_log_entries(..).await.is_err());
    assert!(log.get_log_state().await.is_err());
    assert!(log.blocking_append([blank(1, 5)]).await.is_err());
    assert!(log.purge(log_id(1, 1)).await.is_err());
    assert!(log.mark().reached(0).await.is_err());
    log.close().await;
}

#[tokio::test]
async fn the_file_opens_again_after_a_close_although_handles_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let mut log = open_log(&path).unwrap();
    assert!(matches!(open_log(&path), Err(StorageError::Database { .. })), "the file is locked");
    log.save_vote(&vote(3)).await.unwrap();
    log.clone().close().await;
    assert!(log.save_vote(&vote(4)).await.is_err());
    let mut again = open_log(&path).unwrap();
    assert_eq!(again.read_vote().await.unwrap(), Some(vote(3)));
}

#[tokio::test]
async fn the_lock_goes_with_the_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let log = open_log(&path).unwrap();
    drop(log.clone());
    drop(log);
    until(|| open_log(&path).is_ok()).await;
}

#[tokio::test]
async fn nothing_stale_is_read_after_a_truncation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let mut log = open_log(&path).unwrap();
    log.blocking_append(blanks(1, 0..10)).await.unwrap();
    log.close().await;
    // Nothing is in memory now: the entries are read from the disk, where they stay until the next commit.
    let mut log = open_log(&path).unwrap();
    log.truncate_after(Some(log_id(1, 3))).await.unwrap();
    assert_eq!(entries(&log).await, blanks(1, 0..4));
    let told = begin_append(&mut log, blanks(2, 4..6)).await;
    let expected: Vec<_> = blanks(1, 0..4).into_iter().chain(blanks(2, 4..6)).collect();
    assert_eq!(entries(&log).await, expected, "some from the disk, some from memory");
    told.await.unwrap();
    assert_eq!(log.try_get_log_entries(2..5).await.unwrap(), expected[2..5]);
    log.purge(log_id(1, 2)).await.unwrap();
    assert_eq!(entries(&log).await, expected[3..]);
    log.close().await;
    let mut log = open_log(&path).unwrap();
    assert_eq!(entries(&log).await, expected[3..]);
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(1, 2)), Some(log_id(2, 5))));
}

#[tokio::test]
async fn an_entry_out_of_order_is_refused() {
    let mut log = LogStore::with_backend(Disk::default()).unwrap();
    log.blocking_append(blanks(1, 0..3)).await.unwrap();
    assert!(log.blocking_append([blank(1, 4)]).await.is_err());
    assert!(log.blocking_append([blank(1, 2)]).await.is_err());
    log.blocking_append([blank(1, 3)]).await.unwrap();
    assert_eq!(entries(&log).await, blanks(1, 0..4));
}

#[tokio::test]
async fn entries_are_applied_once_they_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let mut log = LogStore::with_backend(disk.clone()).unwrap();
    let mut state = open_state(dir.path(), log.mark()).unwrap();
    let view = state.view();
    disk.hold();
    let told = begin_append(&mut log, vec![note(1, 0, "a", "1")]).await;
    until(|| disk.is_waiting()).await;
    let mut applied = Box::pin(apply(&mut state, entries(&log).await));
    assert!((&mut applied).now_or_never().is_none());
    assert_eq!(view.last_applied(), None);
    disk.release();
    applied.await;
    told.await.unwrap();
    view.wait_applied(0).await;
    assert_eq!(note_text(&view, "a").as_deref(), Some("1"));
}

#[tokio::test]
async fn what_is_truncated_is_not_durable_any_more() {
    let disk = Disk::default();
    let mut log = LogStore::with_backend(disk.clone()).unwrap();
    log.blocking_append(blanks(1, 0..10)).await.unwrap();
    let is_durable = |index: u64, log: &LogStore| log.mark().reached(index).now_or_never().is_some();
    assert!(is_durable(9, &log));
    disk.hold();
    log.truncate_after(Some(log_id(1, 4))).await.unwrap();
    let told = begin_append(&mut log, blanks(2, 5..8)).await;
    assert!(is_durable(4, &log) && !is_durable(5, &log));
    until(|| disk.is_waiting()).await;
    disk.release();
    told.await.unwrap();
    log.mark().reached(7).await.unwrap();
    assert!(!is_durable(8, &log));
}

/// Applies a forbidden change to the file and returns the error of opening the log.
async fn damaged(change: impl FnOnce(&redb::WriteTransaction)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let mut log = open_log(&path).unwrap();
    log.save_vote(&vote(1)).await.unwrap();
    log.blocking_append(blanks(1, 0..5)).await.unwrap();
    log.close().await;
    let database = Database::open(&path).unwrap();
    let transaction = begin_durable(&database).unwrap();
    change(&transaction);
    transaction.commit().unwrap();
    drop(database);
    in_full(&open_log(&path).map(drop).unwrap_err())
}

#[tokio::test]
async fn damage_is_named_and_not_skipped() {
    let flipped = damaged(|transaction| {
        let mut table = transaction.open_table(ENTRIES).unwrap();
        let mut record = table.get(2).unwrap().unwrap().value().to_vec();
        *record.last_mut().unwrap() ^= 1;
        table.insert(2, record.as_slice()).unwrap();
    });
    let flipped = flipped.await;
    assert!(flipped.starts_with("cannot read entry 2 of the log: damaged record: checksum"), "{flipped}");
    let missing = damaged(|transaction| drop(transaction.open_table(ENTRIES).unwrap().remove(2).unwrap()));
    assert_eq!(missing.await, "log entry 3 found in place of entry 2");
    let newer = damaged(|transaction| {
        let mut table = transaction.open_table(META).unwrap();
        let mut record = table.get(VOTE).unwrap().unwrap().value().to_vec();
        record[0] = 4;
        table.insert(VOTE, record.as_slice()).unwrap();
    });
    assert_eq!(newer.await, "cannot read the vote: record version 4; this release reads versions 1 to 3");
}

#[tokio::test]
async fn a_damaged_page_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let mut log = open_log(&path).unwrap();
    log.blocking_append([note(1, 0, "a", "find me in the file")]).await.unwrap();
    log.close().await;
    let mut bytes = fs::read(&path).unwrap();
    let needle = b"find me in the file";
    let places: Vec<_> =
        bytes.windows(needle.len()).enumerate().filter(|(_, w)| w == needle).map(|(at, _)| at).collect();
    for at in places {
        bytes[at] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
    let error = open_log(&path).map(drop).unwrap_err();
    assert!(error.is_damage(), "{}", in_full(&error));
}
