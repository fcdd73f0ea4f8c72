//! Entry points for the fuzz targets: each takes arbitrary bytes and panics if an invariant is violated.
//!
//! Compiled with the feature `fuzzing` only.

mod samples;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Call, Envelope, Probe, ProbeAnswer, Reply, SnapshotOffer, SnapshotReply};

/// Reads `bytes` as a peer's data after the handshake: unchanged, and as the body of an authentic frame.
pub fn frames(bytes: &[u8]) {
    crate::network::check_frames(bytes);
    comes_back::<Envelope<Call>>(bytes);
    comes_back::<Envelope<SnapshotOffer>>(bytes);
    comes_back::<Probe>(bytes);
    comes_back::<ProbeAnswer>(bytes);
    comes_back::<Reply>(bytes);
    comes_back::<SnapshotReply>(bytes);
}

/// Reads `bytes` as unauthenticated data in place of a handshake, on either side, and as the hello of a
/// holder of the secret.
pub fn handshake(bytes: &[u8]) {
    crate::network::check_handshake(bytes);
}

/// Reads `bytes` as a snapshot file: unchanged, and with a corrected checksum.
pub fn snapshot(bytes: &[u8]) {
    crate::storage::fuzzing::check_snapshot(bytes);
}

/// Reads `bytes` as a record of each kind: unchanged, and as the body of a record with a valid checksum.
pub fn record(bytes: &[u8]) {
    crate::storage::fuzzing::check_record(bytes);
}

/// Checks that a readable message can be written, and is read as the same message again.
fn comes_back<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&message).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    let written_again = serde_json::to_vec(&again).expect("what was read can be written");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&written_again));
}

/// Returns the initial corpus of [`frames`]: bodies of frames as sent by nodes.
pub fn sample_messages() -> Vec<Vec<u8>> {
    samples::messages()
}

/// Returns the initial corpus of [`handshake`]: the body of a hello, a hello, and a challenge.
pub fn sample_handshakes() -> [Vec<u8>; 3] {
    crate::network::sample_handshakes()
}
