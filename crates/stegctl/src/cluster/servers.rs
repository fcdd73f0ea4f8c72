//! Choice of the servers and of the admin token.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use client::{AdminToken, Client, Endpoint};
use serde::Deserialize;

use crate::failure::Failure;

/// The three nodes of `server demo` and of config/local.yaml.
const DEFAULT_SERVERS: &str = "http://127.0.0.1:8081,http://127.0.0.1:8082,http://127.0.0.1:8083";
/// Environment variable with the servers' addresses.
const SERVERS_VARIABLE: &str = "STEG_SERVERS";
/// Environment variable with the data directory of the node on this machine.
const DATA_DIR_VARIABLE: &str = "STEG_DATA_DIR";
/// Largest configuration or token file that is read.
const MAX_FILE_LEN_BYTES: u64 = 1024 * 1024;
/// More retries than fit into any timeout, so that the timeout decides and an election is waited out.
const MAX_RETRIES: u32 = 1000;

/// Servers to ask, and the token to send.
#[derive(Debug, Args)]
pub(super) struct Servers {
    /// Servers to ask, separated by commas or given more than once; also set by the environment variable
    /// STEG_SERVERS [default: http://127.0.0.1:8081 to 8083]
    #[arg(long = "server", value_name = "URL", value_delimiter = ',', conflicts_with = "config")]
    servers: Vec<Endpoint>,
    /// Ask the nodes of a configuration file (YAML) instead
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File with the token for changes [default: admin.token in STEG_DATA_DIR or in a data directory below
    /// ./data]
    #[arg(long, visible_alias = "token-file", value_name = "FILE", env = "STEG_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
    /// File with the certificates to trust for https, PEM [default: those of the system]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
}

impl Servers {
    /// Builds a client of the servers, with the named token if any.
    ///
    /// # Errors
    /// If the token file, the configuration or an address cannot be used.
    pub(super) fn connect(&self, timeout: Duration) -> anyhow::Result<Client> {
        self.connect_with(timeout, self.named_token()?)
    }

    /// Builds a client of the servers that may change the cluster: with the named token, else with a token
    /// stored on this machine if the servers ask for a token. Returns the token as well.
    ///
    /// # Errors
    /// If the client cannot be built, or no server answers.
    pub(super) async fn connect_as_operator(
        &self,
        timeout: Duration,
    ) -> Result<(Client, Option<AdminToken>), Failure> {
        let setup = |error: anyhow::Error| Failure::setup(&error);
        let named = self.named_token().map_err(setup)?;
        let client = self.connect_with(timeout, named.clone()).map_err(setup)?;
        if named.is_some() {
            return Ok((client, named));
        }
        let found = client::find_admin_tokens(std::env::var_os(DATA_DIR_VARIABLE).as_deref());
        if found.is_empty() {
            return Ok((client, None));
        }
        match client.choose_token(&found).await.map_err(|error| Failure::of_call(&error))? {
            Some(token) => Ok((self.connect_with(timeout, Some(token.clone())).map_err(setup)?, Some(token))),
            None => Ok((client, None)),
        }
    }

    fn connect_with(&self, timeout: Duration, token: Option<AdminToken>) -> anyhow::Result<Client> {
        ensure!(!timeout.is_zero(), "the timeout must be more than zero");
        let endpoints = self.endpoints(std::env::var(SERVERS_VARIABLE).ok().as_deref())?;
        let mut builder = Client::builder(endpoints).request_timeout(timeout).max_retries(MAX_RETRIES);
        if let Some(token) = token {
            builder = builder.admin_token(token);
        }
        if let Some(path) = &self.ca_cert {
            let trust = || anyhow::Ok(builder.ca_certificates_pem(read_text(path)?.as_bytes())?);
            builder =
                trust().with_context(|| format!("cannot use the certificates in {}", path.display()))?;
        }
        Ok(builder.build()?)
    }

    fn named_token(&self) -> anyhow::Result<Option<AdminToken>> {
        let Some(path) = &self.admin_token_file else { return Ok(None) };
        let read = || Ok::<_, anyhow::Error>(AdminToken::new(&read_text(path)?)?);
        read().map(Some).with_context(|| format!("cannot use the token file {}", path.display()))
    }

    /// Chooses the endpoints: flags take precedence over the environment, and the environment over the
    /// default.
    fn endpoints(&self, variable: Option<&str>) -> anyhow::Result<Vec<Endpoint>> {
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        if let Some(path) = &self.config {
            let read = || nodes(&read_text(path)?);
            return read().with_context(|| format!("cannot use the configuration file {}", path.display()));
        }
        match variable.filter(|text| !text.trim().is_empty()) {
            Some(text) => parse_list(text).with_context(|| format!("cannot use {SERVERS_VARIABLE}")),
            None => parse_list(DEFAULT_SERVERS),
        }
    }
}

fn parse_list(text: &str) -> anyhow::Result<Vec<Endpoint>> {
    text.split(',').map(|url| Ok(url.parse()?)).collect()
}

/// Reads the addresses of the nodes in a cluster's configuration; all other settings are ignored.
fn nodes(text: &str) -> anyhow::Result<Vec<Endpoint>> {
    #[derive(Deserialize)]
    struct ConfigFile {
        #[serde(default)]
        nodes: Vec<NodeEntry>,
    }
    #[derive(Deserialize)]
    struct NodeEntry {
        ip: String,
        http_port: u16,
    }
    let file: ConfigFile = serde_saphyr::from_str(text)?;
    if file.nodes.is_empty() {
        bail!("the file names no nodes");
    }
    let endpoint = |node: &NodeEntry| Ok(Endpoint::of_node(&node.ip, node.http_port)?);
    file.nodes.iter().map(endpoint).collect()
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_LEN_BYTES + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= MAX_FILE_LEN_BYTES, "the file is larger than {MAX_FILE_LEN_BYTES} bytes");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beat_the_environment_and_the_environment_beats_the_default() {
        let check = |servers: &[&str], variable: Option<&str>, expected: &[&str]| {
            let servers = servers.iter().map(|url| url.parse().unwrap()).collect();
            let servers = Servers { servers, config: None, admin_token_file: None, ca_cert: None };
            let found: Vec<_> =
                servers.endpoints(variable).unwrap().iter().map(Endpoint::to_string).collect();
            assert_eq!(found, expected);
        };
        check(&["http://a"], Some("http://b"), &["http://a"]);
        check(&[], Some("http://b, http://c"), &["http://b", "http://c"]);
        let local = ["http://127.0.0.1:8081", "http://127.0.0.1:8082", "http://127.0.0.1:8083"];
        check(&[], Some(" "), &local);
        check(&[], None, &local);
    }

    #[test]
    fn a_configuration_gives_its_nodes() {
        let text = "cluster_name: x\nnodes:\n  - { id: n1, ip: 10.0.0.1, http_port: 8081, raft_port: 1 }\n";
        assert_eq!(nodes(text).unwrap()[0].as_str(), "http://10.0.0.1:8081");
        assert_eq!(nodes(&text.replace("10.0.0.1", "n1.lan")).unwrap()[0].as_str(), "http://n1.lan:8081");
        assert_eq!(nodes("cluster_name: x").unwrap_err().to_string(), "the file names no nodes");
    }
}
