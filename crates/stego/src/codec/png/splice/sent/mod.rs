//! Embedding into a PNG that is there, at the cost of what changes: the rows that carry are written anew, and
//! the rest of the file's compressed pixels stays where it is, bit for bit.
//!
//! Rows up to the last one that carries, and 32 KiB after it (as far as deflate's references reach), are
//! inflated and written anew, each with the filter it had. Then the stream is cut in the middle of whichever
//! block it is in: what is kept of the block gets the block's header, codes and all, once more. Since what is
//! kept may begin with any bit of a byte, blocks without content come before that, until the new bits end
//! where the kept ones begin. The checksum over all samples follows from the old one, that of the old
//! beginning and that of the new one, without a look at the rest (Adler-32 is linear).
//!
//! Checksums and structure of all chunks are checked. The compressed pixels below the rows that were written
//! are inflated to their end as well, with [`SentPng::is_sound`]: rows, end and checksum must hold, otherwise
//! the file is for decoding. Without that they are taken on trust: should they be damaged under a checksum
//! that holds, then the stego image is damaged in the same place, which takes nothing from the secret.

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
