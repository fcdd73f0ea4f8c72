//! State shared by the handlers of one node, in parts extracted separately.

use std::sync::Arc;

use axum::extract::FromRef;
use control_plane::ControlPlane;

use crate::auth::Auth;
use crate::config::Config;
use crate::control::Control;
use crate::data_plane::DataPlane;
use crate::figures::Figures;
use crate::lifecycle::Lifecycle;
use crate::listener::ConnectionFigures;
use crate::log::Log;
use crate::telemetry::Telemetry;

/// Configuration of one node at its start.
pub(crate) struct Setup {
    /// The configuration of the cluster.
    pub config: Config,
    /// The node's name.
    pub node_id: String,
}

/// Shared state of one node. A handler extracts the needed parts by `State<Arc<Part>>`.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    /// Configuration of the node.
    pub setup: Arc<Setup>,
    /// Pixel threads, memory budgets and prepared covers.
    pub data: Arc<DataPlane>,
    /// The replicated state of the cluster.
    pub control: Arc<Control>,
    /// Hosts of the node, and authorization of changes.
    pub auth: Arc<Auth>,
    /// Start, stop and isolation of the node.
    pub lifecycle: Arc<Lifecycle>,
    /// Metrics, figures, log and connections.
    pub telemetry: Arc<Telemetry>,
}

/// Components of a node's state besides the configuration.
pub(crate) struct Parts {
    /// Figures of the node: load, latencies, history.
    pub figures: Arc<Figures>,
    /// The replicated state of the cluster.
    pub control: ControlPlane,
    /// Authorization of changes to the cluster.
    pub auth: Auth,
    /// The log of the process.
    pub log: Log,
    /// HTTP connections.
    pub connections: Arc<ConnectionFigures>,
    /// True if fault drills are enabled.
    pub fault_injection: bool,
}

impl App {
    /// Builds the state of node `node_id` under the validated `config`.
    ///
    /// # Errors
    /// If the pixel threads cannot be started.
    pub(crate) fn new(config: Config, node_id: String, parts: Parts) -> anyhow::Result<Self> {
        let Parts { figures, control, auth, log, connections, fault_injection } = parts;
        Ok(Self {
            data: DataPlane::new(&config)?,
            control: Arc::new(Control::new(control.clone(), &config)),
            auth: Arc::new(auth),
            lifecycle: Arc::new(Lifecycle::new(control, fault_injection)),
            telemetry: Arc::new(Telemetry::new(figures, log, connections)),
            setup: Arc::new(Setup { config, node_id }),
        })
    }
}
