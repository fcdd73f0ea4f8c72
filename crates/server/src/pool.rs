//! Where pixel work runs: a fixed number of threads at a lower priority, and a bounded number of jobs before them.
//!
//! The threads run at nice 10, so that on a busy machine the threads that answer probes and health checks
//! are served first. A job that finds no free place is refused at once; nobody waits in a queue without end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Steps by which the pixel threads' priority is below that of the process; 19 is the lowest there is.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// The pool of pixel threads.
pub(crate) struct PixelPool {
    threads: rayon::ThreadPool,
    /// One permit for each job that runs or waits.
    places: Arc<Semaphore>,
    places_in_all: usize,
}

/// Why a job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PoolError {
    /// As many jobs run and wait as may.
    #[error("all places for pixel work are taken")]
    Full,
    /// No thread was free for the job in time.
    #[error("no thread was free for the work on the pixels in time")]
    Late,
    /// The job panicked; the pool goes on.
    #[error("the work on the pixels failed unexpectedly")]
    Panicked,
}

impl PixelPool {
    /// Starts `threads` threads; `queue` jobs may wait for them.
    pub(crate) fn new(threads: usize, queue: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let places_in_all = threads + queue;
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("pixel-{i}"))
            .start_handler(|_| lower_priority())
            .build()?;
        Ok(Self { threads, places: Arc::new(Semaphore::new(places_in_all)), places_in_all })
    }

    /// Jobs that run or wait.
    pub(crate) fn jobs(&self) -> usize {
        self.places_in_all - self.places.available_permits()
    }

    /// Whether a job would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Does `job` on one of the threads, if one is free for it before `start_by`. A job that has begun is waited for;
    /// one whose caller is gone does not begin.
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
                    // The job's state is dropped by unwinding; nothing of it is seen again.
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

/// Claimed once: by the thread that begins the job, or by the caller who gives up on it.
#[derive(Default)]
struct Ticket(AtomicBool);

impl Ticket {
    /// Whether the caller of this is the first.
    fn claim(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// On Linux this concerns the calling thread, not its process (setpriority(2), "C library/kernel
/// differences"); elsewhere the whole node would get slower, so nothing is done.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "pixel threads keep the priority of the process");
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

    /// Keeps the only thread of `pool` at work until it is released.
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

    /// A process that was started with a lower priority stays below that.
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
