//! Commands that ask a cluster.
//!
//! Any server can answer; a server without an answer is skipped. With `--output json` standard output is the
//! server's answer as received.

mod console;
mod runtime;
mod servers;
mod tables;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use client::{Client, ClientError, ClusterStatus, PutOptions, Reply, Setting, SettingsPage};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::print;
pub(crate) use console::{Console, console};
use runtime::runtime;
use servers::Servers;

/// Prefix of settings whose value is always text.
const NOTE_PREFIX: &str = "note.";

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Fail without quorum (status 8), or if a configured node is no healthy voter of the cluster (status 10)
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeaderCommand {
    /// Hand leadership to another node, for example before maintenance of the leader
    ///
    /// Answered once the new leader leads. A node stopped with SIGTERM hands over leadership by itself.
    #[command(after_help = TRANSFER_EXAMPLES)]
    Transfer(Transfer),
}

const TRANSFER_EXAMPLES: &str = "\
Examples:
  stegctl leader transfer        # to the best successor: whoever leads, another node will
  stegctl leader transfer n2     # to n2; nothing happens if it leads already
  stegctl leader transfer n2 --server http://172.20.10.2:8081 --admin-token-file admin.token";

#[derive(Debug, Args)]
pub(crate) struct Transfer {
    /// Node to become the leader [default: the voter with the most advanced log]
    #[arg(value_name = "NODE")]
    to: Option<String>,
    #[command(flatten)]
    cluster: ClusterOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List the members of the cluster, their votes, and the nodes awaited
    List(Ask),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// List the settings that are set
    List(Ask),
    /// Show a setting, and the author of its last change
    Get(Get),
    /// Change a setting for the whole cluster
    ///
    /// bits (1 to 4), compress (true, false), metadata (keep, strip), or note.NAME (any text).
    Set(Set),
    /// Unset a setting: every node uses its configuration again
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    cluster: ClusterOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The setting, such as bits
    key: String,
    #[command(flatten)]
    cluster: ClusterOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The setting, such as bits
    key: String,
    /// Value: JSON if valid JSON, else text; always text for note.NAME
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    write: WriteOptions,
    #[command(flatten)]
    cluster: ClusterOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The setting, such as bits
    key: String,
    #[command(flatten)]
    write: WriteOptions,
    #[command(flatten)]
    cluster: ClusterOptions,
}

/// Options of a change.
#[derive(Debug, Args)]
struct WriteOptions {
    /// Change the setting only if it still has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Author of the change, for the record
    #[arg(long, value_name = "NAME", env = "USER")]
    operator: Option<String>,
}

impl WriteOptions {
    fn put_options(&self) -> PutOptions {
        // An empty $USER is no name.
        let operator = self.operator.clone().filter(|name| !name.is_empty());
        PutOptions { if_version: self.if_version, idempotency_key: None, operator }
    }
}

/// Choice of the cluster, and options of a call.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
struct ClusterOptions {
    #[command(flatten)]
    servers: Servers,
    /// Time limit of the whole call, retries on other servers included, such as 5s or 500ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// The server's JSON, one object
    Json,
}

/// Shows the status of the cluster.
///
/// # Errors
/// If no server answers, or with `--check` the cluster has no quorum or a node that is no healthy voter.
pub(crate) fn status(command: &Status) -> Result<(), Failure> {
    let status = show(
        &command.cluster,
        async |client| client.fetch_status().await.map_err(|error| Failure::of_call(&error)),
        tables::status,
    )?;
    if command.check { check(&status) } else { Ok(()) }
}

/// Hands leadership over.
///
/// # Errors
/// If no server answers, or the change is refused.
pub(crate) fn leader(command: &LeaderCommand) -> Result<(), Failure> {
    let LeaderCommand::Transfer(Transfer { to, cluster }) = command;
    let fetch = async |client: Client| {
        let transferred = client.fetch_transfer_leader(to.as_deref()).await;
        transferred.map_err(|error| Failure::of_change(&error, "stegctl status"))
    };
    change(cluster, fetch, tables::transfer).map(drop)
}

/// Shows the members.
///
/// # Errors
/// If no server answers.
pub(crate) fn member(command: &MemberCommand) -> Result<(), Failure> {
    let MemberCommand::List(Ask { cluster }) = command;
    let fetch = async |client: Client| client.fetch_members().await.map_err(|error| Failure::of_call(&error));
    show(cluster, fetch, tables::members).map(drop)
}

/// Shows or changes settings.
///
/// # Errors
/// If no server answers, or the change is refused.
pub(crate) fn settings(command: &SettingsCommand) -> Result<(), Failure> {
    let one = |setting: &Setting| tables::settings(std::slice::from_ref(setting));
    let not_done = |error: ClientError| Failure::of_call(&error);
    let not_changed = |error: ClientError| Failure::of_change(&error, "stegctl settings list");
    match command {
        SettingsCommand::List(Ask { cluster }) => {
            let client = cluster.servers.connect(cluster.timeout).map_err(|error| Failure::setup(&error))?;
            let pages = runtime()?.block_on(client.fetch_settings()).map_err(not_done)?;
            print(&match cluster.output {
                Output::Table => tables::settings(&all_of(&pages).map_err(not_done)?),
                Output::Json => json_of(&pages),
            })
        }
        SettingsCommand::Get(Get { key, cluster }) => {
            let fetch = async |client: Client| client.fetch_setting(key).await.map_err(not_done);
            show(cluster, fetch, one).map(drop)
        }
        SettingsCommand::Set(Set { key, value, write, cluster }) => {
            let (value, options) = (parse_value(key, value), write.put_options());
            let fetch = async |client: Client| {
                client.fetch_put_setting(key, &value, &options).await.map_err(not_changed)
            };
            change(cluster, fetch, tables::change).map(drop)
        }
        SettingsCommand::Delete(Delete { key, write, cluster }) => {
            let options = write.put_options();
            let fetch =
                async |client: Client| client.fetch_delete_setting(key, &options).await.map_err(not_changed);
            change(cluster, fetch, tables::change).map(drop)
        }
    }
}

/// Calls the cluster, prints the answer, and returns the answer.
fn show<A>(
    options: &ClusterOptions,
    fetch: impl AsyncFnOnce(Client) -> Result<Reply<A>, Failure>,
    table: impl FnOnce(&A) -> String,
) -> Result<A, Failure> {
    let client = options.servers.connect(options.timeout).map_err(|error| Failure::setup(&error))?;
    let reply = runtime()?.block_on(fetch(client))?;
    print_reply(options, reply, table)
}

/// Works as [`show`], with the right to change the cluster.
fn change<A>(
    options: &ClusterOptions,
    fetch: impl AsyncFnOnce(Client) -> Result<Reply<A>, Failure>,
    table: impl FnOnce(&A) -> String,
) -> Result<A, Failure> {
    let reply = runtime()?.block_on(async {
        let (client, _) = options.servers.connect_as_operator(options.timeout).await?;
        fetch(client).await
    })?;
    print_reply(options, reply, table)
}

fn all_of(pages: &[Reply<SettingsPage>]) -> Result<Vec<Setting>, ClientError> {
    let mut settings = Vec::new();
    for page in pages {
        settings.append(&mut page.peek()?.settings);
    }
    Ok(settings)
}

/// Returns a single page as received; several pages become an object with all settings, unknown members
/// included.
fn json_of(pages: &[Reply<SettingsPage>]) -> String {
    let text = |page: &Reply<SettingsPage>| String::from_utf8_lossy(page.body()).trim_end().to_owned() + "\n";
    if let [page] = pages {
        return text(page);
    }
    let mut all = Vec::new();
    for page in pages {
        let page: Value = serde_json::from_slice(page.body()).unwrap_or_default();
        all.extend(page["settings"].as_array().into_iter().flatten().cloned());
    }
    json!({ "settings": all, "next": null }).to_string() + "\n"
}

fn print_reply<A>(
    options: &ClusterOptions,
    reply: Reply<A>,
    table: impl FnOnce(&A) -> String,
) -> Result<A, Failure> {
    let json = String::from_utf8_lossy(reply.body()).trim_end().to_owned() + "\n";
    let answer = reply.read().map_err(|error| Failure::of_call(&error))?;
    print(&match options.output {
        Output::Table => table(&answer),
        Output::Json => json,
    })?;
    Ok(answer)
}

fn check(status: &ClusterStatus) -> Result<(), Failure> {
    if !status.quorum {
        return Err(Failure::no_quorum(format!("{} sees no quorum", tables::plain(&status.node_id))));
    }
    let deficient = status.deficiencies();
    if deficient.is_empty() {
        return Ok(());
    }
    let listed = tables::plain(&deficient.join(", "));
    Err(Failure::not_healthy(format!("not a healthy voter of this cluster: {listed}")))
}

fn parse_value(key: &str, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    if key.starts_with(NOTE_PREFIX) {
        return as_text();
    }
    serde_json::from_str(text).unwrap_or_else(|_| as_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_where_they_are_and_notes_are_text() {
        let check = |key, text, expected: Value| assert_eq!(parse_value(key, text), expected, "{key} {text}");
        check("bits", "2", json!(2));
        check("compress", "false", json!(false));
        check("metadata", "keep", json!("keep"));
        check("metadata", "\"keep\"", json!("keep"));
        check("note.motd", "2", json!("2"));
        check("note.motd", "true", json!("true"));
        check("bits", "", json!(""));
    }
}
