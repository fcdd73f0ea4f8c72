//! A secret into the container of the mode, so that it fits.

use crate::carrier::Capacity;
use crate::container::open::{Content, Packed, pack};
use crate::container::sealed::PlainBody;
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

/// Packs `secret` for the sealed layout, for a cover with room for `capacity` and for a body of `room_bytes`,
/// without the name if only then it fits.
///
/// # Errors
///
/// [`EmbedError::TooFewSamples`] and [`EmbedError::CapacityExceeded`] if the secret does not fit;
/// [`EmbedError::Container`] if the secret is longer than `limits` allow.
pub(crate) fn pack_to_fit_sealed(
    secret: &Secret<'_>,
    (capacity, room_bytes): (Capacity, u64),
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<PlainBody, EmbedError> {
    if !capacity.holds_a_header() {
        return Err(EmbedError::TooFewSamples {
            needed_samples: capacity.least_samples(),
            available_samples: capacity.carrying_samples(),
        });
    }
    let available_bytes = capacity.secret_bytes(options.bits);
    let content = Content::new(secret.bytes, options.compress, available_bytes, limits)?;
    PlainBody::pack(&content, secret, room_bytes, true)
        .or_else(|_| PlainBody::pack(&content, secret, room_bytes, false))
        .map_err(|needed_bytes| EmbedError::CapacityExceeded { needed_bytes, available_bytes })
}
