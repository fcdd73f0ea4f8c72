//! An event as it is sent.

use control_plane::status::{Event, EventKind};
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use api::status::Role;

/// Something that happened, as one node saw it.
#[derive(Serialize)]
pub(super) struct ClusterEvent {
    #[serde(flatten)]
    sighting: Sighting,
    #[serde(flatten)]
    what: Happening,
}

/// Members of every event.
#[derive(Serialize, ToSchema)]
struct Sighting {
    /// Counts up from 1 for each start of the node.
    id: u64,
    /// When, in milliseconds since 1970, by the node's clock.
    at_ms: u64,
    /// The node that saw it.
    node: String,
}

impl ToSchema for ClusterEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Happening::schemas(schemas);
    }
}

/// One object for each kind, with all of its members: generators of clients take no `allOf` of a `oneOf`.
impl PartialSchema for ClusterEvent {
    fn schema() -> RefOr<Schema> {
        let (mut schema, common) = (Happening::schema(), Sighting::schema());
        if let (RefOr::T(Schema::OneOf(kinds)), RefOr::T(Schema::Object(common))) = (&mut schema, common) {
            kinds.description = Some("Something that happened, as one node saw it.".to_owned());
            for kind in &mut kinds.items {
                let RefOr::T(Schema::Object(kind)) = kind else { continue };
                kind.properties.extend(common.properties.clone());
                kind.required.extend(common.required.clone());
            }
        }
        schema
    }
}

/// What happened.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Happening {
    /// The node's own role changed.
    #[schema(title = "RoleEvent")]
    Role { role: Role, term: u64 },
    /// Somebody else leads, or nobody.
    #[schema(title = "LeaderEvent")]
    Leader { leader_id: Option<String>, term: u64 },
    /// Another node answers again, or no longer; then so many probes failed in a row.
    #[schema(title = "PeerEvent")]
    Peer { peer: String, healthy: bool, failed_probes: u64 },
    /// The node holds evidence that the leader is dead: `refused`, `unanswered`, `stuck` or `drill`.
    #[schema(title = "SuspicionEvent")]
    Suspicion { peer: String, evidence: String },
    /// The membership changed.
    #[schema(title = "MembersEvent")]
    Members { voters: Vec<String>, learners: Vec<String> },
    /// Another node's configuration differs from this node's, or no longer does.
    #[schema(title = "ConfigEvent")]
    Config { peer: String, same: bool },
    /// A fault drill was done to the node, such as `crash`, or ended (`restore`).
    #[schema(title = "DrillEvent")]
    Drill { action: String },
    /// Something an operator should know.
    #[schema(title = "NoticeEvent")]
    Notice { code: String, message: String },
}

impl ClusterEvent {
    /// The name under which it is sent: its kind.
    pub(super) fn name(&self) -> &'static str {
        match self.what {
            Happening::Role { .. } => "role",
            Happening::Leader { .. } => "leader",
            Happening::Peer { .. } => "peer",
            Happening::Suspicion { .. } => "suspicion",
            Happening::Members { .. } => "members",
            Happening::Config { .. } => "config",
            Happening::Drill { .. } => "drill",
            Happening::Notice { .. } => "notice",
        }
    }
}

impl From<&Event> for ClusterEvent {
    fn from(event: &Event) -> Self {
        let Event { id, at_ms, node, kind } = event.clone();
        Self { sighting: Sighting { id, at_ms, node }, what: kind.into() }
    }
}

impl From<EventKind> for Happening {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Role { role, term } => Self::Role { role, term },
            EventKind::Leader { leader_id, term } => Self::Leader { leader_id, term },
            EventKind::Peer { peer, healthy, failed_probes } => Self::Peer { peer, healthy, failed_probes },
            EventKind::Suspicion { peer, evidence } => Self::Suspicion { peer, evidence },
            EventKind::Members { voters, learners } => Self::Members { voters, learners },
            EventKind::Config { peer, same } => Self::Config { peer, same },
            EventKind::Drill { action } => Self::Drill { action },
            EventKind::Notice { code, message } => Self::Notice { code, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn the_name_is_the_kind_in_the_data() {
        let kinds = [
            EventKind::Role { role: Role::Candidate, term: 3 },
            EventKind::Leader { leader_id: None, term: 3 },
            EventKind::Peer { peer: "n2".to_owned(), healthy: false, failed_probes: 4 },
            EventKind::Suspicion { peer: "n1".to_owned(), evidence: "refused".to_owned() },
            EventKind::Members { voters: vec!["n1".to_owned()], learners: vec![] },
            EventKind::Config { peer: "n2".to_owned(), same: true },
            EventKind::Drill { action: "crash".to_owned() },
            EventKind::Notice { code: "c".to_owned(), message: "m".to_owned() },
        ];
        for kind in kinds {
            let event = Event { id: 7, at_ms: 1, node: "n1".to_owned(), kind };
            let sent = ClusterEvent::from(&event);
            let data = to_value(&sent).unwrap();
            assert_eq!(data["kind"], sent.name());
            // The control plane's own form is what clients of the command line read.
            assert_eq!(data, to_value(&event).unwrap());
        }
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let kind = EventKind::Leader { leader_id: None, term: 3 };
        let event = Event { id: 7, at_ms: 1, node: "n1".to_owned(), kind };
        assert_eq!(
            to_value(ClusterEvent::from(&event)).unwrap(),
            json!({"id": 7, "at_ms": 1, "node": "n1", "kind": "leader", "leader_id": null, "term": 3})
        );
    }
}
