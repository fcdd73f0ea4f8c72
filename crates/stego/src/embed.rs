//! Embedding: a secret into a cover, verified before the result is returned.
//!
//! The mode's container packs the secret, its carrier plans the changes, and a codec writes them in one of
//! three ways: into the first rows of a prepared cover, into the first rows of a sent PNG, or into an image
//! encoded as a whole. Every result is read back.

pub(crate) mod error;
pub(crate) mod options;
pub(crate) mod sealed;
pub(crate) mod stego_image;

use crate::bits::BitsPerSample;
use crate::carrier::{Capacity, Carrier, OpenCarrier};
use crate::codec::cover::Cover;
use crate::codec::decode::probe;
use crate::codec::error::ImageError;
use crate::codec::format::{ImageFormat, MetadataPolicy};
use crate::codec::guard::guarded;
use crate::codec::info::ImageInfo;
use crate::codec::parts::Part;
use crate::codec::png::encode::encode_png;
use crate::codec::png::splice::prepared::PreparedCover;
use crate::codec::png::splice::sent::SentPng;
use crate::container::find::read_back;
use crate::container::open::Packed;
use crate::container::packing::pack_to_fit;
use crate::embed::error::EmbedError;
use crate::embed::options::{EmbedOptions, OutputFormat, Verify};
use crate::embed::stego_image::{EmbedReport, StegoImage};
use crate::extract::error::ExtractError;
use crate::extract::found::Extracted;
use crate::file::ImageFile;
use crate::limits::Limits;
use crate::note::Note;
use crate::quality;
use crate::secret::Secret;
use crate::watch::Stopped;

/// A cover in one of the accepted forms.
#[derive(Debug, Clone, Copy)]
pub enum CoverInput<'c> {
    /// Samples in memory. The stego image is encoded as a whole.
    Decoded(&'c Cover),
    /// A file. Unchanged parts are kept where possible.
    File(ImageFile<'c>),
    /// A cover filtered and deflated before. Unchanged parts are kept; the treatment of metadata is fixed by
    /// the preparation, not by the options.
    Prepared(&'c PreparedCover),
}

impl<'c> From<&'c Cover> for CoverInput<'c> {
    fn from(cover: &'c Cover) -> Self {
        Self::Decoded(cover)
    }
}

impl<'c> From<ImageFile<'c>> for CoverInput<'c> {
    fn from(file: ImageFile<'c>) -> Self {
        Self::File(file)
    }
}

impl<'c> From<&ImageFile<'c>> for CoverInput<'c> {
    fn from(file: &ImageFile<'c>) -> Self {
        Self::File(*file)
    }
}

impl<'c> From<&'c PreparedCover> for CoverInput<'c> {
    fn from(cover: &'c PreparedCover) -> Self {
        Self::Prepared(cover)
    }
}

/// Hides `secret` in a copy of `cover`, at the least cost for the kind of cover. The rows with the payload
/// are read back before the image is returned, and give `secret` again.
///
/// # Errors
///
/// [`EmbedError::Image`] if the cover is an unreadable file; other variants if the secret does not fit or is
/// too long, or if the watch in `limits` ends the work. [`EmbedError::NotVerified`] is a defect of this
/// program.
pub fn embed<'c>(
    cover: impl Into<CoverInput<'c>>,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<StegoImage<'c>, EmbedError> {
    let OutputFormat::Png = options.output;
    let cover = cover.into();
    match (&options.seal, options.mode.is_keyed()) {
        (Some(seal), true) => return sealed::embed(cover, secret, (seal, options), limits),
        (Some(_), false) => return Err(EmbedError::Options("an open mode takes no key")),
        (None, true) => return Err(EmbedError::Options("a keyed mode needs a key")),
        (None, false) => {}
    }
    match cover {
        CoverInput::Decoded(cover) => encode_anew(cover, options.metadata, secret, options, limits),
        CoverInput::File(file) => match splice_file(&file, secret, options, limits)? {
            Some(spliced) => Ok(spliced),
            None => encode_anew(&file.cover(limits)?, options.metadata, secret, options, limits),
        },
        CoverInput::Prepared(prepared) => splice_prepared(prepared, secret, options, limits),
    }
}

/// Encodes all rows of `cover` as a whole.
fn encode_anew(
    cover: &Cover,
    metadata: MetadataPolicy,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<StegoImage<'static>, EmbedError> {
    let carrier = open_carrier(options)?;
    let capacity = carrier.capacity(cover);
    let payload = pack_to_fit(secret, capacity, options, limits)?;
    let mut changes = carrier.plan(cover, &payload);
    let png = encode_png(cover, metadata, &limits.watch, &mut *changes)?;
    let found = probe(&png, limits).map_err(ExtractError::from);
    verify(found.and_then(|info| read_back(&png, &info, limits)), secret)?;

    let notes = notes_on_cover(cover, metadata);
    let about = (&cover.info(), capacity, carrier as &dyn Carrier);
    let report = report(about, (&payload).into(), changes.squared_error(), false, notes);
    Ok(StegoImage { parts: vec![Part::New(png)], report })
}

fn open_carrier(options: &EmbedOptions) -> Result<&'static dyn OpenCarrier, EmbedError> {
    options.mode.open_carrier().ok_or(EmbedError::Options("a keyed mode needs a key"))
}

/// Writes the first rows of a prepared cover; the other rows are kept.
fn splice_prepared<'c>(
    prepared: &'c PreparedCover,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<StegoImage<'c>, EmbedError> {
    let Some(payload) = PreparedPayload::pack(prepared, secret, options, limits)? else {
        return encode_anew(prepared.cover(), prepared.policy(), secret, options, limits);
    };
    let image = payload.splice(limits)?;
    let head = image.parts.first().map_or(&[][..], Part::as_bytes);
    verify(read_back(head, &prepared.cover().info(), limits), secret)?;
    Ok(image)
}

/// A payload for a prepared cover, packed and not yet carried. Only measurements take the two steps apart.
#[doc(hidden)]
#[derive(Debug)]
pub struct PreparedPayload<'c> {
    prepared: &'c PreparedCover,
    options: EmbedOptions,
    payload: Packed,
}

impl<'c> PreparedPayload<'c> {
    /// Packs `secret`; `None` in a mode that changes more than the first rows.
    ///
    /// # Errors
    ///
    /// The errors of [`embed`] for a secret that does not fit.
    pub fn pack(
        prepared: &'c PreparedCover,
        secret: &Secret<'_>,
        options: &EmbedOptions,
        limits: &Limits,
    ) -> Result<Option<Self>, EmbedError> {
        if open_carrier(options)?.top_down().is_none() {
            return Ok(None);
        }
        let payload = pack_to_fit(secret, prepared.capacity(options.mode), options, limits)?;
        Ok(Some(Self { prepared, options: options.clone(), payload }))
    }

    /// Carries the payload. Nothing is read back.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Stopped`] if the limits' watch ends the work.
    pub fn splice(&self, limits: &Limits) -> Result<StegoImage<'c>, EmbedError> {
        let (prepared, payload) = (self.prepared, &self.payload);
        let cover = prepared.cover();
        let carrier = open_carrier(&self.options)?;
        let rows = carrier.top_down().map_or(cover.height() as usize, |top| top.rows(cover, payload));
        debug_assert!(rows <= cover.height() as usize, "no more rows change than there are");
        let mut changes = carrier.plan(cover, payload);
        let parts = prepared.write(rows, &mut *changes, &limits.watch)?;
        let notes = notes_on_cover(cover, prepared.policy());
        let about = (&cover.info(), prepared.capacity(self.options.mode), carrier as &dyn Carrier);
        let report = report(about, payload.into(), changes.squared_error(), true, notes);
        Ok(StegoImage { parts, report })
    }
}

/// Writes the first rows of a sent PNG, at the cost of the payload, of one check of the file's checksums and,
/// with [`Verify::File`], of inflating the file once. `None` if not possible: the file is not a PNG, stores
/// its samples in another way than stego images do (palette, few bits, interlaced, transparent colours,
/// animation), the payload covers much of it, or the file is damaged. The caller then decodes the file, which
/// succeeds or reports the damage.
fn splice_file<'f>(
    file: &ImageFile<'f>,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<Option<StegoImage<'f>>, EmbedError> {
    if file.info().format != ImageFormat::Png {
        return Ok(None);
    }
    guarded(ImageFormat::Png, || try_splice_file(file, secret, options, limits))
}

fn try_splice_file<'f>(
    file: &ImageFile<'f>,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<Option<StegoImage<'f>>, EmbedError> {
    let (info, watch, carrier) = (file.info(), &limits.watch, open_carrier(options)?);
    let Some(top) = carrier.top_down() else { return Ok(None) };
    info.check_memory(info.embed_memory_bytes(0), limits)?;
    let Some(sent) = SentPng::open(file.bytes(), info, options.metadata, watch)? else { return Ok(None) };
    let capacity = match top.capacity_of_png(file.bytes(), info, limits) {
        Err(ImageError::Damaged { .. } | ImageError::Truncated { .. }) => return Ok(None),
        capacity => capacity?,
    };
    let payload = pack_to_fit(secret, capacity, options, limits)?;
    if !sent.is_worth_keeping(top.min_rows(info, &payload)) {
        return Ok(None);
    }
    let mut changes = top.plan_rows(info, &payload);
    let Some(written) = sent.write(&mut *changes, watch)? else { return Ok(None) };
    match read_back(&written.beginning(), info, limits) {
        // Compressed pixels that do not decode, under checksums that hold.
        Err(ExtractError::Image(ImageError::Damaged { .. })) => return Ok(None),
        found => verify(found, secret)?,
    }
    if options.verify == Verify::File && !sent.is_sound(file.checked_pixels(), watch)? {
        return Ok(None);
    }
    let notes = notes_on_metadata(sent.tells_location(), sent.dropped_metadata(), options.metadata).collect();
    let about = (info, capacity, carrier as &dyn Carrier);
    let report = report(about, (&payload).into(), changes.squared_error(), true, notes);
    Ok(Some(StegoImage { parts: written.parts, report }))
}

/// Figures of a payload.
#[derive(Clone, Copy)]
struct PayloadFigures {
    bits: BitsPerSample,
    len_bytes: u64,
    is_nameless: bool,
}

impl From<&Packed> for PayloadFigures {
    fn from(payload: &Packed) -> Self {
        Self { bits: payload.bits, len_bytes: payload.len_bytes(), is_nameless: payload.is_nameless }
    }
}

/// Returns the figures of a stego image; `notes` are the notes on the cover.
fn report(
    (info, capacity, carrier): (&ImageInfo, Capacity, &dyn Carrier),
    payload: PayloadFigures,
    squared_error: u64,
    is_spliced: bool,
    notes: Vec<Note>,
) -> EmbedReport {
    let of_mode = carrier.note().into_iter().chain(is_spliced.then_some(Note::ShowsItsMaker));
    let of_payload = payload.is_nameless.then_some(Note::NameLeftOut);
    let mse = squared_error as f64 / capacity.carrying_samples() as f64;
    EmbedReport {
        info: *info,
        bits: payload.bits,
        capacity_bytes: capacity.secret_bytes(payload.bits),
        payload_bytes: payload.len_bytes,
        psnr_db: quality::psnr_db_at(mse, info.depth),
        notes: of_mode.chain(of_payload).chain(notes).collect(),
    }
}

fn notes_on_cover(cover: &Cover, policy: MetadataPolicy) -> Vec<Note> {
    let first_frame = cover.is_first_frame().then_some(Note::FirstFrameOnly);
    let on_metadata = notes_on_metadata(cover.tells_location(), cover.dropped_metadata(), policy);
    first_frame.into_iter().chain(on_metadata).collect()
}

/// Notes on the metadata of a cover, of which `dropped` cannot be kept.
fn notes_on_metadata(
    tells_location: bool,
    dropped: &[String],
    policy: MetadataPolicy,
) -> impl Iterator<Item = Note> {
    let keeps = policy == MetadataPolicy::Keep;
    let location = (keeps && tells_location).then_some(Note::LocationKept);
    let left_out = (keeps && !dropped.is_empty()).then(|| Note::MetadataLeftOut(dropped.to_vec()));
    location.into_iter().chain(left_out)
}

/// Compares the secret read back with `secret`.
fn verify(found: Result<Extracted, ExtractError>, secret: &Secret<'_>) -> Result<(), EmbedError> {
    match found {
        Ok(found) if found.secret == secret.bytes && found.mark == secret.mark => Ok(()),
        Ok(_) => Err(EmbedError::NotVerified { source: None }),
        Err(error) if error.code() == Stopped::CODE => Err(Stopped.into()),
        Err(error) => Err(EmbedError::NotVerified { source: Some(error) }),
    }
}
