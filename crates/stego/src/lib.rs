//! Hides a secret in the samples of an image and finds it again.
//!
//! ```
//! use stego::{EmbedOptions, Limits, Secret};
//!
//! let limits = Limits::default();
//! let cover = dataset::cover(7).expect("the dataset has 50 images");
//! let image = stego::embed(&cover, &Secret::new(b"meet me at noon"), &EmbedOptions::default(), &limits)?;
//!
//! let found = stego::extract(&image.to_vec(), &limits)?;
//! assert_eq!(found.secret, b"meet me at noon");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a key nobody else reads the secret, or learns by looking that there is one:
//!
//! ```
//! use stego::{EmbedOptions, Limits, Salt, Seal, SealingKey, Secret};
//!
//! let limits = Limits::default();
//! let cover = dataset::cover(7).expect("the dataset has 50 images");
//! let key = SealingKey::new(Some("correct horse battery staple"), None)?;
//! // From a source of randomness, and never used again.
//! let salt = Salt([0x5A; 16]);
//! let options = EmbedOptions::default().with_seal(Seal::Key(key.clone(), salt));
//! let image = stego::embed(&cover, &Secret::new(b"meet me at noon"), &options, &limits)?;
//!
//! let found = stego::extract_sealed(&image.to_vec(), &key, &limits)?;
//! assert_eq!(found.secret, b"meet me at noon");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Three independent parts, combined by [`embed()`] and [`extract()`]; a [`Mode`] names the first two:
//!
//! | part | task |
//! |---|---|
//! | `container` | describe a secret with name and type in a byte string, and read the byte string |
//! | `carrier` | plan the changes to samples for a byte string, and read the byte string |
//! | `codec` | image files into rows of 8- or 16-bit samples, samples with changes into PNG |
//!
//! Keyed modes take a fourth: `coding` carries a message in few changes of samples.
//!
//! A cover is a [`Cover`] in memory, an [`ImageFile`] or a [`PreparedCover`]; each embed takes the cheapest
//! way for the kind of cover.
//!
//! The formats are defined in `docs/format.md`.
//!
//! **Contract.** Bytes in, bytes out: no I/O, no clock, no randomness, no async. The same input gives the
//! same output on every machine. [`extract()`] returns the embedded secret or an error; no input causes a
//! panic or more memory than [`Limits`] allows.

#![warn(clippy::missing_errors_doc, unnameable_types)]

mod bits;
mod block_grid;
mod carrier;
mod codec;
mod coding;
mod container;
mod embed;
mod examination;
mod extract;
mod file;
mod height;
mod key;
#[cfg(test)]
mod known_answers;
mod limits;
mod mode;
mod note;
mod quality;
mod secret;
mod watch;

pub use bits::BitsPerSample;
pub use carrier::Capacity;
#[doc(hidden)]
pub use carrier::cost_map::CostMap;
pub use codec::cover::Cover;
pub use codec::decode::probe;
pub use codec::error::ImageError;
pub use codec::format::{Channels, ImageFormat, MetadataPolicy, SampleDepth};
pub use codec::guard::silence_decoder_panics;
pub use codec::info::ImageInfo;
pub use codec::parts::Part;
pub use codec::png::splice::prepared::PreparedCover;
pub use codec::png::splice::sent::arriving::{ArrivingPng, CheckedPixels};
pub use container::error::{ContainerError, ContainerVersion};
pub use container::open::{HEADER_LEN_BYTES, MAX_NAME_FIELD_LEN_BYTES};
pub use embed::error::EmbedError;
pub use embed::options::{EmbedOptions, OutputFormat, Verify};
pub use embed::sealed::SealedSamples;
pub use embed::stego_image::{EmbedReport, StegoImage};
pub use embed::{CoverInput, PreparedPayload, embed};
pub use examination::GiveAway;
pub use extract::error::{ExtractError, Reencoding};
pub use extract::found::Extracted;
pub use extract::sealed::{SealedReading, extract_sealed};
pub use extract::{claimed_lengths_bytes, examine, extract};
pub use file::ImageFile;
pub use height::ConstraintHeight;
pub use key::{DerivedKey, KeyError, Salt, Seal, SealingKey};
pub use limits::Limits;
pub use mode::Mode;
pub use note::Note;
pub use quality::{Incomparable, Quality, difference_image, mse, psnr_db, ssim};
pub use secret::{FileName, MarkId, MediaType, Secret};
pub use watch::{Progress, Stage, Stopped, Watch};
