//! Wire contract of a node's HTTP API: plain serde types, shared by the server and every client.
//!
//! Readers pass over members that are unknown to their release, so that newer nodes can say more.
//!
//! | module | contents |
//! |---|---|
//! | [`code`] | codes of problems, each with HTTP status, plane and retry class |
//! | [`drills`] | fault drills |
//! | [`events`] | events of `/cluster/events` |
//! | [`fields`] | names of the fields of multipart forms |
//! | [`headers`] | names of the headers that are this API's own |
//! | [`health`] | the answer of `/healthz` |
//! | [`history`] | figures of `/cluster/history` |
//! | [`images`] | answers of the calls on images |
//! | [`membership`] | members, and leadership that is handed over |
//! | [`notices`] | codes of the conditions that a status tells of |
//! | [`problem`] | the problem document |
//! | [`settings`] | settings of the cluster, and rights to change them |
//! | [`status`] | the document of `GET /cluster/status`, and the rules that every such document keeps |

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
