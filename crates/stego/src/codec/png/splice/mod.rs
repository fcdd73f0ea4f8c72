//! PNG at the cost of what changes: a cover is filtered and deflated once, and embedding writes its first
//! rows anew and takes the rest as it is.
//!
//! The rest is cut into segments of a few rows. Each is deflated on its own and ends on a byte without a
//! reference across its border (a full flush, RFC 1951 and zlib's manual), and lies in an IDAT chunk of its
//! own with its checksum. The checksum over all samples (Adler-32, RFC 1950) is put together from those of
//! head and rest and stands in a last IDAT chunk of four bytes, so that no byte of the rest is ever touched.
//!
//! A PNG that a user sends is not prepared: [`sent`] keeps what it can of the data as they are.
//!
//! Such a file shows its maker. That is for the open mode, whose file hides nothing from an analyst.

mod adler;
mod deflate;
mod idat;
pub(crate) mod prepared;
pub(crate) mod sent;
