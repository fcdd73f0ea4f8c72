//! The structure of a JPEG file, and the file in the form for the decoder.

use std::borrow::Cow;
use std::ops::Range;

use super::segments::{
    END_OF_IMAGE, Frame, HUFFMAN_TABLES, NUMBER_OF_LINES, RESTART_INTERVAL, START_OF_IMAGE, START_OF_SCAN,
    leading_fill, restarts, segments,
};
use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;
use crate::codec::jpeg::error::{damaged_by, unsupported};

/// The structure of a file.
#[derive(Debug)]
pub(super) struct Layout {
    /// The frame with the effective height.
    pub(super) frame: Frame,
    /// True if all components come in one scan, so that no coefficients are kept.
    pub(super) is_one_scan: bool,
    is_height_patched: bool,
    /// Ranges to hide from the decoder, in the order of the file.
    cuts: Vec<Range<usize>>,
    /// From the start-of-image marker to the end-of-image marker; `None` without the latter.
    image: Option<Range<usize>>,
}

impl Layout {
    /// Reads the segments of `file` to the end.
    ///
    /// # Errors
    ///
    /// [`ImageError::Truncated`] without a frame header; [`ImageError::Unsupported`] for features read
    /// differently by the decoder and libjpeg.
    pub(super) fn of(file: &[u8]) -> Result<Self, ImageError> {
        let start = leading_fill(file);
        let mut frame: Option<Frame> = None;
        let (mut first_scan, mut lines, mut image, mut has_huffman) = (None, None, None, false);
        let mut cuts = Vec::new();
        for segment in segments(file) {
            match segment.marker {
                START_OF_IMAGE => cuts.push(segment.at..segment.end()),
                // An application's data or a comment.
                0xE0..=0xEF | 0xFE if segment.len < 2 => cuts.push(segment.at..segment.end()),
                NUMBER_OF_LINES => {
                    if let (&[high, low], None) = (segment.data, lines) {
                        lines = Some(u16::from_be_bytes([high, low]));
                    }
                    cuts.push(segment.at..segment.end());
                }
                START_OF_SCAN if first_scan.is_none() => {
                    first_scan = Some(segment.data.first().copied().unwrap_or(0))
                }
                END_OF_IMAGE => image = Some(start..segment.end()),
                _ => {
                    has_huffman |= segment.marker == HUFFMAN_TABLES && first_scan.is_none();
                    frame = frame.or_else(|| Frame::of(&segment));
                }
            }
        }
        let mut frame = frame.ok_or(ImageError::Truncated { format: ImageFormat::Jpeg })?;
        let is_height_patched = frame.height == 0 && lines.is_some();
        if is_height_patched {
            frame.height = lines.unwrap_or(0);
        }
        if frame.width == 0 || frame.height == 0 {
            return Err(damaged_by("it has no pixels"));
        }
        check_kind(&frame, has_huffman)?;
        let components = frame.components.len();
        let is_one_scan = matches!(frame.marker, 0xC0 | 0xC1 | 0xC9)
            && first_scan.is_some_and(|count| usize::from(count) == components);
        Ok(Self { frame, is_one_scan, is_height_patched, cuts, image })
    }

    /// Returns the image in the form for the decoder: a part of `file`, or a copy without the parts that the
    /// decoder refuses and libjpeg accepts.
    ///
    /// # Errors
    ///
    /// [`ImageError::Truncated`] if the end-of-image marker is missing.
    pub(super) fn image<'a>(&self, file: &'a [u8]) -> Result<Cow<'a, [u8]>, ImageError> {
        let image = self.image.clone().ok_or(ImageError::Truncated { format: ImageFormat::Jpeg })?;
        if self.cuts.is_empty() {
            return Ok(Cow::Borrowed(&file[image]));
        }
        let mut copy = Vec::with_capacity(image.len());
        let mut at = image.start;
        for cut in &self.cuts {
            copy.extend_from_slice(&file[at..cut.start.max(at)]);
            at = cut.end.min(image.end);
        }
        copy.extend_from_slice(&file[at..image.end]);
        if self.is_height_patched {
            let before: usize =
                self.cuts.iter().filter(|cut| cut.end <= self.frame.height_at).map(Range::len).sum();
            let height_at = self.frame.height_at - image.start - before;
            copy[height_at..height_at + 2].copy_from_slice(&self.frame.height.to_be_bytes());
        }
        Ok(Cow::Owned(copy))
    }

    /// Returns the number of bytes of the copy made by [`Layout::image`].
    pub(super) fn copied_bytes(&self) -> u64 {
        let len = self.image.as_ref().map_or(0, ExactSizeIterator::len);
        if self.cuts.is_empty() { 0 } else { len as u64 }
    }

    /// Refuses a file with missing restart markers. libjpeg goes on at the next marker and shows a grey
    /// stripe.
    ///
    /// # Errors
    ///
    /// [`ImageError::Unsupported`], with the first missing marker.
    pub(super) fn check_restarts(&self, file: &[u8]) -> Result<(), ImageError> {
        let mut interval = 0;
        for segment in segments(file) {
            match (segment.marker, segment.data) {
                (RESTART_INTERVAL, &[high, low]) => interval = u64::from(u16::from_be_bytes([high, low])),
                (START_OF_SCAN, data) if interval > 0 => {
                    let count = usize::from(data.first().copied().unwrap_or(0));
                    let ids: Vec<u8> = data.iter().skip(1).step_by(2).take(count).copied().collect();
                    let expected = self.frame.mcus(&ids).div_ceil(interval) - 1;
                    let mut found = restarts(file, segment.end());
                    let missing = (0..expected).find(|i| found.next() != Some((i % 8) as u8));
                    if let Some(missing) = missing {
                        return Err(unsupported(format!(
                            "a JPEG with a restart marker missing (RST{} of interval {missing})",
                            missing % 8
                        )));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Refuses, by name, features that neither libjpeg-turbo nor browsers read.
fn check_kind(frame: &Frame, has_huffman: bool) -> Result<(), ImageError> {
    let refused = match (frame.marker, frame.precision, frame.components.len()) {
        (0xC3 | 0xCB, ..) => format!("a lossless JPEG (SOF{})", frame.marker & 15),
        (0xC5..=0xC7 | 0xCD..=0xCF, ..) => format!("a hierarchical JPEG (SOF{})", frame.marker & 15),
        (_, bits, _) if bits != 8 => format!("a JPEG with {bits} bits per sample"),
        (_, _, count) if !matches!(count, 1 | 3 | 4) => format!("a JPEG with {count} components"),
        (0xC9..=0xCB, ..) if has_huffman => {
            "a JPEG that claims arithmetic coding and has tables for Huffman coding".to_owned()
        }
        (.., 3 | 4) if is_chroma_finer(frame) => {
            "a JPEG whose chroma has more samples than its luma".to_owned()
        }
        _ => {
            let is_legal = |&(_, h, v): &(u8, u8, u8)| (1..=4).contains(&h) && (1..=4).contains(&v);
            let legal = frame.components.iter().all(is_legal);
            return if legal { Ok(()) } else { Err(damaged_by("its sampling factors are impossible")) };
        }
    };
    Err(unsupported(refused))
}

/// True if a component has more samples than the first component in a direction. The decoder does not scale
/// luma up.
fn is_chroma_finer(frame: &Frame) -> bool {
    let (_, h, v) = frame.components[0];
    frame.components.iter().any(|each| each.1 > h || each.2 > v)
}
