//! The result of an extraction.

use crate::bits::BitsPerSample;
use crate::container::error::ContainerVersion;
use crate::note::Note;
use crate::secret::{FileName, MarkId, MediaType};

/// Secret and description carried by an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The secret, bit for bit.
    pub secret: Vec<u8>,
    /// File name, safe to create in a folder.
    pub name: Option<FileName>,
    /// Media type of the secret.
    pub media_type: Option<MediaType>,
    /// Mark that distinguishes this copy from others.
    pub mark: Option<MarkId>,
    /// Version of the container.
    pub container: ContainerVersion,
    /// Bits per sample of everything after the container's header.
    pub bits: BitsPerSample,
    /// True if the secret was carried deflated.
    pub deflated: bool,
    /// Length of the container in bytes.
    pub payload_bytes: u64,
    /// Advice to the user.
    pub notes: Vec<Note>,
}
