//! Metadata of a file, as PNG chunks for the stego image.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::exif::Exif;
use crate::codec::format::Channels;

/// Limit of the metadata of one cover, with 64 bytes for each piece; the excess is left out. Embedded
/// pictures in maker notes take a few megabytes.
pub(super) const MAX_METADATA_BYTES: u64 = 32 << 20;
const PIECE_OVERHEAD_BYTES: u64 = 64;
/// Length of a colour profile; large ones for printers take two megabytes.
pub(super) const MAX_PROFILE_BYTES: usize = 8 << 20;
/// Of a compressed text so much is looked at.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Upper limit of listed names.
const MAX_NAMES: usize = 16;
/// The keyword of XMP in a text chunk (XMP specification, part 3, 1.1.5).
const XMP_KEYWORD: &[u8] = b"XML:com.adobe.xmp";

/// A PNG chunk: type and data.
pub(super) type Chunk = ([u8; 4], Vec<u8>);

/// Place of a chunk, as seen from the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Before,
    After,
}

/// Purpose of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Defines the meaning of the samples' colours; may not be lost.
    Colour,
    /// Says something else.
    Description,
}

#[derive(Debug, Clone)]
struct Piece {
    chunk: Chunk,
    place: Place,
    purpose: Purpose,
}

/// The chunks that a stego image takes over from the cover, and the names of the rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Metadata {
    pieces: Vec<Piece>,
    left_out: Vec<String>,
    tells_location: bool,
    held_bytes: u64,
}

impl Metadata {
    /// Takes a chunk over, unless there is too much already.
    pub(super) fn keep(&mut self, kind: [u8; 4], data: Vec<u8>, place: Place, purpose: Purpose) {
        let held_bytes = self.held_bytes + held_bytes(&data);
        if held_bytes > MAX_METADATA_BYTES {
            self.leave_out(name_of(&kind, &data));
            return;
        }
        self.held_bytes = held_bytes;
        self.pieces.push(Piece { chunk: (kind, data), place, purpose });
        debug_assert!(
            self.pieces.len() as u64 * PIECE_OVERHEAD_BYTES <= self.held_bytes,
            "each piece counts, even without data"
        );
    }

    /// Records the name of a piece of metadata not taken over.
    pub(super) fn leave_out(&mut self, name: impl Into<String>) {
        let name = name.into();
        if self.left_out.len() < MAX_NAMES && !self.left_out.contains(&name) {
            self.left_out.push(name);
        }
    }

    /// True if there is a chunk of this type.
    pub(super) fn has(&self, kind: &[u8; 4]) -> bool {
        self.pieces.iter().any(|piece| piece.chunk.0 == *kind)
    }

    /// Takes over a colour profile if it describes the samples: the profile of a CMYK file says nothing of
    /// the decoded RGB (ICC.1, 7.2.6: data colour space).
    pub(super) fn keep_profile(&mut self, profile: &[u8], channels: Channels) {
        let space: &[u8] = match channels {
            Channels::Grey | Channels::GreyAlpha => b"GRAY",
            Channels::Rgb | Channels::Rgba => b"RGB ",
        };
        let chunk = || {
            // PNG third edition, 11.3.2.3: a name, the compression method, the profile as zlib.
            let mut encoder = ZlibEncoder::new(b"ICC profile\0\0".to_vec(), Compression::default());
            encoder.write_all(profile).and_then(|()| encoder.finish()).ok()
        };
        let fits = profile.len() <= MAX_PROFILE_BYTES && profile.get(16..20) == Some(space);
        match fits.then(chunk).flatten() {
            Some(data) => self.keep(*b"iCCP", data, Place::Before, Purpose::Colour),
            None => self.leave_out("ICC profile"),
        }
    }

    /// Takes over an EXIF block of a file whose orientation was applied to the pixels.
    pub(super) fn keep_exif(&mut self, mut block: Vec<u8>) {
        if let Some(exif) = Exif::parse(&block) {
            exif.set_upright(&mut block);
            self.keep_parsed_exif(&exif, block, Place::Before);
        } else {
            self.leave_out("EXIF");
        }
    }

    /// Takes over the eXIf chunk of a PNG without applying the orientation: viewers disagree on its meaning
    /// in a PNG, so pixels and orientation stay unchanged, and every viewer shows the same as before.
    pub(super) fn keep_exif_chunk(&mut self, block: Vec<u8>, place: Place) {
        match Exif::parse(&block) {
            Some(exif) => self.keep_parsed_exif(&exif, block, place),
            // Nobody knows what is in it: a location, say.
            None => self.leave_out("EXIF"),
        }
    }

    fn keep_parsed_exif(&mut self, exif: &Exif, mut block: Vec<u8>, place: Place) {
        exif.drop_thumbnail(&mut block);
        self.tells_location |= exif.tells_location;
        self.keep(*b"eXIf", block, place, Purpose::Description);
    }

    /// Takes over an XMP packet: an international text without compression (PNG third edition, 11.3.3.4).
    pub(super) fn keep_xmp(&mut self, packet: &[u8]) {
        let is_too_long = packet.len() as u64 > MAX_METADATA_BYTES;
        if is_too_long || packet.contains(&0) || std::str::from_utf8(packet).is_err() {
            self.leave_out("XMP");
            return;
        }
        self.note_location_in_xmp(packet);
        let data = [XMP_KEYWORD, b"\0\0\0\0\0", packet].concat();
        self.keep(*b"iTXt", data, Place::Before, Purpose::Description);
    }

    /// Takes over a comment: as Latin-1 or, if longer than ASCII and valid, as UTF-8.
    pub(super) fn keep_comment(&mut self, text: &[u8]) {
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        if text.contains(&0) {
            self.leave_out("comment");
        } else if !text.is_ascii() && std::str::from_utf8(text).is_ok() {
            let data = [b"Comment\0\0\0\0\0", text].concat();
            self.keep(*b"iTXt", data, Place::Before, Purpose::Description);
        } else if !text.is_empty() {
            self.keep(*b"tEXt", [b"Comment\0", text].concat(), Place::Before, Purpose::Description);
        }
    }

    /// Takes over how large a pixel is: pixels per unit along x and y, the unit a metre or unknown
    /// (11.3.4.3).
    pub(super) fn keep_pixel_size(&mut self, x: u32, y: u32, in_metres: bool) {
        let data = [&x.to_be_bytes()[..], &y.to_be_bytes(), &[u8::from(in_metres)]].concat();
        self.keep(*b"pHYs", data, Place::Before, Purpose::Description);
    }

    /// Takes over a text chunk unchanged.
    pub(super) fn keep_text(&mut self, kind: [u8; 4], data: Vec<u8>, place: Place) {
        if kind == *b"iTXt" && data.starts_with(XMP_KEYWORD) {
            match compressed_text(&data) {
                Some(packet) => self.note_location_in_xmp(&packet),
                None => self.note_location_in_xmp(&data),
            }
        }
        self.keep(kind, data, place, Purpose::Description);
    }

    fn note_location_in_xmp(&mut self, packet: &[u8]) {
        const LATITUDE: &[u8] = b"GPSLatitude";
        self.tells_location |= packet.windows(LATITUDE.len()).any(|window| window == LATITUDE);
    }

    /// Returns the chunks at `place`, without descriptions if stripped.
    pub(super) fn chunks(&self, place: Place, stripped: bool) -> impl Iterator<Item = &Chunk> {
        self.pieces
            .iter()
            .filter(move |piece| piece.place == place && (!stripped || piece.purpose == Purpose::Colour))
            .map(|piece| &piece.chunk)
    }

    /// Returns the data of the first chunk of this type.
    pub(super) fn chunk(&self, kind: &[u8; 4]) -> Option<&[u8]> {
        let piece = self.pieces.iter().find(|piece| piece.chunk.0 == *kind)?;
        Some(&piece.chunk.1)
    }

    /// Returns the names of all pieces that `is_kept` does not keep, with those not taken over; without
    /// descriptions if stripped.
    pub(super) fn names_besides(&self, stripped: bool, is_kept: impl Fn(&[u8; 4]) -> bool) -> Vec<String> {
        let mut rest =
            Self { left_out: if stripped { Vec::new() } else { self.left_out.clone() }, ..Self::default() };
        let pieces = self.pieces.iter().filter(|piece| !stripped || piece.purpose == Purpose::Colour);
        for Piece { chunk: (kind, data), .. } in pieces.filter(|piece| !is_kept(&piece.chunk.0)) {
            rest.leave_out(name_of(kind, data));
        }
        rest.left_out
    }

    /// Returns the number of bytes of all chunks, as an upper bound on the growth of a file.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Returns the names of the metadata taken over.
    pub(super) fn kept_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for piece in &self.pieces {
            let name = name_of(&piece.chunk.0, &piece.chunk.1);
            if names.len() < MAX_NAMES && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the names of the metadata not taken over.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// True if the metadata taken over tell the location of the picture.
    pub(super) fn tells_location(&self) -> bool {
        self.tells_location
    }
}

/// Returns the text of an international text chunk, if compressed (11.3.3.4): keyword, flag, method,
/// language, translated keyword, zlib. Limited to the evaluated part.
fn compressed_text(data: &[u8]) -> Option<Vec<u8>> {
    let after_keyword = split_at_nul(data)?;
    let (&[1, 0], described) = after_keyword.split_first_chunk()? else { return None };
    let zlib = split_at_nul(split_at_nul(described)?)?;
    let mut text = Vec::new();
    // What can be read of a damaged one counts too.
    let _ = ZlibDecoder::new(zlib).take(MAX_TEXT_BYTES).read_to_end(&mut text);
    Some(text)
}

/// Returns the bytes after the first zero byte.
fn split_at_nul(data: &[u8]) -> Option<&[u8]> {
    let at = data.iter().position(|&byte| byte == 0)?;
    data.get(at + 1..)
}

/// Returns the memory of a piece of metadata, in bytes.
pub(super) fn held_bytes(data: &[u8]) -> u64 {
    data.len() as u64 + PIECE_OVERHEAD_BYTES
}

/// Name of a chunk for people.
fn name_of(kind: &[u8; 4], data: &[u8]) -> String {
    match kind {
        b"iCCP" => "ICC profile".to_owned(),
        b"eXIf" => "EXIF".to_owned(),
        b"pHYs" => "pixel size".to_owned(),
        b"tIME" => "time".to_owned(),
        b"iTXt" if data.starts_with(XMP_KEYWORD) => "XMP".to_owned(),
        b"tEXt" | b"zTXt" | b"iTXt" => {
            let keyword: Vec<u8> = data.iter().copied().take_while(|&byte| byte != 0).take(79).collect();
            // Keywords are Latin-1 (11.3.3.1), whose characters are the first 256 of Unicode.
            let keyword: String = keyword.into_iter().map(char::from).filter(|c| !c.is_control()).collect();
            format!("text \"{keyword}\"")
        }
        _ => String::from_utf8_lossy(kind).into_owned(),
    }
}
