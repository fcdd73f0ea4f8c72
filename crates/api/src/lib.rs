//! Wire contract of a node's HTTP API: plain serde types, shared by the server and every client.
//!
//! Readers pass over members that are unknown to their release, so that newer nodes can say more.
//!
//! | module | contents |
//! |---|---|
//! | [`status`] | the document of `GET /cluster/status`, and the rules that every such document keeps |

pub mod status;
