//! `server check-health`: one question to the running node that a configuration describes.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use client::{Client, ClusterStatus, Endpoint, Role};

use crate::cli::Start;
use crate::token_file;

/// Exit status for a healthy node that sees no quorum, or that is alone and does not lead yet.
const NOT_SETTLED: u8 = 3;
/// Time limit for each answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Asks the node once, and prints its state if it is healthy.
///
/// # Errors
/// If the node does not answer, is another one, or is not healthy.
pub(crate) fn run(start: &Start, is_single: bool) -> anyhow::Result<ExitCode> {
    let endpoint = endpoint(start)?;
    let status = ask(&endpoint)?;
    let (id, role) = (&start.node.id, status.role(&start.node.id));
    ensure!(status.node_id == *id, "{endpoint} is node {}, not {id}", status.node_id);
    let health = status.node(id).map(|node| (node.healthy, node.health));
    let (healthy, health) = health.with_context(|| format!("{endpoint} does not list {id}"))?;
    ensure!(healthy, "{endpoint} is not healthy ({health})");
    let text = describe(start, &endpoint, &status);
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    let is_settled = status.quorum && (!is_single || role == Role::Leader);
    Ok(if is_settled { ExitCode::SUCCESS } else { ExitCode::from(NOT_SETTLED) })
}

/// Returns the address at which the node is asked; a node that listens on every address, at loopback.
fn endpoint(start: &Start) -> anyhow::Result<Endpoint> {
    let port = start.node.http_port;
    ensure!(port != 0, "the node listens on any free port (http_port: 0); use the address in its log");
    let ip = match start.node.listen_ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(Endpoint::of_node(&ip.to_string(), port)?)
}

fn ask(endpoint: &Endpoint) -> anyhow::Result<ClusterStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = Client::builder([endpoint.clone()]).request_timeout(ANSWER_LIMIT).build()?;
    runtime.context("cannot start the runtime")?.block_on(async {
        client.livez(endpoint).await?;
        Ok(client.status_of(endpoint).await?)
    })
}

/// Describes the node, the console and every notice, a line for each.
fn describe(start: &Start, endpoint: &Endpoint, status: &ClusterStatus) -> String {
    let (id, leader) = (&start.node.id, status.leader_id.as_deref().unwrap_or("none"));
    let (role, quorum) = (status.role(id), status.quorum);
    let mut text = format!("healthy: {id} at {endpoint}, role {role}, leader {leader}, quorum {quorum}\n");
    let token = token_file::path_in(&start.data_dir);
    text += &format!(
        "console: {endpoint}/; for changes, `stegctl console` prints the address with the admin token ({})\n",
        token.display()
    );
    for notice in &status.notices {
        // Control characters of a peer's text could control a terminal.
        text += &format!("notice: {}\n", notice.message.replace(char::is_control, " "));
    }
    if !quorum {
        text += "No quorum: embed and extract work, changes to the cluster wait for more nodes.\n";
    }
    text
}
