//! Who this data directory is: a number minted once, the name it was minted under, and the cluster it belongs to.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::types::{ClusterId, RaftId};

/// The version of the file that this release writes, and the only one it reads.
const VERSION: u32 = 1;
const IDENTITY: &str = "identity.json";
const LOCK: &str = "LOCK";
const LOG: &str = "log.redb";
const SNAPSHOTS: &str = "snapshots";

/// Who this data directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Minted for the directory, never used again.
    pub raft_id: RaftId,
    /// The node's name when it was minted.
    pub name: String,
    /// The cluster it belongs to; none: it has neither founded nor joined one.
    pub cluster_id: Option<ClusterId>,
    /// Whether it founded that cluster: then it is the one to write the first entry, also after a crash in between.
    pub founder: bool,
    /// The cluster that its own one-voter cluster gave way to.
    pub gave_way_to: Option<ClusterId>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredV1 {
    v: u32,
    raft_id: String,
    name: String,
    cluster_id: Option<ClusterId>,
    founder: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gave_way_to: Option<ClusterId>,
}

/// An open data directory. No other process can have it open meanwhile.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    identity: ArcSwap<Identity>,
    /// Held while the identity is being changed; reading does not wait for the disk.
    changing: Mutex<()>,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The directory cannot be made, or nothing can be written to it.
    #[error("cannot use the data directory {path}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the data directory {path} is in use by another process")]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It was made for a node of another name.
    #[error(
        "the data directory {path} belongs to node {found}, not to {expected}: a directory cannot change its name; give \
         this node another one (--data-dir), or start it as {found}"
    )]
    WrongName {
        /// Which directory.
        path: PathBuf,
        /// The name in it.
        found: String,
        /// The name of the node that was started.
        expected: String,
    },
    /// The identity file is not readable.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The identity file is of another release.
    #[error("{path} has version {found}; this release knows version {VERSION}")]
    UnknownVersion {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u64,
    },
    /// A file that must be there is not. To go on without it could undo a vote or lose what was acknowledged.
    #[error(
        "the data directory {path} is incomplete: {missing} is gone. Restore it, or move the whole directory away: the node \
         then joins the cluster as a new one"
    )]
    Incomplete {
        /// Which directory.
        path: PathBuf,
        /// What is missing.
        missing: &'static str,
    },
}

impl DataDir {
    /// Opens the directory of the node `name`, making it if it is not there.
    ///
    /// # Errors
    /// [`DataDirError`] if it is in use, belongs to another name, or is not whole.
    pub(crate) fn open(path: &Path, name: &str) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        fs::create_dir_all(path.join(SNAPSHOTS)).map_err(unusable)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let identity = match read(&path.join(IDENTITY))? {
            Some(identity) if identity.name != name => {
                let (found, expected) = (identity.name, name.to_owned());
                return Err(DataDirError::WrongName { path: path.to_owned(), found, expected });
            }
            Some(identity) if log_is_lost(path, &identity) => {
                return Err(DataDirError::Incomplete { path: path.to_owned(), missing: LOG });
            }
            Some(identity) => identity,
            None => mint(path, name)?,
        };
        Ok(Self {
            path: path.to_owned(),
            identity: ArcSwap::from_pointee(identity),
            changing: Mutex::new(()),
            _lock: lock,
        })
    }

    /// Who this directory is.
    pub(crate) fn identity(&self) -> Identity {
        Identity::clone(&self.identity.load())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where snapshots are.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    /// The node belongs to this cluster from now on; durable on return.
    pub(crate) fn adopt(&self, cluster_id: ClusterId) -> Result<(), DataDirError> {
        self.change(|identity| (identity.cluster_id, identity.founder) = (Some(cluster_id), false))
    }

    /// The node founds this cluster; durable on return.
    pub(crate) fn found(&self, cluster_id: ClusterId) -> Result<(), DataDirError> {
        self.change(|identity| (identity.cluster_id, identity.founder) = (Some(cluster_id), true))
    }

    /// The node's own cluster gave way to this one; durable on return.
    pub(crate) fn give_way_to(&self, cluster_id: ClusterId) -> Result<(), DataDirError> {
        self.change(|identity| identity.gave_way_to = Some(cluster_id))
    }

    fn change(&self, change: impl FnOnce(&mut Identity)) -> Result<(), DataDirError> {
        let _changing = self.changing.lock().expect("no panic while it is held");
        let mut identity = self.identity();
        change(&mut identity);
        write(&self.path, &identity)?;
        self.identity.store(Arc::new(identity));
        Ok(())
    }
}

/// A directory without an identity gets one, unless it holds a log: then the identity was lost, and with another id this
/// node would vote a second time.
fn mint(path: &Path, name: &str) -> Result<Identity, DataDirError> {
    if path.join(LOG).exists() {
        return Err(DataDirError::Incomplete { path: path.to_owned(), missing: IDENTITY });
    }
    let identity = Identity {
        raft_id: RaftId::mint(),
        name: name.to_owned(),
        cluster_id: None,
        founder: false,
        gave_way_to: None,
    };
    write(path, &identity)?;
    Ok(identity)
}

/// Before a node belongs to a cluster it has promised nothing to anybody, and its log may still have to be made.
fn log_is_lost(path: &Path, identity: &Identity) -> bool {
    identity.cluster_id.is_some() && !path.join(LOG).exists()
}

fn read(path: &Path) -> Result<Option<Identity>, DataDirError> {
    let damaged = |reason: String| DataDirError::Damaged { path: path.to_owned(), reason };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(damaged(error.to_string())),
    };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    match json["v"].as_u64() {
        Some(found) if found == u64::from(VERSION) => {}
        Some(found) => return Err(DataDirError::UnknownVersion { path: path.to_owned(), found }),
        None => return Err(damaged("it names no version".to_owned())),
    }
    let stored: StoredV1 = serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
    let raft_id = stored.raft_id.parse().map_err(|_| damaged("the Raft id is not hexadecimal".to_owned()))?;
    let StoredV1 { name, cluster_id, founder, gave_way_to, .. } = stored;
    Ok(Some(Identity { raft_id, name, cluster_id, founder, gave_way_to }))
}

fn write(dir: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let aside = "identity.json.new";
    write_file(dir, identity, aside)
        .and_then(|()| fs::rename(dir.join(aside), dir.join(IDENTITY)))
        .and_then(|()| sync_dir(dir))
        .map_err(|source| DataDirError::Unusable { path: dir.to_owned(), source })
}

fn write_file(dir: &Path, identity: &Identity, file_name: &str) -> io::Result<()> {
    let stored = StoredV1 {
        v: VERSION,
        raft_id: identity.raft_id.to_string(),
        name: identity.name.clone(),
        cluster_id: identity.cluster_id,
        founder: identity.founder,
        gave_way_to: identity.gave_way_to,
    };
    let mut file = File::create(dir.join(file_name))?;
    file.write_all(serde_json::to_string_pretty(&stored)?.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Makes renames and new files in `dir` durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_minted_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1");
        let first = DataDir::open(&path, "n1").unwrap();
        let minted = first.identity();
        assert_eq!(minted.cluster_id, None);
        assert!(matches!(DataDir::open(&path, "n1"), Err(DataDirError::InUse { .. })));
        let cluster = ClusterId::mint();
        first.adopt(cluster).unwrap();
        fs::write(path.join(LOG), "entries").unwrap();
        drop(first);
        let again = DataDir::open(&path, "n1").unwrap().identity();
        assert_eq!(again, Identity { cluster_id: Some(cluster), ..minted });
    }

    #[test]
    fn a_directory_of_another_name_is_refused_with_both_names() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path(), "n1").unwrap());
        let error = DataDir::open(dir.path(), "n2").unwrap_err().to_string();
        assert!(error.contains("belongs to node n1, not to n2"), "{error}");
    }

    #[test]
    fn half_a_directory_is_refused() {
        for missing in [IDENTITY, LOG] {
            let dir = tempfile::tempdir().unwrap();
            DataDir::open(dir.path(), "n1").unwrap().adopt(ClusterId::mint()).unwrap();
            fs::write(dir.path().join(LOG), "entries").unwrap();
            fs::remove_file(dir.path().join(missing)).unwrap();
            let error = DataDir::open(dir.path(), "n1").unwrap_err();
            assert!(
                matches!(&error, DataDirError::Incomplete { missing: found, .. } if *found == missing),
                "{error}"
            );
        }
    }

    #[test]
    fn another_version_and_damage_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path(), "n1").unwrap());
        let outcome = |text: &str| {
            fs::write(dir.path().join(IDENTITY), text).unwrap();
            DataDir::open(dir.path(), "n1").unwrap_err()
        };
        assert!(matches!(outcome(r#"{"v": 2}"#), DataDirError::UnknownVersion { found: 2, .. }));
        assert!(matches!(outcome(r#"{"v": 1}"#), DataDirError::Damaged { .. }));
        assert!(matches!(outcome("{"), DataDirError::Damaged { .. }));
    }
}
