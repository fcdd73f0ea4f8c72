//! Versions of the formats in a running cluster: each node announces what it reads, and the leader activates
//! the next version once all members cover it. `format.rs` and the catalogue decide, this carries it out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info};
use uuid::Uuid;

use crate::calls;
use crate::catalog::{Action, Actor, Authority, Command, Outcome, RequestKey};
use crate::core::{Core, Moment};
use crate::format::{Activated, Announcement, FormatVersion, Step};
use crate::message::{Refused, Reply};
use crate::raft::Node;
use crate::types::RaftId;

/// Between two looks, if nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long one change may take before it is looked at anew.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);
/// How long an activation is waited for: no node that joins may overtake one on its way, and without a quorum
/// none joins.
const ACTIVATED_WITHIN: Duration = Duration::from_secs(600);

/// Announces and activates until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut seen = None;
    loop {
        let woken = async {
            let _ = tokio::time::timeout(LOOK_EVERY, core.changed.notified()).await;
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

/// On the leader: proposes the next version, if every member reads it.
async fn activate(core: &Core, moment: &Moment, node: &Node) {
    let _changing = core.changing_formats.lock().await;
    // Until then, an activation of an earlier leader may be on its way.
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

/// Replaces this node's announcement where it does not say what this release reads.
async fn announce(core: &Arc<Core>, moment: &Moment, node: &Node) {
    let (me, own) = (moment.identity.raft_id, core.announcement());
    let is_known = node.state.catalog(|catalog| catalog.announcements().get(&me) == Some(&own));
    let is_member = moment.name_of(me).is_some();
    if is_known || !is_member || node.state.activated_version() < FormatVersion::SECOND {
        return;
    }
    let command = command(core, Action::Announce { announcement: own });
    match calls::submit(core, command, Instant::now() + CHANGE_WITHIN).await {
        Ok(outcome) => info!(?outcome, "format versions of this release announced"),
        Err(error) => debug!(%error, "format versions of this release not announced; it is tried again"),
    }
}

/// On the leader, before it takes a node in: the node reads the activated version, and its announcement is
/// replicated. The caller holds `changing_formats`, so that no activation comes in between.
///
/// # Errors
/// [`Refused`] if the node does not read it, or if that is not certain yet.
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
    match calls::propose_here(core, node, command, Instant::now() + CHANGE_WITHIN).await {
        Reply::Outcome(outcome) if *outcome == Outcome::Announced => Ok(()),
        Reply::Refused(refused) => Err(refused),
        other => Err(Refused::NotReady(format!("its announcement was not taken in: {other:?}"))),
    }
}

/// A command of this node's own, which nobody repeats.
fn command(core: &Core, action: Action) -> Command {
    let id = Uuid::new_v4().to_string();
    Command {
        request: RequestKey { key: id.clone(), minted: true, fingerprint: String::new(), request_id: id },
        proposed_at_ms: (core.options.clock_ms)(),
        actor: Actor { name: None, authority: Authority::Loopback, via: core.options.me.clone() },
        action,
    }
}
