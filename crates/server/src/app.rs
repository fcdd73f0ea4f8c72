//! What the handlers of one node share.

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

/// The default cover's place in the dataset.
pub(crate) const DEFAULT_COVER: u32 = 0;
/// An upper estimate of the memory, in bytes, that making and preparing the largest image of the dataset takes.
const PREPARING_BYTES: u64 = 56 << 20;
/// Those who watch events, at most.
const MAX_WATCHERS: usize = 64;

/// One node's shared state.
pub(crate) struct App {
    /// The configuration it started with.
    pub config: Config,
    /// Its name.
    pub node_id: String,
    /// Where pixel work runs.
    pub pool: PixelPool,
    /// Memory for decoded images in work.
    pub pixel_memory: QueuedBudget,
    /// Memory for uploads and answers under way.
    pub transfer_memory: Arc<Budget>,
    /// What one request may cost.
    pub limits: Limits,
    /// Counters for `/metrics`.
    pub metrics: Metrics,
    /// How the node is doing.
    pub figures: Arc<Figures>,
    /// What the cluster agrees on.
    pub control: ControlPlane,
    /// Who may change it.
    pub access: Access,
    /// The log of the process.
    pub log: Log,
    /// HTTP connections.
    pub connections: Arc<ConnectionFigures>,
    /// Idempotency keys of requests under way here.
    pub in_flight: InFlight,
    /// Those who watch events.
    pub watchers: Arc<Semaphore>,
    /// Whether fault drills are allowed.
    pub fault_injection: bool,
    /// When it started.
    pub started: Instant,
    covers: Arc<CoverCache>,
    /// Whether the default cover was made once.
    warm: AtomicBool,
    draining: CancellationToken,
    /// Whether the process starts anew once it has stopped.
    restarts: AtomicBool,
    standing: Standing,
}

/// What follows a graceful stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterStop {
    /// The process ends.
    End,
    /// The process executes itself anew.
    Restart,
}

/// What a node's state is made of, besides its configuration.
pub(crate) struct Parts {
    /// How the node is doing.
    pub figures: Arc<Figures>,
    /// What the cluster agrees on.
    pub control: ControlPlane,
    /// Who may change it.
    pub access: Access,
    /// The log of the process.
    pub log: Log,
    /// HTTP connections.
    pub connections: Arc<ConnectionFigures>,
    /// Whether fault drills are allowed.
    pub fault_injection: bool,
}

impl App {
    /// The state of node `node_id` under `config`, which was checked.
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

    /// A cover that is ready for embeds, waited for until `deadline` where it has to be prepared first.
    pub(crate) async fn cover(
        self: &Arc<Self>,
        key: CoverKey,
        deadline: tokio::time::Instant,
    ) -> Result<Arc<ReadyCover>, CoverError> {
        self.covers.get(key, deadline, || prepare(Arc::clone(self), key)).await
    }

    /// The covers that are ready.
    pub(crate) fn covers(&self) -> &CoverCache {
        &self.covers
    }

    /// Whether the node has begun to work: the default cover was made once. Preparing it takes a moment more, which the first
    /// requests wait for.
    pub(crate) fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    /// Bits per sample where a request does not say: the cluster's setting, or the configuration's.
    pub(crate) fn default_bits(&self) -> BitsPerSample {
        let set = match self.control.local_setting(&SettingKey::Bits).map(|setting| setting.value) {
            Some(SettingValue::Number(bits)) => BitsPerSample::new(bits),
            _ => None,
        };
        let configured = || BitsPerSample::new(self.config.stego.lsb_per_channel);
        set.or_else(configured).expect("the configuration was checked")
    }

    /// Whether to deflate: the cluster's setting, or the configuration's.
    pub(crate) fn default_compress(&self) -> bool {
        match self.control.local_setting(&SettingKey::Compress).map(|setting| setting.value) {
            Some(SettingValue::Flag(compress)) => compress,
            _ => self.config.stego.compress,
        }
    }

    /// What becomes of a cover's metadata where a request does not say: the cluster's setting, or it is kept.
    pub(crate) fn default_metadata(&self) -> MetadataPolicy {
        match self.control.local_setting(&SettingKey::Metadata).map(|setting| setting.value) {
            Some(SettingValue::Text(policy)) if policy == "strip" => MetadataPolicy::Strip,
            _ => MetadataPolicy::Keep,
        }
    }

    /// When the work of a request that arrives now must have begun.
    pub(crate) fn start_by(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.config.limits.request_timeout()
    }

    /// Begins the graceful stop: from now on the node reports that it is about to stop, and leadership goes to another node
    /// while the requests under way here are finished. Whoever calls last decides what follows it.
    pub(crate) fn begin_stop(&self, then: AfterStop) {
        self.restarts.store(then == AfterStop::Restart, Ordering::Relaxed);
        if self.is_draining() {
            return;
        }
        self.draining.cancel();
        let control = self.control.clone();
        tokio::spawn(async move { control.hand_over().await });
    }

    /// What follows the stop.
    pub(crate) fn after_stop(&self) -> AfterStop {
        if self.restarts.load(Ordering::Relaxed) { AfterStop::Restart } else { AfterStop::End }
    }

    /// Whether the node is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Cancelled when the node is about to stop.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// A drill: the node is cut off until it is restored, or until another drill takes its place. Gives its number.
    pub(crate) fn isolate(&self, isolation: Isolation) -> u64 {
        self.standing.begin(isolation, || self.control.pause())
    }

    /// Ends the drill that cuts the node off, whichever it is.
    pub(crate) fn restore(&self) {
        self.standing.end(|| self.control.resume());
    }

    /// Ends the drill of this number, unless it is over already. Whether it was not.
    pub(crate) fn restore_from(&self, number: u64) -> bool {
        self.standing.end_only(number, || self.control.resume())
    }

    /// Whether the node plays dead.
    pub(crate) fn is_paused(&self) -> bool {
        self.standing.is(Isolation::FromAll)
    }
}

/// On the pixel threads, all that are free. Serves all requests that want the cover, so it has a deadline of its own.
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
