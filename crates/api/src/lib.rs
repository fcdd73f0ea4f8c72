//! Wire contract of a node's HTTP API: plain serde types, shared by the server and every client.
//!
//! Readers ignore members unknown to their release, so that newer nodes can send more.
//!
//! | module | contents |
//! |---|---|
//! | [`code`] | codes of problems, each with HTTP status, plane and retry class |
//! | [`drills`] | fault drills |
//! | [`events`] | events of `/cluster/events` |
//! | [`fields`] | names of the fields of multipart forms |
//! | [`headers`] | names of the headers defined by this API |
//! | [`health`] | the answer of `/healthz` |
//! | [`history`] | figures of `/cluster/history` |
//! | [`images`] | answers of the calls on images |
//! | [`membership`] | members, and transfers of leadership |
//! | [`notices`] | codes of the notices of a status |
//! | [`problem`] | the problem document |
//! | [`settings`] | settings of the cluster, and rights to change them |
//! | [`status`] | the document of `GET /cluster/status`, and the rules for every such document |

pub mod code;
pub mod drills;
pub mod events;
pub mod fields;
pub mod headers;
pub mod health;
pub mod history;
pub mod images;
pub mod membership;
pub mod notices;
pub mod problem;
pub mod settings;
pub mod status;

pub use code::{Code, Plane, Retry};
pub use problem::ProblemDocument;
