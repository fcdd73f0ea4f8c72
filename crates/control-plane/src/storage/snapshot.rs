//! Snapshot files.
//!
//! Format, numbers with the most significant byte first:
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

mod transfer;

pub(crate) use transfer::{SnapshotFile, SnapshotReceiver};

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sync_dir;
use crate::SnapshotMeta;
use crate::catalog::{Row, RowError};
use crate::format::{Activated, Format, FormatError, FormatVersion, NeedsRelease, NoForm};

/// Maximum length of a snapshot to receive or to read.
pub(crate) const MAX_SNAPSHOT_BYTES: u64 = 4 << 30;
const MAGIC: &[u8; 8] = b"STEGSNAP";
/// Maximum length of the header and of a row.
const MAX_PART_BYTES: u32 = 4 << 20;
const SUM_BYTES: usize = 32;
/// Extension of snapshot files.
pub(super) const EXTENSION: &str = "snap";
/// Extension of unfinished files.
const UNFINISHED: &str = "tmp";
/// Extension of damaged files.
const DAMAGED: &str = "damaged";

/// Header of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
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
pub(super) struct HeaderV1 {
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

/// Failure to read or write a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Error of the operating system.
    #[error("cannot read or write the snapshot")]
    Io(#[from] io::Error),
    /// Not a snapshot.
    #[error("not a snapshot")]
    NotASnapshot,
    /// Unknown version, without the name of the release.
    #[error("a snapshot of version {found}; this release reads versions 1 to {}", FormatVersion::LATEST)]
    UnknownVersion {
        /// Version in the file.
        found: u32,
    },
    /// Written by a newer release.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// Corrupted bytes.
    #[error("a damaged snapshot: {what}")]
    Damaged {
        /// Description of the damage.
        what: &'static str,
    },
    /// Malformed part.
    #[error("a damaged snapshot")]
    Malformed(#[from] serde_json::Error),
    /// A row is damaged or of another release.
    #[error("a row of the snapshot cannot be used")]
    Row(#[from] RowError),
    /// Longer than the limit, or than announced.
    #[error("a snapshot of more than {max} bytes")]
    TooLong {
        /// Limit in bytes.
        max: u64,
    },
    /// Fewer bytes than announced.
    #[error("a snapshot of {expected} bytes ended after {received}")]
    Incomplete {
        /// Announced length in bytes.
        expected: u64,
        /// Received bytes.
        received: u64,
    },
}

impl SnapshotError {
    /// True if the bytes are corrupted or cut short. False for other releases and for files that cannot be
    /// read.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::UnexpectedEof,
            Self::Row(error) => matches!(error, RowError::Malformed { .. }),
            Self::UnknownVersion { .. } | Self::NeedsRelease(_) | Self::TooLong { .. } => false,
            Self::NotASnapshot | Self::Damaged { .. } | Self::Malformed(_) | Self::Incomplete { .. } => true,
        }
    }
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Writes a snapshot under a temporary name and makes the file durable. Blocks.
pub(super) fn write<E: From<io::Error>>(
    dir: &Path,
    header: &Header,
    rows: impl Iterator<Item = Result<Row, E>>,
) -> Result<SnapshotFile, E> {
    let path = dir.join(name(&header.meta)).with_extension(UNFINISHED);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    // From here on the file is removed unless it is installed.
    let snapshot = SnapshotFile::temporary(path, file, header.clone())?;
    write_to(snapshot.file(), header, rows)?;
    snapshot.file().sync_all()?;
    Ok(snapshot.measured()?)
}

pub(super) fn write_to<E: From<io::Error>>(
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
pub(super) fn read(
    file: &File,
    row: impl FnMut(&Row) -> Result<(), SnapshotError>,
) -> Result<Header, SnapshotError> {
    read_from(BufReader::new(Positioned { file, offset: 0 }), row)
}

/// Same as [`read`], for any source of bytes.
pub(super) fn read_from(
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
    let header = header.ok_or(SnapshotError::Damaged { what: "it has no header" }).map_err(unknown)?;
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
        return Err(SnapshotError::Damaged { what: "rows are missing" });
    }
    let expected = input.sum.clone().finalize();
    if input.array::<SUM_BYTES>()? != expected[..] {
        return Err(SnapshotError::Damaged { what: "its checksum is wrong" });
    }
    if input.inner.read(&mut [0])? != 0 {
        return Err(SnapshotError::Damaged { what: "it does not end where it should" });
    }
    readable?;
    Ok(header)
}

/// Gives a snapshot its name, durably, and removes every other snapshot. Blocks.
pub(super) fn publish(dir: &Path, snapshot: &SnapshotFile) -> Result<SnapshotFile, io::Error> {
    let path = dir.join(name(snapshot.meta()));
    let published = snapshot.rename(&path)?;
    sync_dir(dir)?;
    for other in files(dir, EXTENSION)? {
        if other != path {
            fs::remove_file(other)?;
        }
    }
    Ok(published)
}

/// Removes unfinished files and returns the newest snapshot, verified. A damaged snapshot is set aside; the
/// caller determines if data was lost with the file.
pub(super) fn find(dir: &Path) -> Result<Option<SnapshotFile>, SnapshotError> {
    for unfinished in files(dir, UNFINISHED)? {
        fs::remove_file(unfinished)?;
    }
    let mut newest: Option<SnapshotFile> = None;
    for path in files(dir, EXTENSION)? {
        match SnapshotFile::open(path.clone()) {
            Ok(found) => {
                let older = newest.as_ref().is_some_and(|n| found.meta().last_log_id < n.meta().last_log_id);
                newest = if older { newest } else { Some(found) };
            }
            Err(error) if error.is_damage() => {
                tracing::error!(path = %path.display(), %error, "a snapshot is damaged and is set aside");
                fs::rename(&path, path.with_extension(DAMAGED))?;
            }
            Err(error) => return Err(error),
        }
    }
    newest.map(|newest| publish(dir, &newest)).transpose().map_err(SnapshotError::Io)
}

/// Returns the file name `INDEX-TERM.snap`, from the last applied entry.
fn name(meta: &SnapshotMeta) -> PathBuf {
    let (index, term) = meta.last_log_id.as_ref().map_or((0, 0), |id| (id.index, id.leader_id.term));
    format!("{index}-{term}.{EXTENSION}").into()
}

fn files(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    paths
        .filter(|path| path.as_ref().map_or(true, |path| path.extension().is_some_and(|e| e == extension)))
        .collect()
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
            return Err(SnapshotError::Damaged { what: "a part of it is too long" });
        }
        let mut part = vec![0; len as usize];
        self.inner.read_exact(&mut part)?;
        self.sum.update(&part);
        Ok(Some(part))
    }
}
