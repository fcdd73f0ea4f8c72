//! A cluster under test, with load if a case needs load.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use testkit::{Cluster, ClusterBuilder, Connection, Reply};

use super::bench::Bench;
use super::load::Load;
use super::report::CaseReport;
use super::rounds::Fixture;

/// Time limit until all nodes have applied the same log.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// Time limit of an answer outside the measurement.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// Limit on the idempotency keys of a cluster; an eighth is for the writers of a case, which have one
/// address.
const IDEMPOTENCY_BYTES: u64 = 1 << 30;

/// A cluster and its load; the load ends first.
pub(super) struct BenchCluster {
    pub(super) load: Option<Load>,
    pub(super) cluster: Cluster,
}

impl BenchCluster {
    /// Creates a cluster without load.
    ///
    /// # Errors
    /// Never; the signature is that of [`Self::busy`].
    pub(super) fn quiet(cluster: Cluster) -> anyhow::Result<Self> {
        settle(&cluster);
        Ok(Self { load: None, cluster })
    }

    /// Creates a cluster with continuous embeds until the end of its last round.
    ///
    /// # Errors
    /// If loadgen cannot be started.
    pub(super) fn busy(bench: &Bench, cluster: Cluster, clients: u32) -> anyhow::Result<Self> {
        settle(&cluster);
        let load = Some(Load::endless(bench, &cluster, clients)?);
        Ok(Self { load, cluster })
    }
}

impl Fixture for BenchCluster {
    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn end(&mut self, report: &mut CaseReport) -> anyhow::Result<()> {
        if let Some(load) = self.load.take() {
            report.note(format!("load: {}", load.stop()?));
        }
        Ok(())
    }
}

impl Bench {
    /// Returns a builder of a cluster of the release build on this machine's own disk.
    pub(super) fn cluster(&self) -> ClusterBuilder {
        let builder = ClusterBuilder::new().program(self.binary("server")).under(self.folder());
        // The writers of a case write more in a day than one address may in the default.
        let builder = builder.set("limits.idempotency_bytes", IDEMPOTENCY_BYTES);
        self.set.iter().fold(builder, |builder, pair| match pair.split_once('=') {
            Some((key, value)) => builder.set(key, value),
            None => builder.flags(["--set", pair]),
        })
    }
}

/// Waits until every node is healthy, names the same leader and has applied the same log. Returns the leader.
pub(super) fn settle(cluster: &Cluster) -> usize {
    let leader = cluster.wait_all_healthy();
    cluster.wait_until("every node to have applied the same", SETTLED_WITHIN, |cluster| {
        let applied = |i| cluster.status(i)?.node(cluster.id(i))?.applied_index;
        let first = applied(0)?;
        (1..cluster.len()).all(|i| applied(i) == Some(first)).then_some(())
    });
    leader
}

/// Returns every node but the given node.
pub(super) fn others(cluster: &Cluster, one: usize) -> Vec<usize> {
    (0..cluster.len()).filter(|&i| i != one).collect()
}

/// Makes a call that needs the admin token.
///
/// # Errors
/// If no whole answer came within the limit of the connection.
pub(super) fn operate(
    connection: &mut Connection,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> std::io::Result<Reply> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    connection.call(method, path, &headers, body.to_string().as_bytes())
}

/// Makes an operator's call to node `i`, which must succeed, and returns the answer.
///
/// # Errors
/// If the node does not answer, or refuses.
pub(super) fn must_post(cluster: &Cluster, i: usize, path: &str, body: &Value) -> anyhow::Result<Value> {
    must_call(cluster, i, "POST", path, body)
}

/// Sets a setting through node `i`.
///
/// # Errors
/// If the node does not answer, or refuses.
pub(super) fn must_put(cluster: &Cluster, i: usize, key: &str, body: &Value) -> anyhow::Result<Value> {
    must_call(cluster, i, "PUT", &format!("/cluster/settings/{key}"), body)
}

fn must_call(cluster: &Cluster, i: usize, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let mut connection = Connection::open(cluster.address(i), ANSWER_LIMIT).context("no connection")?;
    let reply = operate(&mut connection, cluster.admin_token(), method, path, body)
        .with_context(|| format!("{method} {path} has no answer"))?;
    let text = String::from_utf8_lossy(&reply.body);
    ensure!(reply.status / 100 == 2, "{method} {path} {body}: {} {text}", reply.status);
    Ok(reply.json().unwrap_or_default())
}

/// Reads a setting through node `i`, linearizable.
///
/// # Errors
/// If the node does not answer with the setting.
pub(super) fn setting(cluster: &Cluster, i: usize, key: &str) -> anyhow::Result<Value> {
    let mut connection = Connection::open(cluster.address(i), ANSWER_LIMIT).context("no connection")?;
    let reply = connection.get(&format!("/cluster/settings/{key}"))?;
    let text = String::from_utf8_lossy(&reply.body);
    ensure!(reply.status == 200, "{key} on {}: {} {text}", cluster.id(i), reply.status);
    reply.json().context("the setting is not JSON")
}
