//! Entry points for fuzzing the storage.

use sha2::{Digest, Sha256};

use super::applied::Progress;
use super::log::record_of;
use super::record::{self, RecordError};
use super::snapshot::{self, Header, SnapshotError};
use crate::catalog::Catalog;
use crate::format::FormatVersion;
use crate::types::{Entry, LogId, Vote};

/// Bytes of a snapshot's checksum, at its end.
const SUM_BYTES: usize = 32;

/// Reads `bytes` as a snapshot, both unchanged and with a corrected checksum.
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

/// Restores header and catalogue from a snapshot.
fn restored(bytes: &[u8]) -> Result<(Header, Catalog), SnapshotError> {
    let mut catalog = Catalog::default();
    let header = snapshot::read_from(bytes, |row| Ok(catalog.restore(row)?))?;
    Ok((header, catalog))
}

/// Reads `bytes` as a record of each kind, both unchanged and as the body of a record.
pub(crate) fn check_record(bytes: &[u8]) {
    comes_back(bytes, record::decode, record_of);
    comes_back(bytes, record::decode::<LogId>, record::encode);
    comes_back(bytes, Progress::of, Progress::record);
    comes_back(bytes, record::decode::<Vote>, record::encode);
}

fn comes_back<T: PartialEq>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, RecordError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let forms = [FormatVersion::FIRST, FormatVersion::LATEST].map(|form| record::encode_text(form, bytes));
    for record in [bytes, &forms[0], &forms[1]] {
        let Ok(value) = decode(record) else { continue };
        let again = decode(&encode(&value)).expect("what was written can be read");
        assert!(again == value, "a record reads as something else once it is written again");
    }
}

/// Returns the entries of the golden files.
pub(crate) fn golden_entries() -> Vec<Entry> {
    let golden = [
        include_bytes!("../../tests/golden/storage-entry-blank.record").as_slice(),
        include_bytes!("../../tests/golden/storage-entry-command.record"),
        include_bytes!("../../tests/golden/storage-entry-membership.record"),
    ];
    golden.into_iter().map(|entry| record::decode(entry).expect("the format is pinned")).collect()
}
