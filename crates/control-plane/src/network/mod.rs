//! Communication between nodes: authenticated, bounded frames over persistent TCP connections.
//!
//! A connection begins with a mutual handshake ([`handshake`]): both sides prove that they know the cluster's
//! secret and are the intended nodes. Afterwards every frame ([`frame`]) carries an authenticator under a key
//! for the direction and connection. [`links`] calls other nodes, [`listener`] accepts connections by the
//! rules in [`connection_rules`]. The content of frames is unknown to this module. Frames are authenticated,
//! not encrypted.

mod addresses;
mod connection_rules;
mod connection_table;
mod frame;
mod handshake;
mod links;
mod listener;
mod pause;
mod resolver;
mod socket;

pub(crate) use connection_rules::ConnectionLimits;
pub(crate) use connection_table::ConnectionTable;
pub use connection_table::PortFigures;
#[cfg(feature = "fuzzing")]
pub(crate) use frame::fuzzing::check as check_frames;
pub(crate) use frame::{Channel, FrameError, FrameReceiver, FrameSender};
#[cfg(feature = "fuzzing")]
pub(crate) use handshake::fuzzing::{check as check_handshake, samples as sample_handshakes};
pub(crate) use handshake::{Credentials, Purpose};
pub(crate) use links::{CallError, Delivery, Links, MAX_DIALLING_PER_PEER, MAX_IDLE_PER_PEER};
pub(crate) use listener::{Incoming, KnownPeers, Listener, MAX_CLOSING};
pub(crate) use pause::Pause;
pub(crate) use resolver::{Resolve, SystemResolver};

#[cfg(test)]
mod tests;
