//! Reading and writing of an image's payload by `docs/format.md`, independent of the library.

use std::io::Read;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};
use stego::{Channels, Extracted, FileName, MarkId};

use crate::pixels::Pixels;
use crate::png::PngParts;

/// The content of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The secret.
    pub secret: Vec<u8>,
    /// The file name of the secret.
    pub name: Option<FileName>,
    /// The mark.
    pub mark: Option<MarkId>,
}

/// A container of version 2 in parts, possibly inconsistent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The 28 bytes of the header.
    pub header: [u8; Container::HEADER_LEN_BYTES],
    /// Name field, mark and content.
    pub rest: Vec<u8>,
}

impl Carried {
    /// True if the library extracted the same secret, name and mark.
    pub fn is(&self, found: &Extracted) -> bool {
        self.secret == found.secret && self.name == found.name && self.mark == found.mark
    }
}

impl Pixels {
    /// Encodes the samples as a PNG without filters.
    pub fn to_png(&self, level: Compression) -> Vec<u8> {
        let row_len = self.width as usize * self.channels.count() * self.depth.bytes();
        let colour = match self.channels {
            Channels::Grey => 0,
            Channels::Rgb => 2,
            Channels::GreyAlpha => 4,
            Channels::Rgba => 6,
        };
        let rows = self.samples.chunks_exact(row_len).map(<[u8]>::to_vec).collect();
        let Self { width, height, .. } = *self;
        PngParts { width, height, depth: self.depth.bits(), colour, chunks: Vec::new(), rows }
            .to_file_at(level)
    }

    /// Returns the indices of the bytes whose low bits carry the payload; bytes of invisible pixels are
    /// included only if `all`.
    pub fn carrying(&self, all: bool) -> Vec<usize> {
        let (count, colours, bytes) =
            (self.channels.count(), self.channels.colour_count(), self.depth.bytes());
        let mut carrying = Vec::with_capacity(self.samples.len() / bytes);
        // Plain loops: a fuzzer instruments every closure of an iterator, which dominates the run time.
        for (at, pixel) in self.samples.chunks_exact(count * bytes).enumerate() {
            if all || colours == count || pixel[colours * bytes..].iter().any(|byte| *byte != 0) {
                for colour in 0..colours {
                    carrying.push((at * count + colour + 1) * bytes - 1);
                }
            }
        }
        carrying
    }

    /// Reads `len_bytes` from the `bits` low bits of the bytes at `carrying`; `None` if there are too few.
    pub fn read_bits(&self, carrying: &[usize], bits: u8, len_bytes: usize) -> Option<Vec<u8>> {
        if len_bytes.checked_mul(8)? > carrying.len() * usize::from(bits) {
            return None;
        }
        let all = carrying.iter().flat_map(|at| (0..bits).rev().map(|bit| self.samples[*at] >> bit & 1));
        let mut bytes = vec![0; len_bytes];
        for (n, bit) in all.take(8 * len_bytes).enumerate() {
            bytes[n / 8] |= bit << (7 - n % 8);
        }
        Some(bytes)
    }

    /// Writes `bytes` into the `bits` low bits of the bytes at `carrying`, truncated to the room available.
    pub fn write_bits(&mut self, carrying: &[usize], bits: u8, bytes: &[u8]) {
        let slots = carrying.iter().flat_map(|at| (0..bits).rev().map(|bit| (*at, bit)));
        for (n, (at, bit)) in slots.take(8 * bytes.len()).enumerate() {
            let value = bytes[n / 8] >> (7 - n % 8) & 1;
            self.samples[at] = self.samples[at] & !(1 << bit) | value << bit;
        }
    }

    /// Reads the container of version 2 by its header's lengths, valid or not.
    pub fn container(&self) -> Option<Container> {
        let carrying = self.carrying(false);
        let header = self.read_bits(&carrying, 1, Container::HEADER_LEN_BYTES)?;
        let mut container = Container { header: header.try_into().ok()?, rest: Vec::new() };
        let rest = &carrying[8 * Container::HEADER_LEN_BYTES..];
        container.rest = self.read_bits(rest, container.bits(), container.rest_len_bytes())?;
        Some(container)
    }

    /// Writes a container of version 2, truncated to the room available.
    pub fn put(&mut self, container: &Container) {
        let carrying = self.carrying(false);
        self.write_bits(&carrying, 1, &container.header);
        let rest = carrying.get(8 * Container::HEADER_LEN_BYTES..).unwrap_or_default();
        self.write_bits(rest, container.bits(), &container.rest);
    }

    /// Writes a container of the earlier system, truncated to the room available.
    pub fn put_legacy(&mut self, container: &[u8]) {
        let carrying = self.carrying(true);
        self.write_bits(&carrying, 1, container);
    }

    /// Decodes the payload, of either container; `None` if damaged.
    pub fn carried(&self) -> Option<Carried> {
        match self.container() {
            Some(container) if container.header.starts_with(b"STG") => container.open(),
            _ => self.legacy(),
        }
    }

    fn legacy(&self) -> Option<Carried> {
        if !matches!(self.channels, Channels::Rgb | Channels::Rgba) {
            return None;
        }
        let carrying = self.carrying(true);
        let header = self.read_bits(&carrying, 1, 12).filter(|header| header.starts_with(b"STEG"))?;
        let payload_len = u32_at(&header, 4) as usize;
        let payload = self.read_bits(&carrying[12 * 8..], 1, payload_len)?;
        if crc32fast::hash(&payload) != u32_at(&header, 8) {
            return None;
        }
        Some(Carried { secret: inflated(&payload)?, name: None, mark: None })
    }
}

impl Container {
    /// Length of the header.
    pub const HEADER_LEN_BYTES: usize = 28;

    /// Splits `bytes` into header and rest; `bytes` may be shorter or longer than the header states.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk()?;
        Some(Self { header: *header, rest: rest.to_vec() })
    }

    /// Returns the bits per sample of everything after the header.
    pub fn bits(&self) -> u8 {
        (self.header[4] & 3) + 1
    }

    /// Returns the length of everything after the header, as stated by the header.
    pub fn rest_len_bytes(&self) -> usize {
        self.described_len_bytes() + u32_at(&self.header, 8) as usize
    }

    fn described_len_bytes(&self) -> usize {
        usize::from(self.header[6]) + if self.header[4] & 0x10 != 0 { 16 } else { 0 }
    }

    /// Sets the digest to match the content.
    pub fn set_digest(&mut self) {
        let digest = self.digest();
        self.header[16..24].copy_from_slice(&digest);
    }

    /// Sets the header's checksum to match the header.
    pub fn set_crc(&mut self) {
        let crc = crc32fast::hash(&self.header[..24]);
        self.header[24..].copy_from_slice(&crc.to_be_bytes());
    }

    fn digest(&self) -> [u8; 8] {
        let sum = Sha256::new().chain_update(&self.header[..16]).chain_update(&self.rest).finalize();
        let mut digest = [0; 8];
        digest.copy_from_slice(&sum[..8]);
        digest
    }

    /// Decodes the container; `None` if any part is invalid.
    pub fn open(&self) -> Option<Carried> {
        let header = &self.header;
        let (layout, content_len, secret_len) = (header[4], u32_at(header, 8), u32_at(header, 12));
        let deflated = layout & 0x0c == 0x04;
        let is_intact = header.starts_with(b"STG\x02")
            && crc32fast::hash(&header[..24]) == u32_at(header, 24)
            && layout & 0xe8 == 0
            && header[7] == 0
            && (if deflated { content_len < secret_len } else { content_len == secret_len })
            && self.rest.len() == self.rest_len_bytes()
            && self.digest() == header[16..24];
        if !is_intact {
            return None;
        }
        let (described, content) = self.rest.split_at(self.described_len_bytes());
        let secret = if deflated { inflated(content)? } else { content.to_vec() };
        let (field, mark) = described.split_at(usize::from(header[6]));
        let text = String::from_utf8_lossy(field);
        let name = if header[5] == 255 { text.split('\0').next().unwrap_or_default() } else { &text };
        let name = FileName::from_path(name);
        (secret.len() == secret_len as usize).then(|| Carried {
            secret,
            name,
            mark: mark.try_into().ok().map(MarkId),
        })
    }
}

/// Wraps a payload in the earlier system's container.
pub fn legacy_container(payload: &[u8]) -> Vec<u8> {
    let mut container = b"STEG".to_vec();
    container.extend((payload.len() as u32).to_be_bytes());
    container.extend(crc32fast::hash(payload).to_be_bytes());
    container.extend(payload);
    container
}

/// Inflates a raw deflate stream which ends at the end of `bytes`; `None` above [`MAX_SECRET_BYTES`].
fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = DeflateDecoder::new(bytes);
    let mut secret = Vec::new();
    let read = (&mut decoder).take(MAX_SECRET_BYTES + 1).read_to_end(&mut secret);
    let ends = read.is_ok() && decoder.read(&mut [0]).is_ok_and(|read| read == 0);
    (ends && decoder.total_in() == bytes.len() as u64).then_some(secret)
}

/// Maximum length of an inflated secret, above the secrets of all tests.
const MAX_SECRET_BYTES: u64 = 64 << 20;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
