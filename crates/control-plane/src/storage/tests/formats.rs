//! The formats on disk, pinned by files under `tests/golden`.
//!
//! A changed format needs a new form, an upgrade from the previous form ([`crate::format`]), and separate
//! files; with `WRITE_GOLDEN=1` set, the tests write the files.

use std::path::PathBuf;

use super::super::applied::{Applied, Progress};
use super::super::log::record_of;
use super::super::record::{self, RecordError};
use super::super::snapshot::{self, Header};
use super::*;
use crate::catalog::{Context, StoredCommand};
use crate::format::{Activated, FormatVersion};
use crate::types::SnapshotMeta;

fn golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        fs::write(&path, bytes).unwrap();
    }
    let pinned = fs::read(&path).unwrap();
    assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(&pinned), "{name}");
    assert_eq!(bytes, pinned, "{name}");
}

fn progress() -> Progress {
    let mut applied = Applied::default();
    applied.progress.last_applied = Some(log_id(3, 17));
    applied.progress.largest_voter_set = 3;
    let EntryPayload::Membership(members) = membership(2, 9, [1, 2, 3]).payload else { unreachable!() };
    applied.progress.membership = crate::types::StoredMembership::new(Some(log_id(2, 9)), members);
    applied.progress
}

#[test]
fn records() {
    golden("storage-vote.record", &record::encode(&vote(7)));
    golden("storage-log-id.record", &record::encode(&log_id(3, 17)));
    golden("storage-entry-blank.record", &record::encode(&blank(3, 17)));
    golden("storage-entry-command.record", &record_of(&note(3, 18, "greeting", "hello")));
    golden("storage-entry-membership.record", &record::encode(&membership(3, 19, [1, 2, 3])));
    golden("storage-progress.record", &progress().record());
}

#[test]
fn records_of_version_2() {
    golden("storage-entry-activate-v2.record", &record_of(&activate(3, 20, 2)));
    golden("storage-entry-command-v2.record", &record_of(&in_version_2(note(3, 18, "greeting", "hello"))));
    golden("storage-progress-v2.record", &activated(progress()).record());
    for entry in [activate(3, 20, 2), in_version_2(note(3, 18, "greeting", "hello")), newer(3, 21)] {
        assert_eq!(record::decode::<Entry>(&record_of(&entry)).unwrap(), entry);
    }
    assert_eq!(Progress::of(&activated(progress()).record()).unwrap(), activated(progress()));
}

/// A record of a later release, with any body, names the required release; release 0.1 refused such records
/// by the version alone.
#[test]
fn a_record_of_a_newer_release_names_it() {
    let newer = record::encode_for(FormatVersion::new(9), "1.7", b"\x00 not even JSON");
    let error = record::decode::<Vote>(&newer).unwrap_err();
    assert!(error.is_of_another_release());
    assert_eq!(
        error.to_string(),
        "a record has version 9, and this release reads versions 1 to 3; release 1.7 or a newer one is needed"
    );
    for at in 1..newer.len() {
        let mut bad = newer.clone();
        bad[at] ^= 0x10;
        assert!(matches!(record::body(&bad), Err(RecordError::UnknownVersion { found: 9 })), "byte {at}");
    }
    let known = record::encode_in(FormatVersion::SECOND, &vote(7));
    assert_eq!(&known[5..9], b"\x030.2");
    for at in 0..known.len() {
        let mut bad = known.clone();
        bad[at] ^= 0x10;
        assert!(record::decode::<Vote>(&bad).is_err(), "byte {at}");
        assert!(record::decode::<Vote>(&known[..at]).is_err(), "cut at {at}");
    }
}

fn in_version_2(entry: Entry) -> Entry {
    let EntryPayload::Normal(command) = &entry.payload else { unreachable!() };
    let command = StoredCommand::new(command.command().unwrap().clone(), FormatVersion::SECOND);
    Entry { payload: EntryPayload::Normal(command), ..entry }
}

fn activated(progress: Progress) -> Progress {
    Progress { activated: Activated::of(FormatVersion::SECOND), ..progress }
}

#[test]
fn records_come_back() {
    for entry in [blank(3, 17), note(3, 18, "greeting", "hello"), membership(3, 19, [1, 2, u64::MAX])] {
        assert_eq!(record::decode::<Entry>(&record_of(&entry)).unwrap(), entry);
    }
    assert_eq!(record::decode::<Vote>(&record::encode(&vote(7))).unwrap(), vote(7));
    assert_eq!(Progress::of(&progress().record()).unwrap(), progress());
}

/// The published check value of CRC-32 covers the digits only; here a version byte comes first.
#[test]
fn the_checksum_is_that_of_zlib() {
    // python3 -c 'import zlib; print(hex(zlib.crc32(b"\x01123456789")))'
    assert_eq!(record::encode_text(FormatVersion::FIRST, b"123456789"), b"\x01\x21\xb5\x2e\xc0123456789");
}

#[test]
fn every_damaged_byte_of_a_record_is_found() {
    let good = record::encode(&vote(7));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(record::decode::<Vote>(&bad).is_err(), "byte {at}");
        assert!(record::decode::<Vote>(&good[..at]).is_err(), "cut at {at}");
    }
    let mut newer = good;
    newer[0] = 4;
    let error = record::body(&newer).unwrap_err();
    assert!(matches!(error, RecordError::UnknownVersion { found: 4 }));
    assert_eq!(error.to_string(), "record version 4; this release reads versions 1 to 3");
}

fn header() -> Header {
    let Progress { last_applied, membership, largest_voter_set, activated } = progress();
    Header {
        meta: SnapshotMeta { last_log_id: last_applied, last_membership: membership },
        largest_voter_set,
        activated,
    }
}

fn snapshot_in(dir: &Path) -> SnapshotFile {
    let mut catalog = crate::catalog::Catalog::default();
    for (index, name) in [(10, "b"), (11, "a")] {
        let EntryPayload::Normal(command) = note(1, index, name, "text").payload else { unreachable!() };
        let (members, mut activated) = (BTreeSet::new(), Activated::default());
        let context = Context { index, members: &members, activated: &mut activated };
        catalog.apply(command.command().unwrap(), context);
    }
    let rows = catalog.rows().map(Ok::<_, std::io::Error>);
    let written = snapshot::write(dir, &header(), rows).unwrap();
    snapshot::publish(dir, &written).unwrap()
}

#[test]
fn snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = snapshot_in(dir.path());
    let bytes = snapshot.read_at(0, usize::MAX).unwrap();
    assert_eq!(bytes.len() as u64, snapshot.len_bytes());
    golden("storage-snapshot.snap", &bytes);
    let mut rows = Vec::new();
    let read = snapshot.rows(|row| {
        rows.push((row.table.name(), row.key.clone()));
        Ok(())
    });
    assert_eq!(read.unwrap(), header());
    let expected =
        [("settings", "note.a"), ("settings", "note.b"), ("requests", "key-10"), ("requests", "key-11")];
    assert_eq!(rows, expected.map(|(table, key)| (table, key.to_owned())));
}

#[test]
fn snapshots_of_version_2() {
    let dir = tempfile::tempdir().unwrap();
    let header = Header { activated: Activated::of(FormatVersion::SECOND), ..header() };
    let mut catalog = crate::catalog::Catalog::default();
    let (members, mut version) = (BTreeSet::from([RaftId::from(1)]), Activated::default());
    let EntryPayload::Normal(command) = activate(3, 16, 2).payload else { unreachable!() };
    let context = Context { index: 16, members: &members, activated: &mut version };
    catalog.apply(command.command().unwrap(), context);
    let rows = catalog.rows().map(Ok::<_, std::io::Error>);
    let snapshot = snapshot::write(dir.path(), &header, rows).unwrap();
    let bytes = snapshot.read_at(0, usize::MAX).unwrap();
    golden("storage-snapshot-v2.snap", &bytes);
    let mut restored = crate::catalog::Catalog::default();
    assert_eq!(snapshot.rows(|row| Ok(restored.restore(row)?)).unwrap(), header);
    assert_eq!(restored, catalog);
}

/// Returns a snapshot of release 1.7, in the form of version 2.
pub(crate) fn newer_snapshot() -> Vec<u8> {
    let newer = Activated { version: FormatVersion::new(9), release: "1.7".to_owned() };
    let header = Header { activated: newer, ..header() };
    let row = crate::catalog::Row {
        table: crate::catalog::Table::Settings,
        key: "note.a".to_owned(),
        value: Some(r#"{"v":9,"row":{}}"#.to_owned()),
    };
    let mut bytes = Vec::new();
    snapshot::write_to(&mut bytes, &header, std::iter::once(Ok::<_, std::io::Error>(row))).unwrap();
    bytes
}

#[test]
fn a_snapshot_of_a_newer_release_names_it() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), newer_snapshot());
    let path = dir.path().join("newer.snap");
    // In a form known to this release, and in an unknown form.
    for version in [2u32, 9] {
        let mut bytes = bytes.clone();
        bytes[8..12].copy_from_slice(&version.to_be_bytes());
        fs::write(&path, bytes).unwrap();
        let error = SnapshotFile::open(path.clone()).unwrap_err();
        assert!(!error.is_damage(), "{error}");
        assert!(error.to_string().ends_with("release 1.7 or a newer one is needed"), "{error}");
    }
}

#[test]
fn every_damaged_byte_of_a_snapshot_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let good = snapshot_in(dir.path()).read_at(0, usize::MAX).unwrap();
    let path = dir.path().join("bad.snap");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        SnapshotFile::open(path.clone())
    };
    open(&good).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(open(&bad).is_err(), "byte {at}");
        assert!(open(&good[..at]).unwrap_err().is_damage(), "cut at {at}");
    }
    assert!(open(&[&good[..], b"x"].concat()).is_err(), "something after the end");
    let mut newer = good;
    newer[8..12].copy_from_slice(&4u32.to_be_bytes());
    let error = open(&newer).unwrap_err();
    assert!(!error.is_damage());
    assert_eq!(error.to_string(), "a snapshot of version 4; this release reads versions 1 to 3");
}
