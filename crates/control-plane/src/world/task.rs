//! Tasks and blocking work: of tokio, or of the world.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, abortable};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A place for tasks.
#[derive(Debug, Clone)]
pub(crate) enum Spawner {
    /// Runtime of tokio.
    Tokio(Handle),
    /// The world of the thread.
    World,
}

impl Spawner {
    /// Starts a task.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self {
            Self::Tokio(runtime) => JoinHandle(Joining::Tokio(runtime.spawn(task))),
            Self::World => spawn(task),
        }
    }
}

/// Starts a task on the runtime of the caller.
pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let Some(world) = super::current() else {
        return JoinHandle(Joining::Tokio(tokio::spawn(task)));
    };
    let (sender, output) = oneshot::channel();
    let (task, abort) = abortable(task);
    world.spawn(Box::pin(async move {
        if let Ok(output) = task.await {
            // The handle may be gone.
            let _ = sender.send(output);
        }
    }));
    JoinHandle(Joining::World { output, abort })
}

/// Output of a task. The task continues when the handle is dropped.
#[derive(Debug)]
pub struct JoinHandle<T>(Joining<T>);

#[derive(Debug)]
enum Joining<T> {
    Tokio(tokio::task::JoinHandle<T>),
    World { output: oneshot::Receiver<T>, abort: AbortHandle },
}

/// A task that ended without an output.
#[derive(Debug)]
pub enum JoinError {
    /// Ended by a panic or with its runtime.
    Tokio(tokio::task::JoinError),
    /// Ended with its node.
    World,
}

impl JoinError {
    /// True if the task panicked.
    pub(crate) fn is_panic(&self) -> bool {
        matches!(self, Self::Tokio(error) if error.is_panic())
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokio(error) => error.fmt(f),
            Self::World => f.write_str("the task ended with its node"),
        }
    }
}

impl std::error::Error for JoinError {}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Joining::Tokio(task) => Pin::new(task).poll(cx).map_err(JoinError::Tokio),
            Joining::World { output, .. } => Pin::new(output).poll(cx).map_err(|_| JoinError::World),
        }
    }
}

/// Output of a task that is aborted when the handle is dropped.
#[derive(Debug)]
pub(crate) struct AbortOnDrop<T>(pub JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        match &self.0.0 {
            Joining::Tokio(task) => task.abort(),
            Joining::World { abort, .. } => abort.abort(),
        }
    }
}

/// Runs work that blocks on the disk, on a thread for such work.
///
/// # Errors
/// If the work panicked, or ended with its node.
pub(crate) async fn blocking<T, F>(work: F) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match super::current() {
        Some(world) => {
            world.disk_time().await?;
            Ok(work())
        }
        None => tokio::task::spawn_blocking(work).await.map_err(io::Error::other),
    }
}

/// Lets other tasks run.
pub(crate) async fn yield_now() {
    match super::current() {
        Some(_) => {
            let mut yielded = false;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut yielded, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        None => tokio::task::yield_now().await,
    }
}

/// Starts work that blocks on the disk, on a thread of its own.
///
/// # Errors
/// If the system starts no thread.
pub(crate) fn detached(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    match super::current() {
        Some(_) => work(),
        None => drop(std::thread::Builder::new().name(name.to_owned()).spawn(work)?),
    }
    Ok(())
}

/// Runs a task that blocks on the disk, on a thread of its own.
///
/// # Errors
/// If the system starts no thread.
pub(crate) fn on_a_thread(name: &str, work: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    match super::current() {
        Some(world) => world.spawn(Box::pin(work)),
        None => {
            let thread = std::thread::Builder::new().name(name.to_owned());
            drop(thread.spawn(move || futures_executor::block_on(work))?);
        }
    }
    Ok(())
}

/// Waits for `pause`, on a thread that may block; in a world for an operation on the disk too.
///
/// # Errors
/// Errors of the world's disk.
pub(crate) async fn block_for(pause: std::time::Duration) -> io::Result<()> {
    match super::current() {
        Some(world) => {
            super::clock::sleep(pause).await;
            world.disk_time().await
        }
        None => {
            std::thread::sleep(pause);
            Ok(())
        }
    }
}
