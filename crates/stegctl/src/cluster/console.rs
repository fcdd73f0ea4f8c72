//! The address of the web console, with the admin token in it.

use std::time::Duration;

use clap::Args;

use super::runtime;
use super::servers::Servers;
use crate::commands::print;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Console {
    #[command(flatten)]
    servers: Servers,
    /// Time until a server has answered, such as 5s or 500ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration, help_heading = "Cluster")]
    timeout: Duration,
}

/// Prints the address of the console on a node that answers. The token is in the fragment, which browsers send to nobody; the
/// page takes it out of the address bar.
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
