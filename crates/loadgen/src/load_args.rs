//! Flags of a load run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use client::Endpoint;

use crate::flag_values::{AnswerArg, Output, parse_duration, parse_rate};
use crate::plan::{Mode, Model, Plan};
use crate::verify::Verify;

/// Flags of a load run.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Kind of requests
    #[arg(long, value_enum, default_value_t = Mode::Embed, help_heading = "Load")]
    pub(crate) mode: Mode,

    /// Clients, each with one request at a time; a client verifies an answer before it sends its next request
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) num_clients: u32,

    /// Requests of each client [default: 200, or as many as fit into --duration]
    #[arg(long, value_name = "N", help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) reqs_per_client: Option<u32>,

    /// Time after which sending stops, such as 30s, 500ms or 1m30s; with --reqs-per-client, the first limit
    /// reached applies
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Load")]
    pub(crate) duration: Option<Duration>,

    /// Requests per second in total, sent when due, independent of earlier answers. Clients then only count:
    /// --num-clients × --reqs-per-client requests, or as many as are due in --duration
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate, help_heading = "Load")]
    pub(crate) rate: Option<f64>,

    /// Most requests in flight or in verification; further arrivals fail as `not_sent`
    #[arg(long, value_name = "N", default_value_t = 256, requires = "rate", help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_in_flight: u32,

    /// Seed of the secrets: the same seed gives the same requests
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub(crate) seed: u64,

    /// Size of each secret in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 10_240, help_heading = "Requests")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=stego::Limits::DEFAULT_MAX_SECRET_BYTES))]
    pub(crate) secret_bytes: u64,

    /// Image to hide secrets in [default: the node's default cover]
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(crate) cover: Option<PathBuf>,

    /// Low bits of each sample to use, 1 to 4 [default: the node's setting]
    #[arg(long, value_name = "N", help_heading = "Requests")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) bits: Option<u8>,

    /// Form of the answers: the file itself, or JSON with the file in base64
    #[arg(long, value_enum, default_value_t = AnswerArg::Png, help_heading = "Requests")]
    pub(crate) answer: AnswerArg,

    /// Depth to which stego images are verified
    ///
    /// Each answer is verified: its payload is extracted again and compared. Decoding every pixel takes more
    /// processor time than an embed takes on the node.
    #[arg(long, value_enum, default_value_t = Verify::Sample, help_heading = "Requests")]
    pub(crate) verify: Verify,

    /// Nodes asked in turn, separated by commas [default: http://127.0.0.1:8081]
    #[arg(long, value_name = "URLS", value_delimiter = ',', help_heading = "Servers")]
    pub(crate) server_list: Option<Vec<Endpoint>>,

    /// Configuration of a cluster (YAML): its nodes and `loadgen` section replace the defaults of this group
    #[arg(long, value_name = "FILE", help_heading = "Servers")]
    pub(crate) config: Option<PathBuf>,

    /// File with the certificates to trust for https, PEM [default: those of the system]
    #[arg(long, value_name = "FILE", help_heading = "Servers")]
    pub(crate) ca_cert: Option<PathBuf>,

    /// Time for each answer in milliseconds, retries included [default: 5000]
    ///
    /// A node that has not answered within half of the time loses the request to another node that is up;
    /// once answer times are known, within twice the time of the slowest recent answer.
    #[arg(long, value_name = "MS", help_heading = "Servers")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) request_timeout_ms: Option<u64>,

    /// Most retries of a request [default: 2]
    ///
    /// All requests share a retry budget: a fifth of their number and ten a second.
    #[arg(long, value_name = "N", help_heading = "Servers")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) max_retries: Option<u32>,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Text, help_heading = "Output")]
    pub(crate) output: Output,

    /// Hide the progress, shown only on a terminal
    #[arg(long, help_heading = "Output")]
    pub(crate) no_progress: bool,
}

impl LoadArgs {
    /// Returns the number and the times of the requests.
    pub(crate) fn plan(&self) -> Plan {
        let model = match self.rate {
            Some(rate) => Model::Open { rate, max_in_flight: self.max_in_flight },
            None => Model::Closed,
        };
        Plan::new(model, self.num_clients, self.reqs_per_client, self.duration)
    }
}
