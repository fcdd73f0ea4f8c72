//! Format versions in a running cluster: each node announces the versions that its release reads, and the
//! leader activates the next version once all members cover it. The modules `format` and `catalog` decide,
//! and this module acts.

use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, info};
use uuid::Uuid;

use crate::calls;
use crate::catalog::{Action, Actor, Authority, Command, Outcome, RequestKey};
use crate::core::{Core, Moment};
use crate::format::{Activated, Announcement, FormatVersion, Step};
use crate::ids::RaftId;
use crate::message::{Refused, Reply};
use crate::raft::node::Node;
use crate::timing::{ACTIVATED_WITHIN, ANNOUNCED_WITHIN, FORMAT_CHECK_INTERVAL};

/// Announces and activates until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut seen = None;
    loop {
        let woken = async {
            let _ = tokio::time::timeout(FORMAT_CHECK_INTERVAL, core.changed.notified()).await;
        };
        if core.stopping.run_until_cancelled(woken).await.is_none() {
            return;
        }
        let moment = core.moment();
        let Some(node) = moment.node.clone() else { continue };
        tell(&node, &mut seen);
        let working = async {
            if moment.standing.leader == Some(moment.identity.raft_id) {
                activate(&core, &moment, &node).await;
            }
            announce(&core, &moment, &node).await;
        };
        if core.stopping.run_until_cancelled(working).await.is_none() {
            return;
        }
    }
}

/// Logs the activated version when it changes.
fn tell(node: &Node, seen: &mut Option<FormatVersion>) {
    let Activated { version, release } = node.state.activated();
    if seen.replace(version) != Some(version) && version > FormatVersion::FIRST {
        info!(version = version.number(), release, "format version activated");
    }
}

/// Proposes the next version, on the leader, if every member reads the version.
async fn activate(core: &Core, moment: &Moment, node: &Node) {
    let _changing = core.changing_formats.lock().await;
    // Before, an activation of an earlier leader may be in flight.
    if !node.has_applied_term(moment.term()) {
        return;
    }
    let Some(Step { version, announced }) = core.next_format(moment, node) else { return };
    info!(version = version.number(), "every member reads the next format version; activating it");
    let Activated { version, release } = Activated::of(version);
    let command = command(core, Action::Activate { version, release, announced });
    match calls::propose_here(core, node, command, Instant::now() + ACTIVATED_WITHIN).await {
        Reply::Outcome(outcome) => debug!(?outcome, "activation applied"),
        other => info!(?other, "the format version was not activated; it is tried again"),
    }
}

/// Replaces the local node's announcement if it differs from the versions that the release reads.
async fn announce(core: &Arc<Core>, moment: &Moment, node: &Node) {
    let (me, own) = (moment.identity.raft_id, core.announcement());
    let is_known = node.state.catalog(|catalog| catalog.announcements().get(&me) == Some(&own));
    let is_member = moment.name_of(me).is_some();
    if is_known || !is_member || node.state.activated_version() < FormatVersion::SECOND {
        return;
    }
    let command = command(core, Action::Announce { announcement: own });
    match calls::submit(core, command, Instant::now() + ANNOUNCED_WITHIN).await {
        Ok(outcome) => info!(?outcome, "format versions of this release announced"),
        Err(error) => debug!(%error, "format versions of this release not announced; it is tried again"),
    }
}

/// Admits a joining node, on the leader: makes sure that the node reads the activated version and that its
/// announcement is replicated. The caller holds `changing_formats`, so that no activation comes in between.
///
/// # Errors
/// [`Refused`] if the node does not read the activated version, or if the version is not certain yet.
pub(crate) async fn admit(
    core: &Core,
    node: &Node,
    name: &str,
    id: RaftId,
    announcement: Option<Announcement>,
) -> Result<(), Refused> {
    if !node.has_applied_term(core.moment().term()) {
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
    let command = command(core, Action::Announce { announcement });
    match calls::propose_here(core, node, command, Instant::now() + ANNOUNCED_WITHIN).await {
        Reply::Outcome(outcome) if *outcome == Outcome::Announced => Ok(()),
        Reply::Refused(refused) => Err(refused),
        other => Err(Refused::NotReady(format!("its announcement was not taken in: {other:?}"))),
    }
}

/// Builds a command of the local node, with a fresh request id.
fn command(core: &Core, action: Action) -> Command {
    let id = Uuid::new_v4().to_string();
    Command {
        request: RequestKey { key: id.clone(), minted: true, fingerprint: String::new(), request_id: id },
        proposed_at_ms: (core.options.clock_ms)(),
        actor: Actor { name: None, authority: Authority::Loopback, via: core.options.me.clone() },
        action,
    }
}
