//! Building, transferring and installing snapshots.

use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};

use super::super::snapshot::MAX_SNAPSHOT_BYTES;
use super::*;

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join(SNAPSHOT_DIR)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Transfers a snapshot in chunks.
fn receive(dir: &Path, snapshot: &SnapshotFile) -> SnapshotFile {
    let mut receiver = SnapshotReceiver::create(&dir.join(SNAPSHOT_DIR), snapshot.len_bytes()).unwrap();
    while receiver.received_bytes() < snapshot.len_bytes() {
        receiver.write(&snapshot.read_at(receiver.received_bytes(), 100).unwrap()).unwrap();
    }
    receiver.finish().unwrap()
}

#[tokio::test]
async fn entries_are_applied_while_a_snapshot_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [membership(1, 0, [1, 2, 3]), note(1, 1, "a", "old")]).await;
    let mut builder = state.get_snapshot_builder().await;
    apply(&mut state, [note(1, 2, "a", "new"), note(1, 3, "b", "new")]).await;
    let taken = builder.build_snapshot().await.unwrap();
    assert_eq!(taken.meta.last_log_id, Some(log_id(1, 1)));
    assert_eq!(state.get_current_snapshot().await.unwrap().unwrap().meta, taken.meta);
    assert_eq!(note_text(&state.view(), "b").as_deref(), Some("new"));

    let other = tempfile::tempdir().unwrap();
    let mut follower = state_in(other.path());
    let received = receive(other.path(), &taken.snapshot);
    follower.install_snapshot(&taken.meta, received).await.unwrap();
    let view = follower.view();
    assert_eq!(note_text(&view, "a").as_deref(), Some("old"));
    assert_eq!(note_text(&view, "b"), None);
    assert_eq!((view.last_applied(), view.largest_voter_set()), (Some(log_id(1, 1)), 3));
    view.wait_applied(1).await;
    assert_eq!(names(other.path()), ["1-1.snap"]);

    // The snapshot belongs to the follower now, after a restart too.
    view.close().await;
    let mut follower = state_in(other.path());
    assert_eq!(note_text(&follower.view(), "a").as_deref(), Some("old"));
    assert_eq!(follower.get_current_snapshot().await.unwrap().unwrap().meta, taken.meta);
}

#[tokio::test]
async fn installing_replaces_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [membership(1, 0, [1, 2, 3, 4, 5]), note(1, 1, "mine", "1")]).await;
    build(&mut state).await;
    let other = tempfile::tempdir().unwrap();
    let mut leader = state_in(other.path());
    apply(&mut leader, [membership(1, 0, [1, 2, 3]), note(2, 8, "theirs", "2")]).await;
    let snapshot = build(&mut leader).await;
    let received = receive(dir.path(), &snapshot);
    state.install_snapshot(snapshot.meta(), received).await.unwrap();
    assert_eq!(names(dir.path()), ["8-2.snap"]);
    state.view().close().await;
    let state = state_in(dir.path());
    let view = state.view();
    assert_eq!((note_text(&view, "mine"), note_text(&view, "theirs").as_deref()), (None, Some("2")));
    assert_eq!(view.largest_voter_set(), 5, "the greatest of both");
}

#[tokio::test]
async fn only_the_newest_is_kept_and_handles_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [note(1, 0, "a", "1")]).await;
    let first = build(&mut state).await;
    let mut late = state.get_snapshot_builder().await;
    apply(&mut state, [note(1, 1, "a", "2")]).await;
    let second = build(&mut state).await;
    assert_eq!(names(dir.path()), ["1-1.snap"]);
    assert_eq!(first.read_at(0, usize::MAX).unwrap().len() as u64, first.len_bytes());
    first.rows(|_| Ok(())).unwrap();
    // A builder with an outdated view returns the newer snapshot.
    assert_eq!(&late.build_snapshot().await.unwrap().meta, second.meta());
    assert_eq!(names(dir.path()), ["1-1.snap"]);
    let again = build(&mut state).await;
    assert_eq!(again.meta(), second.meta());
    assert_eq!(names(dir.path()), ["1-1.snap"]);
    second.rows(|_| Ok(())).unwrap();
}

#[tokio::test]
async fn what_is_not_installed_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [note(1, 0, "a", "1")]).await;
    let snapshot = build(&mut state).await;
    let snapshots = state.snapshot_dir();
    let received = receive(dir.path(), &snapshot);
    assert_eq!(names(dir.path()).len(), 2);
    drop(received);
    let mut unfinished = SnapshotReceiver::create(snapshots, snapshot.len_bytes()).unwrap();
    unfinished.write(b"STEG").unwrap();
    assert_eq!(names(dir.path()).len(), 2);
    drop(unfinished);
    fs::write(snapshots.join("incoming-0.tmp"), "left over").unwrap();
    fs::write(snapshots.join("9-1.tmp"), "left over").unwrap();
    state.view().close().await;
    let _state = state_in(dir.path());
    assert_eq!(names(dir.path()), ["0-1.snap"]);
}

#[tokio::test]
async fn a_receiver_takes_what_was_announced() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [note(1, 0, "a", "1")]).await;
    let snapshot = build(&mut state).await;
    let snapshots = state.snapshot_dir();
    let bytes = snapshot.read_at(0, usize::MAX).unwrap();
    assert!(snapshot.read_at(snapshot.len_bytes(), 10).unwrap().is_empty());

    let too_long = SnapshotReceiver::create(snapshots, MAX_SNAPSHOT_BYTES + 1).map(drop);
    assert!(matches!(too_long, Err(SnapshotError::TooLong { max: MAX_SNAPSHOT_BYTES })));
    let mut receiver = SnapshotReceiver::create(snapshots, 10).unwrap();
    assert!(matches!(receiver.write(&bytes), Err(SnapshotError::TooLong { max: 10 })));
    receiver.write(&bytes[..9]).unwrap();
    let incomplete = receiver.finish().map(drop);
    assert!(matches!(incomplete, Err(SnapshotError::Incomplete { expected: 10, received: 9 })));

    let mut receiver = SnapshotReceiver::create(snapshots, bytes.len() as u64).unwrap();
    receiver.write(&bytes[..bytes.len() - 1]).unwrap();
    receiver.write(&[bytes[bytes.len() - 1] ^ 1]).unwrap();
    let damaged = receiver.finish().map(drop);
    assert!(matches!(damaged, Err(SnapshotError::Damaged { what: "checksum mismatch" })));
    assert_eq!(names(dir.path()), ["0-1.snap"]);
}

#[tokio::test]
async fn an_older_or_another_snapshot_is_not_installed() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [note(1, 0, "a", "1")]).await;
    let old = build(&mut state).await;
    apply(&mut state, [note(1, 1, "a", "2")]).await;
    assert!(state.install_snapshot(old.meta(), old.clone()).await.is_err());
    let mut announced = old.meta().clone();
    announced.last_log_id = Some(log_id(1, 5));
    assert!(state.install_snapshot(&announced, old).await.is_err());
    assert_eq!(note_text(&state.view(), "a").as_deref(), Some("2"));
}

/// Opens a state with a room under the test's control.
fn state_with_room(dir: &Path) -> (StateMachine, Arc<DiskSpace>) {
    let disk = Arc::new(DiskSpace::unlimited());
    (StateMachine::open(dir, DurabilityWatch::everything(), disk.clone()).unwrap(), disk)
}

/// Makes a folder unwritable, even for root, by a file in place of the folder.
fn break_folder(dir: &Path) -> impl Fn() + use<> {
    let (folder, away) = (dir.join(SNAPSHOT_DIR), dir.join("away"));
    fs::rename(&folder, &away).unwrap();
    fs::write(&folder, "").unwrap();
    move || {
        fs::remove_file(&folder).unwrap();
        fs::rename(&away, &folder).unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_is_no_error_to_openraft() {
    let dir = tempfile::tempdir().unwrap();
    let (mut state, disk) = state_with_room(dir.path());
    apply(&mut state, [note(1, 0, "a", "1")]).await;
    let mend = break_folder(dir.path());
    let mut builder = state.try_create_snapshot_builder(false).await.unwrap();
    let empty = builder.build_snapshot().await.unwrap();
    assert_eq!((empty.meta.last_log_id, empty.snapshot.len_bytes()), (None, 0));
    assert!(state.get_current_snapshot().await.unwrap().is_none(), "nothing is no snapshot to send");
    let trouble = disk.snapshot_trouble().unwrap();
    assert!(trouble.file.ends_with("snapshots") && trouble.error.contains("Not a directory"), "{trouble:?}");
    // Deferred for a while.
    assert!(state.try_create_snapshot_builder(false).await.is_none());
    assert!(!disk.snapshot_is_due());
    mend();
    // A forced snapshot is built nonetheless.
    let first = state.try_create_snapshot_builder(true).await.unwrap().build_snapshot().await.unwrap();
    assert_eq!((first.meta.last_log_id, disk.snapshot_trouble()), (Some(log_id(1, 0)), None));

    apply(&mut state, [note(1, 1, "a", "2")]).await;
    let mend = break_folder(dir.path());
    let mut builder = state.try_create_snapshot_builder(false).await.unwrap();
    assert_eq!(builder.build_snapshot().await.unwrap().meta, first.meta, "no progress");
    mend();
    assert_eq!(state.get_current_snapshot().await.unwrap().unwrap().meta, first.meta);
}

#[tokio::test]
async fn no_snapshot_is_begun_without_room() {
    let dir = tempfile::tempdir().unwrap();
    let (mut state, disk) = state_with_room(dir.path());
    apply(&mut state, [note(1, 0, "a", "1")]).await;
    disk.set_free_bytes(4 << 20);
    assert!(state.try_create_snapshot_builder(false).await.is_none());
    let trouble = disk.snapshot_trouble().unwrap();
    assert!(trouble.error.contains("bytes of the disk are free"), "{trouble:?}");
    assert!(!disk.snapshot_is_due());
    disk.set_free_bytes(1 << 30);
    assert!(disk.snapshot_is_due());
    let built = state.try_create_snapshot_builder(false).await.unwrap().build_snapshot().await.unwrap();
    assert_eq!((built.meta.last_log_id, disk.snapshot_trouble()), (Some(log_id(1, 0)), None));
    assert!(!disk.snapshot_is_due());
}
