//! Wire contract of a node's HTTP API: plain serde types, shared by the server and every client.
//!
//! Readers pass over members that are unknown to their release, so that newer nodes can say more.
//!
//! | module | contents |
//! |---|---|
//! | [`headers`] | names of the headers that are this API's own |
//! | [`status`] | the document of `GET /cluster/status`, and the rules that every such document keeps |

pub mod headers;
pub mod status;
