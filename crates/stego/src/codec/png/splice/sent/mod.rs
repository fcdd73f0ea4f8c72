//! Embedding into an existing PNG, at the cost of the changes: the carrying rows are written anew, and the
//! rest of the file's compressed pixels stays in place, bit for bit.
//!
//! Rows up to the last carrying row, and 32 KiB after it (the reach of deflate's references), are inflated
//! and written anew, each with the original filter. Then the stream is cut in the middle of the current
//! block: the kept part of the block gets a copy of the block's header, codes included. Since the kept part
//! may begin with any bit of a byte, empty blocks precede it, until the new bits end at the bit where the
//! kept bits begin. The checksum over all samples follows from the old checksum and the checksums of the old
//! and the new beginning, without the rest (Adler-32 is linear).
//!
//! Checksums and structure of all chunks are checked. With [`SentPng::is_sound`] the compressed pixels below
//! the rewritten rows are inflated to the end as well: rows, end and checksum must hold, otherwise the file
//! is for decoding. Without this check the pixels are trusted: damage under a valid chunk checksum then
//! appears in the same place of the stego image and does not affect the secret.

pub(crate) mod arriving;
mod bits;
mod file;
mod huffman;
mod keep;
mod lengths;
mod rest;
mod rows;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use file::SentPng;
