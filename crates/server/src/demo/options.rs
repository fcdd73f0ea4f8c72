//! Command line of `server demo`.

use std::path::PathBuf;

use loadgen::drill::{FaultKind, Output};

/// Three nodes on this machine, stopped together by Ctrl-C.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoOptions {
    /// Directory of the demo's configuration and the nodes' data
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    pub(super) data_dir: PathBuf,
    /// Remove the data of an earlier demo first
    #[arg(long)]
    pub(super) fresh: bool,
    /// Directory of the logs: phase1-n1.log and so on, appended
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    pub(super) log_dir: PathBuf,
    /// HTTP port of n1; n2 and n3 take the next two
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub(super) http_port: u16,
    /// Port of n1 for the other nodes; n2 and n3 take the next two
    #[arg(long, value_name = "PORT", default_value_t = 5001)]
    pub(super) raft_port: u16,
    /// Inject a fault under load, print a report, stop the nodes; `loadgen drill --help` explains the report
    ///
    /// The report goes to standard output, everything else to standard error. Exit code 0 if no request
    /// failed, no acknowledged write was lost and the cluster has a leader at the end.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(super) drill: Option<FaultKind>,
    /// Form of the drill's report
    #[arg(long, value_enum, default_value_t = Output::Text, requires = "drill")]
    pub(super) output: Output,
}
