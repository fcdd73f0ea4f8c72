//! Fuzz targets: functions that run arbitrary bytes through the code for external input, and panic on a
//! violated invariant.
//!
//! The targets of cargo-fuzz (`fuzz/fuzz_targets`) call these functions; so does the test `replay`, without a
//! fuzzer and on any compiler, with every file of `fuzz/corpus` and `fuzz/regressions`.

mod images;
pub mod mutator;
mod payloads;
pub mod seeds;

pub use images::{cover_decode, differential, embed_into_png};
pub use payloads::{container, extract_png};

use stego::Limits;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target, of its binary and of its folders.
    pub name: &'static str,
    /// The target's function, for any bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target { name: "configuration", run: configuration },
    Target { name: "container", run: container },
    Target { name: "cover_decode", run: cover_decode },
    Target { name: "differential", run: differential },
    Target { name: "embed_into_png", run: embed_into_png },
    Target { name: "extract_png", run: extract_png },
    Target { name: "multipart", run: multipart },
    Target { name: "rpc_frames", run: rpc_frames },
    Target { name: "snapshot_file", run: snapshot_file },
];

/// Returns limits small enough for a fuzzer to try thousands of images in a second, large enough for every
/// path.
fn limits() -> Limits {
    Limits {
        max_pixels: 1 << 20,
        max_image_memory_bytes: 64 << 20,
        max_secret_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// Reads `bytes` as the layers of a configuration. Panics if an accepted configuration reads differently once
/// printed.
pub fn configuration(bytes: &[u8]) {
    server::fuzzing::configuration(bytes);
}

/// Reads `bytes` as an upload. Panics if the split into pieces makes a difference, or if a file arrives
/// changed.
pub fn multipart(bytes: &[u8]) {
    server::fuzzing::multipart(bytes);
}

/// Reads `bytes` as received from a connection between nodes. Panics if a peer is admitted without the
/// secret, if anything is delivered without an authenticator, or if a message reads differently once written
/// again.
pub fn rpc_frames(bytes: &[u8]) {
    control_plane::fuzzing::handshake(bytes);
    control_plane::fuzzing::frames(bytes);
}

/// Reads `bytes` as a snapshot file and as records of the databases. Panics if accepted data reads
/// differently once written again.
pub fn snapshot_file(bytes: &[u8]) {
    control_plane::fuzzing::snapshot(bytes);
    control_plane::fuzzing::record(bytes);
}
