//! Logs that were emptied, cut, exchanged or damaged, and the marks in the log.

use std::os::unix::fs::FileExt;

use openraft::StorageHelper;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use rand::{RngExt, SeedableRng};

use super::*;
use crate::marks::{Mark, Marks};

const MEMBER: LogOwner = LogOwner { raft_id: RaftId::UNKNOWN, is_member: true };
/// The same directory, before the node belonged to a cluster.
const FRESH: LogOwner = LogOwner { is_member: false, ..MEMBER };

async fn close(storage: Storage) {
    storage.log.close().await;
    storage.state.view().close().await;
}

/// Opens all files as those of a member; an error is one line.
fn open_as(dir: &Path, owner: LogOwner) -> Result<Storage, (bool, String)> {
    let opened = super::super::open(dir, u64::MAX, owner).map_err(|unopened| unopened.error);
    opened.map_err(|error| (error.loses_log(), in_full(&error)))
}

/// Returns the error of opening, of a log that is lost for good.
fn loss(dir: &Path, owner: LogOwner) -> String {
    let (is_loss, text) = open_as(dir, owner).map(drop).unwrap_err();
    assert!(is_loss, "{text}");
    text
}

/// Creates a node with a vote and applied entries up to 9.
async fn lived_in(dir: &Path) {
    let mut storage = open_as(dir, FRESH).unwrap();
    let mut log = vec![membership(1, 0, [1, 2, 3])];
    log.extend((1..10).map(|index| note(1, index, "a", &index.to_string())));
    storage.log.save_vote(&vote(1)).await.unwrap();
    storage.log.blocking_append(log.clone()).await.unwrap();
    storage.log.save_committed(Some(log_id(1, 9))).await.unwrap();
    apply(&mut storage.state, log).await;
    close(storage).await;
}

#[tokio::test]
async fn an_emptied_log_is_told_from_one_never_begun() {
    let dir = tempfile::tempdir().unwrap();
    close(open_as(dir.path(), FRESH).unwrap()).await;
    // A node that has joined, and has not received anything yet.
    close(open_as(dir.path(), MEMBER).unwrap()).await;
    for content in [&b""[..], &[0; 4096], b"not a database"] {
        fs::write(dir.path().join(LOG_FILE), content).unwrap();
        loss(dir.path(), MEMBER);
    }
    fs::remove_file(dir.path().join(LOG_FILE)).unwrap();
    // A new log in its place, by hand.
    drop(redb::Database::create(dir.path().join(LOG_FILE)).unwrap());
    let text = loss(dir.path(), MEMBER);
    assert!(text.starts_with("the log is empty, although this node had begun it"), "{text}");
}

#[tokio::test]
async fn the_log_of_another_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    lived_in(dir.path()).await;
    let other = LogOwner { raft_id: RaftId::from(0xa5), is_member: true };
    let text = loss(dir.path(), other);
    let expected = "the log belongs to the data directory 0000000000000000, not to 00000000000000a5";
    assert_eq!(text, expected);
    close(open_as(dir.path(), MEMBER).unwrap()).await;
}

/// A directory of an earlier release has no binding; its first start makes one.
#[tokio::test]
async fn the_log_of_an_earlier_release_is_bound_at_its_first_start() {
    let dir = tempfile::tempdir().unwrap();
    lived_in(dir.path()).await;
    let database = redb::Database::open(dir.path().join(LOG_FILE)).unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let transaction = database.begin_write().unwrap();
    assert!(transaction.open_table(meta).unwrap().remove("directory").unwrap().is_some());
    transaction.commit().unwrap();
    drop(database);
    let owner = LogOwner { raft_id: RaftId::from(7), is_member: true };
    close(open_as(dir.path(), owner).unwrap()).await;
    close(open_as(dir.path(), owner).unwrap()).await;
    assert!(loss(dir.path(), MEMBER).contains("belongs to the data directory 0000000000000007"));
}

#[tokio::test]
async fn a_log_that_ends_before_the_applied_entry_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open_as(dir.path(), FRESH).unwrap();
    let log: Vec<_> = (0..5).map(|index| note(1, index, "a", "1")).collect();
    storage.log.save_vote(&vote(1)).await.unwrap();
    storage.log.blocking_append(log.clone()).await.unwrap();
    apply(&mut storage.state, log).await;
    close(storage).await;
    let copy = fs::read(dir.path().join(LOG_FILE)).unwrap();
    let mut storage = open_as(dir.path(), MEMBER).unwrap();
    let more: Vec<_> = (5..9).map(|index| note(1, index, "a", "2")).collect();
    storage.log.blocking_append(more.clone()).await.unwrap();
    apply(&mut storage.state, more).await;
    close(storage).await;
    fs::write(dir.path().join(LOG_FILE), copy).unwrap();
    let text = loss(dir.path(), MEMBER);
    assert!(text.starts_with("the log ends at 1.4, although entry 1.8 was applied"), "{text}");
}

/// Copies the files of a directory, as after a kill at this moment.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join(SNAPSHOT_DIR)).unwrap();
    for folder in [Path::new(""), Path::new(SNAPSHOT_DIR)] {
        for entry in fs::read_dir(from.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// A crash during the installation of a snapshot leaves the log behind the state, which is no loss: before
/// the snapshot is published, with the state replaced, and with the log purged.
#[tokio::test]
async fn a_crash_at_each_step_of_an_installation_loses_nothing() {
    let other = tempfile::tempdir().unwrap();
    let mut source = open_as(other.path(), FRESH).unwrap();
    let long: Vec<_> = (0..30).map(|index| note(1, index, "a", &index.to_string())).collect();
    source.log.blocking_append(long.clone()).await.unwrap();
    apply(&mut source.state, long).await;
    let snapshot = build(&mut source.state).await;

    let dir = tempfile::tempdir().unwrap();
    lived_in(dir.path()).await;
    let steps: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    copy(dir.path(), steps[0].path());
    // Published, and the state as before.
    copy(dir.path(), steps[1].path());
    for entry in fs::read_dir(other.path().join(SNAPSHOT_DIR)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), steps[1].path().join(SNAPSHOT_DIR).join(entry.file_name())).unwrap();
    }
    // The state replaced, and the log as before.
    let mut storage = open_as(dir.path(), MEMBER).unwrap();
    storage.state.install_snapshot(&snapshot.meta().clone(), snapshot.clone()).await.unwrap();
    close(storage).await;
    copy(dir.path(), steps[2].path());
    for (step, dir) in steps.iter().enumerate() {
        let mut storage =
            open_as(dir.path(), MEMBER).unwrap_or_else(|error| panic!("step {step}: {error:?}"));
        let mut helper = StorageHelper::new(&mut storage.log, &mut storage.state).with_id(RaftId::from(1));
        helper.get_initial_state().await.unwrap();
        let own = storage.log.own_mark();
        assert!(own.last >= Some(log_id(1, 9)), "step {step}: {own:?}");
        assert!(!own.is_behind(&Mark { term: 1, voted_for: None, committed: Some(log_id(1, 9)) }));
        assert_eq!(storage.log.last() >= Some(log_id(1, 29)), step > 0, "step {step}");
        close(storage).await;
    }
}

#[tokio::test]
async fn marks_are_written_with_the_next_commit_and_only_rise() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let (a, b) = (RaftId::from(8), RaftId::from(9));
    let mark = |term, index| Mark { term, voted_for: Some(a), committed: Some(log_id(term, index)) };
    let mut log = open_log(&path).unwrap();
    log.raise_marks(&[(a, mark(1, 3)), (b, mark(2, 5)), (a, mark(1, 2))]);
    assert_eq!(log.mark_of(a), Some(mark(1, 3)));
    log.save_vote(&vote(3)).await.unwrap();
    log.raise_marks(&[(a, mark(3, 4))]);
    log.close().await;
    let log = open_log(&path).unwrap();
    let mut expected = Marks::default();
    expected.raise(a, &mark(1, 3));
    expected.raise(b, &mark(2, 5));
    assert_eq!(log.marks(), expected, "the last rise was followed by no commit");
    log.close().await;
}

/// The mark names only what a kill at the same moment would leave: a flushed vote, and an entry both flushed
/// and committed.
#[tokio::test]
async fn the_own_mark_is_never_ahead_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open_as(dir.path(), FRESH).unwrap();
    let mut random = rand::rngs::StdRng::seed_from_u64(18);
    let (mut next, mut term, mut committed) = (0, 1, 0);
    storage.log.save_vote(&vote(term)).await.unwrap();
    for round in 0..60 {
        match random.random_range(0..4) {
            0 => {
                term += 1;
                storage.log.save_vote(&vote(term)).await.unwrap();
                storage.log.save_vote(&confirmed(term)).await.unwrap();
            }
            1 if committed > 0 && next > committed => {
                // The uncommitted tail gives way to another leader's.
                storage.log.truncate_after(Some(log_id_at(&storage, committed - 1).await)).await.unwrap();
                next = committed;
            }
            2 if next > 0 => {
                committed = random.random_range(committed..=next).max(1);
                let last = log_id_at(&storage, committed - 1).await;
                storage.log.save_committed(Some(last)).await.unwrap();
            }
            _ => {
                let batch: Vec<_> = (next..next + 3).map(|index| note(term, index, "a", "1")).collect();
                next += 3;
                storage.log.blocking_append(batch).await.unwrap();
            }
        }
        let own = storage.log.own_mark();
        let killed = tempfile::tempdir().unwrap();
        copy(dir.path(), killed.path());
        let found = open_as(killed.path(), MEMBER).unwrap();
        let left = found.log.own_mark();
        assert!(!left.is_behind(&own.mark), "round {round}: {own:?}, then {left:?}");
        close(found).await;
    }
    close(storage).await;
}

async fn log_id_at(storage: &Storage, index: u64) -> LogId {
    storage.log.clone().try_get_log_entries(index..=index).await.unwrap()[0].log_id
}

/// Number of rounds with random damage: more with the environment variable.
fn rounds() -> u64 {
    std::env::var("STEG_DAMAGE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(60)
}

/// Truncates or flips bytes of each stored file: the storage opens with nothing applied that was not written,
/// or the log is lost for good. Never a panic.
#[tokio::test]
async fn random_damage_is_found_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    lived_in(dir.path()).await;
    let mut storage = open_as(dir.path(), MEMBER).unwrap();
    build(&mut storage.state).await;
    storage.log.purge(log_id(1, 4)).await.unwrap();
    close(storage).await;
    let snapshot = format!("{SNAPSHOT_DIR}/9-1.snap");
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    for round in 0..rounds() {
        let harmed = tempfile::tempdir().unwrap();
        copy(dir.path(), harmed.path());
        let file = [LOG_FILE, STATE_FILE, snapshot.as_str()][(round % 3) as usize];
        let path = harmed.path().join(file);
        let len = fs::metadata(&path).unwrap().len();
        let writable = fs::OpenOptions::new().write(true).read(true).open(&path).unwrap();
        if random.random() {
            writable.set_len(random.random_range(0..len)).unwrap();
        } else {
            for _ in 0..random.random_range(1..20) {
                let at = random.random_range(0..len);
                let mut byte = [0];
                writable.read_exact_at(&mut byte, at).unwrap();
                writable.write_all_at(&[byte[0] ^ (1 << random.random_range(0..8))], at).unwrap();
            }
        }
        drop(writable);
        match open_as(harmed.path(), MEMBER) {
            Ok(mut storage) => {
                let mut helper =
                    StorageHelper::new(&mut storage.log, &mut storage.state).with_id(RaftId::from(1));
                helper.get_initial_state().await.unwrap();
                let view = storage.state.view();
                let expected = view.last_applied().map(|id| id.index.to_string());
                assert_eq!(note_text(&view, "a"), expected, "round {round}: a wrong value, {file}");
                close(storage).await;
            }
            // A version of another release is no damage; the file stays.
            Err((false, text)) if text.contains("this release reads versions") => {}
            Err((is_loss, text)) => {
                assert!(is_loss && file == LOG_FILE, "round {round}: {file}: {text}");
            }
        }
    }
}
