//! What the fuzz targets do with any bytes: run them through the code that reads bytes from outside, and panic where what
//! must hold does not.
//!
//! The targets of cargo-fuzz (`fuzz/fuzz_targets`) call these functions; so does the test `replay`, without a fuzzer and
//! on any compiler, with every file of `fuzz/corpus` and `fuzz/regressions`.

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
    /// Its name: that of its binary and of its folders.
    pub name: &'static str,
    /// What it does with any bytes.
    pub run: fn(&[u8]),
}

/// Every target.
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

/// Small enough that a fuzzer tries thousands of images in a second, large enough for every path.
fn limits() -> Limits {
    Limits {
        max_pixels: 1 << 20,
        max_image_memory_bytes: 64 << 20,
        max_secret_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// `bytes` as the layers of a configuration. What is accepted reads as the same once it is printed.
pub fn configuration(bytes: &[u8]) {
    server::fuzzing::configuration(bytes);
}

/// `bytes` as an upload. The pieces that it arrives in make no difference, and a file arrives as it was sent.
pub fn multipart(bytes: &[u8]) {
    server::fuzzing::multipart(bytes);
}

/// `bytes` as what comes over a connection between nodes. Nobody gets in without the secret, nothing is delivered without an
/// authenticator, and what is read as a message reads as the same once it is written again.
pub fn rpc_frames(bytes: &[u8]) {
    control_plane::fuzzing::handshake(bytes);
    control_plane::fuzzing::frames(bytes);
}

/// `bytes` as a snapshot file and as records of the databases. What is accepted reads as the same once it is written again.
pub fn snapshot_file(bytes: &[u8]) {
    control_plane::fuzzing::snapshot(bytes);
    control_plane::fuzzing::record(bytes);
}
