//! Observation of one node: metrics, figures, log and connections.

use std::sync::Arc;

use crate::figures::Figures;
use crate::listener::ConnectionFigures;
use crate::log::Log;
use crate::metrics::Metrics;

/// The observed quantities of a node.
pub(crate) struct Telemetry {
    /// Counters, histograms and gauges for `/metrics`.
    pub metrics: Metrics,
    /// Figures of the node: load, latencies, history.
    pub figures: Arc<Figures>,
    /// The log of the process.
    pub log: Log,
    /// HTTP connections.
    pub connections: Arc<ConnectionFigures>,
}

impl Telemetry {
    /// Registers the metrics at zero.
    pub(crate) fn new(figures: Arc<Figures>, log: Log, connections: Arc<ConnectionFigures>) -> Self {
        Self { metrics: Metrics::new(), figures, log, connections }
    }
}
