//! What goes on in the background.
//!
//! | task | what it does | runs on |
//! |---|---|---|
//! | [`probes`] | asks every peer twenty times a second how it is | the probe thread |
//! | [`join`] | founds a cluster, or joins one | the Raft threads |
//! | [`reconcile`] | on the leader: brings the membership to what is configured | the Raft threads |
//! | [`handover`] | hands leadership over before a stop | the Raft threads |
//! | [`watch`] | turns changes into events and log lines | the Raft threads |

pub(crate) mod handover;
pub(crate) mod join;
pub(crate) mod probes;
pub(crate) mod reconcile;
pub(crate) mod watch;
