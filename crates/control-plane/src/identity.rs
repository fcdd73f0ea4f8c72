//! Identity of a data directory: a Raft id minted once, the node's name at the time, and the cluster.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterId, RaftId};
use crate::storage::{LOG_FILE as LOG, SNAPSHOT_DIR as SNAPSHOTS, STATE_FILE as STATE, StorageFailure};
use crate::world::files::{self, File, Open};

/// Version of the identity file, the only version that the release writes and reads.
const VERSION: u32 = 1;
const IDENTITY: &str = "identity.json";
const LOCK: &str = "LOCK";
/// Addition to the name of a directory that is about to replace another one.
const REPLACEMENT: &str = "replacement";

/// Identity of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Raft id minted for the directory, never used again.
    pub raft_id: RaftId,
    /// Name of the node at the time of minting.
    pub name: String,
    /// Cluster of the node; none before the node has founded or joined a cluster.
    pub cluster_id: Option<ClusterId>,
    /// True if the node founded the cluster, and so writes the first entry, also after a crash in between.
    pub founder: bool,
    /// Cluster to which the node's own one-voter cluster gave way.
    pub superseded_by: Option<ClusterId>,
    /// Only cluster that the node may join: its directory replaced one that had lost votes or entries. None
    /// once entries were received.
    pub joins: Option<ClusterId>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredV1 {
    v: u32,
    raft_id: String,
    name: String,
    cluster_id: Option<ClusterId>,
    founder: bool,
    #[serde(rename = "gave_way_to", default, skip_serializing_if = "Option::is_none")]
    superseded_by: Option<ClusterId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    joins: Option<ClusterId>,
}

/// A data directory, locked against other processes once open. Before, the node has no id, belongs to no
/// cluster, and changes nothing in the directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    name: String,
    identity: ArcSwap<Identity>,
    /// Held during a change of the identity; readers do not wait for the disk.
    changing: Mutex<()>,
    /// The locked file; none before the directory was open. Held while opening.
    lock: Mutex<Option<File>>,
    /// True if the identity was minted by the latest opening: no peer has heard of it.
    is_new: AtomicBool,
}

/// Reason why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The directory or a file in the directory cannot be made, read or written.
    #[error("cannot use {path}")]
    Unusable {
        /// Path of the directory or file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error("the data directory {path} is in use by another process")]
    InUse {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The directory was made for a node of another name.
    #[error(
        "the data directory {path} belongs to node {found}, not to {expected}: a directory cannot change its name; give \
         this node another one (--data-dir), or start it as {found}"
    )]
    WrongName {
        /// Path of the directory.
        path: PathBuf,
        /// Name stored in the directory.
        found: String,
        /// Name of the node that was started.
        expected: String,
    },
    /// The identity file is damaged.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Path of the identity file.
        path: PathBuf,
        /// Description of the damage.
        reason: String,
    },
    /// The identity file was written by another release.
    #[error("{path} has version {found}; this release knows version {VERSION}")]
    UnknownVersion {
        /// Path of the identity file.
        path: PathBuf,
        /// Version in the file.
        found: u64,
    },
    /// A required file is missing. To go on without the file could undo a vote or lose acknowledged writes.
    #[error(
        "the data directory {path} is incomplete: {missing} is gone. Restore it, or move the whole directory away: the node \
         then joins the cluster as a new one"
    )]
    Incomplete {
        /// Path of the directory.
        path: PathBuf,
        /// Name of the missing file.
        missing: &'static str,
    },
}

impl DataDirError {
    /// True for a mistake of the operator, which no waiting repairs: the node ends at its start.
    pub(crate) fn is_mistake(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::WrongName { .. } | Self::UnknownVersion { .. })
    }

    /// Returns the error as a storage failure for operators, with file and remedy.
    pub(crate) fn failure(&self, data_dir: &Path) -> StorageFailure {
        let text = || crate::error_chain::text_with_sources(self);
        match self {
            Self::Unusable { path, source } => StorageFailure::io(path, data_dir, source),
            Self::Damaged { path, .. } => StorageFailure::damaged(path, data_dir, text()),
            Self::Incomplete { path, missing: LOG } => {
                StorageFailure::reverted(&path.join(LOG), data_dir, text())
            }
            Self::Incomplete { path, missing } => {
                StorageFailure::damaged(&path.join(missing), data_dir, text())
            }
            Self::UnknownVersion { path, .. } | Self::InUse { path } | Self::WrongName { path, .. } => {
                StorageFailure::other(path, data_dir, text())
            }
        }
    }
}

impl DataDir {
    /// Returns the directory of the node `name`, not open yet.
    pub(crate) fn new(path: &Path, name: &str) -> Self {
        Self {
            path: path.to_owned(),
            name: name.to_owned(),
            identity: ArcSwap::from_pointee(Identity::unknown(name)),
            changing: Mutex::new(()),
            lock: Mutex::new(None),
            is_new: AtomicBool::new(false),
        }
    }

    /// Opens the directory, creating a missing directory. On later calls, checks that the path still leads to
    /// the opened directory; a directory put in its place by an operator is opened instead, with its own
    /// identity. Blocks.
    ///
    /// # Errors
    /// [`DataDirError`] if the directory is in use, belongs to another name, is unreadable or incomplete. No
    /// identity is minted then.
    pub(crate) fn open(&self) -> Result<(), DataDirError> {
        let mut lock = self.lock.lock().expect("no panic while it is held");
        let unusable = |source| DataDirError::Unusable { path: self.path.clone(), source };
        self.finish_replacement().map_err(unusable)?;
        files::create_dir_all(&self.path.join(SNAPSHOTS)).map_err(unusable)?;
        let path = self.path.join(LOCK);
        let file = File::open(&path, Open::Create);
        let file = file.map_err(|source| DataDirError::Unusable { path, source })?;
        if !is_same_file(lock.as_ref(), &file).map_err(unusable)? {
            if !file.try_lock().map_err(unusable)? {
                return Err(DataDirError::InUse { path: self.path.clone() });
            }
            self.identity.store(Arc::new(Identity::unknown(&self.name)));
            *lock = Some(file);
        }
        let found = read(&self.path.join(IDENTITY))?;
        self.is_new.store(found.is_none(), Ordering::Relaxed);
        let identity = match found {
            Some(identity) if identity.name != self.name => {
                let (found, expected) = (identity.name, self.name.clone());
                return Err(DataDirError::WrongName { path: self.path.clone(), found, expected });
            }
            Some(identity) if log_is_lost(&self.path, &identity)? => {
                // Known to the peers, which decide about a replacement.
                self.identity.store(Arc::new(identity));
                return Err(DataDirError::Incomplete { path: self.path.clone(), missing: LOG });
            }
            Some(identity) => identity,
            None => mint(&self.path, &self.name)?,
        };
        self.identity.store(Arc::new(identity));
        Ok(())
    }

    /// Returns the identity of the directory.
    pub(crate) fn identity(&self) -> Identity {
        Identity::clone(&self.identity.load())
    }

    /// True if the identity was minted by the latest opening.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed)
    }

    /// Sets the directory aside and puts a new one in its place, with a new identity that joins `cluster`
    /// only. Nothing may have the files open. Returns the new path of the old directory. Blocks.
    ///
    /// A crash in between leaves the old directory, or the new one under a temporary name that the next
    /// opening completes.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`] if a folder cannot be written or renamed, as for a mount point.
    pub(crate) fn set_aside(&self, cluster: ClusterId, unix_s: u64) -> Result<PathBuf, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: self.path.clone(), source };
        let (parent, replacement) = (parent(&self.path), beside(&self.path, REPLACEMENT));
        let aside = beside(&self.path, &format!("reverted-{unix_s}"));
        files::create_dir_all(&replacement.join(SNAPSHOTS)).map_err(unusable)?;
        let identity =
            Identity { raft_id: RaftId::mint(), joins: Some(cluster), ..Identity::unknown(&self.name) };
        write(&replacement, &identity)?;
        files::sync_folder(&parent).map_err(unusable)?;
        files::rename(&self.path, &aside).map_err(unusable)?;
        files::sync_folder(&parent).map_err(unusable)?;
        self.finish_replacement().map_err(unusable)?;
        Ok(aside)
    }

    /// Gives a prepared replacement its name, once the directory that it replaces is set aside.
    fn finish_replacement(&self) -> io::Result<()> {
        let replacement = beside(&self.path, REPLACEMENT);
        if files::exists(&self.path)? || !files::exists(&replacement.join(IDENTITY))? {
            return Ok(());
        }
        files::rename(&replacement, &self.path)?;
        files::sync_folder(&parent(&self.path))
    }

    /// Returns the path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory of the snapshots.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    /// Assigns the node to `cluster_id`; durable on return.
    pub(crate) fn adopt(&self, cluster_id: ClusterId) -> Result<(), DataDirError> {
        self.change(|identity| {
            debug_assert!(identity.joins.is_none_or(|only| only == cluster_id), "joins one cluster only");
            (identity.cluster_id, identity.founder) = (Some(cluster_id), false);
        })
    }

    /// Records that the node has received entries of its cluster, and can join no other one any more; durable
    /// on return.
    pub(crate) fn joined(&self) -> Result<(), DataDirError> {
        self.change(|identity| identity.joins = None)
    }

    /// Makes the node the founder of `cluster_id`; durable on return.
    pub(crate) fn found(&self, cluster_id: ClusterId) -> Result<(), DataDirError> {
        self.change(|identity| (identity.cluster_id, identity.founder) = (Some(cluster_id), true))
    }

    /// Records that the node's own cluster gave way to `cluster_id`; durable on return.
    pub(crate) fn supersede_by(&self, cluster_id: ClusterId) -> Result<(), DataDirError> {
        self.change(|identity| identity.superseded_by = Some(cluster_id))
    }

    fn change(&self, change: impl FnOnce(&mut Identity)) -> Result<(), DataDirError> {
        let _changing = self.changing.lock().expect("no panic while it is held");
        let mut identity = self.identity();
        if !identity.is_known() {
            let source = io::Error::other("it is not open");
            return Err(DataDirError::Unusable { path: self.path.clone(), source });
        }
        let raft_id = identity.raft_id;
        change(&mut identity);
        debug_assert_eq!(identity.raft_id, raft_id, "the id of a directory never changes");
        write(&self.path, &identity)?;
        self.identity.store(Arc::new(identity));
        Ok(())
    }
}

impl Identity {
    /// Returns the identity of a node whose data directory was not opened yet.
    fn unknown(name: &str) -> Self {
        let name = name.to_owned();
        Self {
            raft_id: RaftId::UNKNOWN,
            name,
            cluster_id: None,
            founder: false,
            superseded_by: None,
            joins: None,
        }
    }

    /// False until the data directory was opened.
    pub(crate) fn is_known(&self) -> bool {
        self.raft_id != RaftId::UNKNOWN
    }
}

/// Returns the folder that holds a directory.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Returns the path beside a directory with an addition to its name.
fn beside(path: &Path, addition: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(addition);
    path.with_file_name(name)
}

/// Mints an identity for an empty directory. In a directory with other content the identity was lost, and
/// under another id the node would vote a second time.
fn mint(path: &Path, name: &str) -> Result<Identity, DataDirError> {
    if !is_fresh(path)? {
        return Err(DataDirError::Incomplete { path: path.to_owned(), missing: IDENTITY });
    }
    let identity = Identity { raft_id: RaftId::mint(), ..Identity::unknown(name) };
    debug_assert!(identity.is_known(), "the unknown id is never minted");
    write(path, &identity)?;
    Ok(identity)
}

/// True if nothing was ever stored in the directory.
fn is_fresh(path: &Path) -> Result<bool, DataDirError> {
    let snapshots = path.join(SNAPSHOTS);
    let unusable = |source| DataDirError::Unusable { path: snapshots.clone(), source };
    let holds_snapshots = !files::list(&snapshots).map_err(unusable)?.is_empty();
    Ok(!holds_snapshots && !exists(&path.join(LOG))? && !exists(&path.join(STATE))?)
}

/// True if the log of a cluster member is missing. Before joining, a node has cast no vote and acknowledged
/// nothing, and its log may still have to be made.
fn log_is_lost(path: &Path, identity: &Identity) -> Result<bool, DataDirError> {
    Ok(identity.cluster_id.is_some() && !exists(&path.join(LOG))?)
}

/// True if `path` exists. An error if the existence is undetermined: an unreachable file does not count as
/// missing.
fn exists(path: &Path) -> Result<bool, DataDirError> {
    files::exists(path).map_err(|source| DataDirError::Unusable { path: path.to_owned(), source })
}

fn is_same_file(held: Option<&File>, found: &File) -> io::Result<bool> {
    let Some(held) = held else { return Ok(false) };
    Ok(held.id()? == found.id()?)
}

fn read(path: &Path) -> Result<Option<Identity>, DataDirError> {
    let damaged = |reason: String| DataDirError::Damaged { path: path.to_owned(), reason };
    let bytes = match files::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DataDirError::Unusable { path: path.to_owned(), source }),
    };
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    match json["v"].as_u64() {
        Some(found) if found == u64::from(VERSION) => {}
        Some(found) => return Err(DataDirError::UnknownVersion { path: path.to_owned(), found }),
        None => return Err(damaged("it names no version".to_owned())),
    }
    let stored: StoredV1 = serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
    let raft_id = stored.raft_id.parse().map_err(|_| damaged("the Raft id is not hexadecimal".to_owned()))?;
    let StoredV1 { name, cluster_id, founder, superseded_by, joins, .. } = stored;
    Ok(Some(Identity { raft_id, name, cluster_id, founder, superseded_by, joins }))
}

fn write(dir: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let aside = "identity.json.new";
    write_file(dir, identity, aside)
        .and_then(|()| files::rename(&dir.join(aside), &dir.join(IDENTITY)))
        .and_then(|()| files::sync_folder(dir))
        .map_err(|source| DataDirError::Unusable { path: dir.to_owned(), source })
}

fn write_file(dir: &Path, identity: &Identity, file_name: &str) -> io::Result<()> {
    let stored = StoredV1 {
        v: VERSION,
        raft_id: identity.raft_id.to_string(),
        name: identity.name.clone(),
        cluster_id: identity.cluster_id,
        founder: identity.founder,
        superseded_by: identity.superseded_by,
        joins: identity.joins,
    };
    let file = File::open(&dir.join(file_name), Open::Truncate)?;
    (&file).write_all((serde_json::to_string_pretty(&stored)? + "\n").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn open(path: &Path, name: &str) -> Result<DataDir, DataDirError> {
        let data = DataDir::new(path, name);
        data.open().map(|()| data)
    }

    #[test]
    fn an_identity_is_minted_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1");
        let first = open(&path, "n1").unwrap();
        let minted = first.identity();
        assert_eq!(minted.cluster_id, None);
        assert!(matches!(open(&path, "n1"), Err(DataDirError::InUse { .. })));
        let cluster = ClusterId::mint();
        first.adopt(cluster).unwrap();
        fs::write(path.join(LOG), "entries").unwrap();
        drop(first);
        let again = open(&path, "n1").unwrap().identity();
        assert_eq!(again, Identity { cluster_id: Some(cluster), ..minted });
    }

    #[test]
    fn a_directory_of_another_name_is_refused_with_both_names() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), "n1").unwrap());
        let error = open(dir.path(), "n2").unwrap_err().to_string();
        assert!(error.contains("belongs to node n1, not to n2"), "{error}");
    }

    #[test]
    fn half_a_directory_is_refused() {
        for missing in [IDENTITY, LOG] {
            let dir = tempfile::tempdir().unwrap();
            open(dir.path(), "n1").unwrap().adopt(ClusterId::mint()).unwrap();
            fs::write(dir.path().join(LOG), "entries").unwrap();
            fs::remove_file(dir.path().join(missing)).unwrap();
            let error = open(dir.path(), "n1").unwrap_err();
            assert!(
                matches!(&error, DataDirError::Incomplete { missing: found, .. } if *found == missing),
                "{error}"
            );
        }
    }

    #[test]
    fn another_version_and_damage_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), "n1").unwrap());
        let outcome = |text: &str| {
            fs::write(dir.path().join(IDENTITY), text).unwrap();
            open(dir.path(), "n1").unwrap_err()
        };
        assert!(matches!(outcome(r#"{"v": 2}"#), DataDirError::UnknownVersion { found: 2, .. }));
        assert!(matches!(outcome(r#"{"v": 1}"#), DataDirError::Damaged { .. }));
        assert!(matches!(outcome("{"), DataDirError::Damaged { .. }));
    }

    /// The identity is unknown until the directory opens, and unchanged afterwards.
    #[test]
    fn what_cannot_be_read_is_not_minted_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1");
        let minted = open(&path, "n1").unwrap().identity();
        let identity = path.join(IDENTITY);
        let text = fs::read(&identity).unwrap();
        let hidden = dir.path().join("hidden");
        let data = DataDir::new(&path, "n1");
        let refused = |break_it: &dyn Fn(), mend: &dyn Fn()| {
            break_it();
            let error = data.open().unwrap_err();
            assert!(!data.identity().is_known(), "{error}");
            assert!(data.adopt(ClusterId::mint()).is_err());
            assert_eq!((data.identity().raft_id, data.identity().cluster_id), (RaftId::UNKNOWN, None));
            mend();
        };
        // A folder in place of the file: reading fails with another error than "not found".
        refused(
            &|| {
                fs::remove_file(&identity).unwrap();
                fs::create_dir(&identity).unwrap();
            },
            &|| fs::remove_dir(&identity).unwrap(),
        );
        // Every way to lose the identity beside stored data.
        for beside in [LOG, STATE, "snapshots/5-1.snap"] {
            refused(&|| fs::write(path.join(beside), "stored").unwrap(), &|| {
                fs::remove_file(path.join(beside)).unwrap()
            });
        }
        refused(&|| fs::write(&identity, &text[..text.len() / 2]).unwrap(), &|| {});
        refused(&|| fs::write(&identity, [0xff; 100]).unwrap(), &|| fs::write(&identity, &text).unwrap());
        refused(
            &|| {
                fs::rename(&path, &hidden).unwrap();
                fs::write(&path, "a file").unwrap();
            },
            &|| {
                fs::remove_file(&path).unwrap();
                fs::rename(&hidden, &path).unwrap();
            },
        );
        data.open().unwrap();
        assert_eq!(data.identity(), minted);
    }

    /// The new identity keeps the cluster; a crash in between is completed by the next opening.
    #[test]
    fn a_directory_set_aside_is_replaced_by_one_that_joins_the_same_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1");
        let data = open(&path, "n1").unwrap();
        let (first, cluster) = (data.identity(), ClusterId::mint());
        data.found(cluster).unwrap();
        fs::write(path.join(LOG), "entries").unwrap();
        let aside = data.set_aside(cluster, 7).unwrap();
        assert_eq!(aside, dir.path().join("n1.reverted-7"));
        assert_eq!(fs::read_to_string(aside.join(LOG)).unwrap(), "entries");
        data.open().unwrap();
        let second = data.identity();
        assert!(second.raft_id != first.raft_id && !second.founder && !data.is_new());
        assert_eq!((second.cluster_id, second.joins), (None, Some(cluster)));
        fs::write(path.join(LOG), "entries").unwrap();
        data.adopt(cluster).unwrap();
        assert_eq!(data.identity().joins, Some(cluster), "until entries are received");
        data.joined().unwrap();
        data.open().unwrap();
        assert_eq!((data.identity().cluster_id, data.identity().joins), (Some(cluster), None));
        // A crash before the first rename, and between the two.
        data.set_aside(cluster, 8).unwrap();
        fs::rename(&path, dir.path().join("n1.replacement")).unwrap();
        drop(data);
        let data = open(&path, "n1").unwrap();
        assert_eq!(data.identity().joins, Some(cluster));
        fs::create_dir(dir.path().join("n1.replacement")).unwrap();
        data.open().unwrap();
        data.set_aside(cluster, 9).unwrap();
        data.open().unwrap();
        assert_eq!(data.identity().joins, Some(cluster));
    }

    /// An operator moves a damaged directory away while the node runs: a new directory is a new node.
    #[test]
    fn another_directory_in_its_place_has_another_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1");
        let data = open(&path, "n1").unwrap();
        let first = data.identity();
        data.open().unwrap();
        assert_eq!(data.identity(), first, "the same directory");
        fs::rename(&path, dir.path().join("away")).unwrap();
        data.open().unwrap();
        assert_ne!(data.identity().raft_id, first.raft_id);
        assert!(matches!(open(&path, "n1"), Err(DataDirError::InUse { .. })), "locked again");
        assert_eq!(open(&dir.path().join("away"), "n1").unwrap().identity(), first, "and given up");
    }
}
