//! Deflate (RFC 1951) in a zlib stream (RFC 1950), byte for byte as programs write it that link stock zlib.
//!
//! An image that is to look as if another program had written it needs the other program's compressor. Each
//! implementation of deflate finds other matches, so the bytes differ although every one of them is valid:
//! the pure-Rust backends of `flate2` and zlib-ng give other bytes than zlib 1.2 and 1.3. `flate2` also
//! passes on neither the strategy nor the memory level, and both decide on the bytes.
//!
//! ```
//! use zlib::{Deflater, Flush, Settings, Status};
//!
//! let mut deflater = Deflater::new(Settings::default())?;
//! let mut output = [0; 64];
//! let step = deflater.step(b"a text, a text", &mut output, Flush::Finish)?;
//! assert_eq!((step.consumed, step.status), (14, Status::Ended));
//! assert_eq!(output[..2], [0x78, 0x9C]);
//! # Ok::<(), zlib::Error>(())
//! ```
//!
//! **Contract.** Bytes in, bytes out, as for the crates above: no I/O, and the same input gives the same
//! output on every machine. No argument causes undefined behaviour: all of `unsafe` is in one module,
//! [`Deflater`] is the only way to it, and zlib is given slices only, for the time of a call.

mod deflater;
mod settings;

pub use deflater::{Deflater, Error, Flush, Status, Step};
pub use settings::{Settings, Strategy};

/// Returns the version of zlib in this program.
pub fn version() -> &'static str {
    deflater::version()
}
