//! Mutations of PNG files with matching checksums.

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use testkit::PngFile;
use testkit::mutation::mutate_png;

/// Changes the list of chunks, the header, the compressed rows or the rows themselves, determined by `seed`;
/// `None` if `file` is no PNG.
pub fn structured(file: &[u8], seed: u64) -> Option<Vec<u8>> {
    mutate_png(file, &mut SmallRng::seed_from_u64(seed))
}

/// Corrects the checksums of all chunks; `None` if `file` is no PNG.
pub fn with_checksums(file: &[u8]) -> Option<Vec<u8>> {
    PngFile::parse(file).map(|png| png.to_bytes())
}
