//! The work of one request on the pixel threads: measured, admitted to memory, run, and stopped early for a
//! disconnected client or at the time limit.
//!
//! Until the work begins, `limits.request_timeout_ms` bounds the upload and the wait for a thread and for
//! memory. `limits.work_timeout_ms` starts with the work.

use std::ops::ControlFlow;
use std::sync::Arc;

use stego::{Limits, Watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::budget::Exhausted;
use crate::data_plane::DataPlane;
use crate::pool::PoolError;

/// Errors of work: those of the pool and of the memory, and those of the job itself.
pub(crate) trait WorkError: From<PoolError> + From<Exhausted> + Send + 'static {}

impl<E: From<PoolError> + From<Exhausted> + Send + 'static> WorkError for E {}

/// The work of one request. Dropping it stops the work, as hyper does by dropping the handler of a
/// disconnected client.
pub(crate) struct Work {
    data: Arc<DataPlane>,
    start_by: Instant,
    gone: CancellationToken,
    _guard: DropGuard,
}

impl Work {
    /// Prepares work that has to begin before `start_by`.
    pub(crate) fn new(data: &Arc<DataPlane>, start_by: Instant) -> Self {
        let gone = CancellationToken::new();
        Self { data: Arc::clone(data), start_by, _guard: gone.clone().drop_guard(), gone }
    }

    /// Measures `job` on a pixel thread, and then runs it like [`Self::run`].
    ///
    /// # Errors
    /// Those of `measure` and of [`Self::run`].
    pub(crate) async fn measure_and_run<J: Send + 'static, T: Send + 'static, E: WorkError>(
        self,
        job: J,
        measure: impl FnOnce(&J, &Limits) -> Result<u64, E> + Send + 'static,
        run: impl FnOnce(J, &Limits) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (data, stop) = (Arc::clone(&self.data), Stop { until: self.start_by, gone: self.gone.clone() });
        let measured = move || measure(&job, &stop.limits(&data.limits)).map(|bytes| (job, bytes));
        let (job, memory_bytes) = self.data.pool.run(self.start_by, measured).await??;
        self.run(job, memory_bytes, run).await
    }

    /// Waits for `memory_bytes` of the pixel memory, and runs `job` on a pixel thread. The limits passed to
    /// `run` stop the work.
    ///
    /// # Errors
    /// [`Exhausted`] or a [`PoolError`] if memory or a thread is not available in time, and the errors of
    /// `run`.
    pub(crate) async fn run<J: Send + 'static, T: Send + 'static, E: WorkError>(
        self,
        job: J,
        memory_bytes: u64,
        run: impl FnOnce(J, &Limits) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let memory = self.data.pixel_memory.take(memory_bytes, self.start_by).await?;
        let (data, gone) = (Arc::clone(&self.data), self.gone.clone());
        let work = move || {
            let _memory = memory;
            let stop = Stop { until: Instant::now() + data.config.work_timeout(), gone };
            let done = run(job, &stop.limits(&data.limits));
            if done.is_err() && stop.gone.is_cancelled() {
                tracing::info!("work stopped; client disconnected");
            }
            done
        };
        self.data.pool.run(self.start_by, work).await?
    }
}

/// Condition that stops work on a pixel thread early.
#[derive(Debug, Clone)]
struct Stop {
    until: Instant,
    gone: CancellationToken,
}

impl Stop {
    fn is_due(&self) -> bool {
        self.gone.is_cancelled() || Instant::now() >= self.until
    }

    /// Returns `limits` with a watch that stops the work.
    fn limits(&self, limits: &Limits) -> Limits {
        let stop = self.clone();
        let watch = Watch::new(move |_| match stop.is_due() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        Limits { watch, ..limits.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_stops_when_its_time_is_over_or_nobody_waits() {
        let gone = CancellationToken::new();
        let guard = gone.clone().drop_guard();
        let stop = Stop { until: Instant::now() + Duration::from_secs(60), gone };
        assert!(!stop.is_due());
        assert!(Stop { until: Instant::now(), ..stop.clone() }.is_due());
        drop(guard);
        assert!(stop.is_due());
    }
}
