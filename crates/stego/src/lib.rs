//! Hides a secret in the samples of an image and finds it again.
//!
//! ```
//! use stego::{EmbedOptions, Limits, Secret};
//!
//! let limits = Limits::default();
//! let cover = dataset::cover(7).expect("the dataset has 50 images");
//! let embedded = stego::embed(&cover, &Secret::new(b"meet me at noon"), &EmbedOptions::default(), &limits)?;
//!
//! let found = stego::extract(&embedded.png, &limits)?;
//! assert_eq!(found.secret, b"meet me at noon");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Four layers, each a module that knows nothing of the ones above it:
//!
//! | layer | what it turns into what |
//! |---|---|
//! | `codec` | image files into rows of 8- or 16-bit samples, samples into PNG |
//! | `carrier` | bytes into the low bits of a sequence of samples and back |
//! | `container` | a secret with its name and type into a self-describing byte string and back |
//! | [`embed()`], [`extract()`] | all of it together, verified |
//!
//! The formats are defined in `docs/format.md`.
//!
//! **Contract.** Bytes in, bytes out: no I/O, no clock, no randomness, no async. The same input gives the same
//! output on every machine. What [`extract()`] returns is what was embedded, or it is an error; no input makes
//! anything here panic or take more memory than [`Limits`] allows.

mod bits;
mod block_grid;
mod carrier;
mod codec;
mod container;
mod embed;
mod extract;
mod limits;
mod note;
mod quality;
mod secret;
mod watch;

pub use bits::BitsPerSample;
pub use carrier::sequential::Capacity;
pub use codec::cover::Cover;
pub use codec::decode::probe;
pub use codec::error::ImageError;
pub use codec::format::{Channels, ImageFormat, MetadataPolicy, SampleDepth};
pub use codec::guard::silence_decoder_panics;
pub use codec::info::ImageInfo;
pub use codec::png::splice::{
    Container, PngEmbedError, PngPart, PreparedCover, Spliced, SplicedPng, embed_into_file, embed_into_png,
    embed_prepared, splice,
};
pub use container::error::{ContainerError, ContainerVersion};
pub use container::open::{HEADER_LEN_BYTES, MAX_NAME_FIELD_LEN_BYTES};
pub use embed::{EmbedError, EmbedOptions, Embedded, Verify, embed};
pub use extract::{ExtractError, Extracted, Reencoding, claimed_lengths_bytes, examine, extract};
pub use limits::Limits;
pub use note::Note;
pub use quality::{Incomparable, Quality, difference_image, mse, psnr_db, ssim};
pub use secret::{FileName, MarkId, MediaType, Secret};
pub use watch::{Progress, Stage, Stopped, Watch};
