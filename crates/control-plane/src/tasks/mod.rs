//! Background tasks.
//!
//! | task | purpose | runs on |
//! |---|---|---|
//! | [`probes`] | probes every peer twenty times a second by default | the probe thread |
//! | [`election`] | triggers early elections on evidence, and answers requests for votes | the Raft threads |
//! | [`formats`] | announces readable format versions; leader: activates the next | the Raft threads |
//! | [`join`] | founds a cluster, or joins one | the Raft threads |
//! | [`reconcile`] | on the leader: reconciles the membership with the configuration | the Raft threads |
//! | [`handover`] | transfers leadership: before a stop, on request, on a hung disk | the Raft threads |
//! | [`liveness`] | on the leader: checks that Raft and the disk make progress | the Raft threads |
//! | [`catalog_clock`] | on the leader: advances the catalogue's clock without commands | the Raft threads |
//! | [`disk_space`] | disk space, late snapshots, handing over on a full disk | the Raft threads |
//! | [`watch`] | turns changes into events and log lines | the Raft threads |

pub(crate) mod catalog_clock;
pub(crate) mod disk_space;
pub(crate) mod election;
pub(crate) mod formats;
pub(crate) mod handover;
pub(crate) mod join;
pub(crate) mod liveness;
pub(crate) mod probes;
pub(crate) mod reconcile;
pub(crate) mod watch;
