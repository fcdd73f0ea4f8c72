//! The formats on disk, pinned by files under `tests/golden`.
//!
//! A changed format needs a new version, and code that refuses or reads the old one; then, with `WRITE_GOLDEN=1` set,
//! the tests write the files.

use std::path::PathBuf;

use super::super::record::{self, RecordError};
use super::super::snapshot::{self, Header};
use super::super::state_file::Progress;
use super::super::view::Applied;
use super::*;
use crate::SnapshotMeta;

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
    applied.progress.membership = crate::StoredMembership::new(Some(log_id(2, 9)), members);
    applied.progress
}

#[test]
fn records() {
    golden("storage-vote.record", &record::encode(&vote(7)));
    golden("storage-log-id.record", &record::encode(&log_id(3, 17)));
    golden("storage-entry-blank.record", &record::encode(&blank(3, 17)));
    golden("storage-entry-command.record", &record::encode(&note(3, 18, "greeting", "hello")));
    golden("storage-entry-membership.record", &record::encode(&membership(3, 19, [1, 2, 3])));
    golden("storage-progress.record", &record::encode(&progress()));
}

#[test]
fn records_come_back() {
    for entry in [blank(3, 17), note(3, 18, "greeting", "hello"), membership(3, 19, [1, 2, u64::MAX])] {
        assert_eq!(record::decode::<Entry>(&record::encode(&entry)).unwrap(), entry);
    }
    assert_eq!(record::decode::<Vote>(&record::encode(&vote(7))).unwrap(), vote(7));
    assert_eq!(record::decode::<Progress>(&record::encode(&progress())).unwrap(), progress());
}

/// The published check value of CRC-32 is that of the digits; here a version byte comes first.
#[test]
fn the_checksum_is_that_of_zlib() {
    // python3 -c 'import zlib; print(hex(zlib.crc32(b"\x01123456789")))'
    assert_eq!(record::encode_text(b"123456789"), b"\x01\x21\xb5\x2e\xc0123456789");
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
    newer[0] = 2;
    let error = record::body(&newer).unwrap_err();
    assert!(matches!(error, RecordError::UnknownVersion { found: 2 }));
    assert_eq!(error.to_string(), "record version 2; this release knows version 1");
}

fn header() -> Header {
    let Progress { last_applied, membership, largest_voter_set } = progress();
    Header {
        meta: SnapshotMeta { last_log_id: last_applied, last_membership: membership },
        largest_voter_set,
    }
}

fn snapshot_in(dir: &Path) -> SnapshotFile {
    let mut catalog = crate::catalog::Catalog::default();
    for (index, name) in [(10, "b"), (11, "a")] {
        let EntryPayload::Normal(command) = note(1, index, name, "text").payload else { unreachable!() };
        catalog.apply(&command, index);
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
    newer[8..12].copy_from_slice(&2u32.to_be_bytes());
    let error = open(&newer).unwrap_err();
    assert!(!error.is_damage());
    assert_eq!(error.to_string(), "a snapshot of version 2; this release knows version 1");
}
