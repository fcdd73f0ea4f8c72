//! Figures of a node's `/metrics`.

use testkit::Cluster;

/// Returns a figure without labels of a node's `/metrics`.
pub(super) fn metric(cluster: &Cluster, i: usize, name: &str) -> Option<f64> {
    let reply = cluster.get(i, "/metrics")?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
