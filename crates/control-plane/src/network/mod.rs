//! Communication between nodes: authenticated, bounded frames over persistent TCP connections.
//!
//! A connection begins with a mutual handshake ([`handshake`]): both sides prove that they know the
//! cluster's secret and are the intended nodes. Afterwards every frame ([`frame`]) carries an authenticator
//! under a key for the direction and connection. [`links`] calls other nodes, [`listener`] accepts
//! connections by the rules in [`places`]. The content of frames is unknown to this module. Frames are
//! authenticated, not encrypted.

mod addresses;
mod frame;
mod handshake;
mod links;
mod listener;
mod pause;
mod places;
mod register;
mod resolver;
mod socket;

#[cfg(feature = "fuzzing")]
pub(crate) use frame::fuzzing::check as check_frames;
pub(crate) use frame::{Channel, FrameError, FrameReceiver, FrameSender};
#[cfg(feature = "fuzzing")]
pub(crate) use handshake::fuzzing::{check as check_handshake, samples as sample_handshakes};
pub(crate) use handshake::{Identity, Purpose};
pub(crate) use links::{CallError, Links, MAX_DIALLING_PER_PEER, MAX_IDLE_PER_PEER};
pub(crate) use listener::{Incoming, Listener, MAX_CLOSING, Peers};
pub(crate) use pause::Pause;
pub(crate) use places::Rules;
pub use register::PortFigures;
pub(crate) use register::Register;
pub(crate) use resolver::{Resolve, SystemResolver};

#[cfg(test)]
mod tests;
