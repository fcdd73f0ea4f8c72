//! The data directory of release 0.1 under `tests/fixtures`, written once by the `server` of release 0.1.
//!
//! A cluster of one node with `snapshot_every: 100` and `max_log_bytes: 1048576`: three settings, a deleted
//! note, 130 writes of seven notes, one more after the snapshot, then SIGKILL.

use openraft::StorageHelper;
use openraft::storage::RaftLogStorage;

use super::*;
use crate::format::Activated;

const FILES: [&str; 4] = ["identity.json", LOG_FILE, STATE_FILE, "snapshots/99-1.snap"];

/// Copies the directory, for tests with changes to the files.
pub(crate) fn copy_to(dir: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/release-0.1");
    fs::create_dir_all(dir.join(SNAPSHOT_DIR)).unwrap();
    for file in FILES {
        fs::copy(fixture.join(file), dir.join(file)).unwrap();
    }
}

/// Activates version 4, unreadable by this release, in the cluster of the directory, in place of a newer
/// release.
pub(crate) async fn activate_beyond(dir: &Path) {
    let mut state = state_in(dir);
    let id = state.view().membership().membership().voter_ids().next().unwrap();
    let last = state.view().last_applied().unwrap();
    let entry = activate_for(id, last.leader_id.term, last.index + 1, 4);
    state.apply(stream::iter([Ok((entry, None))])).await.unwrap_err();
    state.view().close().await;
}

/// Checks the content of the directory, with any subset of the derived files present.
async fn check(dir: &Path) {
    let mut storage = open(dir).unwrap();
    let mut helper = StorageHelper::new(&mut storage.log, &mut storage.state).with_id(RaftId::from(1));
    helper.get_initial_state().await.unwrap();
    let view = storage.state.view();
    assert_eq!(storage.log.read_vote().await.unwrap().map(|vote| vote.leader_id.term), Some(1));
    let state = storage.log.get_log_state().await.unwrap();
    let index = |id: Option<LogId>| id.map(|id| id.index);
    assert_eq!((index(state.last_purged_log_id), index(state.last_log_id)), (Some(83), Some(137)));
    assert_eq!(entries(&storage.log).await.len(), 54);
    // The commit of the last entry was not recorded on the disk yet.
    assert_eq!(index(view.last_applied()), Some(136));
    assert_eq!((view.activated(), view.largest_voter_set()), (Activated::default(), 1));
    let keys = [
        "bits", "compress", "metadata", "note.0", "note.1", "note.2", "note.3", "note.4", "note.5", "note.6",
    ];
    view.catalog(|catalog| {
        let set = keys.map(|key| catalog.setting(&key.parse().unwrap()).unwrap().version);
        assert_eq!(set, [2, 3, 4, 133, 134, 135, 136, 130, 131, 132]);
        let bits = catalog.setting(&SettingKey::Bits).unwrap();
        assert_eq!((&bits.value, &bits.previous), (&SettingValue::Number(2), &None));
        assert_eq!((bits.updated_by.authority, bits.updated_by.via.as_str()), (Authority::AdminToken, "n1"));
        assert_eq!((catalog.remembered_requests(), catalog.announcements().len()), (135, 0));
    });
    assert_eq!(note_text(&view, "0").as_deref(), Some("value 126"));
    storage.log.close().await;
    view.close().await;
}

#[tokio::test]
async fn the_directory_of_release_0_1_opens_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    copy_to(dir.path());
    check(dir.path()).await;
    // Again, after this release has opened the directory.
    check(dir.path()).await;
}

#[tokio::test]
async fn its_state_is_made_again_from_its_snapshot_and_log() {
    let dir = tempfile::tempdir().unwrap();
    copy_to(dir.path());
    fs::remove_file(dir.path().join(STATE_FILE)).unwrap();
    check(dir.path()).await;
}
