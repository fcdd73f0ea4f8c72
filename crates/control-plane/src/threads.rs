//! Threads of the control plane, apart from the threads for HTTP and for pixels.
//!
//! Probes and accepting share one thread, without long operations, which answers even while Raft waits for
//! the disk. Two threads run Raft and everything else.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, Runtime};
use tracing::{error, warn};

use crate::core::Core;
use crate::errors::StartError;
use crate::identity::DataDir;
use crate::network::{Identity, Incoming, Links, Listener, Pause, Peers, Purpose, Resolve, SystemResolver};
use crate::options::Options;
use crate::raft::supervisor::supervise;
use crate::secret::ClusterSecret;
use crate::storage::StorageFailure;
use crate::tasks::{election, formats, handover, join, probes, pulse, reconcile, room, watch};
use crate::timing::{STORAGE_OPEN_WITHIN, TASKS_END_WITHIN};

const RAFT_THREADS: usize = 2;

/// Threads of one control plane.
pub(crate) struct Threads {
    /// Runtime of Raft.
    pub raft: Handle,
    /// Held while the control plane stops.
    pub stopping: tokio::sync::Mutex<()>,
    raft_runtime: Mutex<Option<Runtime>>,
    probe_thread: Mutex<Option<JoinHandle<()>>>,
}

impl Threads {
    /// Starts the threads, opens the storage, listens, and starts the background tasks.
    pub(crate) fn start(
        options: Options,
        secret: ClusterSecret,
        data: DataDir,
    ) -> Result<(Arc<Core>, Self), StartError> {
        let local = Arc::new(Identity::new(&options.cluster_name, &options.me, secret.clone()));
        let pause = Pause::new();
        let others = options.nodes.iter().filter(|node| node.name != options.me);
        let hosts: Vec<_> = others.map(|node| (node.name.clone(), node.ip.clone(), node.raft_port)).collect();
        let resolver: Arc<dyn Resolve> = Arc::new(SystemResolver);
        let links = Links::new(Arc::clone(&local), hosts, pause.clone(), &resolver);
        let links = links.map_err(StartError::Threads)?;
        let address = options.listen;
        let peers = peers(&options, &links);
        let rules = options.descriptors.rules();
        let core = Arc::new(Core::new(options, secret, data, links, pause.clone()));

        let raft_runtime = Builder::new_multi_thread()
            .worker_threads(RAFT_THREADS)
            .thread_name("raft")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let raft = raft_runtime.handle().clone();
        let probe_runtime =
            Builder::new_current_thread().enable_all().build().map_err(StartError::Threads)?;
        let listener = {
            let _entered = probe_runtime.enter();
            Listener::bind(address, local, peers, rules, pause)
                .map_err(|source| StartError::Listen { address, source })?
        };
        core.port.store(Some(listener.register()));
        open_storage(&core, &raft)?;

        let probe_core = Arc::clone(&core);
        let raft_handle = raft.clone();
        let probe_thread = std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || probe_runtime.block_on(probe_thread(probe_core, listener, raft_handle)))
            .map_err(StartError::Threads)?;
        raft.spawn(election::run(Arc::clone(&core)));
        raft.spawn(pulse::run(Arc::clone(&core)));
        raft.spawn(handover::run(Arc::clone(&core)));
        raft.spawn(join::run(Arc::clone(&core)));
        raft.spawn(formats::run(Arc::clone(&core)));
        raft.spawn(reconcile::run(Arc::clone(&core)));
        raft.spawn(watch::run(Arc::clone(&core)));
        raft.spawn(room::run(Arc::clone(&core)));
        let (raft_runtime, probe_thread) = (Mutex::new(Some(raft_runtime)), Mutex::new(Some(probe_thread)));
        Ok((core, Self { raft, stopping: tokio::sync::Mutex::new(()), raft_runtime, probe_thread }))
    }

    /// Waits until the threads have ended, for a bounded time.
    pub(crate) async fn join(&self) {
        let runtime = self.raft_runtime.lock().expect("no panic while it is held").take();
        let probes = self.probe_thread.lock().expect("no panic while it is held").take();
        let joined = tokio::task::spawn_blocking(move || {
            if let Some(runtime) = runtime {
                runtime.shutdown_timeout(TASKS_END_WITHIN);
            }
            if let Some(probes) = probes {
                let _ = probes.join();
            }
        });
        let _ = joined.await;
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not be dropped on an async thread; `shutdown_background` does not wait.
        if let Some(runtime) = self.raft_runtime.lock().ok().and_then(|mut runtime| runtime.take()) {
            runtime.shutdown_background();
        }
    }
}

/// Returns the configured peers, for the listener.
fn peers(options: &Options, links: &Links) -> Peers {
    let others = options.nodes.iter().filter(|node| node.name != options.me);
    let links = links.clone();
    Peers {
        names: others.map(|node| node.name.clone()).collect(),
        has_address: Box::new(move |address| links.has_address(address)),
    }
}

/// Opens the storage in the background. Waits for the first attempt, which may fail: only a mistake of the
/// operator prevents the start.
fn open_storage(core: &Arc<Core>, raft: &Handle) -> Result<(), StartError> {
    let (first, attempted) = tokio::sync::oneshot::channel();
    raft.spawn(supervise(Arc::clone(core), first));
    match raft.block_on(async { tokio::time::timeout(STORAGE_OPEN_WITHIN, attempted).await }) {
        Ok(Ok(attempt)) => Ok(attempt?),
        // Without a result the supervisor is stopping already.
        Ok(Err(_)) => Ok(()),
        Err(_) => {
            let dir = core.data.path();
            let error =
                format!("not opened within {} s; the disk hangs, or is slow", STORAGE_OPEN_WITHIN.as_secs());
            warn!(dir = %dir.display(), error, "starting without the storage");
            core.failure
                .lock()
                .expect("no panic while it is held")
                .get_or_insert_with(|| StorageFailure::other(dir, dir, error));
            Ok(())
        }
    }
}

/// Runs the listener and the probes until the stop.
async fn probe_thread(core: Arc<Core>, listener: Listener, raft: Handle) {
    for name in core.names().into_iter().filter(|name| *name != core.options.me) {
        tokio::spawn(probes::run(Arc::clone(&core), name, raft.clone()));
    }
    let stopping = core.stopping.clone();
    let serve = move |incoming: Incoming| {
        if incoming.purpose == Purpose::Probe {
            tokio::spawn(crate::serve::serve(Arc::clone(&core), incoming));
        } else {
            move_to(&raft, Arc::clone(&core), incoming);
        }
    };
    if let Err(error) = listener.run(serve, stopping).await {
        error!(%error, "cannot listen for other nodes");
    }
}

/// Moves a connection for calls or snapshots to the runtime of Raft.
fn move_to(raft: &Handle, core: Arc<Core>, incoming: Incoming) {
    let Incoming { purpose, peer_name, channel } = incoming;
    match channel.detach() {
        Ok(detached) => {
            raft.spawn(async move {
                match detached.attach() {
                    Ok(channel) => crate::serve::serve(core, Incoming { purpose, peer_name, channel }).await,
                    Err(error) => warn!(%error, "cannot serve a connection"),
                }
            });
        }
        Err(error) => warn!(%error, "cannot serve a connection"),
    }
}
