//! Writing PNG, a band of rows at a time.

use std::io::Write;

use ::png::chunk::ChunkType;
use ::png::{BitDepth, ColorType, Encoder, EncodingError, Writer};

use crate::carrier::{Changes, Unchanged};
use crate::codec::cover::Cover;
use crate::codec::format::{Channels, MetadataPolicy, SampleDepth};
use crate::codec::metadata::Place;
use crate::watch::{Stage, Stopped, Watch};

/// Bytes of compressed data in an IDAT chunk written by this module.
const IDAT_LEN_BYTES: usize = 256 << 10;
/// Bytes of samples changed and written at once, or one row.
const BAND_LEN_BYTES: usize = 64 << 10;

/// Writes `cover` with `changes` as a PNG that is not interlaced.
///
/// # Errors
///
/// [`Stopped`] if `watch` ends the work.
pub(crate) fn encode_png(
    cover: &Cover,
    policy: MetadataPolicy,
    watch: &Watch,
    changes: &mut dyn Changes,
) -> Result<Vec<u8>, Stopped> {
    // Room for samples that do not compress. Pages that are not written to cost nothing.
    let samples_len = cover.samples.len();
    let mut file =
        Vec::with_capacity(samples_len + samples_len / 64 + cover.metadata.held_bytes() as usize + 4096);
    let mut writer = begin(cover, policy, &mut file).expect(NEVER_FAILS);
    {
        let mut rows = writer.stream_writer_with_size(IDAT_LEN_BYTES).expect(NEVER_FAILS);
        let row_len = cover.info().row_len_bytes();
        let rows_in_band = (BAND_LEN_BYTES / row_len).max(1);
        let mut altered = Vec::new();
        let mut altering = true;
        for (i, band) in cover.samples.chunks(rows_in_band * row_len).enumerate() {
            watch.check(Stage::Encode, (i * rows_in_band) as u64, u64::from(cover.height))?;
            if altering {
                altered.clear();
                altered.extend_from_slice(band);
                altering = changes.apply(&mut altered);
                rows.write_all(&altered).expect(NEVER_FAILS);
            } else {
                rows.write_all(band).expect(NEVER_FAILS);
            }
        }
        rows.finish().expect(NEVER_FAILS);
    }
    write_chunks(cover, Place::After, policy, &mut writer).expect(NEVER_FAILS);
    writer.finish().expect(NEVER_FAILS);
    file.shrink_to_fit();
    Ok(file)
}

impl Cover {
    /// Writes the cover as a PNG in the form of stego images, with metadata.
    pub fn to_png(&self) -> Vec<u8> {
        self.to_png_within(&Watch::default()).expect("nothing stops this")
    }

    /// As [`Cover::to_png`].
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub fn to_png_within(&self, watch: &Watch) -> Result<Vec<u8>, Stopped> {
        encode_png(self, MetadataPolicy::Keep, watch, &mut Unchanged)
    }
}

const NEVER_FAILS: &str = "writing to a Vec does not fail, and a cover has as many samples as its size says";

fn begin<'f>(
    cover: &Cover,
    policy: MetadataPolicy,
    file: &'f mut Vec<u8>,
) -> Result<Writer<&'f mut Vec<u8>>, EncodingError> {
    let mut encoder = Encoder::new(file, cover.width, cover.height);
    encoder.set_depth(match cover.depth {
        SampleDepth::Eight => BitDepth::Eight,
        SampleDepth::Sixteen => BitDepth::Sixteen,
    });
    encoder.set_color(match cover.channels {
        Channels::Grey => ColorType::Grayscale,
        Channels::GreyAlpha => ColorType::GrayscaleAlpha,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
    });
    encoder.set_compression(::png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    write_chunks(cover, Place::Before, policy, &mut writer)?;
    Ok(writer)
}

fn write_chunks(
    cover: &Cover,
    place: Place,
    policy: MetadataPolicy,
    writer: &mut Writer<&mut Vec<u8>>,
) -> Result<(), EncodingError> {
    for (kind, data) in cover.metadata.chunks(place, policy == MetadataPolicy::Strip) {
        writer.write_chunk(ChunkType(*kind), data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    /// A plan of a scattering carrier: a map over the whole cover.
    struct Map {
        /// Places of samples, in ascending order.
        places: Vec<usize>,
        passed: usize,
    }

    impl Changes for Map {
        fn apply(&mut self, rows: &mut [u8]) -> bool {
            let start = self.passed;
            self.passed += rows.len();
            let here = self.places.iter().filter(|&&place| place >= start && place < self.passed);
            here.for_each(|place| rows[place - start] ^= 1);
            self.places.last().is_some_and(|&last| last >= self.passed)
        }

        fn squared_error(&self) -> u64 {
            self.places.iter().filter(|&&place| place < self.passed).count() as u64
        }
    }

    #[test]
    fn changes_may_lie_anywhere() {
        let samples = testkit::noise(1, 400 * 300 * 3);
        let cover = Cover::from_samples(400, 300, Channels::Rgb, samples.clone()).unwrap();
        for places in [vec![], vec![0], vec![7, 100_000, 359_999], (0..360_000).step_by(977).collect()] {
            let mut map = Map { places, passed: 0 };
            let png = encode_png(&cover, MetadataPolicy::Keep, &Watch::default(), &mut map).unwrap();
            let written = Cover::decode(&png, &Limits::default()).unwrap();
            let differs = |&place: &usize| written.samples()[place] != samples[place];
            assert_eq!((0..samples.len()).filter(differs).collect::<Vec<_>>(), map.places);
            assert_eq!(map.squared_error(), map.places.len() as u64);
        }
    }
}
