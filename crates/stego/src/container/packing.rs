//! A secret into the container of the mode, so that it fits.

use crate::carrier::Capacity;
use crate::container::open::{Content, Packed, pack};
use crate::embed::error::EmbedError;
use crate::embed::options::EmbedOptions;
use crate::limits::Limits;
use crate::secret::Secret;

/// Packs `secret` for a cover with room for `capacity`, without the name if only then it fits.
///
/// # Errors
///
/// [`EmbedError::CoverTooSmall`] and [`EmbedError::CapacityExceeded`] if the secret does not fit;
/// [`EmbedError::Container`] if the secret is longer than `limits` allow.
pub(crate) fn pack_to_fit(
    secret: &Secret<'_>,
    capacity: Capacity,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<Packed, EmbedError> {
    if !capacity.holds_a_header() {
        return Err(EmbedError::CoverTooSmall);
    }
    let available_bytes = capacity.secret_bytes(options.bits);
    let content = Content::new(secret.bytes, options.compress, available_bytes, limits)?;
    let packed = pack(&content, secret, options.bits, true);
    if packed.rest.len() as u64 <= available_bytes {
        return Ok(packed);
    }
    let nameless = pack(&content, secret, options.bits, false);
    if nameless.rest.len() as u64 > available_bytes {
        return Err(EmbedError::CapacityExceeded {
            needed_bytes: nameless.rest.len() as u64,
            available_bytes,
        });
    }
    Ok(nameless)
}
