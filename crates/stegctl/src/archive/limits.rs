//! Limits of archives, the same for reading and writing.

/// Maximum number of files and folders in one archive.
pub(super) const MAX_MEMBERS: usize = 50_000;

/// Permissions kept: read, write and execute of owner, group and others.
pub(super) const KEPT_PERMISSIONS: u32 = 0o777;
