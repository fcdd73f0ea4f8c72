//! Codecs: image files into rows of 8- or 16-bit samples, samples into PNG.
//!
//! [`decode`] selects the codec of a file; [`rows`] is the input of every carrier, [`cover`] the target of
//! changes.

mod bmp;
pub(crate) mod cover;
pub(crate) mod decode;
pub(crate) mod error;
mod exif;
pub(crate) mod format;
mod gif;
pub(crate) mod guard;
pub(crate) mod info;
mod jpeg;
mod metadata;
mod orientation;
pub(crate) mod others;
pub(crate) mod parts;
pub(crate) mod png;
mod qoi;
pub(crate) mod rows;
pub(crate) mod sniff;
mod source;
mod tiff;
mod webp;
