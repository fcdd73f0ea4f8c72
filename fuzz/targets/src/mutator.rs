//! Changes to PNG files that get past their checksums.

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use testkit::PngFile;
use testkit::mutation::mutate_png;

/// The file with its list of chunks, its header, its compressed rows or the rows themselves changed, the same for the same
/// `seed`; `None` if it is no PNG.
pub fn structured(file: &[u8], seed: u64) -> Option<Vec<u8>> {
    mutate_png(file, &mut SmallRng::seed_from_u64(seed))
}

/// The file with the checksums of its chunks made to hold; `None` if it is no PNG.
pub fn with_checksums(file: &[u8]) -> Option<Vec<u8>> {
    PngFile::parse(file).map(|png| png.to_bytes())
}
