//! Cache of prepared covers: each cover is prepared once, shared by all embeds, and bounded in bytes.
//!
//! A cached cover counts against `limits.cover_cache_bytes` until its last user is gone. When space is short,
//! unused covers are evicted in LRU order. A cover without space is used once, uncached, and counts as
//! transfer memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use stego::{EmbedError, PreparedCover, Stopped};
use tokio::time::{Instant, timeout_at};

use crate::budget::{Budget, Exhausted, Share};
use crate::pool::PoolError;

/// Identity of a cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoverKey {
    /// An image of the synthetic dataset.
    Dataset(u32),
}

/// Failure to prepare a cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CoverError {
    /// No pixel thread was available.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// No memory was available.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// The preparation exceeded its time limit.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The prepared cover did not decode to the cover's pixels: a defect of this program.
    #[error("the prepared cover failed verification")]
    NotVerified,
}

impl From<EmbedError> for CoverError {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Stopped(stopped) => stopped.into(),
            error => {
                tracing::error!(?error, "cover preparation failed");
                Self::NotVerified
            }
        }
    }
}

/// A prepared cover, and its chunks in base64.
pub(crate) struct MadeCover {
    prepared: PreparedCover,
    base64: String,
}

impl MadeCover {
    /// Encodes the chunks: for pixel threads only.
    pub(crate) fn new(prepared: PreparedCover) -> Self {
        let whole_groups = prepared.chunks().len() / 3 * 3;
        let base64 = STANDARD.encode(&prepared.chunks()[..whole_groups]);
        Self { prepared, base64 }
    }

    fn held_bytes(&self) -> u64 {
        self.prepared.held_bytes() + self.base64.len() as u64
    }
}

/// A prepared cover and the account of its memory.
pub(crate) struct ReadyCover {
    made: MadeCover,
    _memory: Share,
}

impl ReadyCover {
    /// The cover in the form that embeds take.
    pub(crate) fn prepared(&self) -> &PreparedCover {
        &self.made.prepared
    }

    /// The prepared chunks, shared.
    pub(crate) fn chunks(self: &Arc<Self>) -> Bytes {
        struct Chunks(Arc<ReadyCover>);
        impl AsRef<[u8]> for Chunks {
            fn as_ref(&self) -> &[u8] {
                self.0.made.prepared.chunks()
            }
        }
        Bytes::from_owner(Chunks(Arc::clone(self)))
    }

    /// The prepared chunks in base64, shared, from byte `start` (a multiple of three) to the last whole group
    /// of three bytes.
    pub(crate) fn chunks_base64(self: &Arc<Self>, start: usize) -> Bytes {
        struct Base64(Arc<ReadyCover>);
        impl AsRef<[u8]> for Base64 {
            fn as_ref(&self) -> &[u8] {
                self.0.made.base64.as_bytes()
            }
        }
        debug_assert!(start.is_multiple_of(3));
        Bytes::from_owner(Base64(Arc::clone(self))).slice(start / 3 * 4..)
    }
}

type Preparation = Shared<BoxFuture<'static, Result<Arc<ReadyCover>, CoverError>>>;

enum Entry {
    UnderWay(Preparation),
    Kept(Arc<ReadyCover>),
}

/// Cache of prepared covers, including preparations in progress.
pub(crate) struct CoverCache {
    memory: Arc<Budget>,
    /// Budget of uncached covers.
    elsewhere: Arc<Budget>,
    /// Entries by last use, the most recent last.
    entries: Mutex<Vec<(CoverKey, Entry)>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Counters and size of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoverFigures {
    /// Lookups answered by a cached cover or a preparation in progress.
    pub hits: u64,
    /// Lookups that started a preparation.
    pub misses: u64,
    /// Cached covers.
    pub entries: u64,
    /// Bytes of the cached covers, and of evicted covers still in use.
    pub bytes: u64,
}

impl CoverCache {
    /// Creates a cache of `max_bytes`; uncached covers count in `elsewhere`.
    pub(crate) fn new(max_bytes: u64, elsewhere: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            memory: Budget::new(max_bytes),
            elsewhere,
            entries: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// Returns the cover `key`, waiting until `deadline`. A missing cover is prepared by `make`, once for all
    /// waiting requests, and to the end even if every request gives up.
    pub(crate) async fn get<F>(
        self: &Arc<Self>,
        key: CoverKey,
        deadline: Instant,
        make: impl FnOnce() -> F,
    ) -> Result<Arc<ReadyCover>, CoverError>
    where
        F: Future<Output = Result<MadeCover, CoverError>> + Send + 'static,
    {
        let preparation = match self.find_or_begin(key, make) {
            Entry::Kept(cover) => return Ok(cover),
            Entry::UnderWay(preparation) => preparation,
        };
        timeout_at(deadline, preparation).await.unwrap_or(Err(PoolError::Late.into()))
    }

    /// Returns the cover `key` if cached, without counting a use.
    pub(crate) fn kept(&self, key: CoverKey) -> Option<Arc<ReadyCover>> {
        self.entries().iter().find_map(|(kept, entry)| match entry {
            Entry::Kept(cover) if *kept == key => Some(Arc::clone(cover)),
            _ => None,
        })
    }

    /// Returns counters and size.
    pub(crate) fn figures(&self) -> CoverFigures {
        let kept = |(_, entry): &&(_, Entry)| matches!(entry, Entry::Kept(_));
        CoverFigures {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.entries().iter().filter(kept).count() as u64,
            bytes: self.memory.used_bytes(),
        }
    }

    fn find_or_begin<F>(self: &Arc<Self>, key: CoverKey, make: impl FnOnce() -> F) -> Entry
    where
        F: Future<Output = Result<MadeCover, CoverError>> + Send + 'static,
    {
        let mut entries = self.entries();
        let at = entries.iter().position(|(kept, _)| *kept == key);
        let entry = match at.map(|at| entries.remove(at).1) {
            Some(entry) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                entry
            }
            None => {
                self.misses.fetch_add(1, Ordering::Relaxed);
                Entry::UnderWay(self.begin(key, make()))
            }
        };
        let shared = match &entry {
            Entry::UnderWay(preparation) => Entry::UnderWay(preparation.clone()),
            Entry::Kept(cover) => Entry::Kept(Arc::clone(cover)),
        };
        entries.push((key, entry));
        shared
    }

    fn begin<F>(self: &Arc<Self>, key: CoverKey, making: F) -> Preparation
    where
        F: Future<Output = Result<MadeCover, CoverError>> + Send + 'static,
    {
        let cache = Arc::clone(self);
        let preparation = async move { cache.settle(key, making.await) }.boxed().shared();
        tokio::spawn(preparation.clone());
        preparation
    }

    /// Replaces the preparation by its result.
    fn settle(
        &self,
        key: CoverKey,
        made: Result<MadeCover, CoverError>,
    ) -> Result<Arc<ReadyCover>, CoverError> {
        let mut entries = self.entries();
        entries.retain(|(other, _)| *other != key);
        let made = made?;
        if let Some(memory) = self.make_room(&mut entries, made.held_bytes()) {
            let cover = Arc::new(ReadyCover { made, _memory: memory });
            debug_assert!(entries.iter().all(|(other, _)| *other != key), "a cover is kept once");
            entries.push((key, Entry::Kept(Arc::clone(&cover))));
            return Ok(cover);
        }
        let mut memory = self.elsewhere.empty_share();
        memory.grow(made.held_bytes())?;
        Ok(Arc::new(ReadyCover { made, _memory: memory }))
    }

    /// Reserves `bytes`, evicting unused covers as needed; evicting a cover in use would free nothing.
    /// Without enough unused covers, nothing is evicted and the result is `None`.
    fn make_room(&self, entries: &mut Vec<(CoverKey, Entry)>, bytes: u64) -> Option<Share> {
        let idle_bytes = |(_, entry): &(CoverKey, Entry)| match entry {
            Entry::Kept(cover) if Arc::strong_count(cover) == 1 => Some(cover.made.held_bytes()),
            _ => None,
        };
        let used_bytes = self.memory.used_bytes() - entries.iter().filter_map(idle_bytes).sum::<u64>();
        if bytes > self.memory.total_bytes().saturating_sub(used_bytes) {
            return None;
        }
        let mut room = self.memory.empty_share();
        while room.grow(bytes).is_err() {
            let idle = entries.iter().position(|entry| idle_bytes(entry).is_some())?;
            entries.remove(idle);
        }
        debug_assert!(self.memory.used_bytes() >= bytes, "the room is taken");
        Some(room)
    }

    /// Entries are inserted and removed whole, so a poisoned lock leaves them consistent.
    fn entries(&self) -> MutexGuard<'_, Vec<(CoverKey, Entry)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use stego::{Channels, Cover, MetadataPolicy, Watch};
    use tokio::sync::oneshot;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn made(side: u32) -> MadeCover {
        let samples = testkit::noise(u64::from(side), (side * side * 3) as usize);
        let cover = Cover::from_samples(side, side, Channels::Rgb, samples).unwrap();
        MadeCover::new(PreparedCover::new(cover, MetadataPolicy::Keep, &Watch::default()).unwrap())
    }

    async fn get(cache: &Arc<CoverCache>, index: u32) -> Arc<ReadyCover> {
        let cover = cache.get(CoverKey::Dataset(index), soon(), || async { Ok(made(64)) }).await.unwrap();
        // Lets the task of the preparation end, which holds the cover until then.
        tokio::task::yield_now().await;
        cover
    }

    fn counts(cache: &CoverCache) -> (u64, u64, u64) {
        let CoverFigures { hits, misses, entries, .. } = cache.figures();
        (hits, misses, entries)
    }

    #[tokio::test]
    async fn many_who_want_a_cover_have_it_made_once() {
        let cache = CoverCache::new(1 << 20, Budget::new(0));
        let (release, released) = oneshot::channel::<()>();
        let mut first = Some(released);
        let wanted = (0..10).map(|_| {
            let released = first.take();
            cache.get(CoverKey::Dataset(0), soon(), move || async move {
                released.expect("only the first one makes it").await.ok();
                Ok(made(64))
            })
        });
        let (covers, ()) = tokio::join!(join_all(wanted), async { release.send(()).unwrap() });
        let covers: Vec<_> = covers.into_iter().map(Result::unwrap).collect();
        assert!(covers.iter().all(|cover| Arc::ptr_eq(cover, &covers[0])));
        assert_eq!(counts(&cache), (9, 1, 1));
        assert_eq!(cache.figures().bytes, covers[0].made.held_bytes());
    }

    #[tokio::test]
    async fn what_was_not_wanted_for_the_longest_time_goes_first() {
        let size = made(64).held_bytes();
        let cache = CoverCache::new(2 * size, Budget::new(0));
        for (index, want) in [(0, (0, 1, 1)), (1, (0, 2, 2)), (0, (1, 2, 2)), (2, (1, 3, 2)), (0, (2, 3, 2))]
        {
            get(&cache, index).await;
            assert_eq!(counts(&cache), want, "{index}");
        }
        assert_eq!(cache.figures().bytes, 2 * size);
        get(&cache, 1).await;
        assert_eq!(counts(&cache), (2, 4, 2));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_used_and_not_kept() {
        let size = made(64).held_bytes();
        let elsewhere = Budget::new(size);
        let cache = CoverCache::new(size, Arc::clone(&elsewhere));
        let in_use = get(&cache, 0).await;
        let not_kept = get(&cache, 1).await;
        assert_eq!((cache.figures().entries, elsewhere.used_bytes()), (1, size));
        let too_many = cache.get(CoverKey::Dataset(2), soon(), || async { Ok(made(64)) }).await;
        assert_eq!(too_many.err(), Some(Exhausted.into()));
        // The chunks being sent hold the cover too.
        let on_its_way = not_kept.chunks();
        drop(not_kept);
        assert_eq!(elsewhere.used_bytes(), size);
        drop(on_its_way);
        assert_eq!(elsewhere.used_bytes(), 0);
        drop(in_use);
        get(&cache, 1).await;
        assert_eq!((cache.figures().entries, elsewhere.used_bytes()), (1, 0));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let cache = CoverCache::new(1 << 20, Budget::new(0));
        let failed = cache.get(CoverKey::Dataset(0), soon(), || async { Err(PoolError::Full.into()) }).await;
        assert_eq!(failed.err(), Some(PoolError::Full.into()));
        get(&cache, 0).await;
        assert_eq!(counts(&cache), (0, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gives_up_in_time() {
        let cache = CoverCache::new(1 << 20, Budget::new(0));
        let late =
            cache.get(CoverKey::Dataset(0), soon(), std::future::pending::<Result<MadeCover, _>>).await;
        assert_eq!(late.err(), Some(PoolError::Late.into()));
    }
}
