//! Doors for the fuzz targets: each takes any bytes and panics where what must hold does not.
//!
//! Compiled with the feature `fuzzing` only.

/// `bytes` as an upload: a byte with flags, a byte with the length of the pieces it arrives in, and the body of boundary
/// `B`, before which comes a line with the content type if bit 0 of the flags is set. The rest is also what a form
/// that is well formed holds.
pub fn multipart(bytes: &[u8]) {
    crate::http::check_upload(bytes);
}

/// `bytes` as the layers of a configuration, parted by lines of `===`: the file, variables of the environment, and
/// pairs of `--set`, one a line.
pub fn configuration(bytes: &[u8]) {
    crate::config::check_configuration(bytes);
}
