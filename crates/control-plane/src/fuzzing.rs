//! Doors for the fuzz targets: each takes any bytes and panics where what must hold does not.
//!
//! Compiled with the feature `fuzzing` only.

mod samples;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Call, Envelope, Probe, ProbeAnswer, Reply, SnapshotOffer, SnapshotReply};

/// `bytes` as what a peer sends after the handshake: as they are, and as the body of an authentic frame.
pub fn frames(bytes: &[u8]) {
    crate::network::check_frames(bytes);
    comes_back::<Envelope<Call>>(bytes);
    comes_back::<Envelope<SnapshotOffer>>(bytes);
    comes_back::<Probe>(bytes);
    comes_back::<ProbeAnswer>(bytes);
    comes_back::<Reply>(bytes);
    comes_back::<SnapshotReply>(bytes);
}

/// `bytes` as what a stranger sends instead of a handshake, to either side, and as the hello of a node that knows the
/// secret.
pub fn handshake(bytes: &[u8]) {
    crate::network::check_handshake(bytes);
}

/// `bytes` as a snapshot file: as they are, and with the checksum that they need.
pub fn snapshot(bytes: &[u8]) {
    crate::storage::fuzzing::check_snapshot(bytes);
}

/// `bytes` as a record of each kind: as they are, and as the body of one with a checksum that holds.
pub fn record(bytes: &[u8]) {
    crate::storage::fuzzing::check_record(bytes);
}

/// What can be read as a message can be written, and what is written is read as the same.
fn comes_back<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&message).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    let written_again = serde_json::to_vec(&again).expect("what was read can be written");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&written_again));
}

/// What fuzzing [`frames`] begins with: bodies of frames as nodes send them.
pub fn sample_messages() -> Vec<Vec<u8>> {
    samples::messages()
}

/// What fuzzing [`handshake`] begins with: the body of a hello, a hello, and a challenge.
pub fn sample_handshakes() -> [Vec<u8>; 3] {
    crate::network::sample_handshakes()
}
