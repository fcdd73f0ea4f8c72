//! Snapshot files.
//!
//! Format, numbers with the most significant byte first:
//!
//! | what | bytes |
//! |---|---|
//! | magic `STEGSNAP` | 8 |
//! | version | 4 |
//! | length of the header, the header as JSON ([`Header`]) in the form of the version | 4 + length |
//! | for each row: its length, the row as JSON | 4 + length |
//! | 0, where the next row's length would be | 4 |
//! | the number of rows | 8 |
//! | SHA-256 of everything before | 32 |
//!
//! From version 2 on, every header has `activated`: a snapshot of a newer release says which release it
//! needs.

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

/// Length of a snapshot that is received or read, at most.
pub(crate) const MAX_SNAPSHOT_BYTES: u64 = 4 << 30;
const MAGIC: &[u8; 8] = b"STEGSNAP";
/// Length of the header and of a row, at most.
const MAX_PART_BYTES: u32 = 4 << 20;
const SUM_BYTES: usize = 32;
/// How the names of snapshots end.
pub(super) const EXTENSION: &str = "snap";
/// How the names of unfinished files end.
const UNFINISHED: &str = "tmp";
/// What is added to the name of a damaged file.
const DAMAGED: &str = "damaged";

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// The last entry in it and the last membership.
    pub meta: SnapshotMeta,
    /// The greatest number of voters that any applied uniform membership ever had.
    pub largest_voter_set: usize,
    /// The activated version of the formats.
    pub activated: Activated,
}

/// Form of release 0.1, which is written below version 2.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderV1 {
    meta: SnapshotMeta,
    largest_voter_set: usize,
}

/// The part of a header that is the same in every version from 2 on.
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
    /// Reads the form of `version`.
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

/// Why a file is not a snapshot that this release can use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error("cannot read or write the snapshot")]
    Io(#[from] io::Error),
    /// Not a snapshot at all.
    #[error("not a snapshot")]
    NotASnapshot,
    /// Written by another release, which it does not name.
    #[error("a snapshot of version {found}; this release reads versions 1 to {}", FormatVersion::LATEST)]
    UnknownVersion {
        /// What it says.
        found: u32,
    },
    /// Written by a newer release.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// The bytes are not those that were written.
    #[error("a damaged snapshot: {what}")]
    Damaged {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A part of it cannot be understood.
    #[error("a damaged snapshot")]
    Malformed(#[from] serde_json::Error),
    /// A row is damaged or of another release.
    #[error("a row of the snapshot cannot be used")]
    Row(#[from] RowError),
    /// More than there may be, or than was announced.
    #[error("a snapshot of more than {max} bytes")]
    TooLong {
        /// The limit.
        max: u64,
    },
    /// Fewer bytes came than were announced.
    #[error("a snapshot of {expected} bytes ended after {received}")]
    Incomplete {
        /// As announced.
        expected: u64,
        /// What came.
        received: u64,
    },
}

impl SnapshotError {
    /// Whether the bytes are not those that were written. Not so for other releases and for what cannot be read.
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

/// Writes a snapshot beside its place and makes it durable. Blocks.
pub(super) fn write<E: From<io::Error>>(
    dir: &Path,
    header: &Header,
    rows: impl Iterator<Item = Result<Row, E>>,
) -> Result<SnapshotFile, E> {
    let path = dir.join(name(&header.meta)).with_extension(UNFINISHED);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    // From here on the file goes away unless it is installed.
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

/// Reads and verifies a snapshot from its beginning to its end. What `row` was given is good only if this returns `Ok`.
pub(super) fn read(
    file: &File,
    row: impl FnMut(&Row) -> Result<(), SnapshotError>,
) -> Result<Header, SnapshotError> {
    read_from(BufReader::new(Positioned { file, offset: 0 }), row)
}

/// As [`read`], from anywhere.
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
        // The rest is of another release.
        false => SnapshotError::UnknownVersion { found: version.number() },
    };
    let header = input.part().map_err(unknown)?;
    let header = header.ok_or(SnapshotError::Damaged { what: "it has no header" }).map_err(unknown)?;
    let header = Header::of(version, &header).map_err(|error| match error {
        needed @ SnapshotError::NeedsRelease(_) => needed,
        error => unknown(error),
    })?;
    let readable = header.activated.check();
    // The rows are parsed before the checksum is known to be right, which is why they are not used yet.
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

/// Gives a snapshot its name, durably, and removes every other one. Blocks.
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

/// Removes unfinished files and returns the newest snapshot, verified. A damaged one is set aside: whether anything is
/// lost with it is for the caller to find out.
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

/// `INDEX-TERM.snap`, of the last entry in it.
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

/// Reads a file without moving the position that its other handles share.
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

/// Computes the checksum of what passes.
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

    /// The next part, or none where a length of 0 stands.
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
