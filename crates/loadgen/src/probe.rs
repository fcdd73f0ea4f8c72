//! Check for reachable nodes before a run, so that a wrong address gives a message instead of thousands of
//! errors.

use std::error::Error;
use std::time::Duration;

use anyhow::bail;
use client::{ClientError, Endpoint};
use tokio::task::JoinSet;

use crate::settings::Settings;

/// Time limit for a node's answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks that at least a single node can be reached; names unreachable nodes on stderr.
///
/// # Errors
/// If no node can be reached.
pub(crate) async fn reach_nodes(settings: &Settings) -> anyhow::Result<()> {
    let client = settings.client()?.request_timeout(PROBE_TIMEOUT).build()?;
    let mut probes = JoinSet::new();
    for endpoint in &settings.servers {
        let (client, endpoint) = (client.clone(), endpoint.clone());
        probes.spawn(async move {
            let problem = unreachable(client.livez(&endpoint).await.err());
            (endpoint, problem)
        });
    }
    let mut probed = probes.join_all().await;
    probed.sort();
    let missing: Vec<_> =
        probed.into_iter().filter_map(|(endpoint, problem)| Some((endpoint, problem?))).collect();
    if missing.len() == settings.servers.len() {
        bail!("{}", nobody_there(&missing));
    }
    for (endpoint, problem) in missing {
        eprintln!("warning: {endpoint} cannot be reached: {problem}");
    }
    Ok(())
}

/// Returns the reason for an unreachable node; `None` for any node that answers, because the run shows all
/// other defects.
fn unreachable(error: Option<ClientError>) -> Option<String> {
    match error? {
        ClientError::Refused { .. } | ClientError::BadAnswer { .. } | ClientError::AnswerTooLarge { .. } => {
            None
        }
        error => Some(root_cause(&error)),
    }
}

/// Returns the innermost cause: for a connection, the error of the system. The address is printed already.
fn root_cause(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.last().unwrap_or(error).to_string()
}

fn nobody_there(missing: &[(Endpoint, String)]) -> String {
    let mut text = String::from("no node can be reached\n");
    for (endpoint, problem) in missing {
        text.push_str(&format!("  {endpoint}: {problem}\n"));
    }
    text.push_str(
        "\nStart a node with `cargo run --release --bin server`, or name the nodes that run with --server-list.",
    );
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[tokio::test]
    async fn a_missing_node_is_named_together_with_how_to_start_one() {
        let url = "http://127.0.0.1:1";
        let cli = Cli::try_parse_from(["loadgen", "--server-list", url]).unwrap();
        let error = reach_nodes(&Settings::resolve(&cli.load).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1: Connection refused"), "{error}");
        assert!(error.contains("cargo run --release --bin server"), "{error}");
    }
}
