//! EXIF blocks (EXIF 2.32, on TIFF 6.0) as written by cameras: orientation, maker note, size, location,
//! thumbnail.

use std::ops::Range;

/// Content and layout of a block.
#[derive(Debug, Clone, Copy)]
pub struct ExifPlan {
    /// True for integers with the most significant byte first (`MM`), false for last (`II`).
    pub big_endian: bool,
    /// The orientation, 1 to 8.
    pub orientation: u16,
    /// True if the block has a GPS directory.
    pub location: bool,
    /// The pixel dimensions in the block.
    pub size: (u32, u32),
    /// True if the thumbnail's directory comes last, as is usual; false if it precedes the maker note.
    pub thumbnail_last: bool,
}

/// A block, with the positions of the parts a transfer may change.
#[derive(Debug, Clone)]
pub struct ExifBlock {
    /// The block, from `MM` or `II` on.
    pub bytes: Vec<u8>,
    /// The value of the orientation.
    pub orientation: Range<usize>,
    /// The offset of the thumbnail's directory, in the first directory.
    pub next_directory: Range<usize>,
    /// The thumbnail's directory and picture.
    pub thumbnail: Range<usize>,
    /// The thumbnail's picture alone.
    pub picture: Range<usize>,
}

/// A directory entry: tag, type, count, value or offset as four bytes.
type Entry = (u16, u16, u32, [u8; 4]);

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;

impl ExifPlan {
    /// Plans the block of an upright picture of 4000 × 3000 pixels, with a location.
    pub fn new() -> Self {
        Self { big_endian: true, orientation: 1, location: false, size: (4000, 3000), thumbnail_last: true }
    }

    /// Builds the block.
    pub fn to_block(self) -> ExifBlock {
        // Each part has a fixed length, so the order of the parts determines their places.
        const MAKE: usize = 12;
        let first_entries = 3 + usize::from(self.location);
        let make = 8 + directory_len(first_entries);
        let thumbnail_len = directory_len(3) + 200;
        let exif_len = directory_len(3) + 64;
        let after_make = make + MAKE;
        let (thumbnail, exif) = if self.thumbnail_last {
            let location_len = if self.location { directory_len(2) + 24 } else { 0 };
            (after_make + exif_len + location_len, after_make)
        } else {
            (after_make, after_make + thumbnail_len)
        };
        let location = exif + exif_len;

        let mut first = vec![
            (0x010F, ASCII, MAKE as u32, self.long(make)),
            (0x0112, SHORT, 1, self.short(self.orientation)),
            (0x8769, LONG, 1, self.long(exif)),
        ];
        if self.location {
            first.push((0x8825, LONG, 1, self.long(location)));
        }
        let mut bytes =
            if self.big_endian { b"MM\0*\0\0\0\x08".to_vec() } else { b"II*\0\x08\0\0\0".to_vec() };
        bytes.extend(self.directory(&first, thumbnail));
        bytes.extend(b"Camera Ltd.\0");
        let mut parts = vec![(thumbnail, self.thumbnail(thumbnail)), (exif, self.exif(exif))];
        if self.location {
            parts.push((location, self.gps(location)));
        }
        parts.sort();
        for (at, part) in parts {
            assert_eq!(bytes.len(), at, "a part is where it is said to be");
            bytes.extend(part);
        }

        let orientation = 8 + 2 + 12 + 8;
        ExifBlock {
            bytes,
            orientation: orientation..orientation + 2,
            next_directory: make - 4..make,
            thumbnail: thumbnail..thumbnail + thumbnail_len,
            picture: thumbnail + directory_len(3)..thumbnail + thumbnail_len,
        }
    }

    fn exif(self, at: usize) -> Vec<u8> {
        let entries = [
            (0x927C, UNDEFINED, 64, self.long(at + directory_len(3))),
            (0xA002, LONG, 1, self.long(self.size.0 as usize)),
            (0xA003, LONG, 1, self.long(self.size.1 as usize)),
        ];
        [self.directory(&entries, 0), crate::inputs::noise(77, 64)].concat()
    }

    fn gps(self, at: usize) -> Vec<u8> {
        let entries = [(1, ASCII, 2, *b"N\0\0\0"), (2, RATIONAL, 3, self.long(at + directory_len(2)))];
        let degrees = [47, 1, 22, 1, 1234, 100].map(|number| self.long(number));
        [self.directory(&entries, 0), degrees.concat()].concat()
    }

    fn thumbnail(self, at: usize) -> Vec<u8> {
        let picture = at + directory_len(3);
        let entries = [
            (0x0103, SHORT, 1, self.short(6)),
            (0x0201, LONG, 1, self.long(picture)),
            (0x0202, LONG, 1, self.long(200)),
        ];
        let mut bytes = self.directory(&entries, 0);
        bytes.extend(b"\xFF\xD8\xFF\xDB");
        bytes.extend(crate::inputs::noise(78, 194));
        bytes.extend(b"\xFF\xD9");
        bytes
    }

    fn directory(self, entries: &[Entry], next: usize) -> Vec<u8> {
        let mut bytes = self.short(entries.len() as u16)[..2].to_vec();
        for (tag, kind, count, value) in entries {
            bytes.extend(&self.short(*tag)[..2]);
            bytes.extend(&self.short(*kind)[..2]);
            bytes.extend(self.long(*count as usize));
            bytes.extend(value);
        }
        bytes.extend(self.long(next));
        bytes
    }

    /// Places a number of two bytes at the front of four.
    fn short(self, value: u16) -> [u8; 4] {
        let [a, b] = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        [a, b, 0, 0]
    }

    fn long(self, value: usize) -> [u8; 4] {
        let value = value as u32;
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

impl Default for ExifPlan {
    fn default() -> Self {
        Self::new()
    }
}

const fn directory_len(entries: usize) -> usize {
    2 + 12 * entries + 4
}
