//! PNG at the cost of the changes: a cover is filtered and deflated once, and embedding writes the first rows
//! anew and takes over the rest unchanged.
//!
//! The rest is cut into segments of a few rows. Each segment is deflated separately and ends on a byte
//! without a reference across the border (a full flush, RFC 1951 and zlib's manual), in a separate IDAT chunk
//! with a checksum. The checksum over all samples (Adler-32, RFC 1950) is combined from the checksums of head
//! and rest and stands in a last IDAT chunk of four bytes, so that no byte of the rest is ever touched.
//!
//! A PNG sent by a user is not prepared: [`sent`] keeps as much of the data as possible unchanged.
//!
//! Such a file shows the program that made it, which is fine for the open mode: the file hides nothing from
//! an analyst.

mod adler;
mod deflate;
mod idat;
pub(crate) mod prepared;
pub(crate) mod sent;
