//! Metrics of a node, in the text format of OpenMetrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::status::{ClusterStatus, Health};
use control_plane::{DiskFigures, FLUSH_BOUNDS_S, FlushStats, KeyFigures, PortFigures};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    EncodeLabelSet, EncodeMetric, LabelValueEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use stego::ImageFormat;

use crate::covers::CoverFigures;
use crate::derivations::DerivationFigures;
use crate::listener::{ConnectionFigures, Reason};
use crate::log::Log;

/// Upper bounds of the duration histogram's buckets, in seconds.
const DURATION_BUCKETS_S: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Bytes = Gauge<u64, AtomicU64>;

/// The metrics of a node.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    problems: Family<ProblemLabels, Counter>,
    decoder_panics: Family<FormatLabels, Counter>,
    covers_checked: Counter,
    embedded: Counter,
    extracted: Counter,
    pixel_jobs: Gauge,
    pixel_memory: Bytes,
    transfer_memory: Bytes,
    resident_memory: Bytes,
    log_dropped: Counter,
    log_suppressed: Counter,
    log_failed: Gauge,
    derived: Counter,
    derivations_waiting: Gauge,
    derivation_bytes: Bytes,
    cover_hits: Counter,
    cover_misses: Counter,
    cover_entries: Gauge<u64, AtomicU64>,
    cover_bytes: Bytes,
    connections: Gauge<u64, AtomicU64>,
    connection_places: Gauge<u64, AtomicU64>,
    connections_closed: Family<ReasonLabels, Counter>,
    port_connections: Family<StateLabels, Gauge<u64, AtomicU64>>,
    port_closed: Family<ReasonLabels, Counter>,
    uptime: Gauge,
    term: Gauge<u64, AtomicU64>,
    leader_known: Gauge,
    leads: Gauge,
    quorum: Gauge,
    voters: Gauge,
    healthy_nodes: Gauge,
    node_health: Family<HealthLabels, Gauge>,
    notices: Gauge,
    applied_index: Gauge<u64, AtomicU64>,
    log_flush: FlushHistogram,
    log_bytes: Bytes,
    disk_free: Bytes,
    disk_reserve: Bytes,
    idempotency_keys: Gauge,
    idempotency_bytes: Bytes,
    idempotency_limit: Bytes,
}

/// Histogram of the control plane's commits, which the control plane counts itself.
#[derive(Clone, Debug, Default)]
struct FlushHistogram(Arc<Mutex<FlushStats>>);

impl FlushHistogram {
    fn set(&self, flushes: FlushStats) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = flushes;
    }
}

impl EncodeMetric for FlushHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let flushes = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bounds_s = FLUSH_BOUNDS_S.into_iter().chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds_s.zip(flushes.buckets).collect();
        encoder.encode_histogram::<NoLabelSet>(flushes.total.as_secs_f64(), flushes.commits, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Gauges and counts of other parts of the node at one moment.
pub(crate) struct Readings<'a> {
    /// The node's name.
    pub node_id: &'a str,
    /// Time since the start.
    pub uptime: Duration,
    /// Jobs on the pixel threads, running and waiting.
    pub pixel_jobs: usize,
    /// Memory of decoded images in work.
    pub pixel_memory_bytes: u64,
    /// Memory of uploads and answers in flight.
    pub transfer_memory_bytes: u64,
    /// Figures of the cover cache.
    pub covers: CoverFigures,
    /// The log of the process.
    pub log: &'a Log,
    /// Key derivations.
    pub derivations: DerivationFigures,
    /// HTTP connections.
    pub connections: &'a ConnectionFigures,
    /// The status document of the node.
    pub status: ClusterStatus,
    /// Connections at the port for nodes.
    pub port: PortFigures,
    /// Commits of the Raft log; none while the storage is not open.
    pub flushes: Option<FlushStats>,
    /// Bytes of the disk and of the log; none while the storage is not open.
    pub disk: Option<DiskFigures>,
    /// Idempotency keys; none while the storage is not open.
    pub keys: Option<KeyFigures>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HealthLabels {
    node: String,
    health: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProblemLabels {
    code: Code,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FormatLabels {
    format: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: Code,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: Code,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Code(&'static str);

impl prometheus_client::encoding::EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        prometheus_client::encoding::EncodeLabelValue::encode(&self.0, encoder)
    }
}

type BytesRow<'a> = (&'static str, &'static str, &'a Bytes);

fn register_bytes(registry: &mut Registry, rows: &[BytesRow<'_>]) {
    for (name, help, gauge) in rows {
        registry.register_with_unit(*name, *help, Unit::Bytes, (*gauge).clone());
    }
}

impl Metrics {
    /// Registers all metrics at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("steg"),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_S)),
            problems: Family::default(),
            decoder_panics: Family::default(),
            covers_checked: Counter::default(),
            embedded: Counter::default(),
            extracted: Counter::default(),
            pixel_jobs: Gauge::default(),
            pixel_memory: Bytes::default(),
            transfer_memory: Bytes::default(),
            resident_memory: Bytes::default(),
            log_dropped: Counter::default(),
            log_suppressed: Counter::default(),
            log_failed: Gauge::default(),
            derived: Counter::default(),
            derivations_waiting: Gauge::default(),
            derivation_bytes: Bytes::default(),
            cover_hits: Counter::default(),
            cover_misses: Counter::default(),
            cover_entries: Gauge::default(),
            cover_bytes: Bytes::default(),
            connections: Gauge::default(),
            connection_places: Gauge::default(),
            connections_closed: Family::default(),
            port_connections: Family::default(),
            port_closed: Family::default(),
            uptime: Gauge::default(),
            term: Gauge::default(),
            leader_known: Gauge::default(),
            leads: Gauge::default(),
            quorum: Gauge::default(),
            voters: Gauge::default(),
            healthy_nodes: Gauge::default(),
            node_health: Family::default(),
            notices: Gauge::default(),
            applied_index: Gauge::default(),
            log_flush: FlushHistogram::default(),
            log_bytes: Bytes::default(),
            disk_free: Bytes::default(),
            disk_reserve: Bytes::default(),
            idempotency_keys: Gauge::default(),
            idempotency_bytes: Bytes::default(),
            idempotency_limit: Bytes::default(),
        };
        metrics.register();
        metrics.register_log();
        metrics.register_covers();
        metrics.register_derivations();
        metrics.register_connections();
        metrics.register_cluster();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "build",
            "Release of the node",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to the head of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register("problems", "Problem documents by code", self.problems.clone());
        registry.register(
            "decoder_panics",
            "Panics of image decoders, by format",
            self.decoder_panics.clone(),
        );
        registry.register(
            "covers_checked_on_arrival",
            "Covers with compressed pixels checked during the upload",
            self.covers_checked.clone(),
        );
        registry.register("secrets_embedded", "Stego images created and verified", self.embedded.clone());
        registry.register("secrets_extracted", "Secrets extracted", self.extracted.clone());
        registry.register(
            "pixel_jobs",
            "Running and waiting jobs of the pixel threads",
            self.pixel_jobs.clone(),
        );
        let bytes = [
            ("pixel_memory", "Memory of decoded images in work", &self.pixel_memory),
            ("transfer_memory", "Memory of uploads and answers in flight", &self.transfer_memory),
            ("resident_memory", "Resident set of the process", &self.resident_memory),
        ];
        register_bytes(registry, &bytes);
        registry.register_with_unit(
            "uptime",
            "Time since the start of the process",
            Unit::Seconds,
            self.uptime.clone(),
        );
    }

    fn register_log(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("log");
        registry.register(
            "dropped_lines",
            "Log lines lost because they could not be written",
            self.log_dropped.clone(),
        );
        registry.register(
            "suppressed_lines",
            "Log lines suppressed by the rate limit",
            self.log_suppressed.clone(),
        );
        registry.register(
            "failed",
            "State of the log: 1 while writing fails, otherwise 0",
            self.log_failed.clone(),
        );
    }

    fn read_log(&self, log: &Log) {
        self.log_dropped.inner().store(log.dropped(), Ordering::Relaxed);
        self.log_suppressed.inner().store(log.suppressed(), Ordering::Relaxed);
        self.log_failed.set(log.failure().is_some().into());
    }

    fn register_covers(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("cover_cache");
        registry.register(
            "hits",
            "Lookups answered by a cached cover or a preparation in progress",
            self.cover_hits.clone(),
        );
        registry.register(
            "misses",
            "Lookups that started the preparation of a cover",
            self.cover_misses.clone(),
        );
        registry.register("entries", "Cached covers", self.cover_entries.clone());
        registry.register_with_unit("size", "Memory of cached covers", Unit::Bytes, self.cover_bytes.clone());
    }

    fn read_covers(&self, figures: CoverFigures) {
        self.cover_hits.inner().store(figures.hits, Ordering::Relaxed);
        self.cover_misses.inner().store(figures.misses, Ordering::Relaxed);
        self.cover_entries.set(figures.entries);
        self.cover_bytes.set(figures.bytes);
    }

    fn register_derivations(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("key_derivations");
        registry.register("done", "Keys derived from passphrases and key files", self.derived.clone());
        registry.register(
            "waiting",
            "Requests waiting for a key derivation",
            self.derivations_waiting.clone(),
        );
        registry.register_with_unit(
            "memory",
            "Memory of key derivations in progress",
            Unit::Bytes,
            self.derivation_bytes.clone(),
        );
    }

    fn read_derivations(&self, figures: DerivationFigures) {
        self.derived.inner().store(figures.done, Ordering::Relaxed);
        self.derivations_waiting.set(i64::try_from(figures.waiting).unwrap_or(i64::MAX));
        self.derivation_bytes.set(figures.memory_bytes);
    }

    fn register_connections(&mut self) {
        let registry = &mut self.registry;
        registry.register("connections", "Open HTTP connections", self.connections.clone());
        registry.register(
            "connection_places",
            "Maximum number of HTTP connections, by configuration and limit on open files",
            self.connection_places.clone(),
        );
        registry.register(
            "connections_closed",
            "HTTP connections closed for lack of places",
            self.connections_closed.clone(),
        );
        registry.register(
            "raft_connections",
            "Connections at the Raft port, unauthenticated (stranger) or of members",
            self.port_connections.clone(),
        );
        registry.register(
            "raft_connections_closed",
            "Connections at the Raft port closed by this node",
            self.port_closed.clone(),
        );
    }

    fn read_connections(&self, connections: &ConnectionFigures, port: PortFigures) {
        self.connections.set(connections.open());
        self.connection_places.set(connections.rules.places as u64);
        let count = |family: &Family<ReasonLabels, Counter>, reason, count| {
            family
                .get_or_create(&ReasonLabels { reason: Code(reason) })
                .inner()
                .store(count, Ordering::Relaxed);
        };
        for (reason, name) in [
            (Reason::Displaced, "displaced"),
            (Reason::Refused, "refused"),
            (Reason::LobbyFull, "lobby_full"),
        ] {
            count(&self.connections_closed, name, connections.count(reason));
        }
        for (state, number) in [("stranger", port.pending), ("member", port.authenticated)] {
            self.port_connections.get_or_create(&StateLabels { state: Code(state) }).set(number as u64);
        }
        for (reason, number) in port.closed {
            count(&self.port_closed, reason, number);
        }
    }

    fn register_cluster(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("cluster");
        registry.register("term", "Raft term", self.term.clone());
        registry.register(
            "leader_known",
            "1 if this node knows the leader, otherwise 0",
            self.leader_known.clone(),
        );
        registry.register("leads", "1 if this node leads, otherwise 0", self.leads.clone());
        registry.register("quorum", "1 if the cluster can commit changes, otherwise 0", self.quorum.clone());
        registry.register("voters", "Number of voters", self.voters.clone());
        registry.register("healthy_nodes", "Number of healthy nodes", self.healthy_nodes.clone());
        registry.register(
            "node_health",
            "Health of each configured node: 1 for the current state, 0 for every other state",
            self.node_health.clone(),
        );
        registry.register("notices", "Number of notices in the status", self.notices.clone());
        registry.register("applied_index", "Index of the last applied log entry", self.applied_index.clone());
        registry.register_with_unit(
            "log_flush",
            "Duration of a commit of the Raft log to the disk",
            Unit::Seconds,
            self.log_flush.clone(),
        );
        let bytes = [
            ("log", "Size of the entries in the log", &self.log_bytes),
            ("disk_free", "Free space on the file system of the data directory", &self.disk_free),
            ("disk_reserve", "Space reserved for Raft in the data directory", &self.disk_reserve),
            (
                "idempotency",
                "Memory of the idempotency keys that count towards the limit",
                &self.idempotency_bytes,
            ),
            ("idempotency_limit", "Limit on the memory of idempotency keys", &self.idempotency_limit),
        ];
        registry.register(
            "idempotency_keys",
            "Number of remembered idempotency keys",
            self.idempotency_keys.clone(),
        );
        register_bytes(registry, &bytes);
    }

    fn read_cluster(&self, status: &ClusterStatus, node_id: &str) {
        self.term.set(status.term);
        self.leader_known.set(status.leader_id.is_some().into());
        self.leads.set((status.leader_id.as_deref() == Some(node_id)).into());
        self.quorum.set(status.quorum.into());
        self.voters.set(status.voters.len() as i64);
        self.healthy_nodes.set(status.nodes.iter().filter(|node| node.healthy).count() as i64);
        for node in &status.nodes {
            for health in Health::ALL {
                let labels = HealthLabels { node: node.id.clone(), health: health.as_str().to_owned() };
                self.node_health.get_or_create(&labels).set((node.health == health).into());
            }
        }
        self.notices.set(status.notices.len() as i64);
        let own = status.nodes.iter().find(|node| node.id == node_id);
        self.applied_index.set(own.and_then(|node| node.applied_index).unwrap_or(0));
    }

    fn read_storage(&self, flushes: Option<FlushStats>, disk: Option<DiskFigures>, keys: Option<KeyFigures>) {
        if let Some(keys) = keys {
            self.idempotency_keys.set(i64::try_from(keys.keys).unwrap_or(i64::MAX));
            self.idempotency_bytes.set(keys.bytes);
            self.idempotency_limit.set(keys.limit_bytes);
        }
        if let Some(flushes) = flushes {
            self.log_flush.set(flushes);
        }
        if let Some(disk) = disk {
            self.log_bytes.set(disk.log_bytes);
            self.disk_free.set(disk.free_bytes);
            self.disk_reserve.set(disk.reserve_bytes);
        }
    }

    /// Counts an answered request. `route` is the pattern, never the path, so that the number of series is
    /// bounded.
    pub(crate) fn count_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), method: method.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&RouteLabels { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// Counts a problem document.
    pub(crate) fn count_problem(&self, code: &'static str) {
        self.problems.get_or_create(&ProblemLabels { code: Code(code) }).inc();
    }

    /// Counts an image whose decoder panicked.
    pub(crate) fn count_decoder_panic(&self, format: ImageFormat) {
        self.decoder_panics.get_or_create(&FormatLabels { format: format.to_string() }).inc();
    }

    /// Counts a cover whose compressed pixels were checked while the upload arrived.
    pub(crate) fn count_checked_on_arrival(&self) {
        self.covers_checked.inc();
    }

    /// Counts a stego image.
    pub(crate) fn count_embedded(&self) {
        self.embedded.inc();
    }

    /// Counts an extracted secret.
    pub(crate) fn count_extracted(&self) {
        self.extracted.inc();
    }

    /// Renders all metrics as text, the gauges by `readings`.
    ///
    /// # Errors
    /// That of the encoder, which writes to a string and does not fail.
    pub(crate) fn render(&self, readings: Readings<'_>) -> Result<String, std::fmt::Error> {
        self.pixel_jobs.set(i64::try_from(readings.pixel_jobs).unwrap_or(i64::MAX));
        self.pixel_memory.set(readings.pixel_memory_bytes);
        self.transfer_memory.set(readings.transfer_memory_bytes);
        self.resident_memory.set(resident_memory_bytes().unwrap_or(0));
        self.uptime.set(i64::try_from(readings.uptime.as_secs()).unwrap_or(i64::MAX));
        self.read_log(readings.log);
        self.read_covers(readings.covers);
        self.read_derivations(readings.derivations);
        self.read_connections(readings.connections, readings.port);
        self.read_cluster(&readings.status, readings.node_id);
        self.read_storage(readings.flushes, readings.disk, readings.keys);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Returns the process's resident set in bytes, if the system reports it (Linux, proc(5): `statm`, second
/// figure).
pub(crate) fn resident_memory_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
