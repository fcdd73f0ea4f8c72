//! What goes on in the background.
//!
//! | task | what it does | runs on |
//! |---|---|---|
//! | [`probes`] | asks every peer twenty times a second how it is | the probe thread |
//! | [`election`] | brings an election forward on evidence, and answers those who ask for a vote | the Raft threads |
//! | [`formats`] | announces what this node reads; on the leader, activates the next version of the formats | the Raft threads |
//! | [`join`] | founds a cluster, or joins one | the Raft threads |
//! | [`reconcile`] | on the leader: brings the membership to what is configured | the Raft threads |
//! | [`handover`] | hands leadership over: before a stop, when asked to, when the disk hangs | the Raft threads |
//! | [`pulse`] | on the leader: whether its Raft and its disk still do something | the Raft threads |
//! | [`room`] | measures and reserves disk space, has snapshots built that were put off, hands over where the disk is full | the Raft threads |
//! | [`watch`] | turns changes into events and log lines | the Raft threads |

pub(crate) mod election;
pub(crate) mod formats;
pub(crate) mod handover;
pub(crate) mod join;
pub(crate) mod probes;
pub(crate) mod pulse;
pub(crate) mod reconcile;
pub(crate) mod room;
pub(crate) mod watch;
