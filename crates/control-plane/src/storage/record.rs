//! What a value in a database file looks like: a version byte, the CRC-32 (IEEE) of version and body as four bytes
//! with the most significant first, and the body as JSON text.
//!
//! The version is looked at first: what a newer release wrote is called so, and not damage.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of records that this release writes, and the only one it reads.
pub(super) const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;
const PREFIX_BYTES: usize = 1 + CRC_BYTES;

/// Why bytes are not a record of this release.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by another release.
    #[error("record version {found}; this release knows version {VERSION}")]
    UnknownVersion {
        /// What it says.
        found: u8,
    },
    /// Too short for a version and a checksum.
    #[error("a record of {len} bytes, which is too short")]
    TooShort {
        /// How many bytes there are.
        len: usize,
    },
    /// The bytes are not those that were written.
    #[error("a damaged record: its checksum is {found:08x}, not {expected:08x}")]
    Checksum {
        /// What the record says.
        expected: u32,
        /// What its bytes give.
        found: u32,
    },
    /// The bytes are those that were written, but not what is expected here.
    #[error("a record that cannot be understood")]
    Malformed(#[source] serde_json::Error),
}

/// The record of `value`.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let body = serde_json::to_vec(value).expect("maps with text keys and no failing parts");
    encode_text(&body)
}

/// The record of a body that is JSON already.
pub(super) fn encode_text(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(PREFIX_BYTES + body.len());
    record.push(VERSION);
    record.extend_from_slice(&checksum(VERSION, body).to_be_bytes());
    record.extend_from_slice(body);
    record
}

/// The value of a record.
pub(super) fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(body(record)?).map_err(RecordError::Malformed)
}

/// The body of a record, with its version and checksum checked.
pub(super) fn body(record: &[u8]) -> Result<&[u8], RecordError> {
    match record.first() {
        Some(&version) if version != VERSION => return Err(RecordError::UnknownVersion { found: version }),
        _ => {}
    }
    let Some((prefix, body)) = record.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(RecordError::TooShort { len: record.len() });
    };
    let [version, crc @ ..] = *prefix;
    let (expected, found) = (u32::from_be_bytes(crc), checksum(version, body));
    if expected != found {
        return Err(RecordError::Checksum { expected, found });
    }
    Ok(body)
}

fn checksum(version: u8, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[version]);
    crc.update(body);
    crc.finalize()
}
