//! The parts of one control plane, and their connections.
//!
//! Each part owns its state. Only this module, the threads and the interface know all parts; everything else
//! gets the parts that it needs.

use std::sync::Arc;

use crate::calls::Calls;
use crate::detector::ProbeLimits;
use crate::events::Events;
use crate::identity::DataDir;
use crate::network::{Links, Pause};
use crate::observer::Observer;
use crate::options::Options;
use crate::peers::Peers;
use crate::permits::Permits;
use crate::raft::slot::RaftSlot;
use crate::raft::supervisor::Supervisor;
use crate::serve::Inbound;
use crate::signals::Signals;
use crate::suspicion::Suspicion;
use crate::tasks::election::Elections;
use crate::tasks::formats::Formats;
use crate::tasks::handover::Transfers;
use crate::tasks::join::Joining;
use crate::tasks::probes::Probing;
use crate::tasks::reconcile::Reconciler;
use crate::world::task::Spawner;

/// The parts of one control plane.
pub(crate) struct Parts {
    /// The configuration.
    pub options: Arc<Options>,
    /// The data directory.
    pub data: Arc<DataDir>,
    /// The running Raft.
    pub raft: Arc<RaftSlot>,
    /// Knowledge about the cluster.
    pub observer: Arc<Observer>,
    /// Connections to peers.
    pub links: Links,
    /// Events of the node.
    pub events: Arc<Events>,
    /// Stop and wakeups.
    pub signals: Arc<Signals>,
    /// Permits for reads and writes.
    pub permits: Permits,
    /// Suspicion of the leader.
    pub suspicion: Arc<Suspicion>,
    /// Early elections.
    pub elections: Arc<Elections>,
    /// Leadership transfers.
    pub transfers: Arc<Transfers>,
    /// Reads and writes.
    pub calls: Arc<Calls>,
    /// Format versions.
    pub formats: Arc<Formats>,
    /// Founding and joining.
    pub joining: Arc<Joining>,
    /// Membership of the voters.
    pub reconciler: Arc<Reconciler>,
}

impl Parts {
    /// Creates the parts. Nothing is started.
    pub(crate) fn new(options: Options, data: DataDir, links: Links, pause: Pause) -> Self {
        let (options, data) = (Arc::new(options), Arc::new(data));
        let others = options.nodes.iter().filter(|node| node.name != options.me);
        let others: Vec<String> = others.map(|node| node.name.clone()).collect();
        let limits =
            ProbeLimits { interval: options.timing.probe_interval, failures: options.timing.probe_failures };
        let raft = Arc::new(RaftSlot::default());
        let peers = Peers::new(others.clone());
        let signals = Arc::new(Signals::default());
        let events = Arc::new(Events::new(options.me.clone(), options.clock_ms));
        let suspicion = Arc::new(Suspicion::new(limits, others));
        let observer =
            Arc::new(Observer::new(Arc::clone(&options), Arc::clone(&data), Arc::clone(&raft), peers, pause));
        let elections = Elections {
            observer: Arc::clone(&observer),
            raft: Arc::clone(&raft),
            suspicion: Arc::clone(&suspicion),
            events: Arc::clone(&events),
            signals: Arc::clone(&signals),
        };
        let transfers =
            Arc::new(Transfers::new(Arc::clone(&observer), Arc::clone(&raft), Arc::clone(&signals)));
        let calls = Arc::new(Calls {
            observer: Arc::clone(&observer),
            raft: Arc::clone(&raft),
            links: links.clone(),
            suspicion: Arc::clone(&suspicion),
            transfers: Arc::clone(&transfers),
            signals: Arc::clone(&signals),
        });
        let formats = Arc::new(Formats::new(Arc::clone(&observer), Arc::clone(&calls), Arc::clone(&signals)));
        let joining = Joining {
            observer: Arc::clone(&observer),
            raft: Arc::clone(&raft),
            data: Arc::clone(&data),
            links: links.clone(),
            formats: Arc::clone(&formats),
            events: Arc::clone(&events),
            signals: Arc::clone(&signals),
        };
        let reconciler = Reconciler::new(Arc::clone(&observer), Arc::clone(&signals));
        Self {
            permits: Permits::new(&options.descriptors),
            options,
            data,
            raft,
            observer,
            links,
            events,
            signals,
            suspicion,
            elections: Arc::new(elections),
            transfers,
            calls,
            formats,
            joining: Arc::new(joining),
            reconciler: Arc::new(reconciler),
        }
    }

    /// Returns the supervisor of Raft.
    pub(crate) fn supervisor(&self) -> Supervisor {
        Supervisor {
            options: Arc::clone(&self.options),
            data: Arc::clone(&self.data),
            links: self.links.clone(),
            raft: Arc::clone(&self.raft),
            signals: Arc::clone(&self.signals),
            observer: Arc::clone(&self.observer),
        }
    }

    /// Returns the answers to calls from other nodes.
    pub(crate) fn inbound(&self) -> Inbound {
        Inbound {
            observer: Arc::clone(&self.observer),
            raft: Arc::clone(&self.raft),
            data: Arc::clone(&self.data),
            suspicion: Arc::clone(&self.suspicion),
            elections: Arc::clone(&self.elections),
            calls: Arc::clone(&self.calls),
            joining: Arc::clone(&self.joining),
        }
    }

    /// Returns the probes of peers; `runtime` is that of Raft.
    pub(crate) fn probing(&self, runtime: Spawner) -> Probing {
        Probing {
            observer: Arc::clone(&self.observer),
            raft: Arc::clone(&self.raft),
            suspicion: Arc::clone(&self.suspicion),
            elections: Arc::clone(&self.elections),
            links: self.links.clone(),
            events: Arc::clone(&self.events),
            signals: Arc::clone(&self.signals),
            runtime,
        }
    }
}
