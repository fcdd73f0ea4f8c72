//! Calls into third-party decoders, with panics converted to errors.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`, which decodes a file of `format`.
///
/// # Errors
///
/// Errors of `call`; [`ImageError::DecoderPanicked`] if `call` panics.
pub(crate) fn guarded<T, E: From<ImageError>>(
    format: ImageFormat,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let was_guarded = IS_GUARDED.replace(true);
    // What a panic leaves behind half done is dropped with the call: nothing that outlives it is changed by
    // decoders.
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(was_guarded);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let message = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(ImageError::DecoderPanicked { format, message: message.unwrap_or_default() }.into())
    })
}

/// Keeps the panic hook of the process silent about panicking decoders, which [`ImageError::DecoderPanicked`]
/// reports. Programs call this function once, at the start and after setting any custom hook.
pub fn silence_decoder_panics() {
    let hook = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_GUARDED.get() {
            hook(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        silence_decoder_panics();
        let outcome: Result<(), ImageError> = guarded(ImageFormat::Tiff, || panic!("tile {} is odd", 3));
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), "unsupported_image");
        assert!(error.to_string().contains("TIFF"), "{error}");
        let ImageError::DecoderPanicked { message, .. } = error else { panic!("{error:?}") };
        assert_eq!(message, "tile 3 is odd");
        assert!(!IS_GUARDED.get());
        assert_eq!(guarded(ImageFormat::Tiff, || Ok::<_, ImageError>(1)).unwrap(), 1);
    }
}
