//! Options of a drill: fault, target and load.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use client::{AdminToken, AnswerForm, Endpoint};
use serde::Serialize;

use crate::flag_values::Output;
use crate::plan::{Mode, Model, Plan};
use crate::secrets::Secrets;
use crate::settings::{DEFAULT_MAX_RETRIES, DEFAULT_REQUEST_TIMEOUT, Settings};
use crate::verify::Verify;

/// Addresses of the nodes of `server demo`.
const DEMO_SERVERS: [&str; 3] = ["http://127.0.0.1:8081", "http://127.0.0.1:8082", "http://127.0.0.1:8083"];
/// Default number of clients of the load.
pub(super) const NUM_CLIENTS: u32 = 8;
/// Default size of the secrets.
pub(super) const SECRET_LEN_BYTES: u32 = 10_240;
/// Default time under load before the fault.
pub(super) const BEFORE: Duration = Duration::from_secs(5);
/// Default time under load after the fault.
pub(super) const AFTER: Duration = Duration::from_secs(10);
/// Default duration of a fault with an end.
pub(super) const FAULT_DURATION: Duration = Duration::from_secs(3);

/// Kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A process ends at once, as with kill -9, and stays down until started again
    Crash,
    /// A node refuses clients and other nodes, and tells clients that it is paused
    Pause,
    /// A process is stopped, as on a machine that hangs: connections are accepted and never answered
    Hang,
    /// A node is cut off from the others and continues to serve clients
    Partition,
    /// Every node shuts down in good order and restarts, each in turn, the leader last
    RollingRestart,
}

impl FaultKind {
    /// Returns the name on the command line and in reports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Hang => "hang",
            Self::Partition => "partition",
            Self::RollingRestart => "rolling-restart",
        }
    }

    /// True if the fault lasts for a time and then ends.
    pub(super) fn has_duration(self) -> bool {
        matches!(self, Self::Pause | Self::Hang | Self::Partition)
    }
}

/// Target of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The leader.
    Leader,
    /// The first follower.
    Follower,
    /// The node with the given name.
    Node(String),
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "leader" => Self::Leader,
            "follower" => Self::Follower,
            name => Self::Node(name.to_owned()),
        })
    }
}

/// Options of a drill.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    pub(super) kind: FaultKind,
    pub(super) target: Target,
    pub(super) before: Duration,
    pub(super) after: Duration,
    pub(super) fault_duration: Duration,
    pub(super) admin_token: Option<AdminToken>,
    /// Tokens stored on this machine, tried if none is named.
    pub(super) found_tokens: Vec<AdminToken>,
    /// True if a crashed node is started again from outside.
    pub(super) expects_return: bool,
    /// The load.
    pub(super) settings: Settings,
}

impl DrillOptions {
    /// Creates the options of a drill of the given kind on the given nodes, with the default load and times.
    pub fn new(kind: FaultKind, servers: Vec<Endpoint>) -> Self {
        let settings = Settings {
            mode: Mode::Embed,
            plan: Plan::until_told(Model::Closed, NUM_CLIENTS),
            secrets: Secrets::new(1, SECRET_LEN_BYTES as usize),
            cover: None,
            bits: None,
            answer: AnswerForm::Binary,
            verify: Verify::Sample,
            servers,
            ca_cert: None,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            max_retries: DEFAULT_MAX_RETRIES,
            output: Output::Text,
            progress: false,
        };
        Self {
            kind,
            target: Target::Leader,
            before: BEFORE,
            after: AFTER,
            fault_duration: FAULT_DURATION,
            admin_token: None,
            found_tokens: Vec::new(),
            expects_return: false,
            settings,
        }
    }

    /// Declares that a crashed node is started again from outside, so that the drill waits for its return.
    pub fn expect_return(mut self) -> Self {
        self.expects_return = true;
        self
    }
}

/// Returns the addresses of the nodes of `server demo`.
pub(super) fn demo_servers() -> Vec<Endpoint> {
    DEMO_SERVERS.iter().map(|url| url.parse().expect("the addresses are constants that are right")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_of_the_command_line() {
        for kind in FaultKind::value_variants() {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.as_str());
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(demo_servers().len(), 3);
    }
}
