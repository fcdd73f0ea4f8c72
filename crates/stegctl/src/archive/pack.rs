//! Packing of files and folders into an archive.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tar::{Builder, EntryType, Header};

use super::limits::{KEPT_PERMISSIONS, MAX_MEMBERS};
use super::names::{self, NameError};

/// Block size of a tar archive.
const BLOCK_LEN_BYTES: u64 = 512;
/// Longest name stored in a member's header; a longer name takes a member of its own.
const SHORT_NAME_LEN_BYTES: u64 = 100;

/// Options of [`pack()`].
#[derive(Debug)]
pub(crate) struct PackOptions<'a> {
    /// Maximum length of the archive in bytes.
    pub(crate) max_bytes: u64,
    /// True to leave out links and special files, false to fail at the first.
    pub(crate) skip_special: bool,
    /// Path of the stego image, which must not be a member.
    pub(crate) output: &'a Path,
}

/// A packed archive.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The bytes of the archive.
    pub(crate) bytes: Vec<u8>,
    /// Number of files, folders not counted.
    pub(crate) files: usize,
    /// Links and special files left out.
    pub(crate) skipped: Vec<PathBuf>,
}

/// Failure to pack.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// A path is neither a file nor a folder.
    #[error("{} is {what}; only files and folders can be embedded", path.display())]
    Special {
        /// The path.
        path: PathBuf,
        /// The kind of special file, in words.
        what: &'static str,
    },
    /// A name cannot be restored on every system.
    #[error("{} cannot be embedded", names::shown(path.as_os_str().as_encoded_bytes()))]
    Name {
        /// The path with the name.
        path: PathBuf,
        /// The defect of the name.
        #[source]
        source: NameError,
    },
    /// Two paths end in the same name.
    #[error("{} and {} would both be called {name}", a.display(), b.display())]
    SameName {
        /// The first path.
        a: PathBuf,
        /// The second path.
        b: PathBuf,
        /// The common name.
        name: String,
    },
    /// The stego image would contain its own path.
    #[error("{} is to be replaced by the stego image and lies in a folder that is to be in it", path.display())]
    Output {
        /// The stego image.
        path: PathBuf,
    },
    /// Too many files.
    #[error("there are more than {MAX_MEMBERS} files and folders in what is to be embedded")]
    TooMany,
    /// The archive is too long.
    #[error("the files take {needed_bytes} bytes together; at most {max_bytes} are allowed here")]
    TooLarge {
        /// Length of the archive.
        needed_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// A file changed its length while being read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// Packs files, and folders with their whole content, under the last name of each path. Links in `paths` are
/// followed, links inside folders are not.
///
/// # Errors
/// [`PackError`] if a path cannot be read or stored, or a limit is exceeded.
pub(crate) fn pack(paths: &[PathBuf], options: &PackOptions<'_>) -> Result<Packed, PackError> {
    let mut found = Walk::new(options);
    for path in paths {
        found.start(path)?;
    }
    let Walk { mut members, skipped, .. } = found;
    members.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));

    let needed_bytes = members.iter().map(Member::archived_bytes).sum::<u64>() + 2 * BLOCK_LEN_BYTES;
    if needed_bytes > options.max_bytes {
        return Err(PackError::TooLarge { needed_bytes, max_bytes: options.max_bytes });
    }
    let mut archive = Builder::new(Vec::with_capacity(needed_bytes as usize));
    for member in &members {
        member.append_to(&mut archive)?;
    }
    let bytes = archive.into_inner().expect("memory takes every byte");
    debug_assert_eq!(bytes.len() as u64, needed_bytes, "the sum that was compared with the limit");
    let files = members.iter().filter(|member| member.metadata.is_file()).count();
    Ok(Packed { bytes, files, skipped })
}

/// Returns the name of a path in an archive: the last name, also of a path written as `.` or `..`.
///
/// # Errors
/// [`PackError`] if the path cannot be resolved, or its name is no text.
pub(crate) fn name_of(path: &Path) -> Result<String, PackError> {
    let refused = |source| PackError::Name { path: path.to_owned(), source };
    let whole = match path.file_name() {
        Some(_) => path.to_owned(),
        None => path.canonicalize().map_err(|source| PackError::Read { path: path.to_owned(), source })?,
    };
    let name = whole.file_name().ok_or(refused(NameError::Empty))?;
    name.to_str().map(str::to_owned).ok_or(refused(NameError::NotUtf8))
}

/// A file or folder found by the walk.
struct Member {
    name: String,
    path: PathBuf,
    metadata: Metadata,
}

impl Member {
    fn content_bytes(&self) -> u64 {
        if self.metadata.is_file() { self.metadata.len() } else { 0 }
    }

    /// Computes the bytes in the archive: header, content, and the name if long.
    fn archived_bytes(&self) -> u64 {
        let name_len_bytes = self.name.len() as u64 + 1;
        let name_blocks = match name_len_bytes > SHORT_NAME_LEN_BYTES {
            true => 1 + (name_len_bytes + 1).div_ceil(BLOCK_LEN_BYTES),
            false => 0,
        };
        (1 + name_blocks + self.content_bytes().div_ceil(BLOCK_LEN_BYTES)).saturating_mul(BLOCK_LEN_BYTES)
    }

    fn append_to(&self, archive: &mut Builder<Vec<u8>>) -> Result<(), PackError> {
        let cannot_read = |source| PackError::Read { path: self.path.clone(), source };
        let mut header = Header::new_gnu();
        let since_epoch = self.metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        header.set_mtime(since_epoch.map_or(0, |time| time.as_secs()));
        header.set_mode(permissions(&self.metadata));
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.content_bytes());
        if self.metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            let name = format!("{}/", self.name);
            return archive.append_data(&mut header, name, io::empty()).map_err(cannot_read);
        }
        header.set_entry_type(EntryType::Regular);
        let file = File::open(&self.path).map_err(cannot_read)?;
        let mut content = Vec::new();
        file.take(self.content_bytes() + 1).read_to_end(&mut content).map_err(cannot_read)?;
        if content.len() as u64 != self.content_bytes() {
            return Err(PackError::Changed { path: self.path.clone() });
        }
        archive.append_data(&mut header, &self.name, content.as_slice()).map_err(cannot_read)
    }
}

#[cfg(unix)]
fn permissions(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & KEPT_PERMISSIONS
}

#[cfg(not(unix))]
fn permissions(metadata: &Metadata) -> u32 {
    KEPT_PERMISSIONS & if metadata.is_dir() { 0o755 } else { 0o644 }
}

/// A walk through the paths to be packed.
struct Walk<'a> {
    options: &'a PackOptions<'a>,
    /// Canonical path of an existing stego image.
    output: Option<PathBuf>,
    /// Paths at the top of the archive, by name.
    tops: HashMap<String, PathBuf>,
    members: Vec<Member>,
    skipped: Vec<PathBuf>,
}

impl<'a> Walk<'a> {
    fn new(options: &'a PackOptions<'a>) -> Self {
        let output = options.output.canonicalize().ok();
        Self { options, output, tops: HashMap::new(), members: Vec::new(), skipped: Vec::new() }
    }

    fn start(&mut self, path: &Path) -> Result<(), PackError> {
        let name = name_of(path)?;
        if self.tops.get(&name).is_some_and(|other| other == path) {
            // Listed twice, as by overlapping patterns of a shell.
            return Ok(());
        }
        if let Some(other) = self.tops.insert(name.clone(), path.to_owned()) {
            return Err(PackError::SameName { a: other, b: path.to_owned(), name });
        }
        let metadata = path.metadata().map_err(|source| PackError::Read { path: path.to_owned(), source })?;
        self.take(path.to_owned(), name, metadata)
    }

    /// Adds the file or folder at `path`, and everything below. The limits on names bound the depth.
    fn take(&mut self, path: PathBuf, name: String, metadata: Metadata) -> Result<(), PackError> {
        if let Some(what) = special(&metadata) {
            if self.options.skip_special {
                self.skipped.push(path);
                return Ok(());
            }
            return Err(PackError::Special { path, what });
        }
        if let Err(source) = names::components(name.as_bytes()) {
            return Err(PackError::Name { path, source });
        }
        if self.output.is_some() && path.canonicalize().ok() == self.output {
            return Err(PackError::Output { path });
        }
        if self.members.len() == MAX_MEMBERS {
            return Err(PackError::TooMany);
        }
        let is_folder = metadata.is_dir();
        self.members.push(Member { name: name.clone(), path: path.clone(), metadata });
        if is_folder { self.take_all_in(&path, &name) } else { Ok(()) }
    }

    fn take_all_in(&mut self, folder: &Path, name: &str) -> Result<(), PackError> {
        let cannot_read = |source| PackError::Read { path: folder.to_owned(), source };
        for entry in folder.read_dir().map_err(cannot_read)? {
            let path = entry.map_err(cannot_read)?.path();
            let metadata =
                path.symlink_metadata().map_err(|source| PackError::Read { path: path.clone(), source })?;
            let below = format!("{name}/{}", name_of(&path)?);
            self.take(path, below, metadata)?;
        }
        Ok(())
    }
}

/// Names the kind of a special file; `None` for a file or a folder.
fn special(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_dir() {
        return None;
    }
    if kind.is_symlink() {
        return Some("a symbolic link");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_block_device() || kind.is_char_device() {
            return Some("a device");
        }
    }
    Some("a special file")
}
