//! Container version 2, open layout.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::deflate::{InflateError, deflated_if_shorter, inflate};
use super::media_types;
use crate::bits::BitsPerSample;
use crate::container::error::ContainerError;
use crate::limits::Limits;
use crate::secret::{FileName, MarkId, MediaType, Secret};
use crate::watch::Watch;

/// Length in bytes that a container adds to a secret besides the name and the mark.
pub const HEADER_LEN_BYTES: usize = 28;

/// Length in bytes of a container's name field, at most.
pub const MAX_NAME_FIELD_LEN_BYTES: usize = 255;

const MAGIC: &[u8; 3] = b"STG";
const VERSION: u8 = 2;
/// The first bytes of the header, which the digest covers.
const DIGESTED_LEN_BYTES: usize = 16;
const DIGEST_LEN_BYTES: usize = 8;
const CRC_OFFSET: usize = HEADER_LEN_BYTES - 4;

const WIDTH_MASK: u8 = 0b0000_0011;
const COMPRESSION_MASK: u8 = 0b0000_1100;
const COMPRESSION_DEFLATE: u8 = 0b0000_0100;
const MARK_FLAG: u8 = 0b0001_0000;
const KNOWN_BITS: u8 = WIDTH_MASK | COMPRESSION_DEFLATE | MARK_FLAG;

/// A header that was read and found intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bits per sample of everything after the header.
    pub(crate) bits: BitsPerSample,
    pub(crate) deflated: bool,
    secret_len_bytes: u32,
    content_len_bytes: u32,
    has_mark: bool,
    media_type_code: u8,
    name_field_len_bytes: u8,
    digested: [u8; DIGESTED_LEN_BYTES],
    digest: [u8; DIGEST_LEN_BYTES],
}

/// A container ready to be carried.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Carried at one bit per sample.
    pub(crate) header: [u8; HEADER_LEN_BYTES],
    /// Name field, mark and content, carried at `bits` per sample, which the header names.
    pub(crate) rest: Vec<u8>,
    pub(crate) bits: BitsPerSample,
    /// True if the container goes without the name of the secret.
    pub(crate) is_nameless: bool,
}

impl Packed {
    /// Returns the length of the container in bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        (self.header.len() + self.rest.len()) as u64
    }
}

/// Content of a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) secret: Vec<u8>,
    pub(crate) name: Option<FileName>,
    pub(crate) media_type: Option<MediaType>,
    pub(crate) mark: Option<MarkId>,
}

/// The content of a container: a secret, deflated if shorter.
pub(crate) struct Content<'a> {
    bytes: Cow<'a, [u8]>,
    secret_len_bytes: u32,
}

impl<'a> Content<'a> {
    /// Takes `secret` unchanged or, with `compress` and if shorter, deflated. `fits_bytes` is the room of the
    /// carrier.
    pub(crate) fn new(
        secret: &'a [u8],
        compress: bool,
        fits_bytes: u64,
        limits: &Limits,
    ) -> Result<Self, ContainerError> {
        let secret_len_bytes = u32::try_from(secret.len())
            .ok()
            .filter(|&len| u64::from(len) <= limits.max_secret_bytes)
            .ok_or(ContainerError::SecretTooLarge {
                needed_bytes: secret.len() as u64,
                max_bytes: limits.max_secret_bytes.min(u64::from(u32::MAX)),
            })?;
        let deflated = if compress { deflated_if_shorter(secret, fits_bytes, &limits.watch)? } else { None };
        Ok(Self { bytes: deflated.map_or(Cow::Borrowed(secret), Cow::Owned), secret_len_bytes })
    }

    /// True if deflated: only a content that became shorter is.
    pub(super) fn is_deflated(&self) -> bool {
        self.bytes.len() < self.secret_len_bytes as usize
    }

    /// Returns the content as carried.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the length of the secret in bytes.
    pub(super) fn secret_len_bytes(&self) -> u32 {
        self.secret_len_bytes
    }
}

/// Packs `content` with the description in `secret`, for a carrier of `bits` per sample. With `with_name`
/// false the name field stays empty, and a media type outside the table is left out as well.
pub(crate) fn pack(
    content: &Content<'_>,
    secret: &Secret<'_>,
    bits: BitsPerSample,
    with_name: bool,
) -> Packed {
    let (media_type_code, mut rest) = name_field(secret, with_name);
    let name_field_len_bytes = u8::try_from(rest.len()).expect("names and media types are cut to 255 bytes");
    rest.extend(secret.mark.iter().flat_map(|mark| mark.0));
    rest.extend_from_slice(&content.bytes);

    let mut layout = bits.as_u8() - 1;
    if content.is_deflated() {
        layout |= COMPRESSION_DEFLATE;
    }
    if secret.mark.is_some() {
        layout |= MARK_FLAG;
    }
    let mut header = [0; HEADER_LEN_BYTES];
    header[..3].copy_from_slice(MAGIC);
    header[3] = VERSION;
    header[4] = layout;
    header[5] = media_type_code;
    header[6] = name_field_len_bytes;
    let content_len_bytes = u32::try_from(content.bytes.len()).expect("no longer than the secret");
    debug_assert!(content_len_bytes <= content.secret_len_bytes, "only what gets shorter by it is deflated");
    header[8..12].copy_from_slice(&content_len_bytes.to_be_bytes());
    header[12..16].copy_from_slice(&content.secret_len_bytes.to_be_bytes());
    let digest = digest(&header[..DIGESTED_LEN_BYTES], &rest);
    header[DIGESTED_LEN_BYTES..CRC_OFFSET].copy_from_slice(&digest);
    let crc = crc32fast::hash(&header[..CRC_OFFSET]);
    header[CRC_OFFSET..].copy_from_slice(&crc.to_be_bytes());
    debug_assert_eq!(
        Header::from_intact(&header).rest_len_bytes(),
        rest.len() as u64,
        "the header tells the length of what follows"
    );
    Packed { header, rest, bits, is_nameless: !with_name }
}

/// Returns the media type's code, and the name field: the name, then a type missing in the table.
pub(super) fn name_field(secret: &Secret<'_>, with_name: bool) -> (u8, Vec<u8>) {
    let code = media_types::code(secret.media_type.as_ref());
    match (code, secret.media_type.as_ref().filter(|_| with_name)) {
        (media_types::LITERAL, Some(media_type)) => {
            let spelt_out = media_type.as_str().len() + 1;
            let name =
                secret.name.as_ref().and_then(|name| name.cut_to(MAX_NAME_FIELD_LEN_BYTES - spelt_out));
            let mut field = name.map_or(Vec::new(), |name| name.as_str().as_bytes().to_vec());
            field.push(0);
            field.extend_from_slice(media_type.as_str().as_bytes());
            (code, field)
        }
        (media_types::LITERAL, None) => (media_types::NONE, Vec::new()),
        (code, _) => {
            let name = secret.name.as_ref().filter(|_| with_name);
            (code, name.map_or(Vec::new(), |name| name.as_str().as_bytes().to_vec()))
        }
    }
}

fn digest(digested: &[u8], rest: &[u8]) -> [u8; DIGEST_LEN_BYTES] {
    let hash = Sha256::new().chain_update(digested).chain_update(rest).finalize();
    let mut first = [0; DIGEST_LEN_BYTES];
    first.copy_from_slice(&hash[..DIGEST_LEN_BYTES]);
    first
}

impl Header {
    /// Reads a header, in the order of checks of `docs/format.md`; the earlier system's magic counts as none.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN_BYTES], limits: &Limits) -> Result<Self, ContainerError> {
        if !bytes.starts_with(MAGIC) {
            return Err(ContainerError::NoPayload);
        }
        if bytes[3] != VERSION {
            return Err(ContainerError::UnknownVersion { found: bytes[3] });
        }
        if crc32fast::hash(&bytes[..CRC_OFFSET]).to_be_bytes() != bytes[CRC_OFFSET..] {
            return Err(ContainerError::Damaged { what: "its header's checksum differs" });
        }
        let layout = bytes[4];
        if layout & !KNOWN_BITS != 0 || bytes[7] != 0 {
            return Err(ContainerError::UnknownLayout { layout });
        }
        let header = Self::from_intact(bytes);
        header.check_lengths(limits)?;
        Ok(header)
    }

    fn from_intact(bytes: &[u8; HEADER_LEN_BYTES]) -> Self {
        let u32_at = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut digested = [0; DIGESTED_LEN_BYTES];
        digested.copy_from_slice(&bytes[..DIGESTED_LEN_BYTES]);
        let mut digest = [0; DIGEST_LEN_BYTES];
        digest.copy_from_slice(&bytes[DIGESTED_LEN_BYTES..CRC_OFFSET]);
        let bits = BitsPerSample::new((bytes[4] & WIDTH_MASK) + 1).expect("two bits plus one are 1 to 4");
        Self {
            bits,
            deflated: bytes[4] & COMPRESSION_MASK == COMPRESSION_DEFLATE,
            secret_len_bytes: u32_at(12),
            content_len_bytes: u32_at(8),
            has_mark: bytes[4] & MARK_FLAG != 0,
            media_type_code: bytes[5],
            name_field_len_bytes: bytes[6],
            digested,
            digest,
        }
    }

    fn check_lengths(&self, limits: &Limits) -> Result<(), ContainerError> {
        if u64::from(self.secret_len_bytes) > limits.max_secret_bytes {
            return Err(ContainerError::SecretTooLarge {
                needed_bytes: u64::from(self.secret_len_bytes),
                max_bytes: limits.max_secret_bytes,
            });
        }
        let consistent = if self.deflated {
            self.content_len_bytes < self.secret_len_bytes
        } else {
            self.content_len_bytes == self.secret_len_bytes
        };
        if consistent {
            Ok(())
        } else {
            Err(ContainerError::Damaged { what: "its lengths contradict each other" })
        }
    }

    /// Returns the length in bytes of the data after the header.
    pub(crate) fn rest_len_bytes(&self) -> u64 {
        self.described_len_bytes() as u64 + u64::from(self.content_len_bytes)
    }

    /// Returns the length in bytes of the data after the header, and of the secret.
    pub(crate) fn claimed_lengths_bytes(&self) -> (u64, u64) {
        (self.rest_len_bytes(), u64::from(self.secret_len_bytes))
    }

    fn described_len_bytes(&self) -> usize {
        usize::from(self.name_field_len_bytes) + if self.has_mark { MarkId::LEN_BYTES } else { 0 }
    }
}

/// Opens the container whose header is `header` and whose remaining bytes are `rest`.
pub(crate) fn open(header: &Header, mut rest: Vec<u8>, watch: &Watch) -> Result<Opened, ContainerError> {
    if rest.len() as u64 != header.rest_len_bytes() {
        return Err(ContainerError::Damaged { what: "it ends early" });
    }
    if digest(&header.digested, &rest) != header.digest {
        return Err(ContainerError::Damaged { what: "its digest differs" });
    }
    let content = rest.split_off(header.described_len_bytes());
    let described = rest;
    let secret = if header.deflated { inflated(&content, header.secret_len_bytes, watch)? } else { content };
    let (name_field, mark) = described.split_at(usize::from(header.name_field_len_bytes));
    let (name, media_type) = read_name_field(header.media_type_code, name_field);
    Ok(Opened { secret, name, media_type, mark: mark.try_into().ok().map(MarkId) })
}

/// Inflates within the claimed length: a forged header may have a valid digest and still lie about the
/// length.
pub(super) fn inflated(
    content: &[u8],
    secret_len_bytes: u32,
    watch: &Watch,
) -> Result<Vec<u8>, ContainerError> {
    match inflate(content, u64::from(secret_len_bytes), watch) {
        Ok(secret) if secret.len() as u64 == u64::from(secret_len_bytes) => Ok(secret),
        Ok(_) => Err(ContainerError::Damaged { what: "its content inflates to less than it says" }),
        Err(InflateError::TooLong) => {
            Err(ContainerError::Damaged { what: "its content inflates to more than it says" })
        }
        Err(InflateError::Malformed | InflateError::TrailingBytes) => {
            Err(ContainerError::Damaged { what: "its content does not inflate" })
        }
        Err(InflateError::Stopped(stopped)) => Err(stopped.into()),
    }
}

/// Reads the name field. An unsafe name is made safe: the writer of the image chose it.
pub(super) fn read_name_field(code: u8, field: &[u8]) -> (Option<FileName>, Option<MediaType>) {
    let text = String::from_utf8_lossy(field);
    if code == media_types::LITERAL {
        let (name, literal) = text.split_once('\0').unwrap_or((&text, ""));
        return (FileName::from_path(name), MediaType::parse(literal));
    }
    (FileName::from_path(&text), media_types::by_code(code))
}

#[cfg(test)]
mod tests;
