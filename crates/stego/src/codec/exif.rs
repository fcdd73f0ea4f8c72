//! EXIF, a TIFF structure (CIPA DC-008, EXIF 2.32): the description of the image, and the two changes that
//! keep the description true.
//!
//! Nothing is moved: maker notes and directories hold offsets from the start of the structure. A structure
//! with broken offsets counts as absent and stays unchanged.

use std::ops::Range;

/// Upper limit of entries read from a directory; cameras write some dozens.
const MAX_ENTRIES: u16 = 512;

const ORIENTATION: u16 = 0x0112;
/// Tag of an uncompressed thumbnail in one strip.
const STRIP_OFFSET: u16 = 0x0111;
const STRIP_LEN: u16 = 0x0117;
const THUMBNAIL_OFFSET: u16 = 0x0201;
const THUMBNAIL_LEN: u16 = 0x0202;
/// In a TIFF file: an XMP packet.
pub(super) const XMP: u16 = 700;
/// In a TIFF file: how the samples are compressed.
pub(super) const COMPRESSION: u16 = 259;
/// In a TIFF file: a colour profile.
pub(super) const ICC_PROFILE: u16 = 0x8773;
pub(super) const EXIF_DIRECTORY: u16 = 0x8769;
pub(super) const GPS_DIRECTORY: u16 = 0x8825;
const PIXEL_WIDTH: u16 = 0xA002;
const PIXEL_HEIGHT: u16 = 0xA003;
const INTEROPERABILITY_DIRECTORY: u16 = 0xA005;

const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Content of an EXIF block that concerns the image.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Exif {
    /// Sides to which row 0 and column 0 belong, 1 to 8; 1 if not given.
    pub(super) orientation: u8,
    /// True if there is a directory of GPS data.
    pub(super) tells_location: bool,
    /// Width and height of the image as taken.
    pub(super) pixels: Option<(u32, u32)>,
    orientation_at: Option<Range<usize>>,
    /// Offset of the pointer from the first directory to the second, which describes a thumbnail.
    link_at: usize,
    thumbnail: Option<Thumbnail>,
    /// Ranges known not to belong to the thumbnail.
    others: Vec<Range<usize>>,
    big_endian: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Thumbnail {
    data: Range<usize>,
    /// The directory and the values that belong to it.
    directory: Vec<Range<usize>>,
}

impl Thumbnail {
    /// True if nothing else can lie between the parts.
    fn leaves_no_gap(&self) -> bool {
        let mut ranges: Vec<_> = self.ranges().collect();
        ranges.sort_by_key(|range| range.start);
        // A byte of padding is common: values begin at even offsets.
        ranges.windows(2).all(|pair| pair[1].start <= pair[0].end + 1)
    }

    fn ranges(&self) -> impl Iterator<Item = &Range<usize>> {
        std::iter::once(&self.data).chain(&self.directory).filter(|range| !range.is_empty())
    }
}

impl Exif {
    /// Reads `block`, which starts with the TIFF header. `None` for a broken structure.
    pub(super) fn parse(block: &[u8]) -> Option<Self> {
        let tiff = Tiff::open(block)?;
        let first = tiff.directory(tiff.u32_at(4)? as usize)?;
        let mut exif =
            Self { orientation: 1, link_at: first.link_at, big_endian: tiff.big_endian, ..Self::default() };
        for entry in &first.entries {
            match entry.tag {
                // A SHORT by the standard; some writers make it a LONG, and readers take it.
                ORIENTATION if exif.orientation_at.is_none() => {
                    let Some(value) = tiff.number(entry) else { continue };
                    exif.orientation =
                        u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).unwrap_or(1);
                    let len = if entry.kind == LONG { 4 } else { 2 };
                    exif.orientation_at = Some(entry.value_at..entry.value_at + len);
                }
                GPS_DIRECTORY => {
                    let gps = tiff.u32_at(entry.value_at).and_then(|at| tiff.directory(at as usize));
                    exif.tells_location = gps.as_ref().is_none_or(|gps| !gps.entries.is_empty());
                    exif.others.extend(gps.map_or(Vec::new(), |gps| gps.ranges));
                }
                EXIF_DIRECTORY => {
                    if let Some(at) = tiff.u32_at(entry.value_at) {
                        exif.read_exif_directory(&tiff, at as usize);
                    }
                }
                _ => {}
            }
        }
        exif.others.extend(first.ranges);
        exif.thumbnail = tiff.u32_at(first.link_at).and_then(|at| tiff.thumbnail(at as usize));
        Some(exif)
    }

    fn read_exif_directory(&mut self, tiff: &Tiff<'_>, at: usize) {
        let Some(directory) = tiff.directory(at) else { return };
        let number = |tag| tiff.number(directory.entries.iter().find(|entry| entry.tag == tag)?);
        self.pixels = number(PIXEL_WIDTH).zip(number(PIXEL_HEIGHT));
        let interoperability = number(INTEROPERABILITY_DIRECTORY).and_then(|at| tiff.directory(at as usize));
        self.others.extend(interoperability.map_or(Vec::new(), |directory| directory.ranges));
        self.others.extend(directory.ranges);
    }

    /// Sets the orientation to upright in `block`, the source of this structure.
    pub(super) fn set_upright(&self, block: &mut [u8]) {
        if let Some(place) = self.orientation_at.clone().and_then(|at| block.get_mut(at)) {
            place.fill(0);
            let one = if self.big_endian { place.last_mut() } else { place.first_mut() };
            one.into_iter().for_each(|byte| *byte = 1);
        }
    }

    /// Removes the thumbnail from `block`, the source of this structure, since the thumbnail shows the
    /// unmodified image. The thumbnail is unlinked and blanked where nothing else lies, and cut off if it
    /// stands at the end, as in files of cameras.
    pub(super) fn drop_thumbnail(&self, block: &mut Vec<u8>) {
        let Some(thumbnail) = &self.thumbnail else { return };
        let is_free = |range: &Range<usize>| {
            self.others.iter().all(|other| range.end <= other.start || other.end <= range.start)
        };
        for range in thumbnail.ranges().filter(|range| is_free(range)) {
            if let Some(place) = block.get_mut(range.clone()) {
                place.fill(0);
            }
        }
        if let Some(link) = block.get_mut(self.link_at..self.link_at + 4) {
            link.fill(0);
        }
        let start = thumbnail.ranges().map(|range| range.start).min().unwrap_or(block.len());
        let end = thumbnail.ranges().map(|range| range.end).max().unwrap_or(0);
        let is_last = self.others.iter().all(|other| other.end <= start);
        if is_last && end >= block.len() && thumbnail.leaves_no_gap() {
            block.truncate(start);
        }
    }
}

/// Returns the bytes under `tag` in the first directory of a TIFF file, which has the same structure.
pub(super) fn tiff_bytes(file: &[u8], tag: u16) -> Option<&[u8]> {
    let tiff = Tiff::open(file)?;
    let directory = tiff.directory(tiff.u32_at(4)? as usize)?;
    let entry = directory.entries.iter().find(|entry| entry.tag == tag)?;
    let start = tiff.u32_at(entry.value_at)? as usize;
    let is_bytes = matches!(entry.kind, 1 | 2 | 6 | 7) && entry.count > 4;
    file.get(start..start.checked_add(entry.count as usize)?).filter(|_| is_bytes)
}

/// Reads the number under `tag` in the first directory of a TIFF file.
pub(super) fn tiff_number(file: &[u8], tag: u16) -> Option<u32> {
    let tiff = Tiff::open(file)?;
    let directory = tiff.directory(tiff.u32_at(4)? as usize)?;
    tiff.number(directory.entries.iter().find(|entry| entry.tag == tag)?)
}

/// Reads the numbers under `tag` in the first directory of a TIFF file, as BYTEs, SHORTs or LONGs; `None` if
/// the tag or some numbers are missing.
pub(super) fn tiff_numbers(file: &[u8], tag: u16) -> Option<Vec<u32>> {
    let (tiff, entry) = tiff_entry(file, tag)?;
    let size: usize = match entry.kind {
        1 => 1,
        SHORT => 2,
        LONG | 13 => 4,
        _ => return None,
    };
    let values = tiff.values(&entry, size)?;
    Some(values.chunks_exact(size).map(|value| tiff.number_of(value)).collect())
}

/// As [`tiff_numbers`], of RATIONALs.
pub(super) fn tiff_rationals(file: &[u8], tag: u16) -> Option<Vec<f64>> {
    let (tiff, entry) = tiff_entry(file, tag)?;
    let values = if entry.kind == 5 { tiff.values(&entry, 8)? } else { return None };
    let ratio =
        |value: &[u8]| f64::from(tiff.number_of(&value[..4])) / f64::from(tiff.number_of(&value[4..]));
    Some(values.chunks_exact(8).map(ratio).collect())
}

/// Returns the offset in the file of the value under `tag`, or of the offset of the value.
pub(super) fn tiff_place(file: &[u8], tag: u16) -> Option<usize> {
    tiff_entry(file, tag).map(|(_, entry)| entry.value_at)
}

/// Returns the place of the offset of the second directory.
pub(super) fn tiff_link(file: &[u8]) -> Option<usize> {
    let tiff = Tiff::open(file)?;
    Some(tiff.directory(tiff.u32_at(4)? as usize)?.link_at)
}

/// True if the first directory links to a second.
pub(super) fn tiff_has_more_pages(file: &[u8]) -> bool {
    let link = || Tiff::open(file)?.u32_at(tiff_link(file)?);
    link().is_some_and(|at| at != 0)
}

pub(super) fn tiff_is_big_endian(file: &[u8]) -> bool {
    file.starts_with(b"MM")
}

fn tiff_entry(file: &[u8], tag: u16) -> Option<(Tiff<'_>, Entry)> {
    let tiff = Tiff::open(file)?;
    let directory = tiff.directory(tiff.u32_at(4)? as usize)?;
    let entry = directory.entries.into_iter().find(|entry| entry.tag == tag)?;
    Some((tiff, entry))
}

/// The structure as numbers.
struct Tiff<'a> {
    block: &'a [u8],
    big_endian: bool,
}

struct Directory {
    entries: Vec<Entry>,
    /// Place of the offset of the next directory.
    link_at: usize,
    /// Ranges of the directory and of the values outside the entries.
    ranges: Vec<Range<usize>>,
}

struct Entry {
    tag: u16,
    kind: u16,
    count: u32,
    /// Offset of the value, or of the offset if the value takes more than four bytes.
    value_at: usize,
}

impl<'a> Tiff<'a> {
    fn open(block: &'a [u8]) -> Option<Self> {
        let big_endian = match block.first_chunk::<4>()? {
            b"MM\0*" => true,
            b"II*\0" => false,
            _ => return None,
        };
        Some(Self { block, big_endian })
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        let bytes = *self.block.get(at..)?.first_chunk::<2>()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let bytes = *self.block.get(at..)?.first_chunk::<4>()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Returns the values of an entry, of `size` bytes each.
    fn values(&self, entry: &Entry, size: usize) -> Option<&'a [u8]> {
        let len = size.checked_mul(entry.count as usize)?;
        let start = if len <= 4 { entry.value_at } else { self.u32_at(entry.value_at)? as usize };
        self.block.get(start..start.checked_add(len)?)
    }

    fn number_of(&self, value: &[u8]) -> u32 {
        let add = |number: u32, &byte: &u8| number << 8 | u32::from(byte);
        if self.big_endian { value.iter().fold(0, add) } else { value.iter().rev().fold(0, add) }
    }

    /// Returns a number in a SHORT or a LONG.
    fn number(&self, entry: &Entry) -> Option<u32> {
        match (entry.kind, entry.count) {
            (SHORT, 1) => self.u16_at(entry.value_at).map(u32::from),
            (LONG, 1) => self.u32_at(entry.value_at),
            _ => None,
        }
    }

    /// Returns the directory at `at` (TIFF 6.0, section 2): a count, entries of twelve bytes, the offset of
    /// the next directory. A directory longer than the block or the limit is read as far as entries exist.
    fn directory(&self, at: usize) -> Option<Directory> {
        let count = self.u16_at(at)?;
        if at < 8 {
            return None;
        }
        let link_at = at + 2 + usize::from(count) * 12;
        let there = self.block.len().saturating_sub(at + 2) / 12;
        let count = usize::from(count.min(MAX_ENTRIES)).min(there);
        // Some writers leave out the link of the last directory.
        let table = at..(link_at + 4).min(self.block.len());
        let mut ranges = vec![table];
        let mut entries = Vec::with_capacity(count);
        for i in 0..count {
            let entry_at = at + 2 + i * 12;
            let entry = Entry {
                tag: self.u16_at(entry_at)?,
                kind: self.u16_at(entry_at + 2)?,
                count: self.u32_at(entry_at + 4)?,
                value_at: entry_at + 8,
            };
            ranges.extend(self.value_range(&entry));
            entries.push(entry);
        }
        Some(Directory { entries, link_at, ranges })
    }

    /// Returns the range of the value of `entry` in the block, if outside the entry.
    fn value_range(&self, entry: &Entry) -> Option<Range<usize>> {
        let size: u64 = match entry.kind {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => 1,
        };
        let len = size * u64::from(entry.count);
        if len <= 4 {
            return None;
        }
        let start = u64::from(self.u32_at(entry.value_at)?);
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.block.len());
        Some(within(start)..within(start + len))
    }

    /// Returns the thumbnail described by the directory at `at`, if any.
    fn thumbnail(&self, at: usize) -> Option<Thumbnail> {
        let directory = self.directory(at)?;
        let number = |tag| self.number(directory.entries.iter().find(|entry| entry.tag == tag)?);
        let compressed = number(THUMBNAIL_OFFSET).zip(number(THUMBNAIL_LEN));
        let data = match compressed.or(number(STRIP_OFFSET).zip(number(STRIP_LEN))) {
            Some((start, len)) => {
                let end = (start as usize).saturating_add(len as usize).min(self.block.len());
                (start as usize).min(end)..end
            }
            None => 0..0,
        };
        Some(Thumbnail { data, directory: directory.ranges })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with an orientation, a GPS directory, sizes, and a thumbnail of eight bytes; little-endian.
    fn block(thumbnail_last: bool) -> Vec<u8> {
        let entry = |tag: u16, kind: u16, value: u32| {
            let mut entry = [tag.to_le_bytes(), kind.to_le_bytes()].concat();
            entry.extend(1_u32.to_le_bytes());
            entry.extend(value.to_le_bytes());
            entry
        };
        let mut block = b"II*\0\x08\0\0\0".to_vec();
        // Directory 0 at 8 with three entries ends at 50; EXIF at 50 with two ends at 80; GPS at 80 with one
        // ends at 98.
        let (exif_at, gps_at, second_at) = (50, 80, 98);
        block.extend(3_u16.to_le_bytes());
        block.extend(entry(ORIENTATION, SHORT, 6));
        block.extend(entry(EXIF_DIRECTORY, LONG, exif_at));
        block.extend(entry(GPS_DIRECTORY, LONG, gps_at));
        block.extend(u32::to_le_bytes(second_at));
        block.extend(2_u16.to_le_bytes());
        block.extend(entry(PIXEL_WIDTH, LONG, 4000));
        block.extend(entry(PIXEL_HEIGHT, SHORT, 3000));
        block.extend([0; 4]);
        block.extend(1_u16.to_le_bytes());
        let gps_value = if thumbnail_last { entry(1, 2, u32::from(b'N')) } else { long_value(1, 140) };
        block.extend(gps_value);
        block.extend([0; 4]);
        block.extend(2_u16.to_le_bytes());
        block.extend(entry(THUMBNAIL_OFFSET, LONG, 128));
        block.extend(entry(THUMBNAIL_LEN, LONG, 8));
        block.extend([0; 4]);
        block.extend(b"JPEGJPEG");
        if !thumbnail_last {
            block.extend(b"....somewhere");
        }
        block
    }

    /// An entry of eight bytes of text at `at`.
    fn long_value(tag: u16, at: u32) -> Vec<u8> {
        let mut entry = [tag.to_le_bytes(), 2_u16.to_le_bytes()].concat();
        entry.extend(8_u32.to_le_bytes());
        entry.extend(at.to_le_bytes());
        entry
    }

    #[test]
    fn what_it_says_is_read() {
        let exif = Exif::parse(&block(true)).unwrap();
        assert_eq!((exif.orientation, exif.tells_location, exif.pixels), (6, true, Some((4000, 3000))));
        assert_eq!(Exif::parse(b"II*\0"), None);
        assert_eq!(Exif::parse(b"not exif at all"), None);
    }

    #[test]
    fn only_the_orientation_and_the_thumbnail_change() {
        let before = block(true);
        let exif = Exif::parse(&before).unwrap();
        let mut after = before.clone();
        exif.set_upright(&mut after);
        exif.drop_thumbnail(&mut after);
        let mut wanted = before[..98].to_vec();
        wanted[18] = 1;
        wanted[46..50].fill(0);
        assert_eq!(after, wanted);
        let again = Exif::parse(&after).unwrap();
        assert_eq!((again.orientation, again.thumbnail), (1, None));
    }

    /// Data of another directory behind the thumbnail stay unchanged.
    #[test]
    fn a_thumbnail_in_the_middle_is_blanked() {
        let before = block(false);
        let exif = Exif::parse(&before).unwrap();
        let mut after = before.clone();
        exif.drop_thumbnail(&mut after);
        let mut wanted = before.clone();
        wanted[46..50].fill(0);
        wanted[98..136].fill(0);
        assert_eq!(after, wanted);
    }

    #[test]
    fn no_block_makes_it_panic() {
        let whole = block(true);
        for len in 0..whole.len() {
            for (at, value) in [(len, 0xFF), (len / 2, 0xFF), (len, 0)] {
                let mut block = whole[..len].to_vec();
                if let Some(byte) = block.get_mut(at.saturating_sub(1)) {
                    *byte = value;
                }
                if let Some(exif) = Exif::parse(&block) {
                    exif.set_upright(&mut block);
                    exif.drop_thumbnail(&mut block);
                }
            }
        }
    }
}
