//! The problem document (RFC 9457, `application/problem+json`), the form of every error of the API.

use serde::{Deserialize, Serialize};

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Name of the member `needed_bytes` of a 413: bytes needed by the request.
pub const NEEDED_BYTES: &str = "needed_bytes";
/// Name of the member `available_bytes` of a 413: bytes available for the request.
pub const AVAILABLE_BYTES: &str = "available_bytes";

/// Problem document (RFC 9457). Further members carry figures.
// Optional for readers, although a node sends each of them: proxies answer with documents of their own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProblemDocument {
    /// `urn:steg:problem:` and the code.
    #[serde(rename = "type", default)]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, example = "urn:steg:problem:capacity_exceeded"))]
    pub type_uri: Option<String>,
    /// Title of the code, the same for every occurrence.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String))]
    pub title: Option<String>,
    /// HTTP status.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, value_type = u16))]
    pub status: Option<u16>,
    /// Description of the occurrence, for people.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String))]
    pub detail: Option<String>,
    /// Name of the problem, for programs. A newer release may send names outside of the list.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, example = "capacity_exceeded"))]
    pub code: Option<String>,
    /// `x-request-id` of the request, as logged by the node.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String))]
    pub request_id: Option<String>,
    /// Further members: figures such as `needed_bytes`, `available_bytes`, `max_bytes`.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub extensions: serde_json::Map<String, serde_json::Value>,
}
