//! Several files and folders as one secret: a tar archive (POSIX.1-2017 pax, with GNU's long names) of files and folders
//! and nothing else.
//!
//! What [`pack()`] makes depends on names, contents, permissions and times of the files only: members are sorted, belong
//! to nobody (user and group 0, without names) and keep read, write and execute bits and the time of the last change in
//! whole seconds. [`Contents`] reads an archive made by anyone and trusts nothing in it: it is checked as a whole before
//! [`restore()`] writes the first file.

mod names;
mod pack;
mod restore;
mod unpack;

pub(crate) use names::shown;
pub(crate) use pack::{PackError, PackOptions, name_of, pack};
pub(crate) use restore::{RestoreError, restore};
pub(crate) use unpack::{Contents, Member, UnpackError};

/// The media type of a secret that [`pack()`] made. It tells it from a tar archive that somebody embeds as a file and wants back
/// as a file.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.steg.files+tar";

/// The media type of tar archives that are embedded as files.
pub(crate) const PLAIN_TAR_MEDIA_TYPE: &str = "application/x-tar";

/// Files and folders in one archive, at most.
pub(crate) const MAX_MEMBERS: usize = 50_000;

/// Permissions that are kept: read, write and execute of owner, group and others.
const KEPT_PERMISSIONS: u32 = 0o777;
