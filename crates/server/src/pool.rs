//! The pixel threads: a fixed number of threads at a lower priority, with a bounded queue of jobs.
//!
//! The threads run at nice 10, so that on a busy machine the threads that answer probes and health checks are
//! served first. A job beyond the queue is refused at once; no queue is unbounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Nice increment of the pixel threads over the process; 19 is the lowest priority.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// The pool of pixel threads.
pub(crate) struct PixelPool {
    threads: rayon::ThreadPool,
    /// One permit for each running or waiting job.
    places: Arc<Semaphore>,
    places_in_all: usize,
}

/// Reason why a job was not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PoolError {
    /// The queue is full.
    #[error("the queue for pixel work is full")]
    Full,
    /// No thread was free for the job before its deadline.
    #[error("no pixel thread was free before the deadline")]
    Late,
    /// The job panicked; the pool continues.
    #[error("the job on a pixel thread panicked")]
    Panicked,
}

impl PixelPool {
    /// Starts `threads` threads with a queue of `queue` jobs.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub(crate) fn new(threads: usize, queue: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let places_in_all = threads + queue;
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("pixel-{i}"))
            .start_handler(|_| lower_priority())
            .build()?;
        Ok(Self { threads, places: Arc::new(Semaphore::new(places_in_all)), places_in_all })
    }

    /// Number of running and waiting jobs.
    pub(crate) fn jobs(&self) -> usize {
        let free = self.places.available_permits();
        debug_assert!(free <= self.places_in_all, "permits are only returned");
        self.places_in_all - free
    }

    /// True if a job would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Runs `job` on a thread that becomes free before `start_by`. A job that has begun is awaited; a job
    /// without a caller does not begin.
    ///
    /// # Errors
    /// A [`PoolError`] if the job did not begin or panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        start_by: Instant,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PoolError::Full)?;
        let ticket = Arc::new(Ticket::default());
        let span = tracing::Span::current();
        let (answer, mut answered) = oneshot::channel();
        self.threads.spawn({
            let ticket = Arc::clone(&ticket);
            move || {
                let _place = place;
                if !answer.is_closed() && ticket.claim() {
                    // Unwinding drops the job's state; nothing of it is observed again.
                    let _ = answer.send(span.in_scope(|| catch_unwind(AssertUnwindSafe(job))));
                }
            }
        });
        let outcome = match timeout_at(start_by, &mut answered).await {
            Err(_) if ticket.claim() => return Err(PoolError::Late),
            Err(_) => answered.await,
            Ok(outcome) => outcome,
        };
        match outcome {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) | Err(_) => Err(PoolError::Panicked),
        }
    }
}

/// Claimed once: by the thread that begins the job, or by the caller who gives up.
#[derive(Default)]
struct Ticket(AtomicBool);

impl Ticket {
    /// True for the first caller.
    fn claim(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Lowers the priority of the calling thread. On Linux `nice` concerns the thread, not its process
/// (setpriority(2), "C library/kernel differences"); elsewhere the whole node would get slower, so nothing is
/// done.
pub(crate) fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "priority of the pixel threads not lowered");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::task::JoinHandle;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Keeps the only thread of `pool` busy until released.
    async fn occupied(pool: &Arc<PixelPool>) -> (mpsc::Sender<()>, JoinHandle<Result<bool, PoolError>>) {
        let (release, wait) = mpsc::channel();
        let (started, has_started) = oneshot::channel();
        let pool = Arc::clone(pool);
        let running = tokio::spawn(async move {
            pool.run(soon(), move || {
                let _ = started.send(());
                wait.recv().is_ok()
            })
            .await
        });
        has_started.await.unwrap();
        (release, running)
    }

    #[tokio::test]
    async fn jobs_beyond_the_queue_are_refused_at_once() {
        let pool = Arc::new(PixelPool::new(1, 1).unwrap());
        let (release, running) = occupied(&pool).await;
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(soon(), || true).await }
        });
        while !pool.is_full() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.jobs(), 2);
        assert_eq!(pool.run(soon(), || true).await, Err(PoolError::Full));
        release.send(()).unwrap();
        assert_eq!(running.await.unwrap(), Ok(true));
        assert_eq!(waiting.await.unwrap(), Ok(true));
    }

    #[tokio::test]
    async fn a_job_that_waits_too_long_never_begins() {
        let pool = Arc::new(PixelPool::new(1, 1).unwrap());
        let (release, running) = occupied(&pool).await;
        let begun = Arc::new(AtomicBool::new(false));
        let job_begun = Arc::clone(&begun);
        let late = pool.run(Instant::now(), move || job_begun.store(true, Ordering::Relaxed)).await;
        assert_eq!(late, Err(PoolError::Late));
        release.send(()).unwrap();
        assert_eq!(running.await.unwrap(), Ok(true));
        while pool.jobs() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!begun.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_panic_ends_its_job_only() {
        let pool = PixelPool::new(1, 0).unwrap();
        let panicked = pool.run(soon(), || std::panic::resume_unwind(Box::new("on purpose"))).await;
        assert_eq!(panicked, Err::<(), _>(PoolError::Panicked));
        while pool.is_full() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(soon(), || 7).await, Ok(7));
    }

    /// The nice value is relative to the process, which may itself run at a lower priority.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn pixel_threads_run_at_a_lower_priority() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let pool = PixelPool::new(1, 0).unwrap();
        let of_pixels = pool.run(soon(), nice).await.unwrap();
        assert_eq!(of_pixels, (before + NICE).min(19));
        assert_eq!(nice(), before);
    }
}
