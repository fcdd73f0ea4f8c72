//! Mutated stego images, with the permitted results of their extraction.
//!
//! Whatever the change, extraction gives exactly the embedded secret or an error, never other bytes. Only a
//! change that forges a whole container, with a matching checksum and digest, may yield the forged secret;
//! the expected content comes from [`Pixels::carried`](crate::Pixels::carried), which shares no code with the
//! library.
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

use crate::carried::Carried;

/// A generator of mutated images, from some fifty valid images.
#[derive(Debug)]
pub struct Mutator {
    images: Vec<StegoImage>,
}

/// A mutated image.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// The kind of change, such as `flip bits`.
    pub kind: &'static str,
    /// The file.
    pub file: Vec<u8>,
    /// Permitted results of extraction: the payloads embedded in the source images.
    pub embedded: Vec<Carried>,
    /// The forged payload, if consistent.
    pub forged: Option<Carried>,
    /// True if extraction must succeed: the change does not affect the payload.
    pub is_harmless: bool,
}

/// Result of a change. Forged content is `None` unless the change sets it.
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
    /// Generates the images, which takes about a second.
    pub fn new() -> Self {
        Self { images: images::all() }
    }

    /// Returns the unchanged images.
    pub fn images(&self) -> &[StegoImage] {
        &self.images
    }

    /// Mutates an image, determined by `seed`.
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

/// Extracts from a mutated image. Returns `secret`, `forged` or the code of the error.
///
/// # Errors
/// A description of the result, if not permitted.
pub fn judge(mutation: &Mutation, limits: &Limits) -> Result<&'static str, String> {
    // False lengths in a header must not cause a panic.
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
