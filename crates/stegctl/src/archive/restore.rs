//! Restoring of an archive into a folder: all or nothing, and nowhere else.
//!
//! All members are first written into a new folder beside the target, where no link can interfere, and then
//! moved. Without `force` no existing path is touched; with `force`, files are replaced and folders are added
//! to.

use std::fs::{File, FileTimes};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use super::unpack::{Contents, Kind, Member};
use crate::interrupt::Leftover;

/// Permissions of the owner on every folder: read, write and search, required to fill and move the folder.
const OWNERS_FOLDER: u32 = 0o700;

/// Failure to restore.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The path of a member exists.
    #[error("{} exists; --force replaces files and adds to folders", path.display())]
    Exists {
        /// The existing path.
        path: PathBuf,
    },
    /// The path of a member exists and cannot be replaced by the member.
    #[error("{} exists and is not a {wanted}; move it away first", path.display())]
    OtherKind {
        /// The existing path.
        path: PathBuf,
        /// The required kind.
        wanted: &'static str,
    },
    /// The file system refuses a write.
    #[error("cannot write {}", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
}

/// Writes all members into `folder`, created if missing.
///
/// # Errors
/// [`RestoreError`] if a path exists that may not be replaced, or the file system refuses a write.
pub(crate) fn restore(contents: &Contents<'_>, folder: &Path, force: bool) -> Result<(), RestoreError> {
    let exists = folder.is_dir();
    if !exists && folder.symlink_metadata().is_ok() {
        return Err(RestoreError::OtherKind { path: folder.to_owned(), wanted: "folder" });
    }
    for top in contents.tops() {
        if !force && folder.join(top).symlink_metadata().is_ok() {
            return Err(RestoreError::Exists { path: folder.join(top) });
        }
    }
    let beside = match folder.parent() {
        _ if exists => folder,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => folder,
    };
    let cannot_stage = |source| RestoreError::Write { path: folder.to_owned(), source };
    let make = || tempfile::Builder::new().prefix(".stegctl-").tempdir_in(beside);
    let (staging, _leftover) = Leftover::make(make, TempDir::path).map_err(cannot_stage)?;
    // The surrounding folder is private; the inner folder gets permissions by the user's umask.
    let staged = staging.path().join("files");
    std::fs::create_dir(&staged).map_err(cannot_stage)?;
    for member in contents.members() {
        write(member, &staged)
            .map_err(|source| RestoreError::Write { path: folder.join(member.path()), source })?;
    }
    for member in contents.members().iter().rev() {
        set_folder_time(member, &staged);
    }
    if exists {
        move_all(&staged, folder, force)
    } else {
        std::fs::rename(&staged, folder).map_err(cannot_stage)
    }
}

fn write(member: &Member<'_>, staged: &Path) -> io::Result<()> {
    let is_below = |component| matches!(component, Component::Normal(_));
    debug_assert!(member.path().components().all(is_below), "{} leaves the folder", member.name);
    let path = staged.join(member.path());
    make_folders_above(&member.name, staged)?;
    match member.kind {
        Kind::Folder => match make_folder(&path, member.mode) {
            // A member inside came first and created the folder.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        },
        Kind::File(content) => {
            // Fails where the file system considers two names equal.
            let mut file = create_file(&path, member.mode)?;
            file.write_all(content)?;
            if let Some(modified) = member.modified {
                // A time that the file system cannot store is no reason to refuse the file.
                let _ = file.set_modified(modified);
            }
            Ok(())
        }
    }
}

/// Creates the folders above a member, possibly absent from archives of other programs. `staged` itself is
/// not created: a missing `staged` was removed by Ctrl-C.
fn make_folders_above(name: &str, staged: &Path) -> io::Result<()> {
    for (at, _) in name.match_indices('/') {
        match std::fs::create_dir(staged.join(&name[..at])) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Creates a file with permissions reduced by the user's umask, as is usual for unpacking.
#[cfg(unix)]
fn create_file(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create_file(path: &Path, _mode: u32) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(mode | OWNERS_FOLDER).create(path)
}

#[cfg(not(unix))]
fn make_folder(path: &Path, _mode: u32) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// Sets a folder's time. Called after all members inside are written, since each write changes the time.
/// Where folders cannot be opened, the time stays new.
fn set_folder_time(member: &Member<'_>, staged: &Path) {
    if let (Kind::Folder, Some(modified)) = (member.kind, member.modified)
        && let Ok(folder) = File::open(staged.join(member.path()))
    {
        let _ = folder.set_times(FileTimes::new().set_modified(modified));
    }
}

/// A move of a file, or of a folder with its content, to a target.
struct Move {
    from: PathBuf,
    to: PathBuf,
    replaces: bool,
}

/// Moves staged members into an existing folder. All moves are planned first; on a later failure, completed
/// moves are reverted, except replacements.
fn move_all(staged: &Path, folder: &Path, force: bool) -> Result<(), RestoreError> {
    let mut moves = Vec::new();
    plan_moves(staged, folder, force, &mut moves)?;
    for (done, Move { from, to, .. }) in moves.iter().enumerate() {
        if let Err(source) = std::fs::rename(from, to) {
            for Move { from, to, .. } in moves[..done].iter().filter(|moved| !moved.replaces) {
                // The reported failure is the first.
                let _ = std::fs::rename(to, from);
            }
            return Err(RestoreError::Write { path: to.clone(), source });
        }
    }
    Ok(())
}

/// Plans the moves. An existing target is descended into only if a real folder: a link to a folder leads
/// elsewhere. Without `force`, a target created since the first check is an error.
fn plan_moves(from: &Path, to: &Path, force: bool, moves: &mut Vec<Move>) -> Result<(), RestoreError> {
    let cannot = |source| RestoreError::Write { path: to.to_owned(), source };
    for entry in from.read_dir().map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let is_folder = entry.file_type().map_err(cannot)?.is_dir();
        match to.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                moves.push(Move { from, to, replaces: false });
            }
            Err(source) => return Err(RestoreError::Write { path: to, source }),
            Ok(_) if !force => return Err(RestoreError::Exists { path: to }),
            Ok(existing) if is_folder && existing.is_dir() => plan_moves(&from, &to, force, moves)?,
            Ok(_) if is_folder => return Err(RestoreError::OtherKind { path: to, wanted: "folder" }),
            Ok(existing) if existing.is_dir() => {
                return Err(RestoreError::OtherKind { path: to, wanted: "file" });
            }
            Ok(_) => moves.push(Move { from, to, replaces: true }),
        }
    }
    Ok(())
}
