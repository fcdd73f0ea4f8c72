//! Errors of making a key.

/// Reasons for which a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither a passphrase nor a key file.
    #[error("a key needs a passphrase, a key file, or both")]
    Missing,
    /// A passphrase without a character.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// A passphrase beyond the bound.
    #[error("the passphrase is longer than {max_bytes} bytes")]
    PassphraseTooLong {
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// A key file outside the bounds.
    #[error("the key file has {len_bytes} bytes; {min_bytes} to {max_bytes} are allowed")]
    KeyFileLength {
        /// Length of the file in bytes.
        len_bytes: usize,
        /// The least length in bytes.
        min_bytes: usize,
        /// The greatest length in bytes.
        max_bytes: usize,
    },
}

impl KeyError {
    /// Returns a stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        "invalid_key"
    }
}
