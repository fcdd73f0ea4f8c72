//! Threads of the control plane, apart from the threads for HTTP and for pixels.
//!
//! Probes and accepting share one thread, without long operations, which answers even while Raft waits for
//! the disk. Two threads run Raft and everything else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tracing::{debug, error, warn};

use crate::errors::StartError;
use crate::identity::DataDir;
use crate::network::{
    ConnectionLimits, ConnectionTable, Credentials, Incoming, KnownPeers, Links, Listener, Pause, Purpose,
    Resolve, SystemResolver,
};
use crate::options::Options;
use crate::parts::Parts;
use crate::secret::ClusterSecret;
use crate::serve::Inbound;
use crate::storage::StorageFailure;
use crate::tasks::probes::Probing;
use crate::tasks::{catalog_clock, disk_space, liveness, probes, watch};
use crate::timing::{STORAGE_OPEN_WITHIN, TASKS_END_WITHIN};
use crate::world::clock;
use crate::world::task::{self, Spawner};

const RAFT_THREADS: usize = 2;
/// Change of the nice value of the thread for probes.
const PROBE_NICE: i32 = -10;

/// Threads of one control plane.
pub(crate) struct Threads {
    /// Runtime of Raft.
    pub raft: Spawner,
    /// Held while the control plane stops.
    pub stopping: tokio::sync::Mutex<()>,
    raft_runtime: Mutex<Option<Runtime>>,
    probe_thread: Mutex<Option<JoinHandle<()>>>,
}

impl Threads {
    /// Starts the threads, opens the storage, listens, and starts the background tasks. Returns the parts and
    /// the register of inbound connections too.
    ///
    /// # Errors
    /// [`StartError`] if the port cannot be used, or after a mistake of the operator.
    pub(crate) fn start(
        options: Options,
        secret: &ClusterSecret,
        data: DataDir,
    ) -> Result<(Parts, Arc<ConnectionTable>, Self), StartError> {
        let Prepared { parts, listening } = Prepared::new(options, secret, data)?;
        let raft_runtime = Builder::new_multi_thread()
            .worker_threads(RAFT_THREADS)
            .thread_name("raft")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let raft = Spawner::Tokio(raft_runtime.handle().clone());
        let probe_runtime =
            Builder::new_current_thread().enable_all().build().map_err(StartError::Threads)?;
        let listener = {
            let _entered = probe_runtime.enter();
            listening.bind()?
        };
        let port = listener.table();
        raft_runtime.block_on(open_storage(&parts, &raft))?;

        let probes = ProbeThread::new(&parts, listener, raft.clone());
        let probe_thread = std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || {
                prefer();
                probe_runtime.block_on(probes.run());
            })
            .map_err(StartError::Threads)?;
        spawn_tasks(&parts, &raft);
        let (raft_runtime, probe_thread) = (Mutex::new(Some(raft_runtime)), Mutex::new(Some(probe_thread)));
        let threads = Self { raft, stopping: tokio::sync::Mutex::new(()), raft_runtime, probe_thread };
        Ok((parts, port, threads))
    }

    /// Same as [`Self::start`], in the world of the thread: every part runs as a task.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) async fn start_in_world(
        options: Options,
        secret: &ClusterSecret,
        data: DataDir,
    ) -> Result<(Parts, Arc<ConnectionTable>, Self), StartError> {
        let Prepared { parts, listening } = Prepared::new(options, secret, data)?;
        let raft = Spawner::World;
        let listener = listening.bind()?;
        let port = listener.table();
        open_storage(&parts, &raft).await?;
        let probes = ProbeThread::new(&parts, listener, raft.clone());
        raft.spawn(probes.run());
        spawn_tasks(&parts, &raft);
        let (raft_runtime, probe_thread) = (Mutex::default(), Mutex::default());
        let threads = Self { raft, stopping: tokio::sync::Mutex::new(()), raft_runtime, probe_thread };
        Ok((parts, port, threads))
    }

    /// Waits until the threads have ended, for a bounded time.
    pub(crate) async fn join(&self) {
        let runtime = self.raft_runtime.lock().expect("no panic while it is held").take();
        let probes = self.probe_thread.lock().expect("no panic while it is held").take();
        let joined = task::blocking(move || {
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

/// Lets the present thread run before others, where the system allows it: root, or `LimitNICE=` of systemd.
/// The thread does little, and a late answer looks like a dead node.
fn prefer() {
    if let Err(error) = rustix::process::nice(PROBE_NICE) {
        debug!(%error, "probes run at the normal priority");
    }
}

/// Returns the configured peers, for the listener.
fn peers(options: &Options, links: &Links) -> KnownPeers {
    let others = options.nodes.iter().filter(|node| node.name != options.me);
    let links = links.clone();
    KnownPeers {
        names: others.map(|node| node.name.clone()).collect(),
        has_address: Box::new(move |address| links.has_address(address)),
    }
}

/// The parts of a node before its start.
struct Prepared {
    parts: Parts,
    listening: Listening,
}

/// Arguments of the listener.
struct Listening {
    address: SocketAddr,
    local: Arc<Credentials>,
    peers: KnownPeers,
    rules: ConnectionLimits,
    pause: Pause,
}

impl Prepared {
    fn new(options: Options, secret: &ClusterSecret, data: DataDir) -> Result<Self, StartError> {
        let local = Arc::new(Credentials::new(&options.cluster_name, &options.me, secret.clone()));
        let pause = Pause::new();
        let others = options.nodes.iter().filter(|node| node.name != options.me);
        let hosts: Vec<_> = others.map(|node| (node.name.clone(), node.ip.clone(), node.raft_port)).collect();
        let resolver: Arc<dyn Resolve> = Arc::new(SystemResolver);
        let links = Links::new(Arc::clone(&local), hosts, pause.clone(), &resolver);
        let links = links.map_err(StartError::Threads)?;
        let address = options.listen;
        let peers = peers(&options, &links);
        let rules = options.descriptors.rules();
        let parts = Parts::new(options, data, links, pause.clone());
        Ok(Self { parts, listening: Listening { address, local, peers, rules, pause } })
    }
}

impl Listening {
    fn bind(self) -> Result<Listener, StartError> {
        let Self { address, local, peers, rules, pause } = self;
        Listener::bind(address, local, peers, rules, pause)
            .map_err(|source| StartError::Listen { address, source })
    }
}

/// Opens the storage in the background. Waits for the first attempt, which may fail: only a mistake of the
/// operator prevents the start.
async fn open_storage(parts: &Parts, raft: &Spawner) -> Result<(), StartError> {
    let (first, attempted) = tokio::sync::oneshot::channel();
    raft.spawn(parts.supervisor().run(first));
    match clock::timeout(STORAGE_OPEN_WITHIN, attempted).await {
        Ok(Ok(attempt)) => Ok(attempt?),
        // Without a result the supervisor is stopping already.
        Ok(Err(_)) => Ok(()),
        Err(_) => {
            let dir = parts.data.path();
            let error =
                format!("not opened within {} s; the disk hangs, or is slow", STORAGE_OPEN_WITHIN.as_secs());
            warn!(dir = %dir.display(), error, "starting without the storage");
            parts.raft.fail_first(StorageFailure::other(dir, dir, error));
            Ok(())
        }
    }
}

/// Starts the background tasks, except for probes, on Raft's runtime.
fn spawn_tasks(parts: &Parts, raft: &Spawner) {
    let (observer, signals) = (|| Arc::clone(&parts.observer), || Arc::clone(&parts.signals));
    let (slot, events) = (|| Arc::clone(&parts.raft), || Arc::clone(&parts.events));
    raft.spawn(Arc::clone(&parts.elections).run());
    raft.spawn(liveness::run(observer(), signals()));
    raft.spawn(Arc::clone(&parts.transfers).run());
    raft.spawn(Arc::clone(&parts.joining).run());
    raft.spawn(Arc::clone(&parts.formats).run());
    raft.spawn(Arc::clone(&parts.reconciler).run());
    raft.spawn(catalog_clock::run(observer(), Arc::clone(&parts.calls), signals()));
    raft.spawn(watch::run(observer(), slot(), events(), signals()));
    raft.spawn(disk_space::run(observer(), slot(), Arc::clone(&parts.transfers), signals()));
}

/// Work of the thread for probes and for accepting connections.
struct ProbeThread {
    listener: Listener,
    inbound: Arc<Inbound>,
    probing: Arc<Probing>,
    raft: Spawner,
}

impl ProbeThread {
    fn new(parts: &Parts, listener: Listener, raft: Spawner) -> Self {
        let (inbound, probing) = (Arc::new(parts.inbound()), Arc::new(parts.probing(raft.clone())));
        Self { listener, inbound, probing, raft }
    }

    /// Runs the listener and the probes until the stop.
    async fn run(self) {
        let Self { listener, inbound, probing, raft } = self;
        let me = probing.observer.me();
        task::spawn(probes::measure_lateness(Arc::clone(&probing)));
        for name in probing.observer.names().into_iter().filter(|name| name != me) {
            task::spawn(probes::run(Arc::clone(&probing), name));
        }
        let stopping = probing.signals.stopping().clone();
        let serve = move |incoming: Incoming| {
            let inbound = Arc::clone(&inbound);
            if incoming.purpose == Purpose::Probe {
                task::spawn(async move { inbound.serve(incoming).await });
            } else {
                move_to(&raft, inbound, incoming);
            }
        };
        if let Err(error) = listener.run(serve, stopping).await {
            error!(%error, "cannot listen for other nodes");
        }
    }
}

/// Moves a connection for calls or snapshots to the runtime of Raft.
fn move_to(raft: &Spawner, inbound: Arc<Inbound>, incoming: Incoming) {
    let Incoming { purpose, peer_name, channel } = incoming;
    match channel.detach() {
        Ok(detached) => {
            raft.spawn(async move {
                match detached.attach() {
                    Ok(channel) => inbound.serve(Incoming { purpose, peer_name, channel }).await,
                    Err(error) => warn!(%error, "cannot serve a connection"),
                }
            });
        }
        Err(error) => warn!(%error, "cannot serve a connection"),
    }
}
