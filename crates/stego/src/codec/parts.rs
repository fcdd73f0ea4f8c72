//! A file in parts.

/// A part of a file that keeps bytes of another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'k> {
    /// Bytes newly written.
    New(Vec<u8>),
    /// Bytes kept from the other file.
    Kept(&'k [u8]),
}

impl Part<'_> {
    /// Returns the bytes of the part.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::New(bytes) => bytes,
            Self::Kept(bytes) => bytes,
        }
    }
}

/// Returns the first `len` bytes of a file in parts, or all bytes of a shorter file.
pub(crate) fn beginning(parts: &[Part<'_>], len: usize) -> Vec<u8> {
    let mut file = Vec::with_capacity(len);
    for part in parts {
        let bytes = part.as_bytes();
        file.extend_from_slice(&bytes[..bytes.len().min(len - file.len())]);
    }
    debug_assert!(file.len() <= len, "no more is copied than was asked for");
    file
}
