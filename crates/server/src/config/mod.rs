//! The configuration: keys, defaults and validation.
//!
//! [`load()`] reads the layers; `docs/configuration.md` documents keys and defaults, and a test compares the
//! document with the structures here.

mod load;
mod security;

#[cfg(feature = "fuzzing")]
pub(crate) use load::fuzzing::check as check_configuration;
pub(crate) use load::{ConfigError, Sources, load};
pub(crate) use security::{LoopbackConfig, PlaintextConfig, SecurityConfig};

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use control_plane::catalog::DEFAULT_IDEMPOTENCY_BYTES;
use control_plane::{Host, Timing};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stego::{BitsPerSample, Limits as StegoLimits};

/// Maximum of `limits.max_connections` and of `limits.pixel_queue`.
const MAX_PLACES: usize = 1_000_000;
/// Maximum of `limits.pixel_threads`.
const MAX_PIXEL_THREADS: usize = 1024;
/// Maximum of `limits.key_derivations`, which take 64 MiB each.
const MAX_KEY_DERIVATIONS: usize = 256;
/// Maximum of `limits.key_queue`, which is searched at each turn.
const MAX_KEY_QUEUE: usize = 4096;
/// Minimum number of log entries between two snapshots.
const MIN_SNAPSHOT_EVERY: u64 = 10;
/// Range of `limits.idempotency_bytes`. A snapshot holds all keys.
const IDEMPOTENCY_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 30;
/// Minimum of the Raft log's bound in bytes.
const MIN_LOG_BYTES: u64 = 1 << 20;
/// Range of the live stream's status interval in milliseconds. The console treats a node as lost after 3 s of
/// silence.
const STATUS_POLL_MS: RangeInclusive<u64> = 50..=2000;
/// Minimum of the log file's bound: a few lines.
const MIN_LOG_FILE_BYTES: u64 = 64 << 10;
/// Maximum number of rotated log files.
const MAX_LOG_KEEP: u32 = 100;
/// Memory for an embed in the default cover, with room for a long secret.
const MIN_PIXEL_MEMORY_BYTES: u64 = 64 << 20;

/// All configuration keys. The same file serves every node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The cluster's name, shown to people.
    pub cluster_name: String,
    /// Every node of the cluster.
    pub nodes: Vec<NodeConfig>,
    /// Defaults of embedding.
    pub stego: StegoConfig,
    /// The web console.
    pub gui: GuiConfig,
    /// Defaults of the load generator, another reader of the file.
    pub loadgen: LoadgenConfig,
    /// Timers of Raft and of the probes between nodes.
    pub election: ElectionConfig,
    /// Keys and tokens.
    pub security: SecurityConfig,
    /// On-disk storage of the control plane.
    pub storage: StorageConfig,
    /// Resource limits of a node.
    pub limits: LimitsConfig,
    /// The log of a node.
    pub log: LogConfig,
}

/// Addresses of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// The node's name, such as `n1`.
    pub id: String,
    /// Address or host name of the node for all nodes.
    pub ip: Host,
    /// The address to listen on, if different from `ip` (`0.0.0.0`: all).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_ip: Option<IpAddr>,
    /// The port of the HTTP API.
    pub http_port: u16,
    /// The port for connections between nodes.
    pub raft_port: u16,
}

/// Defaults for embed requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StegoConfig {
    /// Bits per sample, 1 to 4.
    pub lsb_per_channel: u8,
    /// True if secrets are deflated when the result is shorter.
    pub compress: bool,
    /// Maximum number of pixels of an image; 0 stands for 100 megapixels.
    pub max_pixels: u64,
}

/// The web console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GuiConfig {
    /// Interval of the status on the console's live stream, in milliseconds.
    pub status_poll_ms: u64,
}

/// Defaults of the load generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoadgenConfig {
    /// Timeout of a request, retries included, in milliseconds.
    pub request_timeout_ms: u64,
    /// Maximum number of retries of a request.
    pub max_retries: u32,
}

/// Timers of Raft and of the probes between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ElectionConfig {
    /// Permission for the first configured node to found a cluster when none exists.
    pub bootstrap: BootstrapConfig,
    /// Interval of a leader's heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// Minimum election timeout. A follower without heartbeats stands for election after `timeout_max_ms`
    /// plus a random time between `timeout_min_ms` and `timeout_max_ms`.
    pub timeout_min_ms: u64,
    /// Maximum election timeout, and duration of a leader's lease.
    pub timeout_max_ms: u64,
    /// Interval of probes to a peer, and timeout of an answer, in milliseconds.
    pub probe_interval_ms: u64,
    /// Consecutive unanswered probes of the leader before an early election; 0: election timeouts alone
    /// decide.
    pub probe_failures: u32,
}

/// Permission to found a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BootstrapConfig {
    /// The first configured node founds a cluster if its data directory is empty and no peer answers.
    Auto,
    /// Never: the node waits to join.
    Never,
}

/// On-disk storage of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageConfig {
    /// Number of log entries between two snapshots.
    pub snapshot_every: u64,
    /// Maximum size of the entries in the log, in bytes, while no snapshot can be written.
    pub max_log_bytes: u64,
}

/// Resource limits of a node. A request beyond a limit gets a clear error; the node continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// Maximum length of a request's body.
    pub max_body_bytes: u64,
    /// Maximum length of a secret after inflation.
    pub max_secret_bytes: u64,
    /// Memory for uploads and answers in flight, all requests together.
    pub transfer_memory_bytes: u64,
    /// Memory for decoded images in work, all requests together.
    pub pixel_memory_bytes: u64,
    /// Memory for the cache of prepared covers; 0: no cache.
    pub cover_cache_bytes: u64,
    /// Memory for idempotency keys of changes of the cluster, with their answers.
    pub idempotency_bytes: u64,
    /// Number of pixel threads; 0 stands for one per core.
    pub pixel_threads: usize,
    /// Maximum number of requests waiting for a pixel thread.
    pub pixel_queue: usize,
    /// Number of key derivations at a time, 64 MiB each; 0 stands for one per four cores.
    pub key_derivations: usize,
    /// Maximum number of requests waiting for a key derivation.
    pub key_queue: usize,
    /// Maximum number of connections.
    pub max_connections: usize,
    /// Maximum time from a request's first byte until its work begins, in milliseconds.
    pub request_timeout_ms: u64,
    /// Maximum time from the beginning to the end of a request's work, in milliseconds.
    pub work_timeout_ms: u64,
    /// Maximum time for which a peer may stall in sending or reading, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Minimum transfer rate of a sending or reading peer in bytes per second; 0: any progress suffices.
    pub min_transfer_bytes_per_s: u64,
    /// Maximum time for requests in flight after a stop was requested, in milliseconds.
    pub drain_timeout_ms: u64,
}

/// The log of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as `info,server=debug`.
    pub filter: String,
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// The log file; empty: standard error.
    pub file: String,
    /// Maximum length of the log file before rotation.
    pub max_bytes: u64,
    /// Number of rotated log files kept.
    pub keep: u32,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster_name: "phase1".to_owned(),
            nodes: vec![NodeConfig {
                id: "n1".to_owned(),
                ip: Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                bind_ip: None,
                http_port: 8081,
                raft_port: 5001,
            }],
            stego: StegoConfig::default(),
            gui: GuiConfig::default(),
            loadgen: LoadgenConfig::default(),
            election: ElectionConfig::default(),
            security: SecurityConfig::default(),
            storage: StorageConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for StegoConfig {
    fn default() -> Self {
        Self { lsb_per_channel: 1, compress: true, max_pixels: 0 }
    }
}

impl Default for GuiConfig {
    fn default() -> Self {
        Self { status_poll_ms: 1000 }
    }
}

impl Default for LoadgenConfig {
    fn default() -> Self {
        Self { request_timeout_ms: 5000, max_retries: 2 }
    }
}

impl Default for ElectionConfig {
    fn default() -> Self {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let timing = Timing::DEFAULT;
        Self {
            bootstrap: BootstrapConfig::Auto,
            heartbeat_ms: ms(timing.heartbeat),
            timeout_min_ms: ms(timing.election_timeout_min),
            timeout_max_ms: ms(timing.election_timeout_max),
            probe_interval_ms: ms(timing.probe_interval),
            probe_failures: timing.probe_failures,
        }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { snapshot_every: 5000, max_log_bytes: 256 << 20 }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 128 << 20,
            max_secret_bytes: StegoLimits::DEFAULT_MAX_SECRET_BYTES,
            transfer_memory_bytes: 512 << 20,
            pixel_memory_bytes: StegoLimits::DEFAULT_MAX_IMAGE_MEMORY_BYTES,
            cover_cache_bytes: 256 << 20,
            idempotency_bytes: DEFAULT_IDEMPOTENCY_BYTES,
            pixel_threads: 0,
            pixel_queue: 64,
            key_derivations: 0,
            key_queue: 64,
            max_connections: 2048,
            request_timeout_ms: 30_000,
            work_timeout_ms: 60_000,
            idle_timeout_ms: 10_000,
            min_transfer_bytes_per_s: 32 << 10,
            drain_timeout_ms: 10_000,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info,openraft=error".to_owned(),
            format: LogFormat::Text,
            file: String::new(),
            max_bytes: 8 << 20,
            keep: 3,
        }
    }
}

impl NodeConfig {
    /// Returns the address to listen on: `bind_ip`, or `ip`. A host name may resolve late or change: then the
    /// node listens on all IPv4 addresses, for `localhost` on loopback.
    pub(crate) fn listen_ip(&self) -> IpAddr {
        let everywhere = if self.ip.is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        self.bind_ip.or_else(|| self.ip.address()).unwrap_or(IpAddr::V4(everywhere))
    }
}

impl Config {
    /// Validates the configuration.
    ///
    /// # Errors
    /// The first invalid value, with its key.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, why: String| Err(ConfigError::Invalid { key: key.to_owned(), why });
        if self.nodes.is_empty() {
            return invalid("nodes", "at least one node is needed".to_owned());
        }
        let mut ids = HashSet::new();
        let mut addresses = HashSet::new();
        for (i, node) in self.nodes.iter().enumerate() {
            if node.id.is_empty() || !node.id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            {
                let why = format!("`{}` is not a name of letters, digits, `-`, `_` and `.`", node.id);
                return invalid(&format!("nodes[{i}].id"), why);
            }
            if !ids.insert(&node.id) {
                return invalid(&format!("nodes[{i}].id"), format!("`{}` is used twice", node.id));
            }
            for (key, port) in [("http_port", node.http_port), ("raft_port", node.raft_port)] {
                if port != 0 && !addresses.insert((&node.ip, port)) {
                    let why = format!("{}:{port} is used twice", node.ip);
                    return invalid(&format!("nodes[{i}].{key}"), why);
                }
            }
        }
        if BitsPerSample::new(self.stego.lsb_per_channel).is_none() {
            return invalid("stego.lsb_per_channel", "1 to 4 bits can be used".to_owned());
        }
        if !STATUS_POLL_MS.contains(&self.gui.status_poll_ms) {
            return invalid("gui.status_poll_ms", "50 to 2000".to_owned());
        }
        self.log.check()?;
        self.election.check()?;
        if self.storage.snapshot_every < MIN_SNAPSHOT_EVERY {
            return invalid("storage.snapshot_every", format!("at least {MIN_SNAPSHOT_EVERY}"));
        }
        if self.storage.max_log_bytes < MIN_LOG_BYTES {
            return invalid("storage.max_log_bytes", format!("at least {MIN_LOG_BYTES}"));
        }
        self.security.check()?;
        self.limits.check()
    }

    /// Returns a hash of the settings common to all nodes of a cluster: everything but the listening address,
    /// the log, security and the bootstrap permission.
    pub(crate) fn fingerprint(&self) -> String {
        let mut shared = self.clone();
        shared.nodes.iter_mut().for_each(|node| node.bind_ip = None);
        shared.log = LogConfig::default();
        shared.security = SecurityConfig::default();
        shared.election.bootstrap = BootstrapConfig::Auto;
        let json = serde_json::to_vec(&shared).expect("the configuration has text keys only");
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Removes all other nodes, and renames the cluster to keep both apart.
    pub(crate) fn keep_only(&mut self, node: &NodeConfig) {
        self.nodes = vec![node.clone()];
        self.cluster_name.push_str("-single");
    }

    /// Returns the node called `id`; without an id, the only node.
    ///
    /// # Errors
    /// If no node has the id, or none is named and there are several.
    pub(crate) fn node(&self, id: Option<&str>) -> Result<&NodeConfig, ConfigError> {
        let known = || self.nodes.iter().map(|node| node.id.as_str()).collect::<Vec<_>>().join(", ");
        match id {
            None if self.nodes.len() == 1 => Ok(&self.nodes[0]),
            None => Err(ConfigError::NodeNotNamed { known: known() }),
            Some(id) => self
                .nodes
                .iter()
                .find(|node| node.id == id)
                .ok_or_else(|| ConfigError::NodeUnknown { id: id.to_owned(), known: known() }),
        }
    }

    /// Limits of the stego library for one request.
    pub(crate) fn stego_limits(&self) -> StegoLimits {
        StegoLimits {
            max_pixels: match self.stego.max_pixels {
                0 => StegoLimits::DEFAULT_MAX_PIXELS,
                pixels => pixels,
            },
            max_image_memory_bytes: self.limits.pixel_memory_bytes,
            max_secret_bytes: self.limits.max_secret_bytes,
            ..StegoLimits::default()
        }
    }
}

impl ElectionConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, why: &str| {
            Err(ConfigError::Invalid { key: format!("election.{key}"), why: why.to_owned() })
        };
        // Acknowledgements are valid for 800 ms, probe answers for 500 ms: several intervals have to fit.
        if !(10..=250).contains(&self.heartbeat_ms) {
            return invalid("heartbeat_ms", "10 to 250");
        }
        if self.timeout_min_ms < 3 * self.heartbeat_ms {
            return invalid(
                "timeout_min_ms",
                "at least three heartbeats, so that one lost heartbeat starts no election",
            );
        }
        if self.timeout_max_ms <= self.timeout_min_ms || self.timeout_max_ms > 60_000 {
            return invalid("timeout_max_ms", "more than timeout_min_ms, and 60000 at most");
        }
        if !(10..=150).contains(&self.probe_interval_ms) {
            return invalid("probe_interval_ms", "10 to 150");
        }
        if self.probe_failures > 100 || self.probe_failures == 1 {
            return invalid("probe_failures", "2 to 100, or 0 for election timeouts alone");
        }
        Ok(())
    }

    /// The timers in the control plane's form.
    pub(crate) fn timing(&self) -> Timing {
        Timing {
            heartbeat: Duration::from_millis(self.heartbeat_ms),
            election_timeout_min: Duration::from_millis(self.timeout_min_ms),
            election_timeout_max: Duration::from_millis(self.timeout_max_ms),
            probe_interval: Duration::from_millis(self.probe_interval_ms),
            probe_failures: self.probe_failures,
        }
    }
}

impl LogConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, why: String| Err(ConfigError::Invalid { key: format!("log.{key}"), why });
        if let Err(error) = self.filter.parse::<tracing_subscriber::EnvFilter>() {
            return invalid("filter", error.to_string());
        }
        if self.max_bytes < MIN_LOG_FILE_BYTES {
            return invalid("max_bytes", format!("at least {MIN_LOG_FILE_BYTES}"));
        }
        if self.keep > MAX_LOG_KEEP {
            return invalid("keep", format!("at most {MAX_LOG_KEEP}"));
        }
        Ok(())
    }
}

impl LimitsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("limits.max_body_bytes", self.max_body_bytes),
            ("limits.max_connections", self.max_connections as u64),
            ("limits.request_timeout_ms", self.request_timeout_ms),
            ("limits.work_timeout_ms", self.work_timeout_ms),
            ("limits.idle_timeout_ms", self.idle_timeout_ms),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Invalid { key: (*key).to_owned(), why: "at least 1".to_owned() });
        }
        if !IDEMPOTENCY_BYTES.contains(&self.idempotency_bytes) {
            let (key, why) = ("limits.idempotency_bytes".to_owned(), "1048576 to 1073741824".to_owned());
            return Err(ConfigError::Invalid { key, why });
        }
        let at_most = [
            ("limits.max_connections", self.max_connections, MAX_PLACES),
            ("limits.pixel_queue", self.pixel_queue, MAX_PLACES),
            ("limits.pixel_threads", self.pixel_threads, MAX_PIXEL_THREADS),
            ("limits.key_derivations", self.key_derivations, MAX_KEY_DERIVATIONS),
            ("limits.key_queue", self.key_queue, MAX_KEY_QUEUE),
        ];
        if let Some((key, _, max)) = at_most.iter().find(|(_, value, max)| value > max) {
            return Err(ConfigError::Invalid { key: (*key).to_owned(), why: format!("at most {max}") });
        }
        if self.pixel_memory_bytes < MIN_PIXEL_MEMORY_BYTES {
            let why = format!("the default cover alone needs {MIN_PIXEL_MEMORY_BYTES}");
            return Err(ConfigError::Invalid { key: "limits.pixel_memory_bytes".to_owned(), why });
        }
        if self.transfer_memory_bytes < self.max_body_bytes {
            return Err(ConfigError::Invalid {
                key: "limits.transfer_memory_bytes".to_owned(),
                why: format!(
                    "less than limits.max_body_bytes ({}) can never serve a full body",
                    self.max_body_bytes
                ),
            });
        }
        Ok(())
    }

    /// [`Self::request_timeout_ms`] as a duration.
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// [`Self::work_timeout_ms`] as a duration.
    pub(crate) fn work_timeout(&self) -> Duration {
        Duration::from_millis(self.work_timeout_ms)
    }

    /// [`Self::idle_timeout_ms`] as a duration.
    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// [`Self::drain_timeout_ms`] as a duration.
    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// Number of key derivations at a time, with 0 resolved. A derivation has four lanes, which run in
    /// parallel.
    pub(crate) fn key_derivations(&self) -> usize {
        match self.key_derivations {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(4)),
            at_once => at_once,
        }
    }

    /// Number of pixel threads, with 0 resolved.
    pub(crate) fn pixel_threads(&self) -> usize {
        match self.pixel_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

#[cfg(test)]
mod tests;
