//! The decoder's view of a PNG: the chunks that make the pixels, in a file with possibly wrong other chunks.
//!
//! libpng and browsers ignore damaged, misplaced or repeated ancillary chunks; a decoder that reads all of
//! them refuses files for reasons that do not matter to the pixels.

use std::io::{BufRead, Error, Read, Result, Seek, SeekFrom};

use super::chunks::Transparency;
use crate::codec::png::stored::{SIGNATURE, Stored};
use crate::codec::source::Source;
use crate::watch::Watch;

/// Length, type and checksum of a chunk.
const FRAME_LEN_BYTES: usize = 12;
/// A correct IEND chunk (11.2.5).
const END: [u8; FRAME_LEN_BYTES] = *b"\0\0\0\0IEND\xAE\x42\x60\x82";

/// A reader of the chunks needed for the pixels, which passes over the others.
pub(super) struct NeededChunks<'a> {
    source: Source<'a>,
    file: &'a [u8],
    /// The end of the passed-on data, up to which `source` reads.
    passed_to: usize,
    transparency: Transparency,
    /// A still image is whole where an animation's further frames are cut off.
    animated: bool,
    has_pixels: bool,
    /// Bytes of [`END`] read in place of the file's own IEND; `None` before the IEND chunk.
    end: Option<usize>,
}

impl<'a> NeededChunks<'a> {
    /// Reads a file that begins with the signature. `animated` is the result of [`super::header::stored`].
    pub(super) fn new(file: &'a [u8], stored: Stored, animated: bool, watch: &'a Watch) -> Self {
        Self {
            source: Source::new(file, watch),
            file,
            passed_to: SIGNATURE.len(),
            transparency: Transparency::new(stored.colour),
            animated,
            has_pixels: false,
            end: None,
        }
    }

    /// Advances to the next needed chunk. The present part of a truncated chunk is needed: the decoder then
    /// reports the error.
    fn advance(&mut self) -> Result<()> {
        let mut at = self.passed_to;
        loop {
            let header = self.file.get(at..).and_then(|rest| rest.first_chunk::<8>());
            let Some(&[l0, l1, l2, l3, ref kind @ ..]) = header else { return self.cut_off(at) };
            let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
            let next = at.saturating_add(len).saturating_add(FRAME_LEN_BYTES);
            let data = self.file.get(at + 8..at.saturating_add(8).saturating_add(len));
            let crc = self.file.get(next.saturating_sub(4)..).and_then(|rest| rest.first_chunk::<4>());
            let is_sound = || {
                let typed = self.file.get(at + 4..next.saturating_sub(4)).unwrap_or_default();
                crc.is_some_and(|crc| u32::from_be_bytes(*crc) == crc32fast::hash(typed))
            };
            let is_needed = match kind {
                b"IEND" => {
                    if len > 0 && crc.is_some() {
                        self.end = Some(0);
                        return Ok(());
                    }
                    true
                }
                b"tRNS" => data.is_some_and(|data| is_sound() && self.transparency.accept(kind, data)),
                b"PLTE" => {
                    data.is_some_and(|data| self.transparency.accept(kind, data))
                        && self.transparency.is_palette()
                }
                b"IDAT" => {
                    self.has_pixels = true;
                    self.transparency.end();
                    true
                }
                // Critical ones, known and unknown, are the decoder's to judge (5.4).
                _ => !kind[0].is_ascii_lowercase(),
            };
            if is_needed {
                self.source.seek(SeekFrom::Start(at as u64))?;
                self.passed_to = next.min(self.file.len());
                return Ok(());
            }
            if next > self.file.len() {
                return self.cut_off(at);
            }
            at = next;
        }
    }

    fn cut_off(&mut self, at: usize) -> Result<()> {
        if self.animated && self.has_pixels {
            self.end = Some(0);
            return Ok(());
        }
        self.source.seek(SeekFrom::Start(at.max(self.file.len()) as u64))?;
        self.passed_to = self.file.len();
        Ok(())
    }
}

impl BufRead for NeededChunks<'_> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if self.end.is_none() && self.source.position() >= self.passed_to {
            self.advance()?;
        }
        if let Some(read) = self.end {
            return Ok(END.get(read..).unwrap_or_default());
        }
        let left = self.passed_to - self.source.position().min(self.passed_to);
        let window = self.source.fill_buf()?;
        Ok(&window[..window.len().min(left)])
    }

    fn consume(&mut self, len: usize) {
        match &mut self.end {
            Some(read) => *read += len,
            None => self.source.consume(len),
        }
    }
}

impl Read for NeededChunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let window = self.fill_buf()?;
        let len = window.len().min(buffer.len());
        buffer[..len].copy_from_slice(&window[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl Seek for NeededChunks<'_> {
    /// The decoder asks for the position in its bounds and reads straight on.
    fn seek(&mut self, _: SeekFrom) -> Result<u64> {
        Err(Error::new(std::io::ErrorKind::Unsupported, "chunks are read in their order"))
    }
}
