//! State shared by the handlers of one node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use control_plane::ControlPlane;
use control_plane::catalog::{SettingKey, SettingValue};
use stego::{BitsPerSample, Limits, MetadataPolicy, PreparedCover};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, QueuedBudget};
use crate::config::Config;
use crate::covers::{CoverCache, CoverError, CoverKey, MadeCover, ReadyCover};
use crate::drills::{Isolation, Standing};
use crate::figures::Figures;
use crate::http::{Access, InFlight};
use crate::listener::ConnectionFigures;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::pool::PixelPool;
use crate::work::Work;

/// Index of the default cover in the dataset.
pub(crate) const DEFAULT_COVER: u32 = 0;
/// Upper estimate, in bytes, of the memory for making and preparing the largest image of the dataset.
const PREPARING_BYTES: u64 = 56 << 20;
/// Maximum number of event streams.
const MAX_WATCHERS: usize = 64;

/// One node's shared state.
pub(crate) struct App {
    /// The configuration at the start.
    pub config: Config,
    /// The node's name.
    pub node_id: String,
    /// The pixel threads.
    pub pool: PixelPool,
    /// Memory for decoded images in work.
    pub pixel_memory: QueuedBudget,
    /// Memory for uploads and answers in flight.
    pub transfer_memory: Arc<Budget>,
    /// Limits of the stego library for one request.
    pub limits: Limits,
    /// Counters for `/metrics`.
    pub metrics: Metrics,
    /// Figures of the node: load, latencies, history.
    pub figures: Arc<Figures>,
    /// The replicated state of the cluster.
    pub control: ControlPlane,
    /// Authorization of changes to the cluster.
    pub access: Access,
    /// The log of the process.
    pub log: Log,
    /// HTTP connections.
    pub connections: Arc<ConnectionFigures>,
    /// Idempotency keys of requests in flight on this node.
    pub in_flight: InFlight,
    /// Permits of event streams.
    pub watchers: Arc<Semaphore>,
    /// True if fault drills are enabled.
    pub fault_injection: bool,
    /// Start of the node.
    pub started: Instant,
    covers: Arc<CoverCache>,
    /// True once the default cover was generated.
    warm: AtomicBool,
    draining: CancellationToken,
    /// True if the process restarts after the stop.
    restarts: AtomicBool,
    standing: Standing,
}

/// Action after a graceful stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterStop {
    /// The process ends.
    End,
    /// The process executes itself anew.
    Restart,
}

/// Components of a node's state besides the configuration.
pub(crate) struct Parts {
    /// Figures of the node: load, latencies, history.
    pub figures: Arc<Figures>,
    /// The replicated state of the cluster.
    pub control: ControlPlane,
    /// Authorization of changes to the cluster.
    pub access: Access,
    /// The log of the process.
    pub log: Log,
    /// HTTP connections.
    pub connections: Arc<ConnectionFigures>,
    /// True if fault drills are enabled.
    pub fault_injection: bool,
}

impl App {
    /// Builds the state of node `node_id` under the validated `config`.
    ///
    /// # Errors
    /// If the pixel threads cannot be started.
    pub(crate) fn new(config: Config, node_id: String, parts: Parts) -> anyhow::Result<Arc<Self>> {
        let Parts { figures, control, access, log, connections, fault_injection } = parts;
        let transfer_memory = Budget::new(config.limits.transfer_memory_bytes);
        Ok(Arc::new(Self {
            pool: PixelPool::new(config.limits.pixel_threads(), config.limits.pixel_queue)?,
            pixel_memory: QueuedBudget::new(config.limits.pixel_memory_bytes),
            covers: CoverCache::new(config.limits.cover_cache_bytes, Arc::clone(&transfer_memory)),
            warm: AtomicBool::new(false),
            transfer_memory,
            limits: config.stego_limits(),
            metrics: Metrics::new(),
            started: Instant::now(),
            draining: CancellationToken::new(),
            restarts: AtomicBool::new(false),
            standing: Standing::default(),
            figures,
            control,
            access,
            log,
            connections,
            in_flight: InFlight::default(),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            fault_injection,
            config,
            node_id,
        }))
    }

    /// Returns a prepared cover, waiting until `deadline` if the cover has to be prepared first.
    ///
    /// # Errors
    /// A [`CoverError`] if the cover cannot be prepared in time.
    pub(crate) async fn cover(
        self: &Arc<Self>,
        key: CoverKey,
        deadline: tokio::time::Instant,
    ) -> Result<Arc<ReadyCover>, CoverError> {
        self.covers.get(key, deadline, || prepare(Arc::clone(self), key)).await
    }

    /// The cache of prepared covers.
    pub(crate) fn covers(&self) -> &CoverCache {
        &self.covers
    }

    /// True once the default cover was generated. Its preparation takes a moment longer, and the first
    /// requests wait for it.
    pub(crate) fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    /// Default number of bits per sample: the cluster's setting, or the configuration's.
    pub(crate) fn default_bits(&self) -> BitsPerSample {
        let set = match self.control.local_setting(&SettingKey::Bits).map(|setting| setting.value) {
            Some(SettingValue::Number(bits)) => BitsPerSample::new(bits),
            _ => None,
        };
        let configured = || BitsPerSample::new(self.config.stego.lsb_per_channel);
        set.or_else(configured).expect("the configuration was checked")
    }

    /// Default for deflating secrets: the cluster's setting, or the configuration's.
    pub(crate) fn default_compress(&self) -> bool {
        match self.control.local_setting(&SettingKey::Compress).map(|setting| setting.value) {
            Some(SettingValue::Flag(compress)) => compress,
            _ => self.config.stego.compress,
        }
    }

    /// Default treatment of a cover's metadata: the cluster's setting, or `Keep`.
    pub(crate) fn default_metadata(&self) -> MetadataPolicy {
        match self.control.local_setting(&SettingKey::Metadata).map(|setting| setting.value) {
            Some(SettingValue::Text(policy)) if policy == "strip" => MetadataPolicy::Strip,
            _ => MetadataPolicy::Keep,
        }
    }

    /// Deadline for the work of a request that arrives now to begin.
    pub(crate) fn start_by(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.config.limits.request_timeout()
    }

    /// Begins the graceful stop: the node reports the drain, and leadership is transferred while requests in
    /// flight finish. The latest call determines what follows the stop.
    pub(crate) fn begin_stop(&self, then: AfterStop) {
        self.restarts.store(then == AfterStop::Restart, Ordering::Relaxed);
        if self.is_draining() {
            return;
        }
        self.draining.cancel();
        let control = self.control.clone();
        tokio::spawn(async move { control.hand_over().await });
    }

    /// Returns what follows the stop.
    pub(crate) fn after_stop(&self) -> AfterStop {
        if self.restarts.load(Ordering::Relaxed) { AfterStop::Restart } else { AfterStop::End }
    }

    /// True once the node is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Token that is cancelled when the stop begins.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Starts a drill: isolates the node until it is restored, or until another drill replaces this one.
    /// Returns the drill's number.
    pub(crate) fn isolate(&self, isolation: Isolation) -> u64 {
        self.standing.begin(isolation, || self.control.pause())
    }

    /// Ends any isolation drill.
    pub(crate) fn restore(&self) {
        self.standing.end(|| self.control.resume());
    }

    /// Ends the drill with this number. True if it was still active.
    pub(crate) fn restore_from(&self, number: u64) -> bool {
        self.standing.end_only(number, || self.control.resume())
    }

    /// True while a drill isolates the node from clients and nodes.
    pub(crate) fn is_paused(&self) -> bool {
        self.standing.is(Isolation::FromAll)
    }
}

/// Prepares a cover on all free pixel threads. Serves all requests that wait for the cover, so the deadline
/// is independent of them.
async fn prepare(app: Arc<App>, key: CoverKey) -> Result<MadeCover, CoverError> {
    let work = Work::new(&app, app.start_by());
    let make = move |app: Arc<App>, limits: &Limits| {
        let CoverKey::Dataset(index) = key;
        let cover = dataset::cover(index).expect("only images that the dataset has are asked for");
        app.warm.store(true, Ordering::Relaxed);
        Ok(MadeCover::new(PreparedCover::new(cover, MetadataPolicy::Keep, &limits.watch)?))
    };
    work.run(app, PREPARING_BYTES, make).await
}
