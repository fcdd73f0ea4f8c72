//! Format versions in a running cluster: each node announces the versions that its release reads, and the
//! leader activates the next version once all members cover it. The modules `format` and `catalog` decide,
//! and this module acts.

use std::sync::Arc;

use tracing::{debug, info};

use crate::calls::Calls;
use crate::catalog::{Action, Outcome};
use crate::format::{Activated, Announcement, FormatVersion, ProposedActivation};
use crate::ids::RaftId;
use crate::message::{Refused, Reply};
use crate::observation::Observation;
use crate::observer::Observer;
use crate::raft::node::Node;
use crate::signals::Signals;
use crate::timing::{ACTIVATED_WITHIN, ANNOUNCED_WITHIN, FORMAT_CHECK_INTERVAL};
use crate::world::clock;

/// The format versions of the cluster, as announced and activated by the local node.
pub(crate) struct Formats {
    observer: Arc<Observer>,
    calls: Arc<Calls>,
    signals: Arc<Signals>,
    /// Held by the leader while admitting a node or activating a version: neither may overtake the other in
    /// the log.
    changing: tokio::sync::Mutex<()>,
}

impl Formats {
    /// Creates the task.
    pub(crate) fn new(observer: Arc<Observer>, calls: Arc<Calls>, signals: Arc<Signals>) -> Self {
        Self { observer, calls, signals, changing: tokio::sync::Mutex::default() }
    }

    /// Waits until no version is being activated and no node admitted, and prevents both meanwhile.
    pub(crate) async fn lock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Announces and activates until the node stops.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut logged = None;
        while self.signals.sleep_until_changed(FORMAT_CHECK_INTERVAL).await {
            let seen = self.observer.observe();
            let Some(node) = seen.node.clone() else { continue };
            log_activated(&node, &mut logged);
            let working = async {
                if seen.is_leader() {
                    self.activate(&seen, &node).await;
                }
                self.announce(&seen, &node).await;
            };
            if self.signals.unless_stopped(working).await.is_none() {
                return;
            }
        }
    }

    /// Proposes the next version, on the leader, if every member reads the version.
    async fn activate(&self, seen: &Observation, node: &Node) {
        let _changing = self.lock().await;
        // Before, an activation of an earlier leader may be in flight.
        if !node.has_applied_term(seen.term()) {
            return;
        }
        let Some(ProposedActivation { version, announced }) = self.observer.next_format(seen, node) else {
            return;
        };
        info!(version = version.number(), "next format version covered by all members; activation proposed");
        let Activated { version, release } = Activated::of(version);
        let command = self.calls.own_command(Action::Activate { version, release, announced });
        match self.calls.propose_here(node, command, clock::now() + ACTIVATED_WITHIN).await {
            Reply::Outcome(outcome) => debug!(?outcome, "activation applied"),
            other => info!(?other, "format version not activated; retried"),
        }
    }

    /// Replaces the local node's announcement if it differs from the versions that the release reads.
    async fn announce(&self, seen: &Observation, node: &Node) {
        let (me, own) = (seen.identity.raft_id, self.observer.announcement());
        let is_known = node.state.catalog(|catalog| catalog.announcements().get(&me) == Some(&own));
        let is_member = seen.name_of(me).is_some();
        if is_known || !is_member || node.state.activated_version() < FormatVersion::SECOND {
            return;
        }
        let command = self.calls.own_command(Action::Announce { announcement: own });
        match self.calls.submit(command, clock::now() + ANNOUNCED_WITHIN).await {
            Ok(outcome) => info!(?outcome, "format versions of this release announced"),
            Err(error) => debug!(%error, "format versions of this release not announced; retried"),
        }
    }

    /// Admits a joining node, on the leader: makes sure that the node reads the activated version and that
    /// its announcement is replicated. The caller holds `changing_formats`, so that no activation comes in
    /// between.
    ///
    /// # Errors
    /// [`Refused`] if the node does not read the activated version, or if the version is not certain yet.
    pub(crate) async fn admit(
        &self,
        node: &Node,
        name: &str,
        id: RaftId,
        announcement: Option<Announcement>,
    ) -> Result<(), Refused> {
        if !node.has_applied_term(self.observer.observe().term()) {
            return Err(Refused::NotReady("the leader has not applied its log yet".to_owned()));
        }
        let activated = node.state.activated();
        let announcement = announcement.unwrap_or_else(|| Announcement::of_the_first_release(id, "0.1"));
        if !announcement.covers(activated.version) {
            let Announcement { release, min, max, .. } = announcement;
            let Activated { version, release: needed } = activated;
            return Err(Refused::NotReady(format!(
                "{name} runs release {release}, which reads format versions {min} to {max}; the cluster has activated \
                 version {version}: start release {needed} or a newer one on {name}"
            )));
        }
        if activated.version < FormatVersion::SECOND {
            return Ok(());
        }
        let command = self.calls.own_command(Action::Announce { announcement });
        match self.calls.propose_here(node, command, clock::now() + ANNOUNCED_WITHIN).await {
            Reply::Outcome(outcome) if *outcome == Outcome::Announced => Ok(()),
            Reply::Refused(refused) => Err(refused),
            other => Err(Refused::NotReady(format!("the announcement was not applied: {other:?}"))),
        }
    }
}

/// Logs the activated version when it changes.
fn log_activated(node: &Node, logged: &mut Option<FormatVersion>) {
    let Activated { version, release } = node.state.activated();
    if logged.replace(version) != Some(version) && version > FormatVersion::FIRST {
        info!(version = version.number(), release, "format version activated");
    }
}
