//! The data plane of one node: pixel threads, memory budgets and prepared covers. Depends on no other node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stego::{Limits, MetadataPolicy, PreparedCover};
use tokio::time::Instant;

use crate::budget::{Budget, QueuedBudget};
use crate::config::{Config, LimitsConfig};
use crate::covers::{CoverCache, CoverError, CoverKey, MadeCover, ReadyCover};
use crate::derivations::Derivations;
use crate::pool::PixelPool;
use crate::work::Work;

/// Index of the default cover in the dataset.
pub(crate) const DEFAULT_COVER: u32 = 0;
/// Upper estimate, in bytes, of the memory for making and preparing the largest image of the dataset.
const PREPARING_BYTES: u64 = 56 << 20;

/// Resources for work on images.
pub(crate) struct DataPlane {
    /// The pixel threads.
    pub pool: PixelPool,
    /// The threads that derive keys.
    pub derivations: Arc<Derivations>,
    /// Memory for decoded images in work.
    pub pixel_memory: QueuedBudget,
    /// Memory for uploads and answers in flight.
    pub transfer_memory: Arc<Budget>,
    /// Limits of the stego library for one request.
    pub limits: Limits,
    /// Limits of requests, as configured.
    pub config: LimitsConfig,
    covers: Arc<CoverCache>,
    /// True once the default cover was generated.
    warm: AtomicBool,
}

impl DataPlane {
    /// Starts the threads and reserves nothing yet.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Arc<Self>> {
        let limits = &config.limits;
        let transfer_memory = Budget::new(limits.transfer_memory_bytes);
        Ok(Arc::new(Self {
            pool: PixelPool::new(limits.pixel_threads(), limits.pixel_queue)?,
            derivations: Derivations::new(limits)?,
            pixel_memory: QueuedBudget::new(limits.pixel_memory_bytes),
            covers: CoverCache::new(limits.cover_cache_bytes, Arc::clone(&transfer_memory)),
            warm: AtomicBool::new(false),
            transfer_memory,
            limits: config.stego_limits(),
            config: limits.clone(),
        }))
    }

    /// Returns a prepared cover, waiting until `deadline` if the cover has to be prepared first.
    ///
    /// # Errors
    /// A [`CoverError`] if the cover cannot be prepared in time.
    pub(crate) async fn cover(
        self: &Arc<Self>,
        key: CoverKey,
        deadline: Instant,
    ) -> Result<Arc<ReadyCover>, CoverError> {
        self.covers.get(key, deadline, || prepare(Arc::clone(self), key)).await
    }

    /// The cache of prepared covers.
    pub(crate) fn covers(&self) -> &CoverCache {
        &self.covers
    }

    /// True once the default cover was generated. Its preparation takes a moment longer; early requests wait
    /// for the cover.
    pub(crate) fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    /// Returns the deadline for starting the work of a request arriving now.
    pub(crate) fn start_by(&self) -> Instant {
        Instant::now() + self.config.request_timeout()
    }
}

/// Prepares a cover on all free pixel threads. The result serves all waiting requests, so the deadline is
/// independent of each.
async fn prepare(data: Arc<DataPlane>, key: CoverKey) -> Result<MadeCover, CoverError> {
    let work = Work::new(&data, data.start_by());
    let make = move |data: Arc<DataPlane>, limits: &Limits| {
        let CoverKey::Dataset(index) = key;
        let cover = dataset::cover(index).expect("only images that the dataset has are asked for");
        data.warm.store(true, Ordering::Relaxed);
        Ok(MadeCover::new(PreparedCover::new(cover, MetadataPolicy::Keep, &limits.watch)?))
    };
    work.run(data, PREPARING_BYTES, make).await
}
