//! Parsing of an archive of unknown origin into a list of files and folders safe to write.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tar::{Archive, EntryType};

use super::limits::{KEPT_PERMISSIONS, MAX_MEMBERS};
use super::names::{self, NameError, shown};

/// Content of an archive. Every name is relative, stays below the target folder and is unique; every parent
/// of a member is a folder.
#[derive(Debug)]
pub(crate) struct Contents<'a> {
    members: Vec<Member<'a>>,
}

/// A file or folder in an archive.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// Path of the member, with `/` between the names.
    pub(crate) name: String,
    /// Kind of the member.
    pub(super) kind: Kind<'a>,
    /// Permissions of the member.
    pub(super) mode: u32,
    /// Time of the last change, if representable on this system.
    pub(super) modified: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Folder,
    File(&'a [u8]),
}

/// Failure to read an archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// Not a tar archive, or damaged.
    #[error("the archive in the image is damaged: {what}")]
    Damaged {
        /// The defect.
        what: String,
    },
    /// A member extends beyond the end of the archive.
    #[error("the archive in the image is damaged: `{name}` is cut off")]
    CutOff {
        /// The member.
        name: String,
    },
    /// A member's name is refused.
    #[error("the archive in the image has a member `{name}` that is not restored")]
    Name {
        /// The member.
        name: String,
        /// The defect of the name.
        #[source]
        source: NameError,
    },
    /// A member is neither a file nor a folder, but a link, a device or similar.
    #[error("the archive in the image has a member `{name}` that is not restored: it is {what}")]
    Kind {
        /// The member.
        name: String,
        /// The kind, in words.
        what: &'static str,
    },
    /// A name occurs twice, or a file is also a folder.
    #[error("the archive in the image has `{name}` in it twice")]
    Twice {
        /// The member.
        name: String,
    },
    /// Too many members.
    #[error("the archive in the image has more than {MAX_MEMBERS} files and folders in it")]
    TooMany,
}

impl UnpackError {
    /// Returns the stable code of the error, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } | Self::CutOff { .. } => "damaged_archive",
            Self::Name { .. } | Self::Kind { .. } | Self::Twice { .. } | Self::TooMany => "unsafe_archive",
        }
    }
}

impl<'a> Contents<'a> {
    /// Reads and checks a whole archive without copying its content.
    ///
    /// # Errors
    /// [`UnpackError`] if the archive is damaged, or a member not safe to write.
    pub(crate) fn read(tar: &'a [u8]) -> Result<Self, UnpackError> {
        let mut members = Vec::new();
        for entry in Archive::new(tar).entries().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            if members.len() == MAX_MEMBERS {
                return Err(UnpackError::TooMany);
            }
            // A header for all members has no fields of use here.
            if entry.header().entry_type() == EntryType::XGlobalHeader {
                continue;
            }
            let path = entry.path_bytes();
            let content = slice(tar, entry.raw_file_position(), entry.size());
            members.extend(member(&path, entry.header(), content)?);
        }
        let contents = Self { members };
        contents.check_that_each_is_once()?;
        debug_assert!(contents.members.len() <= MAX_MEMBERS, "{} members", contents.members.len());
        Ok(contents)
    }

    /// Returns all files and folders.
    pub(crate) fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// Returns the files, without folders.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter().filter(|member| member.kind != Kind::Folder)
    }

    /// Returns the names at the top, each once, in the order of the archive.
    pub(crate) fn tops(&self) -> Vec<&str> {
        let mut tops: Vec<&str> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for member in &self.members {
            let top = member.name.split('/').next().unwrap_or_default();
            if seen.insert(top) {
                tops.push(top);
            }
        }
        tops
    }

    /// Renames the members at the top.
    ///
    /// # Errors
    /// [`UnpackError::Twice`] if two names become the same.
    pub(crate) fn rename_tops(&mut self, mut rename: impl FnMut(&str) -> String) -> Result<(), UnpackError> {
        let tops: HashMap<String, String> =
            self.tops().into_iter().map(|top| (top.to_owned(), rename(top))).collect();
        for member in &mut self.members {
            let (top, below) =
                member.name.split_once('/').map_or((&*member.name, None), |(top, below)| (top, Some(below)));
            let top = &tops[top];
            member.name = below.map_or_else(|| top.clone(), |below| format!("{top}/{below}"));
        }
        self.check_that_each_is_once()
    }

    fn check_that_each_is_once(&self) -> Result<(), UnpackError> {
        let twice = |name: &str| UnpackError::Twice { name: shown(name.as_bytes()) };
        let mut kinds = HashMap::with_capacity(self.members.len());
        for member in &self.members {
            if kinds.insert(member.name.as_str(), member.kind).is_some() {
                return Err(twice(&member.name));
            }
        }
        for member in &self.members {
            let above = member.name.match_indices('/').map(|(at, _)| &member.name[..at]);
            for folder in above {
                if kinds.get(folder).is_some_and(|kind| *kind != Kind::Folder) {
                    return Err(twice(folder));
                }
            }
        }
        Ok(())
    }
}

impl Member<'_> {
    /// Returns the length of a file; 0 for a folder.
    pub(crate) fn len_bytes(&self) -> usize {
        match self.kind {
            Kind::Folder => 0,
            Kind::File(content) => content.len(),
        }
    }

    /// Returns the path in this system's notation.
    pub(super) fn path(&self) -> PathBuf {
        self.name.split('/').collect()
    }
}

/// Wraps an error of the tar reader, whose text quotes the archive and is therefore escaped by [`shown`].
fn damaged(error: io::Error) -> UnpackError {
    UnpackError::Damaged { what: shown(error.to_string().as_bytes()) }
}

/// Returns a slice of the archive; `None` beyond the end.
fn slice(tar: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let end = at.checked_add(len)?;
    tar.get(usize::try_from(at).ok()?..usize::try_from(end).ok()?)
}

/// Checks one member; `None` for the folder itself.
fn member<'a>(
    path: &[u8],
    header: &tar::Header,
    content: Option<&'a [u8]>,
) -> Result<Option<Member<'a>>, UnpackError> {
    let refused = |source| UnpackError::Name { name: shown(path), source };
    let components = names::components(path).map_err(refused)?;
    let content = content.ok_or_else(|| UnpackError::CutOff { name: shown(path) })?;
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Folder,
        // Before POSIX, a folder was a file with a name that ends in a slash.
        EntryType::Regular if path.ends_with(b"/") && content.is_empty() => Kind::Folder,
        EntryType::Regular | EntryType::Continuous => Kind::File(content),
        other => return Err(UnpackError::Kind { name: shown(path), what: in_words(other) }),
    };
    if components.is_empty() {
        return if kind == Kind::Folder { Ok(None) } else { Err(refused(NameError::Empty)) };
    }
    let mode = header.mode().map_err(damaged)? & KEPT_PERMISSIONS;
    let seconds = header.mtime().map_err(damaged)?;
    let modified = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    Ok(Some(Member { name: components.join("/"), kind, mode, modified }))
}

fn in_words(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "neither a file nor a folder",
    }
}
