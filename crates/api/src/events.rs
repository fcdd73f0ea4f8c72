//! Events of `GET /cluster/events` (server-sent events; the event's name is its kind).

use serde::{Deserialize, Serialize};

use crate::status::Role;

/// Event as observed by one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number, which counts up from 1 with each start of the node.
    pub id: u64,
    /// Time by the node's clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// Observing node.
    pub node: String,
    /// Kind of the event, with its members.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Kind of an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// The node's own role changed.
    #[cfg_attr(feature = "openapi", schema(title = "RoleEvent"))]
    Role {
        /// Role from now on.
        role: Role,
        /// Raft term.
        term: u64,
    },
    /// Another node leads, or none.
    #[cfg_attr(feature = "openapi", schema(title = "LeaderEvent"))]
    Leader {
        /// Leader; null: none is known.
        leader_id: Option<String>,
        /// Raft term.
        term: u64,
    },
    /// Another node answers again, or no longer.
    #[cfg_attr(feature = "openapi", schema(title = "PeerEvent"))]
    Peer {
        /// Name of the peer.
        peer: String,
        /// True if the peer answers.
        healthy: bool,
        /// Probes that failed in a row.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(required))]
        failed_probes: u64,
    },
    /// The node holds evidence of a dead leader, and stands for election or helps another candidate.
    #[cfg_attr(feature = "openapi", schema(title = "SuspicionEvent"))]
    Suspicion {
        /// Leader.
        peer: String,
        /// `refused`: the leader's port is closed; `unanswered`: probes are not answered; `stuck`: the leader
        /// reports a disk or a Raft task that hangs; `drill`.
        evidence: String,
    },
    /// The membership changed.
    #[cfg_attr(feature = "openapi", schema(title = "MembersEvent"))]
    Members {
        /// Names of the voters.
        voters: Vec<String>,
        /// Names of the members without a vote.
        learners: Vec<String>,
    },
    /// Another node's configuration differs from this node's, or is the same again.
    #[cfg_attr(feature = "openapi", schema(title = "ConfigEvent"))]
    Config {
        /// Name of the peer.
        peer: String,
        /// True if the configurations are the same.
        same: bool,
    },
    /// A fault drill began at the node, such as `crash`, or ended (`restore`).
    #[cfg_attr(feature = "openapi", schema(title = "DrillEvent"))]
    Drill {
        /// Drill.
        action: String,
    },
    /// A condition relevant to an operator.
    #[cfg_attr(feature = "openapi", schema(title = "NoticeEvent"))]
    Notice {
        /// Stable name, for programs.
        code: String,
        /// Description for people.
        message: String,
    },
    /// A kind of a newer release. Never sent.
    #[cfg_attr(feature = "openapi", schema(title = "OtherEvent"))]
    #[serde(other)]
    Other,
}

impl EventKind {
    /// Name on the wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Role { .. } => "role",
            Self::Leader { .. } => "leader",
            Self::Peer { .. } => "peer",
            Self::Suspicion { .. } => "suspicion",
            Self::Members { .. } => "members",
            Self::Config { .. } => "config",
            Self::Drill { .. } => "drill",
            Self::Notice { .. } => "notice",
            Self::Other => "other",
        }
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use std::borrow::Cow;

    use utoipa::openapi::{RefOr, Schema};
    use utoipa::{PartialSchema, ToSchema};

    use super::{Event, EventKind};

    /// Members of every event.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes members in the OpenAPI document")]
    struct Common {
        /// Number, which counts up from 1 with each start of the node.
        id: u64,
        /// Time by the node's clock, in milliseconds since 1970.
        at_ms: u64,
        /// Observing node.
        node: String,
    }

    impl ToSchema for Event {
        /// `Event` is a type of its own in browsers.
        fn name() -> Cow<'static, str> {
            Cow::Borrowed("ClusterEvent")
        }

        fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            EventKind::schemas(schemas);
        }
    }

    /// One object for each kind, with all of its members: client generators do not support an `allOf` of a
    /// `oneOf`.
    impl PartialSchema for Event {
        fn schema() -> RefOr<Schema> {
            let (mut schema, common) = (EventKind::schema(), Common::schema());
            if let (RefOr::T(Schema::OneOf(kinds)), RefOr::T(Schema::Object(common))) = (&mut schema, common)
            {
                kinds.description = Some("Something that happened, as one node saw it.".to_owned());
                kinds.items.retain(|kind| title(kind) != Some("OtherEvent"));
                for kind in &mut kinds.items {
                    let RefOr::T(Schema::Object(kind)) = kind else { continue };
                    kind.properties.extend(common.properties.clone());
                    kind.required.extend(common.required.clone());
                }
            }
            schema
        }
    }

    fn title(schema: &RefOr<Schema>) -> Option<&str> {
        match schema {
            RefOr::T(Schema::Object(object)) => object.title.as_deref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn an_event_is_one_flat_object_named_by_its_kind() {
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
            let data = to_value(&event).unwrap();
            assert_eq!(data["kind"], event.kind.as_str());
            assert_eq!(from_value::<Event>(data).unwrap(), event);
        }
        let kind = EventKind::Leader { leader_id: None, term: 3 };
        assert_eq!(
            to_value(Event { id: 7, at_ms: 1, node: "n1".to_owned(), kind }).unwrap(),
            json!({"id": 7, "at_ms": 1, "node": "n1", "kind": "leader", "leader_id": null, "term": 3})
        );
    }

    #[test]
    fn kinds_of_newer_releases_are_passed_over() {
        let data = json!({"id": 7, "at_ms": 1, "node": "n1", "kind": "from_the_future", "more": 1});
        assert_eq!(from_value::<Event>(data).unwrap().kind, EventKind::Other);
    }
}
