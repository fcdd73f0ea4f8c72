//! Entry points of the fuzz targets: each takes any bytes and panics if an invariant is broken.
//!
//! Compiled with the feature `fuzzing` only.

/// Checks `bytes` as an upload: a byte of flags, a byte with the length of the pieces, and a body with
/// boundary `B`, preceded by a line with the content type if bit 0 of the flags is set. The rest is also sent
/// as the content of a well-formed form.
pub fn multipart(bytes: &[u8]) {
    crate::http::check_upload(bytes);
}

/// Checks `bytes` as the layers of a configuration, separated by lines of `===`: the file, environment
/// variables, and pairs of `--set`, one per line.
pub fn configuration(bytes: &[u8]) {
    crate::config::check_configuration(bytes);
}
