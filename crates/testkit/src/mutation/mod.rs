//! Stego images with something changed, and what may be found in them.
//!
//! Whatever is changed, extraction gives exactly what was embedded, or an error: never other bytes. Only where a change
//! forges a whole container, with the checksum and the digest that it needs, may it give what was forged; what that is,
//! [`Raster::carried`](crate::Raster::carried) says, which shares no code with the library.
//!
//! The same seed gives the same change.

mod container;
mod file;
mod images;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use stego::{Limits, claimed_lengths_bytes, extract};

pub use file::mutate_png;
pub use images::StegoImage;

use crate::Carried;

/// Makes changed images out of some fifty valid ones.
#[derive(Debug)]
pub struct Mutator {
    images: Vec<StegoImage>,
}

/// A changed image.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// What was changed, such as `flip bits`.
    pub kind: &'static str,
    /// The file.
    pub file: Vec<u8>,
    /// What may be found in it: what was embedded in the images that it was made from.
    pub embedded: Vec<Carried>,
    /// And what was forged, if that holds together.
    pub forged: Option<Carried>,
    /// Whether something must be found: nothing was changed that matters.
    pub is_harmless: bool,
}

/// A change that is not harmless forges nothing, unless it says so.
struct Changed {
    file: Vec<u8>,
    forged: Option<Carried>,
}

impl From<Vec<u8>> for Changed {
    fn from(file: Vec<u8>) -> Self {
        Self { file, forged: None }
    }
}

type Change = fn(&StegoImage, &mut SmallRng) -> Changed;

/// Changes to one image.
const CHANGES: [(&str, Change); 11] = [
    ("flip bits of the file", file::flip_bits),
    ("overwrite, insert, delete bytes", file::overwrite),
    ("cut off", file::truncate),
    ("change the list of chunks", file::change_chunks),
    ("change IHDR", file::change_header),
    ("change compressed rows", file::change_compressed),
    ("change rows", file::change_rows),
    ("flip bits of samples", container::flip_samples),
    ("change the container's header", container::change_header),
    ("forge a container", container::forge),
    ("forge the earlier system's container", container::forge_legacy),
];
const SPLICED: &str = "splice two files";
const SAVED_AGAIN: &str = "save again";

impl Mutator {
    /// Makes the images. Takes a second or so.
    pub fn new() -> Self {
        Self { images: images::all() }
    }

    /// The images, unchanged.
    pub fn images(&self) -> &[StegoImage] {
        &self.images
    }

    /// A changed image, the same for the same `seed`.
    pub fn mutate(&self, seed: u64) -> Mutation {
        let random = &mut SmallRng::seed_from_u64(seed);
        let image = self.any(random);
        let mut embedded = vec![image.carried.clone()];
        match random.random_range(0..CHANGES.len() + 2) {
            at if at < CHANGES.len() => {
                let (kind, change) = CHANGES[at];
                let Changed { file, forged } = change(image, random);
                Mutation { kind, file, embedded, forged, is_harmless: false }
            }
            at if at == CHANGES.len() => {
                let file = file::save_again(image, random);
                Mutation { kind: SAVED_AGAIN, file, embedded, forged: None, is_harmless: true }
            }
            _ => {
                let other = self.any(random);
                embedded.push(other.carried.clone());
                let file = file::splice(image, other, random);
                Mutation { kind: SPLICED, file, embedded, forged: None, is_harmless: false }
            }
        }
    }

    fn any(&self, random: &mut SmallRng) -> &StegoImage {
        &self.images[random.random_range(0..self.images.len())]
    }
}

impl Default for Mutator {
    fn default() -> Self {
        Self::new()
    }
}

/// Extracts from a changed image. Gives `secret`, `forged` or the code of the error.
///
/// # Errors
/// What was found instead of what may be found.
pub fn judge(mutation: &Mutation, limits: &Limits) -> Result<&'static str, String> {
    // Whatever it claims, claiming does no harm.
    let _ = claimed_lengths_bytes(&mutation.file, limits);
    match extract(&mutation.file, limits) {
        Ok(found) if mutation.embedded.iter().any(|carried| carried.is(&found)) => Ok("secret"),
        Ok(found) if mutation.forged.as_ref().is_some_and(|carried| carried.is(&found)) => Ok("forged"),
        Ok(found) => Err(format!(
            "found {} bytes that nobody put there: {:.400}",
            found.secret.len(),
            format!("{found:?}")
        )),
        Err(error) if mutation.is_harmless => Err(format!("found nothing: {error}")),
        Err(error) => Ok(error.code()),
    }
}
