//! Text shown once the cluster of a demo is up.

use std::fmt::Write as _;

use super::keyboard;
use super::plan::{Plan, quoted};

/// Returns addresses, files and first commands of a demo whose leader is `leader`.
pub(super) fn welcome(plan: &Plan, leader: &str) -> String {
    let mut text = format!("\nThe cluster is up; {leader} leads.\n\n");
    for node in &plan.nodes {
        let pid = std::fs::read_to_string(&node.pid_file).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {}  {}  pid {}  log {}",
            node.id,
            node.endpoint,
            pid.trim(),
            node.log.display()
        );
    }
    let first = &plan.nodes[0].endpoint;
    let servers: Vec<_> = plan.nodes.iter().map(|node| node.endpoint.as_str()).collect();
    let servers = servers.join(",");
    let victim = plan.nodes.iter().find(|node| node.id == leader).unwrap_or(&plan.nodes[0]);
    let other = plan.nodes.iter().find(|node| node.id != leader).unwrap_or(&plan.nodes[1]);
    let pid_file = quoted(&victim.pid_file.to_string_lossy());
    let _ = write!(
        text,
        "  console  {first}/\n  API      {first}/docs\n  data     {}\n\n\
         Try, in another terminal:\n  \
         curl -s {first}/cluster/status\n  \
         curl -s -H 'Accept: image/png' -F file=@README.md {first}/api/embed -o hidden.png\n  \
         curl -s -H 'Accept: application/octet-stream' -F file=@hidden.png {}/api/extract\n  \
         cargo run -p loadgen --release -- --server-list \"{servers}\"\n  \
         cargo run -p stegctl --release -- status --server {servers}\n\n\
         Let the leader fail under load, and see what followed and when:\n  \
         cargo run -p loadgen --release -- drill --kind hang --server-list \"{servers}\"\n\n\
         Kill the leader, and see another one take over:\n  \
         kill -9 $(cat {pid_file})\n  \
         curl -s {}/cluster/status\n\n\
         {}\n\
         Ctrl-C stops all three.",
        plan.data_dir.display(),
        other.endpoint,
        other.endpoint,
        keyboard::HELP,
    );
    text
}
