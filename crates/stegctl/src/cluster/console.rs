//! Address of the web console, with the admin token.

use std::time::Duration;

use clap::Args;

use super::runtime::runtime;
use super::servers::Servers;
use crate::failure::Failure;
use crate::output::print;

#[derive(Debug, Args)]
pub(crate) struct Console {
    #[command(flatten)]
    servers: Servers,
    /// Time limit for a server's answer, such as 5s or 500ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration, help_heading = "Cluster")]
    timeout: Duration,
}

/// Prints the address of the console on a node that answers. The token is in the fragment, which browsers
/// send to no server; the page removes the token from the address bar.
///
/// # Errors
/// If no server answers or accepts the call, or the address cannot be printed.
pub(crate) fn console(command: &Console) -> Result<(), Failure> {
    let address = runtime()?.block_on(async {
        let (client, token) = command.servers.connect_as_operator(command.timeout).await?;
        let status = client.fetch_status().await.map_err(|error| Failure::of_call(&error))?;
        let endpoint = &status.via().endpoint;
        Ok::<_, Failure>(match token {
            Some(token) => format!("{endpoint}/#token={}\n", token.expose()),
            None => format!("{endpoint}/\n"),
        })
    })?;
    print(&address)
}
