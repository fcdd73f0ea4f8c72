//! The command line.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::config::{BootstrapConfig, Config, ConfigError, NodeConfig, Sources, load};
use crate::demo::DemoOptions;

/// One node of a cluster that hides files in images and extracts them again.
///
/// Without a configuration file the node is n1 on 127.0.0.1:8081.
#[derive(Debug, Parser)]
#[command(version, about, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Command to run instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Identity and configuration of the node.
    #[command(flatten)]
    pub options: Options,
}

const AFTER_HELP: &str = "\
Precedence: flags, environment, file, default. docs/configuration.md lists every key.

Examples:
  server
  server --config config/cluster.yaml --node-id n2
  NODE_ID=n1 CONFIG_PATH=config/cluster.yaml server
  server demo
  server demo --drill crash
  server check-config --config config/cluster.yaml --set limits.pixel_queue=8
  server check-health --config config/cluster.yaml --node-id n2

SIGTERM, SIGQUIT and Ctrl-C stop the node after the requests in flight, at most limits.drain_timeout_ms; a \
second signal stops it at once. SIGHUP reopens the log file.";

/// Commands of the `server` binary besides serving.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Read the configuration like a start, print the effective values, start nothing.
    ///
    /// Exits with 0 and the configuration on standard output, or with 1 and the first error, with the key's
    /// name.
    CheckConfig,
    /// Ask the running node once, at the address of its configuration, and print its state.
    ///
    /// Exits with 0 for a healthy node; with 3 for a healthy node without a quorum, or without the lead under
    /// --single; otherwise with 1 and the reason.
    CheckHealth,
    /// Start three nodes on this machine and stop them together.
    Demo(DemoOptions),
}

/// Identity and configuration of the node.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Configuration file (YAML), the same for every node
    #[arg(long, env = "CONFIG_PATH", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Id of this node in the configuration; not needed for a single configured node
    #[arg(long, env = "NODE_ID", value_name = "ID", global = true)]
    node_id: Option<String>,
    /// Address to listen on instead of the node's `ip`
    #[arg(long, env = "STEG_BIND_IP", value_name = "IP")]
    bind_ip: Option<IpAddr>,
    /// HTTP port instead of the node's `http_port`; 0: any free port, named in the log
    #[arg(long, env = "STEG_HTTP_PORT", value_name = "PORT")]
    http_port: Option<u16>,
    /// Directory of the node's durable data (default: data/NODE_ID)
    #[arg(long, env = "STEG_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Log file instead of `log.file`
    #[arg(long, env = "STEG_LOG_FILE", value_name = "FILE")]
    log_file: Option<String>,
    /// Join a cluster, never found one: for the replacement of a node
    #[arg(long)]
    join: bool,
    /// Run this node alone, on a separate data directory (data/NODE_ID-single)
    #[arg(long, conflicts_with = "join")]
    single: bool,
    /// Allow fault drills (/admin/fail, /admin/restore)
    #[arg(long, env = "STEG_FAULT_INJECTION", value_parser = FalseyValueParser::new())]
    enable_fault_injection: bool,
    /// Set a configuration key, such as limits.pixel_queue=8; may be repeated
    ///
    /// Environment form: STEG__LIMITS__PIXEL_QUEUE=8.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,
}

impl Options {
    /// Reads the configuration, and checks that the named node, if any, is part of it.
    ///
    /// # Errors
    /// A [`ConfigError`] of either.
    pub(crate) fn check(&self, env: Vec<(String, String)>) -> Result<Config, ConfigError> {
        let config = load(&Sources { file: self.config.clone(), env, set: self.set.clone() })?;
        if self.node_id.is_some() {
            config.node(self.node_id.as_deref())?;
        }
        Ok(config)
    }

    /// True for a node that runs without the others.
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    /// Resolves the configuration and this node's own settings, with the flags applied.
    ///
    /// # Errors
    /// As [`Self::check`], or if no node is named and there are several.
    pub(crate) fn resolve(&self, env: Vec<(String, String)>) -> Result<Start, ConfigError> {
        let mut config = self.check(env)?;
        let mut node = config.node(self.node_id.as_deref())?.clone();
        if let Some(ip) = self.bind_ip {
            node.bind_ip = Some(ip);
        }
        if let Some(port) = self.http_port {
            node.http_port = port;
        }
        if let Some(file) = &self.log_file {
            config.log.file.clone_from(file);
        }
        if self.single {
            config.keep_only(&node);
        }
        if self.join {
            config.election.bootstrap = BootstrapConfig::Never;
        }
        let suffix = if self.single { "-single" } else { "" };
        let data_dir = self
            .data_dir
            .clone()
            .unwrap_or_else(|| PathBuf::from("data").join(format!("{}{suffix}", node.id)));
        Ok(Start {
            cluster_key_file: self.cluster_key_file(&config, &data_dir),
            data_dir,
            fault_injection: self.enable_fault_injection,
            config,
            node,
        })
    }

    /// Returns the configured path; otherwise a file beside the configuration file, or beside the data
    /// directory without a configuration file.
    fn cluster_key_file(&self, config: &Config, data_dir: &Path) -> PathBuf {
        if !config.security.cluster_key_file.is_empty() {
            return PathBuf::from(&config.security.cluster_key_file);
        }
        let beside = self.config.as_deref().unwrap_or(data_dir);
        beside.parent().unwrap_or(Path::new("")).join("cluster.key")
    }
}

/// Inputs of a start.
#[derive(Debug)]
pub(crate) struct Start {
    /// The configuration.
    pub config: Config,
    /// The entry of this node in the configuration.
    pub node: NodeConfig,
    /// Directory of the node's durable data.
    pub data_dir: PathBuf,
    /// File of the secret that all nodes share.
    pub cluster_key_file: PathBuf,
    /// True if fault drills are enabled.
    pub fault_injection: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_change_where_the_node_listens() {
        let cli = Cli::parse_from(["server", "--bind-ip", "0.0.0.0", "--http-port", "9000"]);
        let Start { node, .. } = cli.options.resolve(Vec::new()).unwrap();
        assert_eq!((node.bind_ip, node.http_port), (Some(IpAddr::from([0, 0, 0, 0])), 9000));
    }
}
