//! Values in a database file. Numbers have the most significant byte first.
//!
//! | part | bytes |
//! |---|---|
//! | version | 1 |
//! | CRC-32 (IEEE) of the other bytes | 4 |
//! | from version 2 on: length of a release's name, the name in UTF-8 | 1 + length |
//! | body: JSON text | rest |
//!
//! The version is the version of the body's form. The name is the first release able to read the form.
//! Version, checksum and name have the same layout in every version from 2 on, so that a record of a newer
//! release names the required release and is not mistaken for damage.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::format::{Format, FormatError, FormatVersion, MAX_RELEASE_BYTES, NeedsRelease};

const CRC_BYTES: usize = 4;
const PREFIX_BYTES: usize = 1 + CRC_BYTES;

/// Failure to read a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Unknown version, without the name of the release.
    #[error("record version {found}; this release reads versions 1 to {}", FormatVersion::LATEST)]
    UnknownVersion {
        /// Version in the record.
        found: u8,
    },
    /// Written by a newer release.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// Too short for a version, a checksum and a release.
    #[error("record too short: {len} bytes")]
    TooShort {
        /// Length in bytes.
        len: usize,
    },
    /// Corrupted bytes.
    #[error("damaged record: checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Checksum in the record.
        expected: u32,
        /// Checksum of the bytes.
        found: u32,
    },
    /// Intact bytes with unexpected content.
    #[error("malformed record")]
    Malformed(#[source] serde_json::Error),
}

impl RecordError {
    /// True if another release wrote the record.
    pub(super) fn is_of_another_release(&self) -> bool {
        matches!(self, Self::UnknownVersion { .. } | Self::NeedsRelease(_))
    }
}

/// Encodes `value` in a form readable by every release.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_in(FormatVersion::FIRST, value)
}

/// Encodes `value` in the form of `version`.
pub(super) fn encode_in<T: Serialize>(version: FormatVersion, value: &T) -> Vec<u8> {
    debug_assert!(version.is_known(), "version {version} is of another release");
    let body = serde_json::to_vec(value).expect("maps with text keys and no failing parts");
    encode_text(version, &body)
}

/// Encodes a body of JSON text.
pub(super) fn encode_text(version: FormatVersion, body: &[u8]) -> Vec<u8> {
    encode_for(version, version.release().unwrap_or_default(), body)
}

/// Encodes a body readable from the release `needs` on.
pub(super) fn encode_for(version: FormatVersion, needs: &str, body: &[u8]) -> Vec<u8> {
    let number = u8::try_from(version.number()).expect("versions of records have one byte");
    let mut named = Vec::new();
    if version > FormatVersion::FIRST {
        named.push(u8::try_from(needs.len()).expect("names of releases are short"));
        named.extend_from_slice(needs.as_bytes());
    }
    let mut record = Vec::with_capacity(PREFIX_BYTES + named.len() + body.len());
    record.push(number);
    record.extend_from_slice(&checksum(number, &[&named, body]).to_be_bytes());
    record.extend_from_slice(&named);
    record.extend_from_slice(body);
    record
}

/// Decodes a value with the same JSON in every version known to this release.
pub(super) fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(body(record)?.1).map_err(RecordError::Malformed)
}

/// Decodes a value into the newest form.
pub(super) fn decode_newest<T: Format>(record: &[u8]) -> Result<T, RecordError> {
    let (version, body) = body(record)?;
    let body = serde_json::from_slice(body).map_err(RecordError::Malformed)?;
    T::read(version, body).map_err(|error| match error {
        FormatError::UnknownVersion { .. } => RecordError::UnknownVersion { found: record[0] },
        FormatError::Malformed(error) => RecordError::Malformed(error),
    })
}

/// Verifies the checksum of a record and returns version and body.
pub(super) fn body(record: &[u8]) -> Result<(FormatVersion, &[u8]), RecordError> {
    let too_short = || RecordError::TooShort { len: record.len() };
    let number = *record.first().ok_or_else(too_short)?;
    let version = FormatVersion::new(number.into());
    let content = match record.split_first_chunk::<PREFIX_BYTES>() {
        Some(([_, crc @ ..], content)) => verified(number, u32::from_be_bytes(*crc), content),
        None => Err(too_short()),
    };
    if version == FormatVersion::FIRST {
        return Ok((version, content?));
    }
    // Nothing else is known of a version that was never written.
    let named = content.and_then(|content| release_and_rest(content).ok_or_else(too_short));
    match named {
        _ if version < FormatVersion::FIRST => Err(RecordError::UnknownVersion { found: number }),
        Ok((_, body)) if version.is_known() => Ok((version, body)),
        Ok((release, _)) => {
            let (what, release) = ("a record".to_owned(), release.to_owned());
            Err(NeedsRelease { what, version, release }.into())
        }
        Err(error) if version.is_known() => Err(error),
        Err(_) => Err(RecordError::UnknownVersion { found: number }),
    }
}

/// Returns the bytes after the checksum, if the checksum matches.
fn verified(number: u8, expected: u32, content: &[u8]) -> Result<&[u8], RecordError> {
    let found = checksum(number, &[content]);
    if expected != found {
        return Err(RecordError::Checksum { expected, found });
    }
    Ok(content)
}

fn release_and_rest(content: &[u8]) -> Option<(&str, &[u8])> {
    let (&len, rest) = content.split_first()?;
    let (release, rest) = rest.split_at_checked(len.into())?;
    let release = std::str::from_utf8(release).ok().filter(|release| release.len() <= MAX_RELEASE_BYTES)?;
    Some((release, rest))
}

fn checksum(number: u8, content: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[number]);
    content.iter().for_each(|bytes| crc.update(bytes));
    crc.finalize()
}
