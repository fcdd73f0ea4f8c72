//! Nodes of a drill: leadership, health, and permission for drills.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::agreement::{Leadership, agreed_if_healthy, agreed_leadership};
use client::{Client, ClientError, Code, Endpoint};
use tokio::time::{Instant, sleep};

use super::options::{DrillOptions, Target};

/// Time limit for a node's status.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// Interval between polls while waiting for nodes.
const POLL: Duration = Duration::from_millis(50);
/// Longest time for which a lost node may still be reported as healthy.
const LOSS_SEEN_WITHIN: Duration = Duration::from_secs(2);
/// Time limit for the nodes to be healthy again.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);
/// Time limit for the nodes to be healthy before a drill.
const HEALTHY_BEFORE_WITHIN: Duration = Duration::from_secs(10);
/// Time limit for the cluster to name a leader at the end.
const LEADER_WITHIN: Duration = Duration::from_secs(10);

/// A node and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedEndpoint {
    pub(super) id: String,
    pub(super) endpoint: Endpoint,
}

/// The nodes of the cluster.
#[derive(Debug, Clone)]
pub(super) struct DrillCluster {
    /// Client that asks a single node at a time, once.
    pub(super) client: Client,
    pub(super) nodes: Vec<NamedEndpoint>,
}

impl DrillOptions {
    /// Selects the found token accepted by the cluster, unless a token is named or none is needed.
    ///
    /// # Errors
    /// If the client cannot be built. A cluster without an answer is reported by a later step.
    pub(super) async fn choose_token(&mut self) -> anyhow::Result<()> {
        if self.admin_token.is_some() || self.found_tokens.is_empty() {
            return Ok(());
        }
        let client = self.settings.client()?.request_timeout(ASK_WITHIN).build()?;
        self.admin_token = client.choose_token(&self.found_tokens).await.unwrap_or_default();
        Ok(())
    }
}

impl DrillCluster {
    /// Finds the nodes at the given addresses.
    ///
    /// # Errors
    /// If a node does not answer, or the cluster has nodes without a given address.
    pub(super) async fn find(options: &DrillOptions) -> anyhow::Result<Self> {
        let endpoints = options.settings.servers.clone();
        let mut builder = options.settings.client()?.request_timeout(ASK_WITHIN);
        if let Some(token) = &options.admin_token {
            builder = builder.admin_token(token.clone());
        }
        let client = builder.build()?;
        let mut nodes = Vec::new();
        let mut named = Vec::new();
        for endpoint in endpoints {
            let status = client.status_of(&endpoint).await;
            let status = status.with_context(|| {
                format!(
                    "a drill needs the status of all nodes; {endpoint} gave none. Start three nodes with \
                     `server demo`, or name the running nodes with --server-list"
                )
            })?;
            named.extend(status.nodes.into_iter().map(|node| node.id));
            nodes.push(NamedEndpoint { id: status.node_id, endpoint });
        }
        if let Some(missing) = named.iter().find(|id| nodes.iter().all(|node| node.id != **id)) {
            bail!("{missing} is a node of the cluster but not in the list of servers: name all nodes");
        }
        Ok(Self { client, nodes })
    }

    /// Checks that every node permits drills by ending a drill, which is harmless without a drill.
    ///
    /// # Errors
    /// If a node refuses, with the likely remedy.
    pub(super) async fn check_drills_allowed(&self) -> anyhow::Result<()> {
        for NamedEndpoint { id, endpoint } in &self.nodes {
            let Err(error) = self.client.restore(endpoint).await else { continue };
            let how = match Code::named(&error.kind().as_str()) {
                Some(Code::FaultInjectionOff) => {
                    "start it with --enable-fault-injection, or with STEG_FAULT_INJECTION=1 in its environment \
                     (`server demo` does)"
                }
                Some(Code::TokenRequired | Code::TokenWrong) => {
                    "give the admin token, stored in each node's data directory, with --admin-token-file FILE"
                }
                _ => "see the cause",
            };
            return Err(anyhow::Error::new(error).context(format!("{id} does not permit drills: {how}")));
        }
        Ok(())
    }

    /// Returns leader and term if every node answers, is ready and reports every node as healthy.
    ///
    /// # Errors
    /// The condition that is missing, as text.
    pub(super) async fn leadership(&self) -> Result<Leadership, String> {
        let mut statuses = Vec::new();
        for NamedEndpoint { id, endpoint } in &self.nodes {
            let silent = |error: ClientError| format!("{id} does not answer ({})", error.kind());
            statuses.push(self.client.status_of(endpoint).await.map_err(silent)?);
            let not_ready = |error: ClientError| format!("{id} is not ready ({})", error.kind());
            self.client.readyz(endpoint).await.map_err(not_ready)?;
        }
        agreed_if_healthy(&statuses).map_err(|missing| missing.to_string())
    }

    /// Waits until some node is seen unhealthy: right after a fault all may still be reported as healthy. The
    /// wait is bounded, because a node may return before its absence is seen.
    pub(super) async fn wait_unhealthy(&self, fault: Instant) {
        let deadline = fault + LOSS_SEEN_WITHIN;
        while Instant::now() < deadline && self.leadership().await.is_ok() {
            sleep(POLL).await;
        }
    }

    /// Waits until all nodes are healthy and returns the time and the leadership.
    ///
    /// # Errors
    /// The condition that is missing after [`HEALTHY_WITHIN`], as text.
    pub(super) async fn wait_healthy(&self) -> Result<(Instant, Leadership), String> {
        self.wait_healthy_within(HEALTHY_WITHIN).await
    }

    async fn wait_healthy_within(&self, limit: Duration) -> Result<(Instant, Leadership), String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.leadership().await {
                Ok(leadership) => return Ok((Instant::now(), leadership)),
                Err(missing) if Instant::now() >= deadline => {
                    return Err(format!("not all nodes are healthy after {} s: {missing}", limit.as_secs()));
                }
                Err(_) => sleep(POLL).await,
            }
        }
    }

    /// Returns the leader named by every node that answers; `None` without agreement in time.
    pub(super) async fn final_leader(&self) -> Option<String> {
        let deadline = Instant::now() + LEADER_WITHIN;
        while Instant::now() < deadline {
            let mut statuses = Vec::new();
            for node in &self.nodes {
                statuses.extend(self.client.status_of(&node.endpoint).await);
            }
            if let Ok(agreed) = agreed_leadership(&statuses) {
                return Some(agreed.leader_id);
            }
            sleep(POLL).await;
        }
        None
    }

    /// Ends a drill on every node. A node that does not answer has ended, or ends the fault by itself.
    pub(super) async fn restore_all(&self) {
        for node in &self.nodes {
            let _ = self.client.restore(&node.endpoint).await;
        }
    }

    /// Selects the node to fail.
    ///
    /// # Errors
    /// If no node matches the target.
    pub(super) fn target(&self, target: &Target, leadership: &Leadership) -> anyhow::Result<&NamedEndpoint> {
        let found = self.nodes.iter().find(|node| match target {
            Target::Leader => node.id == leadership.leader_id,
            Target::Follower => node.id != leadership.leader_id,
            Target::Node(name) => node.id == *name,
        });
        let names: Vec<_> = self.nodes.iter().map(|node| node.id.as_str()).collect();
        found.with_context(|| format!("--target takes `leader`, `follower` or one of {}", names.join(", ")))
    }

    /// Returns all nodes, the leader last.
    pub(super) fn leader_last(&self, leadership: &Leadership) -> Vec<NamedEndpoint> {
        let mut nodes = self.nodes.clone();
        nodes.sort_by_key(|node| node.id == leadership.leader_id);
        nodes
    }

    /// Checks that all nodes are healthy, or become healthy soon: they may just have been started.
    ///
    /// # Errors
    /// If a node stays unhealthy, or the cluster has a single node.
    pub(super) async fn check_healthy(&self) -> anyhow::Result<Leadership> {
        let leadership = self.wait_healthy_within(HEALTHY_BEFORE_WITHIN).await.map_err(anyhow::Error::msg);
        let (_, leadership) = leadership.context("a drill needs a healthy cluster")?;
        ensure!(self.nodes.len() > 1, "a drill needs at least two nodes: a single node has no successor");
        Ok(leadership)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_role_or_a_name() {
        let cluster = cluster();
        let leadership = Leadership { leader_id: "n2".into(), term: 3 };
        let check = |target: &str, expected: Result<&str, &str>| {
            let target = target.parse().unwrap_or(Target::Leader);
            let found = cluster.target(&target, &leadership).map(|node| node.id.as_str());
            let found = found.map_err(|error| error.to_string());
            assert_eq!(found.as_ref().map(|id| *id).map_err(String::as_str), expected);
        };
        check("leader", Ok("n2"));
        check("follower", Ok("n1"));
        check("n3", Ok("n3"));
        check("n4", Err("--target takes `leader`, `follower` or one of n1, n2, n3"));
        let order: Vec<_> = cluster.leader_last(&leadership).into_iter().map(|node| node.id).collect();
        assert_eq!(order, ["n1", "n3", "n2"]);
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_named_with_what_to_do() {
        let refusing = vec!["http://127.0.0.1:1".parse().unwrap()];
        let options = DrillOptions::new(super::super::FaultKind::Crash, refusing);
        let error = DrillCluster::find(&options).await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1") && error.contains("server demo"), "{error}");
    }

    fn cluster() -> DrillCluster {
        let node =
            |id: &str| NamedEndpoint { id: id.into(), endpoint: format!("http://{id}").parse().unwrap() };
        let nodes = vec![node("n1"), node("n2"), node("n3")];
        let client = Client::builder(nodes.iter().map(|node| node.endpoint.clone())).build().unwrap();
        DrillCluster { client, nodes }
    }
}
