//! The storage's doors for fuzzing.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::record;
use super::snapshot::{self, Header, SnapshotError};
use super::state_file::Progress;
use crate::catalog::Catalog;
use crate::{Entry, LogId, Vote};

/// Bytes of a snapshot's checksum, at its end.
const SUM_BYTES: usize = 32;

/// Reads `bytes` as a snapshot, as they are and with the checksum that they need.
pub(crate) fn check_snapshot(bytes: &[u8]) {
    let _ = restored(bytes);
    let Some((content, _)) = bytes.split_last_chunk::<SUM_BYTES>() else { return };
    let summed = [content, &Sha256::digest(content)].concat();
    let Ok((header, catalog)) = restored(&summed) else { return };
    let mut written = Vec::new();
    snapshot::write_to(&mut written, &header, catalog.rows().map(Ok::<_, std::io::Error>))
        .expect("what was read can be written");
    let again = restored(&written).expect("what was written can be read");
    assert!(again == (header, catalog), "a snapshot reads as something else once it is written again");
}

/// What a node makes of a snapshot.
fn restored(bytes: &[u8]) -> Result<(Header, Catalog), SnapshotError> {
    let mut catalog = Catalog::default();
    let header = snapshot::read_from(bytes, |row| Ok(catalog.restore(row)?))?;
    Ok((header, catalog))
}

/// Reads `bytes` as a record of each kind, as they are and as the body of one.
pub(crate) fn check_record(bytes: &[u8]) {
    comes_back::<Entry>(bytes);
    comes_back::<LogId>(bytes);
    comes_back::<Progress>(bytes);
    comes_back::<Vote>(bytes);
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8]) {
    for record in [bytes, &record::encode_text(bytes)] {
        let Ok(value) = record::decode::<T>(record) else { continue };
        let again = record::decode::<T>(&record::encode(&value)).expect("what was written can be read");
        assert!(again == value, "a record reads as something else once it is written again");
    }
}

/// The entries of the golden files.
pub(crate) fn golden_entries() -> Vec<Entry> {
    let golden = [
        include_bytes!("../../tests/golden/storage-entry-blank.record").as_slice(),
        include_bytes!("../../tests/golden/storage-entry-command.record"),
        include_bytes!("../../tests/golden/storage-entry-membership.record"),
    ];
    golden.into_iter().map(|entry| record::decode(entry).expect("the format is pinned")).collect()
}
