//! `/cluster/settings` and `/cluster/access`: cluster-wide settings and the right to change them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Right by which a change of the cluster is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// The caller is on the node's own machine, trusted by `security.loopback`.
    Loopback,
    /// The caller has the admin token.
    AdminToken,
    /// A right of a newer release.
    #[serde(other)]
    Unknown,
}

impl Authority {
    /// Name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::AdminToken => "admin_token",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Answer of `GET /cluster/access`: right of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Access {
    /// Right by which a change would be made.
    pub authority: Authority,
}

/// Author of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    /// Name given by the operator; null: none.
    pub name: Option<String>,
    /// Right of the change.
    pub authority: Authority,
    /// Node that received the call.
    pub via: String,
}

/// Setting of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Setting {
    /// `bits`, `compress`, `metadata`, or `note.NAME`.
    pub key: String,
    /// Number, truth value or text.
    pub value: Value,
    /// Version, which grows with every change; for `If-Match`.
    pub version: u64,
    /// Time of the change by the leader's clock (RFC 3339).
    pub updated_at: String,
    /// Author of the change.
    pub updated_by: Actor,
    /// Value before the change; null: the setting was not set.
    pub previous: Option<Value>,
    /// `x-request-id` of the change; only in the answer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Answer to a change of a setting: to `PUT` and `DELETE`. A repetition under the same `Idempotency-Key` gets
/// the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// Key of the setting.
    pub key: String,
    /// Version of the change; of a setting that was set, for `If-Match`.
    pub version: u64,
    /// Version of the setting before the change; null: the setting was not set, or the cluster still has a
    /// node of release 0.1.
    #[serde(default)]
    pub previous_version: Option<u64>,
    /// `x-request-id` of the change.
    pub request_id: String,
}

/// Page of settings, by key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsPage {
    /// Settings, by key.
    pub settings: Vec<Setting>,
    /// Key after which the next page begins, for `after`; null on the last page.
    pub next: Option<String>,
}

/// Body of `PUT /cluster/settings/{key}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PutSetting {
    /// `bits`: 1 to 4; `compress`: true or false; `metadata`: "keep" or "strip"; `note.NAME`: a text.
    pub value: Value,
}

/// Consistency of a read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// The node's own state, without a quorum; another node may know more.
    #[default]
    Local,
    /// Every change acknowledged before the read.
    Linearizable,
}
