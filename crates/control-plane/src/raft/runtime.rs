//! Runtime of openraft: tasks, clock and random numbers of [`crate::world`].

use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{Duration, Instant};

use openraft::{AsyncRuntime, OptionalSend};

use crate::world::clock::{self, Elapsed, Sleep, Timeout};
use crate::world::random::NodeRng;
use crate::world::task::{self, JoinError, JoinHandle};

type Channels = openraft::impls::TokioRuntime;

/// Runtime of openraft.
#[derive(Debug)]
pub struct NodeRuntime;

impl AsyncRuntime for NodeRuntime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = Moment;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = NodeRng;
    type Mpsc = <Channels as AsyncRuntime>::Mpsc;
    type Watch = <Channels as AsyncRuntime>::Watch;
    type Oneshot = <Channels as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Channels as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        task::spawn(future)
    }

    fn sleep(duration: Duration) -> Sleep {
        clock::sleep(duration)
    }

    fn sleep_until(deadline: Moment) -> Sleep {
        clock::sleep_until(deadline.0)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Timeout<F> {
        clock::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Moment, future: F) -> Timeout<F> {
        clock::timeout_at(deadline.0, future)
    }

    fn is_panic(error: &JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> NodeRng {
        NodeRng
    }

    fn new(_threads: usize) -> Self {
        Self
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        Channels::new(1).block_on(future)
    }

    async fn spawn_blocking<F, T>(work: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        task::blocking(work).await
    }
}

/// A moment by the monotonic clock of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Instant);

impl openraft::Instant for Moment {
    fn now() -> Self {
        Self(clock::now())
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, later: Duration) {
        self.0 += later;
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0 - earlier)
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

impl SubAssign<Duration> for Moment {
    fn sub_assign(&mut self, earlier: Duration) {
        self.0 -= earlier;
    }
}
