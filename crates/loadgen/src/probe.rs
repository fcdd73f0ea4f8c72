//! Looks for the nodes before a run, so that a wrong address is a message and not thousands of errors.

use std::error::Error;
use std::time::Duration;

use anyhow::bail;
use client::{Client, ClientError, Endpoint};
use tokio::task::JoinSet;

use crate::settings::Settings;

/// Time for a node to say that it is there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds when some node can be reached; names those that cannot on stderr.
pub(crate) async fn reach_nodes(settings: &Settings) -> anyhow::Result<()> {
    let client = Client::builder(settings.servers.clone()).request_timeout(PROBE_TIMEOUT).build()?;
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

/// Why a node cannot be reached. One that answers at all is there: what is wrong with it, the run shows.
fn unreachable(error: Option<ClientError>) -> Option<String> {
    match error? {
        ClientError::Refused { .. } | ClientError::BadAnswer { .. } | ClientError::AnswerTooLarge { .. } => {
            None
        }
        error => Some(root_cause(&error)),
    }
}

/// The last cause: for a connection, what the system said. The address stands beside it already.
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
