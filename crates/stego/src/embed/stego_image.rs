//! The result of an embed.

use crate::bits::BitsPerSample;
use crate::codec::info::ImageInfo;
use crate::codec::parts::{Part, beginning};
use crate::note::Note;

/// A stego image, in parts to be sent in order, and its figures.
#[derive(Debug, Clone)]
pub struct StegoImage<'c> {
    /// The file: new bytes, and unchanged bytes of the cover.
    pub parts: Vec<Part<'c>>,
    /// The figures.
    pub report: EmbedReport,
}

/// Figures about a stego image.
#[derive(Debug, Clone)]
pub struct EmbedReport {
    /// Size and kind of cover and stego image.
    pub info: ImageInfo,
    /// Bits per sample of everything after the container's header.
    pub bits: BitsPerSample,
    /// Length in bytes of the longest secret that the cover carries at the bits per sample used.
    pub capacity_bytes: u64,
    /// Length of the container in bytes: header, name, mark and content.
    pub payload_bytes: u64,
    /// Peak signal-to-noise ratio of the stego image against the cover over all samples that may carry, in
    /// decibels; infinite if no sample changed.
    pub psnr_db: f64,
    /// Advice to the user.
    pub notes: Vec<Note>,
}

impl EmbedReport {
    /// Returns the length in bytes of the longest secret that the notes say is safe: 0 for a cover that gives
    /// away or is known. `None` if nothing is known against the cover.
    pub fn safe_capacity_bytes(&self) -> Option<u64> {
        let is_unsafe = |note: &Note| matches!(note, Note::CoverGivesAway(_) | Note::CoverIsKnown);
        self.notes.iter().any(is_unsafe).then_some(0)
    }
}

impl StegoImage<'_> {
    /// Returns the length of the file in bytes.
    pub fn len_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.as_bytes().len()).sum()
    }

    /// True if parts of the cover are kept unchanged.
    pub fn is_spliced(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Kept(_)))
    }

    /// Returns the file in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        beginning(&self.parts, self.len_bytes())
    }

    /// Returns the file in one piece, without a copy if written as a whole.
    pub fn into_vec(mut self) -> Vec<u8> {
        match self.parts.as_mut_slice() {
            [Part::New(bytes)] => std::mem::take(bytes),
            _ => self.to_vec(),
        }
    }
}
