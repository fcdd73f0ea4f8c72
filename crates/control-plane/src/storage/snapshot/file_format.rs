//! File format of snapshots.
//!
//! Numbers with the most significant byte first:
//!
//! | part | bytes |
//! |---|---|
//! | magic `STEGSNAP` | 8 |
//! | version | 4 |
//! | length of the header, the header as JSON ([`Header`]) in the form of the version | 4 + length |
//! | per row: length of the row, the row as JSON | 4 + length |
//! | 0 in place of the next row's length | 4 |
//! | the number of rows | 8 |
//! | SHA-256 of everything before | 32 |
//!
//! From version 2 on, every header has `activated`: a snapshot of a newer release names the release
//! required to read the snapshot.

use std::io::{self, BufReader, BufWriter, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::SnapshotError;
use crate::catalog::Row;
use crate::format::{Activated, Format, FormatError, FormatVersion, NoForm};
use crate::types::SnapshotMeta;
use crate::world::files::File;

/// Maximum length of a snapshot to receive or to read.
pub(crate) const MAX_SNAPSHOT_BYTES: u64 = 4 << 30;
const MAGIC: &[u8; 8] = b"STEGSNAP";
/// Maximum length of the header and of a row.
const MAX_PART_BYTES: u32 = 4 << 20;
const SUM_BYTES: usize = 32;

/// Header of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// The last applied entry and the last membership.
    pub meta: SnapshotMeta,
    /// Greatest number of voters of any uniform membership applied so far.
    pub largest_voter_set: usize,
    /// Activated version of the formats.
    pub activated: Activated,
}

/// Form of release 0.1, written below version 2.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderV1 {
    meta: SnapshotMeta,
    largest_voter_set: usize,
}

/// Part of a header common to all versions from 2 on.
#[derive(Deserialize)]
struct ActivatedOnly {
    activated: Activated,
}

impl Format for HeaderV1 {
    const SINCE: FormatVersion = FormatVersion::FIRST;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

impl Format for Header {
    const SINCE: FormatVersion = FormatVersion::SECOND;
    type Previous = HeaderV1;

    fn upgrade(HeaderV1 { meta, largest_voter_set }: HeaderV1) -> Self {
        Self { meta, largest_voter_set, activated: Activated::default() }
    }
}

impl Header {
    /// Parses the form of `version`.
    fn of(version: FormatVersion, json: &[u8]) -> Result<Self, SnapshotError> {
        if version > FormatVersion::LATEST
            && let Ok(ActivatedOnly { activated }) = serde_json::from_slice(json)
        {
            activated.check()?;
        }
        Self::read(version, serde_json::from_slice(json)?).map_err(|error| match error {
            FormatError::UnknownVersion { found, .. } => {
                SnapshotError::UnknownVersion { found: found.number() }
            }
            FormatError::Malformed(error) => SnapshotError::Malformed(error),
        })
    }

    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { meta, largest_voter_set, activated } = self;
        if !activated.is_first() {
            out.write_all(&Self::SINCE.number().to_be_bytes())?;
            return write_part(out, self);
        }
        out.write_all(&HeaderV1::SINCE.number().to_be_bytes())?;
        write_part(out, &HeaderV1 { meta: meta.clone(), largest_voter_set: *largest_voter_set })
    }
}

pub(crate) fn write_to<E: From<io::Error>>(
    file: impl Write,
    header: &Header,
    rows: impl Iterator<Item = Result<Row, E>>,
) -> Result<(), E> {
    let mut out = Summed { inner: BufWriter::new(file), sum: Sha256::new() };
    out.write_all(MAGIC)?;
    header.write_to(&mut out)?;
    let mut count = 0u64;
    for row in rows {
        write_part(&mut out, &row?)?;
        count += 1;
    }
    out.write_all(&0u32.to_be_bytes())?;
    out.write_all(&count.to_be_bytes())?;
    let Summed { mut inner, sum } = out;
    inner.write_all(&sum.finalize())?;
    Ok(inner.flush()?)
}

/// Reads and verifies a snapshot from beginning to end. The rows passed to `row` are valid only if the
/// result is `Ok`.
pub(crate) fn read(
    file: &File,
    row: impl FnMut(&Row) -> Result<(), SnapshotError>,
) -> Result<Header, SnapshotError> {
    read_from(BufReader::new(Positioned { file, offset: 0 }), row)
}

/// Same as [`read`], for any source of bytes.
pub(crate) fn read_from(
    input: impl Read,
    mut row: impl FnMut(&Row) -> Result<(), SnapshotError>,
) -> Result<Header, SnapshotError> {
    let mut input = Summed { inner: input.take(MAX_SNAPSHOT_BYTES), sum: Sha256::new() };
    if input.array()? != *MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    let version = FormatVersion::new(u32::from_be_bytes(input.array()?));
    if version < FormatVersion::FIRST {
        return Err(SnapshotError::UnknownVersion { found: version.number() });
    }
    let unknown = |error| match version.is_known() {
        true => error,
        // The rest is in an unknown format.
        false => SnapshotError::UnknownVersion { found: version.number() },
    };
    let header = input.part().map_err(unknown)?;
    let header = header.ok_or(SnapshotError::Damaged { what: "header missing" }).map_err(unknown)?;
    let header = Header::of(version, &header).map_err(|error| match error {
        needed @ SnapshotError::NeedsRelease(_) => needed,
        error => unknown(error),
    })?;
    let readable = header.activated.check();
    // The rows are parsed before the checksum is verified; therefore they are not used yet.
    let mut count = 0u64;
    while let Some(part) = input.part()? {
        if readable.is_ok() {
            row(&serde_json::from_slice(&part)?)?;
        }
        count += 1;
    }
    if u64::from_be_bytes(input.array()?) != count {
        return Err(SnapshotError::Damaged { what: "rows missing" });
    }
    let expected = input.sum.clone().finalize();
    if input.array::<SUM_BYTES>()? != expected[..] {
        return Err(SnapshotError::Damaged { what: "checksum mismatch" });
    }
    if input.inner.read(&mut [0])? != 0 {
        return Err(SnapshotError::Damaged { what: "bytes follow its end" });
    }
    readable?;
    Ok(header)
}

fn write_part<T: Serialize>(out: &mut impl Write, part: &T) -> io::Result<()> {
    let json = serde_json::to_vec(part)?;
    let len = u32::try_from(json.len()).ok().filter(|len| *len <= MAX_PART_BYTES);
    let len = len.ok_or_else(|| io::Error::other("a row is too long for a snapshot"))?;
    out.write_all(&len.to_be_bytes())?;
    out.write_all(&json)
}

/// Reader of a file with a separate position, since the position of a handle is shared.
struct Positioned<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(out, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}

/// Stream with a running checksum.
struct Summed<T> {
    inner: T,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Summed<R> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.sum.update(bytes);
        Ok(bytes)
    }

    /// Reads the next part, or none if the length is 0.
    fn part(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        let len = u32::from_be_bytes(self.array()?);
        if len == 0 {
            return Ok(None);
        }
        if len > MAX_PART_BYTES {
            return Err(SnapshotError::Damaged { what: "part too long" });
        }
        let mut part = vec![0; len as usize];
        self.inner.read_exact(&mut part)?;
        self.sum.update(&part);
        Ok(Some(part))
    }
}
