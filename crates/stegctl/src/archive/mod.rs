//! Several files and folders as one secret: a tar archive (POSIX.1-2017 pax, with GNU's long names) of files
//! and folders and nothing else.
//!
//! The output of [`pack()`] depends only on names, contents, permissions and times of the files: members are
//! sorted, have no owner (user and group 0, without names) and keep read, write and execute bits and the time
//! of the last change in whole seconds. [`Contents`] reads archives of any origin as adversarial input: the
//! whole archive is checked before [`restore()`] writes the first file.

mod limits;
mod names;
mod pack;
mod restore;
mod unpack;

pub(crate) use names::shown;
pub(crate) use pack::{PackError, PackOptions, name_of, pack};
pub(crate) use restore::{RestoreError, restore};
pub(crate) use unpack::{Contents, Member, UnpackError};

/// Media type of a secret made by [`pack()`], distinct from a tar archive embedded as a file, which is
/// extracted as a file.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.steg.files+tar";

/// Media type of tar archives embedded as files.
pub(crate) const PLAIN_TAR_MEDIA_TYPE: &str = "application/x-tar";
