//! Embedding with a key: the whole image is encoded anew, in the form of other programs' images.

use super::{CoverInput, PayloadFigures, report, verify};
use crate::bits::BitsPerSample;
use crate::carrier::scattered::{Scattering, room_bytes};
use crate::carrier::{Capacity, Changes, adaptive};
use crate::codec::cover::Cover;
use crate::codec::decode::probe;
use crate::codec::format::MetadataPolicy;
use crate::codec::parts::Part;
use crate::codec::png::profile::encode_like_others;
use crate::container::packing::pack_to_fit_sealed;
use crate::container::sealed::{Coding, HEADER_LEN_BYTES, PlainBody, TAG_LEN_BYTES};
use crate::embed::error::EmbedError;
use crate::embed::options::EmbedOptions;
use crate::embed::stego_image::StegoImage;
use crate::extract::error::ExtractError;
use crate::extract::found::Extracted;
use crate::extract::sealed::SealedReading;
use crate::file::ImageFile;
use crate::key::{DerivedKey, Salt, Seal};
use crate::limits::Limits;
use crate::mode::Mode;
use crate::note::Note;
use crate::secret::Secret;

/// Hides `secret` in a copy of `cover`. The stego image is read back with the keys of the embed.
pub(super) fn embed(
    cover: CoverInput<'_>,
    secret: &Secret<'_>,
    (seal, options): (&Seal, &EmbedOptions),
    limits: &Limits,
) -> Result<StegoImage<'static>, EmbedError> {
    match cover {
        CoverInput::Decoded(cover) => encode(cover, options.metadata, secret, (seal, options), limits),
        CoverInput::Prepared(prepared) => {
            encode(prepared.cover(), prepared.policy(), secret, (seal, options), limits)
        }
        CoverInput::File(file) => {
            let needed_bytes = options.memory_bytes(file.info(), secret.bytes.len() as u64);
            file.info().check_memory(needed_bytes, limits)?;
            encode(&file.cover(limits)?, options.metadata, secret, (seal, options), limits)
        }
    }
}

fn encode(
    cover: &Cover,
    metadata: MetadataPolicy,
    secret: &Secret<'_>,
    (seal, options): (&Seal, &EmbedOptions),
    limits: &Limits,
) -> Result<StegoImage<'static>, EmbedError> {
    let (capacity, body) = packed(cover, secret, options, limits)?;
    let notes = notes_on(cover, metadata, limits)?;
    let is_nameless = body.is_nameless;
    let figures = PayloadFigures {
        bits: BitsPerSample::ONE,
        len_bytes: (Salt::LEN_BYTES + HEADER_LEN_BYTES + body.len_bytes() + TAG_LEN_BYTES) as u64,
        is_nameless,
    };
    let key = seal.derive();
    let mut changes = plan(cover, capacity, &body, (&key, options), limits)?;
    drop(body);
    let png = encode_like_others(cover, &limits.watch, &mut changes)?;
    let squared_error = changes.squared_error();
    drop(changes);
    verify(read_back(&png, &key, limits), secret)?;

    let about = (&cover.info(), capacity, options.mode.carrier());
    let report = report(about, figures, squared_error, false, notes);
    Ok(StegoImage { parts: vec![Part::New(png)], report })
}

/// Examines the cover, and names the metadata that the form of the file has no place for.
fn notes_on(cover: &Cover, metadata: MetadataPolicy, limits: &Limits) -> Result<Vec<Note>, EmbedError> {
    let give_aways = cover.give_aways_within(&limits.watch)?;
    let left_out = cover.left_out_in_common_form(metadata);
    let notes = [
        (!give_aways.is_empty()).then_some(Note::CoverGivesAway(give_aways)),
        cover.is_first_frame().then_some(Note::FirstFrameOnly),
        (!left_out.is_empty()).then_some(Note::MetadataLeftOut(left_out)),
    ];
    Ok(notes.into_iter().flatten().collect())
}

/// Packs `secret`: all that can be refused before a key is derived.
fn packed(
    cover: &Cover,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<(Capacity, PlainBody), EmbedError> {
    if options.bits != BitsPerSample::ONE {
        return Err(EmbedError::Options("a keyed mode carries one bit per sample"));
    }
    let capacity = cover.capacity(options.mode);
    let room_bytes = room_bytes(capacity.carrying_samples());
    Ok((capacity, pack_to_fit_sealed(secret, (capacity, room_bytes), options, limits)?))
}

fn plan(
    cover: &Cover,
    capacity: Capacity,
    body: &PlainBody,
    (key, options): (&DerivedKey, &EmbedOptions),
    limits: &Limits,
) -> Result<Scattering, EmbedError> {
    if options.mode == Mode::Adaptive {
        return Ok(adaptive::plan(cover, body, (key, options.height), &limits.watch)?);
    }
    let stream = body.seal(key, capacity.carrying_samples(), Coding::Scattered);
    Ok(Scattering::plan(cover, &stream, key, &limits.watch)?)
}

fn read_back(png: &[u8], key: &DerivedKey, limits: &Limits) -> Result<Extracted, ExtractError> {
    debug_assert!(probe(png, limits).is_ok(), "what was written is an image");
    SealedReading::of_file(&ImageFile::open(png, limits)?, limits)?.open(key, limits)
}

/// Samples with a sealed payload, without a file around them. Only measurements and statistics leave the file
/// out.
#[doc(hidden)]
#[derive(Debug)]
pub struct SealedSamples;

impl SealedSamples {
    /// Returns what is carried after the salt in the mode `scattered`: the header and the body, encrypted.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::embed()`] that come before the derivation of a key.
    pub fn stream(
        cover: &Cover,
        secret: &Secret<'_>,
        (key, options): (&DerivedKey, &EmbedOptions),
        limits: &Limits,
    ) -> Result<Vec<u8>, EmbedError> {
        let (capacity, body) = packed(cover, secret, options, limits)?;
        let stream = body.seal(key, capacity.carrying_samples(), Coding::Scattered);
        Ok([&stream.header[..], &stream.body].concat())
    }

    /// Embeds into `samples`, those of `cover`, which change in place. Nothing is read back.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::embed()`].
    pub fn embed(
        cover: &Cover,
        samples: &mut [u8],
        secret: &Secret<'_>,
        (key, options): (&DerivedKey, &EmbedOptions),
        limits: &Limits,
    ) -> Result<(), EmbedError> {
        let (capacity, body) = packed(cover, secret, options, limits)?;
        plan(cover, capacity, &body, (key, options), limits)?.apply(samples);
        Ok(())
    }
}
