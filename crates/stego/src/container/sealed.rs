//! The sealed layout, version 1: an encrypted header of fixed size, and an encrypted body.
//!
//! Defined in `docs/format.md`, section "Sealed layout". Ciphertext is decrypted in place and only after its
//! tag was found right.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::open::{Content, Opened, inflated, name_field, read_name_field};
use crate::container::error::ContainerError;
use crate::height::ConstraintHeight;
use crate::key::{DerivedKey, LABEL};
use crate::limits::Limits;
use crate::secret::{MarkId, Secret};

/// Length of the header in bytes, as carried.
pub(crate) const HEADER_LEN_BYTES: usize = PLAIN_HEADER_LEN_BYTES + TAG_LEN_BYTES;
/// Length in bytes of the tag of XChaCha20-Poly1305.
pub(crate) const TAG_LEN_BYTES: usize = 16;
/// Length in bytes of what a body has besides name, mark, content and padding.
pub(crate) const SEALED_OVERHEAD_LEN_BYTES: u64 = (FIELDS_LEN_BYTES + TAG_LEN_BYTES) as u64;

const PLAIN_HEADER_LEN_BYTES: usize = 24;
const VERSION: u8 = 1;
const FLAGS: u8 = 0;

/// Fields before the name.
const FIELDS_LEN_BYTES: usize = 12;
const DEFLATED_FLAG: u8 = 0b01;
const MARK_FLAG: u8 = 0b10;

/// Coding of a body in the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// One bit per sample.
    Scattered,
    /// A double-layered syndrome-trellis code.
    Adaptive {
        height: ConstraintHeight,
        /// Part of the bits in the second layer, in units of 1/4096; below 4096.
        second_share: u16,
    },
}

impl Coding {
    /// Bits of the share; the height lies above.
    const SHARE_BITS: u32 = 12;

    fn to_bytes(self) -> [u8; 2] {
        match self {
            Self::Scattered => [0; 2],
            Self::Adaptive { height, second_share } => {
                debug_assert!(second_share >> Self::SHARE_BITS == 0, "a share has 12 bits");
                (u16::from(height.as_u8()) << Self::SHARE_BITS | second_share).to_be_bytes()
            }
        }
    }

    /// `None` for a coding of a later release.
    pub(crate) fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        let coding = u16::from_be_bytes(bytes);
        let [height, _] = (coding >> Self::SHARE_BITS).to_le_bytes();
        match ConstraintHeight::new(height) {
            _ if coding == 0 => Some(Self::Scattered),
            Some(height) => {
                Some(Self::Adaptive { height, second_share: coding & ((1 << Self::SHARE_BITS) - 1) })
            }
            None => None,
        }
    }
}

/// Fields of a header, opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Length in bytes of the padded body.
    pub(crate) padded_len: usize,
    pub(crate) coding: Coding,
}

/// A container ready to be carried.
pub(crate) struct SealedStream {
    pub(crate) header: [u8; HEADER_LEN_BYTES],
    pub(crate) body: Vec<u8>,
}

/// The plaintext of a body.
pub(crate) struct PlainBody {
    plain: Zeroizing<Vec<u8>>,
    /// True if the container goes without the name of the secret.
    pub(crate) is_nameless: bool,
}

/// Returns the length of a body of `len_bytes` when padded to its size class: there are 32 classes between a
/// length and its double. The room limits the class.
fn padded_len(len_bytes: u64, room_bytes: u64) -> u64 {
    let unit = 1 << len_bytes.checked_ilog2().unwrap_or_default().saturating_sub(5);
    len_bytes.next_multiple_of(unit).min(room_bytes)
}

impl PlainBody {
    /// Packs `content` with the description in `secret`, and pads it, for an image with `room_bytes`. With
    /// `with_name` false the name field stays empty, and a media type outside the table is left out as well.
    ///
    /// # Errors
    ///
    /// The length in bytes that name, mark and content have, if there is no room for them.
    pub(crate) fn pack(
        content: &Content<'_>,
        secret: &Secret<'_>,
        room_bytes: u64,
        with_name: bool,
    ) -> Result<Self, u64> {
        let (media_type_code, name) = name_field(secret, with_name);
        let mark = secret.mark.map(|mark| mark.0);
        let mark = mark.as_ref().map_or(&[][..], |mark| &mark[..]);
        let described_len = name.len() + mark.len() + content.bytes().len();
        let len_bytes = (FIELDS_LEN_BYTES + described_len) as u64;
        let padded_len = usize::try_from(padded_len(len_bytes, room_bytes)).unwrap_or(usize::MAX);
        if len_bytes > room_bytes || u32::try_from(padded_len).is_err() {
            return Err(described_len as u64);
        }
        let mut layout = if content.is_deflated() { DEFLATED_FLAG } else { 0 };
        if !mark.is_empty() {
            layout |= MARK_FLAG;
        }
        let name_len = u8::try_from(name.len()).expect("names and media types are cut to 255 bytes");
        let content_len = u32::try_from(content.bytes().len()).expect("no longer than the secret");
        // Room for all of it: a vector that grows leaves a copy of the plaintext behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(padded_len));
        plain.extend([layout, media_type_code, name_len, 0]);
        plain.extend(content_len.to_be_bytes());
        plain.extend(content.secret_len_bytes().to_be_bytes());
        for part in [&name[..], mark, content.bytes()] {
            plain.extend_from_slice(part);
        }
        debug_assert_eq!(plain.len() as u64, len_bytes, "the length that was padded");
        plain.resize(padded_len, 0);
        Ok(Self { plain, is_nameless: !with_name })
    }

    /// Encrypts the body, and makes the header, for an image with this number of eligible samples.
    pub(crate) fn seal(&self, key: &DerivedKey, eligible: u64, coding: Coding) -> SealedStream {
        let padded_len = u32::try_from(self.plain.len()).expect("checked when packed");
        let mut header = Zeroizing::new(Vec::with_capacity(HEADER_LEN_BYTES));
        header.extend([VERSION, FLAGS]);
        header.extend(coding.to_bytes());
        header.extend(padded_len.to_be_bytes());
        header.extend(key.commitment());
        const NEVER_FAILS: &str = "the cipher takes 256 GiB";
        let cipher = XChaCha20Poly1305::new(key.header().into());
        let nonce = nonce(key, b"header");
        cipher.encrypt_in_place(&nonce, &header_data(eligible), &mut *header).expect(NEVER_FAILS);
        let header = header.as_slice().try_into().expect("plaintext and tag");

        let cipher = XChaCha20Poly1305::new(key.body().into());
        let nonce = self::nonce(key, b"body");
        let mut body = Zeroizing::new(Vec::with_capacity(self.plain.len() + TAG_LEN_BYTES));
        body.extend_from_slice(&self.plain);
        cipher.encrypt_in_place(&nonce, &body_data(key, &header), &mut *body).expect(NEVER_FAILS);
        SealedStream { header, body: std::mem::take(&mut *body) }
    }

    /// Returns the length in bytes as carried, without the tag.
    pub(crate) fn len_bytes(&self) -> usize {
        self.plain.len()
    }
}

/// Opens a header. `None` without distinction for an
/// image without a payload, another key, and what a later release wrote.
pub(crate) fn open_header(
    header: &[u8; HEADER_LEN_BYTES],
    key: &DerivedKey,
    eligible: u64,
    room_bytes: u64,
) -> Option<Header> {
    let mut plain = Zeroizing::new(header.to_vec());
    let cipher = XChaCha20Poly1305::new(key.header().into());
    cipher.decrypt_in_place(&nonce(key, b"header"), &header_data(eligible), &mut *plain).ok()?;
    let (known, rest) = plain.split_first_chunk()?;
    let (coding, rest) = rest.split_first_chunk()?;
    let (padded_len, commitment) = rest.split_first_chunk()?;
    let padded_len = u32::from_be_bytes(*padded_len);
    // The tag holds, so no comparison here tells anything to someone without the key.
    let is_known = *known == [VERSION, FLAGS] && commitment == key.commitment();
    let is_possible = (FIELDS_LEN_BYTES as u64..=room_bytes).contains(&u64::from(padded_len));
    let header =
        Header { padded_len: usize::try_from(padded_len).ok()?, coding: Coding::from_bytes(*coding)? };
    (is_known && is_possible).then_some(header)
}

/// Opens a body, and returns the content, and true if it was deflated.
///
/// # Errors
///
/// [`ContainerError::Damaged`] if a bit differs from what was embedded, [`ContainerError::SecretTooLarge`]
/// beyond the limits.
pub(crate) fn open_body(
    body: Vec<u8>,
    header: &[u8; HEADER_LEN_BYTES],
    key: &DerivedKey,
    limits: &Limits,
) -> Result<(Opened, bool), ContainerError> {
    const CONTRADICTION: ContainerError =
        ContainerError::Damaged { what: "its lengths contradict each other" };
    let mut plain = Zeroizing::new(body);
    let cipher = XChaCha20Poly1305::new(key.body().into());
    cipher
        .decrypt_in_place(&nonce(key, b"body"), &body_data(key, header), &mut *plain)
        .map_err(|_| ContainerError::Damaged { what: "its tag differs" })?;

    let (&[layout, media_type_code, name_len, zero], rest) =
        plain.split_first_chunk().ok_or(CONTRADICTION)?;
    let (content_len, rest) = rest.split_first_chunk().ok_or(CONTRADICTION)?;
    let (secret_len, rest) = rest.split_first_chunk().ok_or(CONTRADICTION)?;
    let (content_len, secret_len) = (u32::from_be_bytes(*content_len), u32::from_be_bytes(*secret_len));
    let (deflated, has_mark) = (layout & DEFLATED_FLAG != 0, layout & MARK_FLAG != 0);
    if u64::from(secret_len) > limits.max_secret_bytes {
        return Err(ContainerError::SecretTooLarge {
            needed_bytes: u64::from(secret_len),
            max_bytes: limits.max_secret_bytes,
        });
    }
    if layout & !(DEFLATED_FLAG | MARK_FLAG) != 0 || zero != 0 {
        return Err(ContainerError::Damaged { what: "a reserved bit is set" });
    }
    if (deflated && content_len >= secret_len) || (!deflated && content_len != secret_len) {
        return Err(CONTRADICTION);
    }
    let (name, rest) = rest.split_at_checked(usize::from(name_len)).ok_or(CONTRADICTION)?;
    let mark_len = if has_mark { MarkId::LEN_BYTES } else { 0 };
    let (mark, rest) = rest.split_at_checked(mark_len).ok_or(CONTRADICTION)?;
    let content_len = usize::try_from(content_len).map_err(|_| CONTRADICTION)?;
    let (content, padding) = rest.split_at_checked(content_len).ok_or(CONTRADICTION)?;
    if padding.iter().any(|&byte| byte != 0) {
        return Err(ContainerError::Damaged { what: "its padding is not zero" });
    }
    let secret = if deflated { inflated(content, secret_len, &limits.watch)? } else { content.to_vec() };
    let (name, media_type) = read_name_field(media_type_code, name);
    let mark = mark.try_into().ok().map(MarkId);
    Ok((Opened { secret, name, media_type, mark }, deflated))
}

/// A key seals one header and one body, so the salt and the part make a nonce.
fn nonce(key: &DerivedKey, part: &[u8]) -> XNonce {
    let mut nonce = XNonce::default();
    nonce.iter_mut().zip(key.salt().0.iter().chain(part)).for_each(|(to, from)| *to = *from);
    nonce
}

fn header_data(eligible: u64) -> Vec<u8> {
    [LABEL, &eligible.to_be_bytes()].concat()
}

fn body_data(key: &DerivedKey, header: &[u8; HEADER_LEN_BYTES]) -> Vec<u8> {
    [&key.salt().0[..], header].concat()
}

#[cfg(test)]
mod tests;
