//! The container of the earlier system: read, never written.

use super::deflate::{InflateError, inflate};
use crate::container::error::ContainerError;
use crate::limits::Limits;

pub(crate) const LEGACY_HEADER_LEN_BYTES: usize = 12;
const MAGIC: &[u8; 4] = b"STEG";

/// The earlier system's header: the end and the digest of the payload.
pub(crate) struct LegacyHeader {
    pub(crate) payload_len_bytes: u32,
    payload_crc32: u32,
}

impl LegacyHeader {
    /// `None` unless `bytes` starts with the earlier system's magic.
    pub(crate) fn parse(bytes: &[u8; LEGACY_HEADER_LEN_BYTES]) -> Option<Self> {
        let [m0, m1, m2, m3, l0, l1, l2, l3, c0, c1, c2, c3] = *bytes;
        (&[m0, m1, m2, m3] == MAGIC).then_some(Self {
            payload_len_bytes: u32::from_be_bytes([l0, l1, l2, l3]),
            payload_crc32: u32::from_be_bytes([c0, c1, c2, c3]),
        })
    }

    /// Reads the secret in `payload`, which has no length field: the limit bounds the secret.
    pub(crate) fn open(&self, payload: &[u8], limits: &Limits) -> Result<Vec<u8>, ContainerError> {
        if crc32fast::hash(payload) != self.payload_crc32 {
            return Err(ContainerError::Damaged { what: "its checksum differs" });
        }
        let max_secret_bytes = limits.max_secret_bytes;
        inflate(payload, max_secret_bytes, &limits.watch).map_err(|error| match error {
            InflateError::TooLong => ContainerError::SecretTooLarge {
                needed_bytes: max_secret_bytes.saturating_add(1),
                max_bytes: max_secret_bytes,
            },
            InflateError::Malformed | InflateError::TrailingBytes => {
                ContainerError::Damaged { what: "it does not inflate" }
            }
            InflateError::Stopped(stopped) => stopped.into(),
        })
    }
}
