//! Writing PNG byte for byte as widespread programs do, so that the structure of a file does not tell that
//! this library wrote it.
//!
//! The pixels of an image decide on its profile: [`Profile::Pillow`] where Pillow can write them, and
//! [`Profile::Libpng`] elsewhere. The chunks are IHDR, iCCP if the cover has a colour profile, IDAT and IEND.
//! `docs/format.md`, section "Form of the file", defines both.

use std::io::Read;

use flate2::read::ZlibDecoder;
use zlib::{Deflater, Flush, Settings, Status, Strategy};

use super::filter::{Filter, RowFilter};
use super::frame::{append_chunk, header_chunk};
use crate::carrier::{Changes, Unchanged};
use crate::codec::cover::Cover;
use crate::codec::format::{Channels, MetadataPolicy, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::codec::metadata::MAX_PROFILE_BYTES;
use crate::codec::png::stored::SIGNATURE;
use crate::watch::{Stage, Stopped, Watch};

/// Bytes of samples changed at once, or one row.
const BAND_LEN_BYTES: usize = 64 << 10;
/// The name of a colour profile in files of Pillow.
const PROFILE_NAME: &[u8] = b"ICC Profile\0";
/// Up to this length of data libpng makes the window smaller.
const MAX_SMALL_LEN_BYTES: usize = 16 << 10;
/// Bytes of a window besides the data, for zlib.
const WINDOW_SURPLUS_BYTES: usize = 262;

/// A program's way of writing the pixels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// Pillow's `save` with its defaults, up to version 11.0, and every later version that is linked with
    /// zlib and not with zlib-ng.
    Pillow,
    /// libpng 1.6 with its defaults.
    Libpng,
}

impl Profile {
    fn of(channels: Channels, depth: SampleDepth) -> Self {
        match (depth, channels) {
            (SampleDepth::Eight, _) | (SampleDepth::Sixteen, Channels::Grey) => Self::Pillow,
            (SampleDepth::Sixteen, _) => Self::Libpng,
        }
    }

    /// Returns the filters tried for each row, of which the first with the least sum of absolute differences
    /// is taken.
    fn filters(self, info: &ImageInfo) -> &'static [Filter] {
        match self {
            // ZipEncode.c: Average is for `optimize` alone.
            Self::Pillow => &[Filter::None, Filter::Up, Filter::Sub, Filter::Paeth],
            // pngwrite.c: filters that look at another row or column need one.
            Self::Libpng => match (info.width, info.height) {
                (1, 1) => &[Filter::None],
                (1, _) => &[Filter::None, Filter::Up],
                (_, 1) => &[Filter::None, Filter::Sub],
                _ => &[Filter::None, Filter::Sub, Filter::Up, Filter::Average, Filter::Paeth],
            },
        }
    }

    /// Returns the bytes of compressed pixels in each IDAT chunk but the last.
    fn idat_len_bytes(self, info: &ImageInfo) -> usize {
        match self {
            // ImageFile.py: the buffer holds a row of four bytes a pixel.
            Self::Pillow => (64 << 10).max(4 * info.width as usize),
            Self::Libpng => 8 << 10,
        }
    }

    /// Returns the parameters of deflate for the pixels.
    fn settings(self, info: &ImageInfo) -> Settings {
        let filters = self.filters(info);
        match self {
            Self::Pillow => Settings::default().with_mem_level(9).with_strategy(Strategy::Filtered),
            Self::Libpng => {
                let strategy = if filters.len() > 1 { Strategy::Filtered } else { Strategy::Default };
                small_window(Settings::default(), libpng_len_bytes(info)).with_strategy(strategy)
            }
        }
    }

    /// Returns the data of the iCCP chunk for a colour profile (11.3.2.3).
    fn icc_chunk(self, icc: &[u8]) -> Vec<u8> {
        let mut data = [PROFILE_NAME, &[0]].concat();
        match self {
            Self::Pillow => data.extend(deflated(icc, Settings::default())),
            Self::Libpng => {
                let start = data.len();
                data.extend(deflated(icc, small_window(Settings::default(), icc.len())));
                state_window(&mut data[start..], icc.len());
            }
        }
        data
    }
}

/// Returns the length of all filtered rows, by which libpng chooses the window.
fn libpng_len_bytes(info: &ImageInfo) -> usize {
    const MAX: usize = 1 << 15;
    let (row_len, height) = (info.row_len_bytes(), info.height as usize);
    if row_len < MAX && height < MAX { (row_len + 1) * height } else { usize::MAX }
}

/// Makes the window as small as libpng does for data of `len_bytes` (pngwutil.c, `png_deflate_claim`). zlib
/// takes a window of 8 bits for one of 9.
fn small_window(settings: Settings, len_bytes: usize) -> Settings {
    if len_bytes > MAX_SMALL_LEN_BYTES {
        return settings;
    }
    let mut bits = settings.window_bits;
    while bits > 9 && len_bytes + WINDOW_SURPLUS_BYTES <= 1 << (bits - 1) {
        bits -= 1;
    }
    settings.with_window_bits(bits)
}

/// States in the header of a zlib stream the least window that holds `len_bytes` of data, as libpng does
/// (pngwutil.c, `optimize_cmf`; RFC 1950, section 2.2).
fn state_window(stream: &mut [u8], len_bytes: usize) {
    let [method, flags, ..] = stream else { return };
    let mut window = *method >> 4;
    if len_bytes > MAX_SMALL_LEN_BYTES || len_bytes > 1 << (window + 7) {
        return;
    }
    while window > 0 && len_bytes <= 1 << (window + 7) {
        window -= 1;
    }
    *method = *method & 0x0F | window << 4;
    let level = *flags & 0xE0;
    let header = u16::from(*method) << 8 | u16::from(level);
    *flags = level + (31 - header % 31) as u8;
}

/// Returns `data` as a zlib stream.
fn deflated(data: &[u8], settings: Settings) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut blocks = Blocks::new(settings, 4 << 10, |block: &mut [u8]| stream.extend_from_slice(block));
    blocks.write(data);
    blocks.finish();
    stream
}

/// A zlib stream in blocks of one length, given to `sink` as they fill; the last is shorter, and not empty.
struct Blocks<S> {
    deflater: Deflater,
    block: Vec<u8>,
    filled: usize,
    sink: S,
}

impl<S: FnMut(&mut [u8])> Blocks<S> {
    fn new(settings: Settings, len_bytes: usize, sink: S) -> Self {
        debug_assert!(len_bytes > 0, "a block has room");
        Self { deflater: Deflater::new(settings).expect(ZLIB), block: vec![0; len_bytes], filled: 0, sink }
    }

    fn write(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            let (consumed, _) = self.step(input, Flush::No);
            input = input.get(consumed..).unwrap_or_default();
        }
    }

    fn finish(mut self) {
        while self.step(&[], Flush::Finish).1 == Status::Open {}
        if self.filled > 0 {
            (self.sink)(&mut self.block[..self.filled]);
        }
    }

    fn step(&mut self, input: &[u8], flush: Flush) -> (usize, Status) {
        let step = self.deflater.step(input, &mut self.block[self.filled..], flush).expect(ZLIB);
        self.filled += step.written;
        if self.filled == self.block.len() {
            (self.sink)(&mut self.block);
            self.filled = 0;
        }
        (step.consumed, step.status)
    }
}

const ZLIB: &str = "the parameters are constants, a stream is finished once, and memory is there";

/// Writes `cover` with `changes` in its profile.
///
/// # Errors
///
/// [`Stopped`] if `watch` ends the work.
pub(crate) fn encode_like_others(
    cover: &Cover,
    watch: &Watch,
    changes: &mut dyn Changes,
) -> Result<Vec<u8>, Stopped> {
    let info = cover.info();
    let profile = Profile::of(cover.channels, cover.depth);
    let mut file = SIGNATURE.to_vec();
    // Room for samples that do not compress. Pages that are not written to cost nothing.
    file.reserve(cover.samples.len() + cover.samples.len() / 64 + 4096);
    append_chunk(&mut file, *b"IHDR", &header_chunk(&info));
    if let Some(icc) = cover.colour_profile() {
        append_chunk(&mut file, *b"iCCP", &profile.icc_chunk(&icc));
    }
    write_pixels(cover, profile, &mut file, watch, changes)?;
    append_chunk(&mut file, *b"IEND", &[]);
    file.shrink_to_fit();
    Ok(file)
}

fn write_pixels(
    cover: &Cover,
    profile: Profile,
    file: &mut Vec<u8>,
    watch: &Watch,
    changes: &mut dyn Changes,
) -> Result<(), Stopped> {
    let info = cover.info();
    let mut is_first = true;
    let mut idat =
        Blocks::new(profile.settings(&info), profile.idat_len_bytes(&info), |block: &mut [u8]| {
            if std::mem::take(&mut is_first) && profile == Profile::Libpng {
                state_window(block, libpng_len_bytes(&info));
            }
            append_chunk(file, *b"IDAT", block);
        });
    let row_len = info.row_len_bytes();
    let rows_in_band = (BAND_LEN_BYTES / row_len).max(1);
    let mut filter = RowFilter::new(info.pixel_len_bytes(), profile.filters(&info));
    let (mut above, mut band, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
    let mut altering = true;
    for (i, samples) in cover.samples.chunks(rows_in_band * row_len).enumerate() {
        watch.check(Stage::Encode, (i * rows_in_band) as u64, u64::from(cover.height))?;
        band.clear();
        band.extend_from_slice(samples);
        if altering {
            altering = changes.apply(&mut band);
        }
        for row in band.chunks_exact(row_len) {
            filtered.clear();
            filter.append(row, &above, &mut filtered);
            idat.write(&filtered);
            above.clear();
            above.extend_from_slice(row);
        }
    }
    idat.finish();
    Ok(())
}

impl Cover {
    /// Writes the cover in the form of stego images of keyed modes: byte for byte as Pillow writes these
    /// pixels, or libpng where Pillow cannot, with the colour profile and no other metadata.
    pub fn to_common_png(&self) -> Vec<u8> {
        encode_like_others(self, &Watch::default(), &mut Unchanged).expect("nothing stops this")
    }

    /// Returns the colour profile (ICC.1) of the cover, if there is a sound one.
    fn colour_profile(&self) -> Option<Vec<u8>> {
        let data = self.metadata.chunk(b"iCCP")?;
        let name_len = data.iter().position(|&byte| byte == 0)?;
        let (0, zlib) = data.get(name_len + 1..)?.split_first().map(|(&method, zlib)| (method, zlib))? else {
            return None;
        };
        let mut icc = Vec::new();
        let limit = MAX_PROFILE_BYTES as u64 + 1;
        ZlibDecoder::new(zlib).take(limit).read_to_end(&mut icc).ok()?;
        (!icc.is_empty() && icc.len() <= MAX_PROFILE_BYTES).then_some(icc)
    }

    /// Returns the names of the metadata that [`Cover::to_common_png`] leaves out and that `policy` keeps.
    pub(crate) fn left_out_in_common_form(&self, policy: MetadataPolicy) -> Vec<String> {
        let has_profile = self.colour_profile().is_some();
        self.metadata.names_besides(policy == MetadataPolicy::Strip, |kind| has_profile && kind == b"iCCP")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1950, section 2.2.
    #[test]
    fn the_stated_window_holds_the_data() {
        for len in [0, 1, 255, 256, 257, 512, 513, 8192, 8193, 16_384, 16_385, 1 << 20] {
            let settings = small_window(Settings::default(), len);
            let mut stream = deflated(&vec![7; len], settings);
            state_window(&mut stream, len);
            assert_eq!(stream[0] & 0x0F, 8);
            assert_eq!(u16::from_be_bytes([stream[0], stream[1]]) % 31, 0, "{len}");
            let window = 1 << ((stream[0] >> 4) + 8);
            assert!(len <= window || window == 1 << 15, "{len} in {window}");
            assert!(len > window / 2 || window == 256, "{len} in {window}");
            let mut inflated = Vec::new();
            ZlibDecoder::new(&stream[..]).read_to_end(&mut inflated).unwrap();
            assert_eq!(inflated, vec![7; len]);
        }
    }

    #[test]
    fn blocks_are_full_up_to_the_last() {
        let noise = testkit::noise(1, 100_000);
        let mut lengths = Vec::new();
        let mut blocks = Blocks::new(Settings::default(), 1000, |block: &mut [u8]| lengths.push(block.len()));
        noise.chunks(777).for_each(|part| blocks.write(part));
        blocks.finish();
        let (last, full) = lengths.split_last().unwrap();
        assert!(full.iter().all(|&len| len == 1000) && (1..=1000).contains(last), "{lengths:?}");
    }
}
