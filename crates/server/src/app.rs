//! What the handlers of one node share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use stego::{BitsPerSample, Cover, Limits};

use crate::budget::{Budget, QueuedBudget};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::pool::PixelPool;

/// The default cover's place in the dataset.
pub(crate) const DEFAULT_COVER: u32 = 0;

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
    /// Counters for `/metrics` and the status page.
    pub metrics: Metrics,
    /// When it started.
    pub started: Instant,
    default_cover: OnceLock<Arc<Cover>>,
    draining: AtomicBool,
}

impl App {
    /// The state of node `node_id` under `config`, which was checked.
    pub(crate) fn new(config: Config, node_id: String) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            pool: PixelPool::new(config.limits.pixel_threads(), config.limits.pixel_queue)?,
            pixel_memory: QueuedBudget::new(config.limits.pixel_memory_bytes),
            transfer_memory: Budget::new(config.limits.transfer_memory_bytes),
            limits: config.stego_limits(),
            metrics: Metrics::new(),
            started: Instant::now(),
            default_cover: OnceLock::new(),
            draining: AtomicBool::new(false),
            config,
            node_id,
        }))
    }

    /// The default cover, made on first use: for pixel threads only.
    pub(crate) fn default_cover(&self) -> Arc<Cover> {
        let make = || Arc::new(Cover::dataset(DEFAULT_COVER).expect("the dataset has an image 0"));
        Arc::clone(self.default_cover.get_or_init(make))
    }

    /// Whether the default cover is there.
    pub(crate) fn has_default_cover(&self) -> bool {
        self.default_cover.get().is_some()
    }

    /// Bits per sample where a request does not say.
    pub(crate) fn default_bits(&self) -> BitsPerSample {
        BitsPerSample::new(self.config.stego.lsb_per_channel).expect("the configuration was checked")
    }

    /// When the work of a request that arrives now must have begun.
    pub(crate) fn start_by(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.config.limits.request_timeout()
    }

    /// From now on the node reports that it is about to stop.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the node is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
