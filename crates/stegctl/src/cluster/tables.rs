//! Answers of a cluster for people: aligned, without colours, and without control characters for a terminal.

use client::{Change, ClusterStatus, Health, LeaderTransfer, Members, NodeStatus, Setting};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::Value;

/// Text for an unknown value.
const UNKNOWN: &str = "-";
/// Spaces between columns.
const GAP: u16 = 2;
/// Longest value shown whole; JSON output has the full value.
const MAX_VALUE_CHARS: usize = 60;

pub(super) fn status(status: &ClusterStatus) -> String {
    let leader = status.leader_id.as_deref().map_or_else(|| "none known".to_owned(), plain);
    let quorum = if status.quorum { "yes" } else { "NO: settings and members cannot be changed" };
    let id = status.cluster_id.as_deref().map_or_else(|| "no id yet".to_owned(), plain);
    let mut text =
        format!("cluster  {} ({id}), seen by {}\n", plain(&status.cluster_name), plain(&status.node_id));
    text += &format!("leader   {leader}\nterm     {}\nquorum   {quorum}\n", status.term);
    if status.format_version > 0 {
        text += &format!("format   {} (activated)\n", status.format_version);
    }
    for notice in &status.notices {
        text += &format!("notice   {}: {}", plain(&notice.code), plain(&notice.message));
        if !notice.since.is_empty() {
            text += &format!(" (since {})", plain(&notice.since));
        }
        if let Some(remedy) = &notice.remedy {
            text += &format!("\n         remedy: {}", plain(remedy));
        }
        text.push('\n');
    }
    let figures = ["cpu %", "memory %", "requests/s", "p95 ms", "behind"];
    let mut table =
        table(&[&["node", "role", "health", "votes", "address"], &figures[..], &["version"]].concat());
    for column in 5..10 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for node in &status.nodes {
        table.add_row(node_row(status, node));
    }
    format!("{text}\n{}", lines(&table))
}

fn node_row(status: &ClusterStatus, node: &NodeStatus) -> [String; 11] {
    let figure = |value: Option<f64>| value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.1}"));
    let count = |value: Option<u64>| value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string());
    [
        plain(&node.id),
        node.role.to_string(),
        health(node),
        yes_or_no(node.voter),
        format!("{}:{}", plain(&node.ip), node.http_port),
        figure(node.cpu_pct),
        figure(node.mem_pct),
        figure(node.qps_1m),
        figure(node.p95_ms),
        count(status.behind(node)),
        node.version.as_deref().map_or_else(|| UNKNOWN.to_owned(), plain),
    ]
}

/// Returns the health of a node, in capitals for an unhealthy node.
fn health(node: &NodeStatus) -> String {
    match (node.healthy, node.health) {
        // Nodes of the first release give no reason.
        (true, Health::Ok | Health::Unknown) => "healthy".to_owned(),
        (true, health) => health.as_str().replace('_', " "),
        (false, Health::Ok | Health::Unknown) => "NOT HEALTHY".to_owned(),
        (false, health) => health.as_str().replace('_', " ").to_uppercase(),
    }
}

pub(super) fn transfer(transfer: &LeaderTransfer) -> String {
    let LeaderTransfer { from, to, term } = transfer;
    if from == to {
        return format!("{} leads already (term {term})\n", plain(to));
    }
    format!("leadership moved from {} to {} (term {term})\n", plain(from), plain(to))
}

pub(super) fn members(members: &Members) -> String {
    let mut table = table(&["member", "votes", "raft id"]);
    for member in &members.members {
        table.add_row([plain(&member.name), yes_or_no(member.voter), plain(&member.raft_id)]);
    }
    let mut text = lines(&table);
    if members.joint {
        text += "\na change of the members is under way\n";
    }
    if !members.waiting_for.is_empty() {
        let names: Vec<_> = members.waiting_for.iter().map(|name| plain(name)).collect();
        text += &format!("\nwaiting for {}\n", names.join(", "));
    }
    text
}

pub(super) fn change(change: &Change) -> String {
    let mut table = table(&["key", "version", "version before"]);
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let before = change.previous_version.map_or_else(|| UNKNOWN.to_owned(), |version| version.to_string());
    table.add_row([plain(&change.key), change.version.to_string(), before]);
    lines(&table)
}

pub(super) fn settings(settings: &[Setting]) -> String {
    if settings.is_empty() {
        return "nothing is set: every node uses its configuration\n".to_owned();
    }
    let mut table = table(&["key", "value", "version", "updated at", "by", "through", "before"]);
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for setting in settings {
        let by = &setting.updated_by;
        table.add_row([
            plain(&setting.key),
            value(&setting.value),
            setting.version.to_string(),
            plain(&setting.updated_at),
            plain(by.name.as_deref().unwrap_or(by.authority.as_str())),
            plain(&by.via),
            setting.previous.as_ref().map_or_else(|| UNKNOWN.to_owned(), value),
        ]);
    }
    lines(&table)
}

/// Replaces the control characters in a peer's text, which could control a terminal.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    };
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table
}

fn lines(table: &Table) -> String {
    table.trim_fmt() + "\n"
}
