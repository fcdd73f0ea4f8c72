//! Embedding: a secret into a cover, verified before it is given out.

use crate::bits::BitsPerSample;
use crate::carrier::sequential::{Capacity, SampleWriter};
use crate::codec::cover::Cover;
use crate::codec::format::MetadataPolicy;
use crate::codec::png::encode::encode_png;
use crate::container::error::ContainerError;
use crate::container::open::{Content, HEADER_LEN_BYTES, Packed, pack};
use crate::extract::{ExtractError, Extracted, read_back};
use crate::limits::Limits;
use crate::note::Note;
use crate::quality;
use crate::secret::Secret;
use crate::watch::Stopped;

/// Extent of the check of a stego image before it is given out, where parts of the cover's file are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verify {
    /// The whole file: what is kept is inflated to its end. A cover whose pixels are all there but whose file is not what libpng
    /// expects is encoded anew.
    #[default]
    File,
    /// The rows with the payload; what follows them is taken on trust.
    Payload,
}

/// How to embed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbedOptions {
    /// Bits per sample of everything after the container's header.
    pub bits: BitsPerSample,
    /// Whether to deflate secrets that get shorter by it.
    pub compress: bool,
    /// What becomes of the metadata in the cover's file.
    pub metadata: MetadataPolicy,
    /// Extent of the check before the stego image is given out.
    pub verify: Verify,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            bits: BitsPerSample::ONE,
            compress: true,
            metadata: MetadataPolicy::Keep,
            verify: Verify::File,
        }
    }
}

/// A stego image and the figures about it.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The stego image, a PNG of the cover's size and kind.
    pub png: Vec<u8>,
    /// The longest secret in bytes that the cover carries at these bits per sample.
    pub capacity_bytes: u64,
    /// Length of the container in bytes: header, name, mark and content.
    pub payload_bytes: u64,
    /// Peak signal-to-noise ratio of the stego image against the cover over all samples that may carry, in
    /// decibels; infinite if no sample changed.
    pub psnr_db: f64,
    /// What the user should know.
    pub notes: Vec<Note>,
}

/// Why nothing was embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The secret is longer than what the cover carries.
    #[error(
        "the secret needs {needed_bytes} bytes of the image, after compression; it has {available_bytes}"
    )]
    CapacityExceeded {
        /// Bytes that the content (and mark) take, compressed where that helps.
        needed_bytes: u64,
        /// Bytes that the cover has for them.
        available_bytes: u64,
    },
    /// The image is too small for a container's header.
    #[error("the image is too small to carry anything: it needs at least 224 samples that may carry")]
    CoverTooSmall,
    /// The secret cannot be put into a container, such as one that is longer than allowed.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// What was written did not read back as what was given: a defect of this program.
    #[error("the stego image did not give the secret back")]
    NotVerified {
        /// How reading it back failed, if it did not give other bytes.
        #[source]
        source: Option<ExtractError>,
    },
    /// The work was ended from outside.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl EmbedError {
    /// A stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CapacityExceeded { .. } | Self::CoverTooSmall => "capacity_exceeded",
            Self::Container(error) => error.code(),
            Self::NotVerified { .. } => "internal",
            Self::Stopped(_) => Stopped::CODE,
        }
    }
}

/// Hides `secret` in a copy of `cover`. The image is read back before it is returned: what is returned gives
/// `secret` again.
pub fn embed(
    cover: &Cover,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<Embedded, EmbedError> {
    let capacity = Capacity::of(cover);
    let mut notes = vec![Note::NotHiddenFromAnalysis];
    let packed = pack_to_fit(capacity, secret, options, limits, &mut notes)?;

    let mut writer = SampleWriter::new(&cover.info(), &packed.header, &packed.rest, options.bits);
    let png = encode_png(cover, options.metadata, &limits.watch, |rows| writer.write(rows))?;
    let mse = writer.squared_error() as f64 / capacity.carrying_samples() as f64;
    verify(read_back(&png, limits), secret)?;

    notes.extend(notes_on_cover(cover, options.metadata));
    Ok(Embedded {
        png,
        capacity_bytes: capacity.secret_bytes(options.bits),
        payload_bytes: (HEADER_LEN_BYTES + packed.rest.len()) as u64,
        psnr_db: quality::psnr_db_at(mse, cover.depth()),
        notes,
    })
}

pub(crate) fn notes_on_cover(cover: &Cover, policy: MetadataPolicy) -> Vec<Note> {
    let mut notes = Vec::new();
    if cover.is_first_frame() {
        notes.push(Note::FirstFrameOnly);
    }
    notes.extend(notes_on_metadata(cover.tells_location(), cover.dropped_metadata(), policy));
    notes
}

/// What became of a cover's metadata, of which `dropped` cannot be kept.
pub(crate) fn notes_on_metadata(
    tells_location: bool,
    dropped: &[String],
    policy: MetadataPolicy,
) -> impl Iterator<Item = Note> {
    let keeps = policy == MetadataPolicy::Keep;
    let location = (keeps && tells_location).then_some(Note::LocationKept);
    let left_out = (keeps && !dropped.is_empty()).then(|| Note::MetadataLeftOut(dropped.to_vec()));
    location.into_iter().chain(left_out)
}

/// The container, without the secret's name where only that makes it fit.
pub(crate) fn pack_to_fit(
    capacity: Capacity,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
    notes: &mut Vec<Note>,
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
    notes.push(Note::NameLeftOut);
    Ok(nameless)
}

/// Whether what was read back is what was given.
pub(crate) fn verify(found: Result<Extracted, ExtractError>, secret: &Secret<'_>) -> Result<(), EmbedError> {
    match found {
        Ok(found) if found.secret == secret.bytes && found.mark == secret.mark => Ok(()),
        Ok(_) => Err(EmbedError::NotVerified { source: None }),
        Err(error) if error.code() == Stopped::CODE => Err(Stopped.into()),
        Err(error) => Err(EmbedError::NotVerified { source: Some(error) }),
    }
}
