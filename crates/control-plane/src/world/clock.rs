//! Time: of the operating system and tokio, or of the world.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pin_project_lite::pin_project;
use rustix::time::{ClockId, clock_gettime};

use super::World;

/// Returns the time by the monotonic clock.
pub(crate) fn now() -> Instant {
    super::current().map_or_else(Instant::now, |world| world.now())
}

/// Returns the time passed since `earlier`, or zero.
pub(crate) fn since(earlier: Instant) -> Duration {
    now().saturating_duration_since(earlier)
}

/// Returns the time since the Unix epoch by the wall clock; zero before the epoch.
pub(crate) fn unix_time() -> Duration {
    match super::current() {
        Some(world) => world.unix_time(),
        None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    }
}

/// Returns the time for which the present thread was ready to run and did not, since its start; zero where
/// the system does not tell. From memory: see proc(5), `schedstat`.
pub(crate) fn run_delay() -> Duration {
    thread_local! {
        static SCHEDSTAT: Option<File> = File::open("/proc/thread-self/schedstat").ok();
    }
    if super::current().is_some() {
        return Duration::ZERO;
    }
    // Three numbers: the second counts nanoseconds.
    let mut text = [0; 64];
    let read = SCHEDSTAT.with(|file| file.as_ref()?.read_at(&mut text, 0).ok());
    let delay = read.and_then(|len| std::str::from_utf8(&text[..len]).ok()?.split(' ').nth(1)?.parse().ok());
    delay.map_or(Duration::ZERO, Duration::from_nanos)
}

/// Returns the time since the machine's start, which counts the time of a suspended machine too; nobody sets
/// this clock.
pub(crate) fn boot_time() -> Duration {
    if let Some(world) = super::current() {
        return world.boot_time();
    }
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A timer of a world. Fires once; wakes the latest waiter.
#[derive(Debug, Default)]
pub struct Timer {
    fired: AtomicBool,
    waiter: Mutex<Option<Waker>>,
}

impl Timer {
    /// Fires: the waiter is woken.
    pub fn fire(&self) {
        self.fired.store(true, Ordering::Relaxed);
        let waiter = self.waiter.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Ready once the timer has fired; wakes the task of `cx` then.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.fired.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        Poll::Pending
    }
}

pin_project! {
    /// A wait for a moment.
    #[must_use = "futures do nothing unless polled"]
    pub struct Sleep {
        #[pin]
        kind: SleepKind,
    }
}

pin_project! {
    #[project = SleepProjection]
    enum SleepKind {
        Tokio { #[pin] sleep: tokio::time::Sleep },
        World { timer: WorldTimer },
    }
}

/// Timer of a [`Sleep`], given up when dropped.
struct WorldTimer(Arc<Timer>);

impl Drop for WorldTimer {
    fn drop(&mut self) {
        self.0.waiter.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Sleep {
    fn in_world(world: &dyn World, at: Instant) -> Self {
        Self { kind: SleepKind::World { timer: WorldTimer(world.timer(at)) } }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().kind.project() {
            SleepProjection::Tokio { sleep } => sleep.poll(cx),
            SleepProjection::World { timer } => timer.0.poll(cx),
        }
    }
}

/// Waits for `duration`.
pub(crate) fn sleep(duration: Duration) -> Sleep {
    match super::current() {
        Some(world) => Sleep::in_world(&*world, world.now() + duration),
        None => Sleep { kind: SleepKind::Tokio { sleep: tokio::time::sleep(duration) } },
    }
}

/// Waits until `deadline`.
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    match super::current() {
        Some(world) => Sleep::in_world(&*world, deadline),
        None => Sleep { kind: SleepKind::Tokio { sleep: tokio::time::sleep_until(deadline.into()) } },
    }
}

/// The end of a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit is over")
    }
}

impl std::error::Error for Elapsed {}

pin_project! {
    /// A future with a time limit.
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        #[pin]
        kind: TimeoutKind<F>,
    }
}

pin_project! {
    #[project = TimeoutProjection]
    enum TimeoutKind<F> {
        Tokio { #[pin] timeout: tokio::time::Timeout<F> },
        World { #[pin] future: F, timer: WorldTimer },
    }
}

impl<F: Future> Timeout<F> {
    fn in_world(world: &dyn World, at: Instant, future: F) -> Self {
        Self { kind: TimeoutKind::World { future, timer: WorldTimer(world.timer(at)) } }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            TimeoutProjection::Tokio { timeout } => timeout.poll(cx).map_err(|_| Elapsed),
            TimeoutProjection::World { future, timer } => match future.poll(cx) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => timer.0.poll(cx).map(|()| Err(Elapsed)),
            },
        }
    }
}

/// Awaits `future` for at most `limit`.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Timeout<F> {
    match super::current() {
        Some(world) => Timeout::in_world(&*world, world.now() + limit, future),
        None => Timeout { kind: TimeoutKind::Tokio { timeout: tokio::time::timeout(limit, future) } },
    }
}

/// Awaits `future` until `deadline` at the latest.
pub(crate) fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    match super::current() {
        Some(world) => Timeout::in_world(&*world, deadline, future),
        None => {
            Timeout { kind: TimeoutKind::Tokio { timeout: tokio::time::timeout_at(deadline.into(), future) } }
        }
    }
}
