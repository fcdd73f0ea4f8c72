//! Cost of a flush: on the file system that holds the data, and as reported by the nodes.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use testkit::Cluster;

use super::metrics::metric;
use super::report::{Flush, ms};

/// Size of a write: a page, like a small entry of a log.
const WRITE_BYTES: usize = 4096;
/// Number of writes.
const WRITES: usize = 200;

/// Times a write and its flush (fdatasync) in a file below `folder`, each at the same position.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn measure(folder: &Path) -> anyhow::Result<Flush> {
    let path = folder.join("flush");
    let mut file = File::create(&path).context("cannot make a file")?;
    let page = [0x5a; WRITE_BYTES];
    let mut times_ms = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let started = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)?;
        file.sync_data()?;
        times_ms.push(ms(started.elapsed()));
    }
    std::fs::remove_file(path)?;
    Ok(Flush::of(&times_ms))
}

/// Returns the mean time of a commit of the log, as counted by the running nodes since their start: the
/// slowest of the means.
pub(super) fn log_commit_ms(cluster: &Cluster) -> Option<f64> {
    let figure = |i, name: &str| metric(cluster, i, &format!("steg_cluster_log_flush_seconds_{name}"));
    let mean_s = |i| Some(figure(i, "sum")? / figure(i, "count").filter(|&commits| commits > 0.0)?);
    (0..cluster.len()).filter_map(mean_s).reduce(f64::max).map(|seconds| seconds * 1e3)
}
