//! What a drill does, to whom, under which load.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use client::{AdminToken, AnswerForm, Endpoint};
use serde::Serialize;

use crate::cli::Output;
use crate::plan::{Mode, Model, Plan};
use crate::secrets::Secrets;
use crate::settings::{DEFAULT_MAX_RETRIES, DEFAULT_REQUEST_TIMEOUT, Settings};
use crate::verify::Verify;

/// Where `server demo` puts its nodes.
const DEMO_SERVERS: [&str; 3] = ["http://127.0.0.1:8081", "http://127.0.0.1:8082", "http://127.0.0.1:8083"];
/// Clients of the load, unless set otherwise.
pub(super) const NUM_CLIENTS: u32 = 8;
/// Size of their secrets, unless set otherwise.
pub(super) const SECRET_LEN_BYTES: u32 = 10_240;
/// Load before the fault, unless set otherwise.
pub(super) const BEFORE: Duration = Duration::from_secs(5);
/// Load after the fault, unless set otherwise.
pub(super) const AFTER: Duration = Duration::from_secs(10);
/// How long a fault lasts that can be ended, unless set otherwise.
pub(super) const FAULT_DURATION: Duration = Duration::from_secs(3);

/// What is done to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A process ends at once, as with kill -9, and stays away until somebody starts it again
    Crash,
    /// A node answers neither clients nor nodes, and says so to clients
    Pause,
    /// A process stands still, as a machine that hangs: connections are taken and never answered
    Hang,
    /// A node is cut off from the others and goes on serving clients
    Partition,
    /// Every node stops in good order and starts again, one after the other, the leader last
    RollingRestart,
}

impl Kind {
    /// Its name on the command line and in reports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Hang => "hang",
            Self::Partition => "partition",
            Self::RollingRestart => "rolling-restart",
        }
    }

    /// Whether the fault lasts for a time and then ends.
    pub(super) fn has_duration(self) -> bool {
        matches!(self, Self::Pause | Self::Hang | Self::Partition)
    }
}

/// Who is to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Whoever leads.
    Leader,
    /// The first node that follows.
    Follower,
    /// The node of this name.
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

/// Everything that a drill needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) kind: Kind,
    pub(super) target: Target,
    pub(super) before: Duration,
    pub(super) after: Duration,
    pub(super) fault_duration: Duration,
    pub(super) admin_token: Option<AdminToken>,
    /// Tokens that lie on this machine, tried where none is named.
    pub(super) found_tokens: Vec<AdminToken>,
    /// Whether somebody starts a node again that crashed.
    pub(super) expects_return: bool,
    /// The load.
    pub(super) settings: Settings,
}

impl Options {
    /// A drill of this kind with the default load and times, on these nodes.
    pub fn new(kind: Kind, servers: Vec<Endpoint>) -> Self {
        let settings = Settings {
            mode: Mode::Embed,
            plan: Plan::until_told(Model::Closed, NUM_CLIENTS),
            secrets: Secrets::new(1, SECRET_LEN_BYTES as usize),
            cover: None,
            bits: None,
            answer: AnswerForm::Binary,
            verify: Verify::Sample,
            servers,
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

    /// Somebody starts a node again that crashed: the drill waits for it.
    pub fn expect_return(mut self) -> Self {
        self.expects_return = true;
        self
    }
}

/// The nodes of `server demo`.
pub(super) fn demo_servers() -> Vec<Endpoint> {
    DEMO_SERVERS.iter().map(|url| url.parse().expect("the addresses are constants that are right")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_of_the_command_line() {
        for kind in Kind::value_variants() {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.as_str());
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(demo_servers().len(), 3);
    }
}
