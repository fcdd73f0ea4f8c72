//! Settings of the whole measurement: binaries, folders, rounds.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Settings shared by all cases.
pub(super) struct Bench {
    binaries: PathBuf,
    /// Folder of the clusters and of kept logs.
    folder: PathBuf,
    pub(super) rounds: Option<u32>,
    pub(super) minutes: u64,
    pub(super) set: Vec<String>,
}

impl Bench {
    /// Builds the release unless `bin_dir` has one, and creates the folder of the clusters.
    ///
    /// # Errors
    /// If the build fails, or a folder cannot be used.
    pub(super) fn prepare(
        bin_dir: Option<PathBuf>,
        rounds: Option<u32>,
        minutes: u64,
        set: Vec<String>,
    ) -> anyhow::Result<Self> {
        let binaries = match bin_dir {
            Some(folder) => folder,
            None => {
                xtask::cargo(&["build", "--release", "--bin", "server", "--bin", "loadgen"])?;
                xtask::target().join("release")
            }
        };
        let binaries =
            binaries.canonicalize().with_context(|| format!("no folder {}", binaries.display()))?;
        let folder = xtask::target().canonicalize()?.join("failover");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { binaries, folder, rounds, minutes, set })
    }

    pub(super) fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
