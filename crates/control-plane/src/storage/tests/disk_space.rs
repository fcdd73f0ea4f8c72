//! Disk space: the reserve is created, released where a write would fail, and created again.

use std::io;
use std::os::unix::fs::MetadataExt;

use super::super::space::RESERVE_BYTES;
use super::*;

/// Returns the bytes on the disk allocated to the reserve in `dir`.
fn reserved(dir: &Path) -> u64 {
    let found = fs::metadata(dir.join("reserve")).unwrap();
    assert!(found.len() <= found.blocks() * 512, "a sparse file reserves nothing");
    found.len()
}

#[test]
fn a_write_that_meets_a_full_disk_takes_its_bytes_from_the_reserve() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskSpace::open(dir.path(), u64::MAX);
    assert_eq!((reserved(dir.path()), disk.admit(0)), (RESERVE_BYTES, Ok(())));
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    // The write succeeds once a third of the reserve is left.
    let write = || if reserved(dir.path()) > RESERVE_BYTES / 3 { Err(full()) } else { Ok("written") };
    assert_eq!(disk.with_reserve(write).unwrap(), "written");
    let left = reserved(dir.path());
    assert!(left > 0 && left <= RESERVE_BYTES / 3, "no more than needed: {left}");
    assert!(disk.admit(0).is_err(), "refused at once");
    // Any other error is returned without releasing space.
    let other = disk.with_reserve(|| Err::<(), _>(io::Error::other("broken"))).unwrap_err();
    assert_eq!((other.to_string(), reserved(dir.path())), ("broken".to_owned(), left));
    // In the end the reserve is empty.
    assert_eq!(disk.with_reserve(|| Err::<(), _>(full())).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(reserved(dir.path()), 0);
    disk.maintain();
    assert_eq!((reserved(dir.path()), disk.admit(0)), (RESERVE_BYTES, Ok(())));
    // The reserve is complete again after a restart.
    drop(disk);
    assert!(DiskSpace::open(dir.path(), u64::MAX).admit(0).is_ok());
}

/// Two thirds of the appended entries are purged and truncated, in memory and after reopening.
#[tokio::test]
async fn the_bytes_of_the_log_are_counted() {
    use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    let mut log = open_log(&path).unwrap();
    let all: Vec<_> = (0..30).map(|index| note(1, index, "a", &"x".repeat(index as usize * 10))).collect();
    let length = |entry: &Entry| record::encode(entry).len() as u64;
    let bytes = |entries: &[Entry]| entries.iter().map(length).sum::<u64>();
    log.blocking_append(all.clone()).await.unwrap();
    assert_eq!(log.bytes(), bytes(&all));
    log.truncate_after(Some(log_id(1, 19))).await.unwrap();
    assert_eq!(log.bytes(), bytes(&all[..20]));
    log.purge(log_id(1, 9)).await.unwrap();
    assert_eq!(log.bytes(), bytes(&all[10..20]));
    log.close().await;
    let mut log = open_log(&path).unwrap();
    assert_eq!(log.bytes(), bytes(&all[10..20]));
    log.purge(log_id(1, 40)).await.unwrap();
    assert_eq!(log.bytes(), 0);
    log.blocking_append([blank(1, 41)]).await.unwrap();
    assert_eq!(log.bytes(), length(&blank(1, 41)));
    log.close().await;
}
