//! Keys of the keyed modes: from a passphrase or a key file to the keys of one stego image.
//!
//! Defined in `docs/format.md`, section "Key". What this module holds is overwritten when dropped and absent
//! from `Debug`; copies that algorithms leave on the stack are beyond it.

mod error;

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use hkdf::Hkdf;
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

pub use error::KeyError;

/// The name of version 1 of the sealed layout, which is in every derivation.
pub(crate) const LABEL: &[u8] = b"stego sealed v1";

/// Argon2id, the second recommended choice of RFC 9106, section 4.
const ARGON2_MEMORY_KIB: u32 = 64 << 10;
const ARGON2_PASSES: u32 = 3;
const ARGON2_LANES: u32 = 4;

const KEY_FILE_LABEL: &[u8] = b"keyfile v1";
/// NFC makes a text in UTF-8 at most three times as long (UAX #15, section 12).
const MAX_NFC_GROWTH: usize = 3;

/// Random bytes that make the keys of a stego image its own. Not confidential; never to be used twice with
/// the same key for two secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Salt(
    /// The bytes as carried.
    pub [u8; Salt::LEN_BYTES],
);

impl Salt {
    /// Length in bytes: the recommendation of RFC 9106, section 3.1.
    pub const LEN_BYTES: usize = 16;
}

/// What a user gives to embed and extract: a passphrase, a key file, or both. A clone shares the memory.
#[derive(Clone)]
pub struct SealingKey(Arc<Given>);

struct Given {
    /// In normalization form C; empty without a passphrase.
    passphrase: Zeroizing<String>,
    key_file_digest: Option<Zeroizing<[u8; 32]>>,
}

impl SealingKey {
    /// Longest passphrase in bytes, before normalization.
    pub const MAX_PASSPHRASE_LEN_BYTES: usize = 1024;
    /// Shortest key file in bytes.
    pub const MIN_KEY_FILE_LEN_BYTES: usize = 32;
    /// Longest key file in bytes.
    pub const MAX_KEY_FILE_LEN_BYTES: usize = 16 << 20;
    /// Memory in bytes taken by [`SealingKey::derive`] while it runs.
    pub const DERIVE_MEMORY_BYTES: u64 = ARGON2_MEMORY_KIB as u64 * 1024;

    /// Creates a key from a passphrase, nothing trimmed, or the content of a key file, or both. With both,
    /// both are needed to extract.
    ///
    /// # Errors
    ///
    /// A [`KeyError`] without either, or if one has a length outside the bounds.
    pub fn new(passphrase: Option<&str>, key_file: Option<&[u8]>) -> Result<Self, KeyError> {
        if passphrase.is_none() && key_file.is_none() {
            return Err(KeyError::Missing);
        }
        let passphrase = passphrase.map(normalized).transpose()?.unwrap_or_default();
        let key_file_digest = key_file.map(key_file_digest).transpose()?;
        Ok(Self(Arc::new(Given { passphrase, key_file_digest })))
    }

    /// Derives the keys of the stego image with this salt by Argon2id. The lanes run in parallel on the rayon
    /// pool of the calling thread. Takes [`SealingKey::DERIVE_MEMORY_BYTES`] and some 0.1 s of a processor.
    pub fn derive(&self, salt: Salt) -> DerivedKey {
        let Given { passphrase, key_file_digest } = &*self.0;
        let secret = key_file_digest.as_ref().map_or(&[][..], |digest| &digest[..]);
        let params = ParamsBuilder::new()
            .m_cost(ARGON2_MEMORY_KIB)
            .t_cost(ARGON2_PASSES)
            .p_cost(ARGON2_LANES)
            .output_len(32)
            .data(AssociatedData::new(LABEL).expect("the label is shorter than 32 bytes"))
            .build()
            .expect("the parameters are those of RFC 9106");
        let mut memory = Zeroizing::new(vec![Block::new(); params.block_count()]);
        let argon2 = Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)
            .expect("the secret has 32 bytes");
        let mut prk = Zeroizing::new([0; 32]);
        argon2
            .hash_password_into_with_memory(passphrase.as_bytes(), &salt.0, &mut *prk, &mut memory[..])
            .expect("passphrase, salt and output have lengths within the bounds of RFC 9106");
        DerivedKey::from_prk(salt, &prk)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

fn normalized(passphrase: &str) -> Result<Zeroizing<String>, KeyError> {
    let max_bytes = SealingKey::MAX_PASSPHRASE_LEN_BYTES;
    match passphrase.len() {
        0 => Err(KeyError::EmptyPassphrase),
        len if len > max_bytes => Err(KeyError::PassphraseTooLong { max_bytes }),
        len => {
            // Room for all of it: a string that grows leaves copies behind.
            let mut nfc = Zeroizing::new(String::with_capacity(len * MAX_NFC_GROWTH));
            nfc.extend(passphrase.nfc());
            debug_assert!(nfc.len() <= len * MAX_NFC_GROWTH, "the string did not grow");
            Ok(nfc)
        }
    }
}

fn key_file_digest(content: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let (min_bytes, max_bytes) = (SealingKey::MIN_KEY_FILE_LEN_BYTES, SealingKey::MAX_KEY_FILE_LEN_BYTES);
    if !(min_bytes..=max_bytes).contains(&content.len()) {
        return Err(KeyError::KeyFileLength { len_bytes: content.len(), min_bytes, max_bytes });
    }
    let digest = Blake2b::<U32>::new().chain_update(KEY_FILE_LABEL).chain_update(content).finalize();
    Ok(Zeroizing::new(digest.into()))
}

/// The keys of one stego image: derived from a [`SealingKey`] and a [`Salt`]. A clone shares the memory.
#[derive(Clone)]
pub struct DerivedKey(Arc<Subkeys>);

struct Subkeys {
    salt: Salt,
    positions: [u8; 32],
    header: [u8; 32],
    body: [u8; 32],
    commitment: [u8; 16],
}

impl DerivedKey {
    /// Takes the output of Argon2id. For tests and measurements, which leave the derivation out.
    #[doc(hidden)]
    pub fn from_prk(salt: Salt, prk: &[u8; 32]) -> Self {
        let hkdf = Hkdf::<Sha256>::from_prk(prk).expect("32 bytes are the length of a digest");
        let mut keys =
            Subkeys { salt, positions: [0; 32], header: [0; 32], body: [0; 32], commitment: [0; 16] };
        let Subkeys { positions, header, body, commitment, .. } = &mut keys;
        let named: [(&[u8], &mut [u8]); 4] = [
            (b" positions", positions),
            (b" header", header),
            (b" body", body),
            (b" commitment", commitment),
        ];
        for (name, key) in named {
            hkdf.expand_multi_info(&[LABEL, name], key).expect("no longer than 255 digests");
        }
        Self(Arc::new(keys))
    }

    /// Returns the salt of the stego image.
    pub fn salt(&self) -> Salt {
        self.0.salt
    }

    /// Returns the key of the streams that positions are drawn from.
    pub(crate) fn positions(&self) -> &[u8; 32] {
        &self.0.positions
    }

    /// Returns the key of the header's cipher.
    pub(crate) fn header(&self) -> &[u8; 32] {
        &self.0.header
    }

    /// Returns the key of the body's cipher.
    pub(crate) fn body(&self) -> &[u8; 32] {
        &self.0.body
    }

    /// Returns the bytes in the header that bind it to this key.
    pub(crate) fn commitment(&self) -> &[u8; 16] {
        &self.0.commitment
    }
}

impl Drop for Subkeys {
    fn drop(&mut self) {
        let Self { salt: _, positions, header, body, commitment } = self;
        for key in [positions, header, body] {
            key.zeroize();
        }
        commitment.zeroize();
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKey").field("salt", &self.0.salt).finish_non_exhaustive()
    }
}

/// The key of one embed.
#[derive(Debug, Clone)]
pub enum Seal {
    /// A key, and a salt that was never used before. The embed derives the keys, after all checks that do not
    /// need them.
    Key(SealingKey, Salt),
    /// Keys derived before, for example on threads of their own.
    Derived(DerivedKey),
}

impl Seal {
    /// Returns the derived keys.
    pub(crate) fn derive(&self) -> DerivedKey {
        match self {
            Self::Key(key, salt) => key.derive(*salt),
            Self::Derived(key) => key.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_outside_the_bounds_are_refused() {
        let refused =
            |passphrase, key_file: Option<&[u8]>| SealingKey::new(passphrase, key_file).unwrap_err();
        assert_eq!(refused(None, None), KeyError::Missing);
        assert_eq!(refused(Some(""), None), KeyError::EmptyPassphrase);
        assert_eq!(refused(Some(""), Some(&[7; 32])), KeyError::EmptyPassphrase);
        let long = "a".repeat(SealingKey::MAX_PASSPHRASE_LEN_BYTES + 1);
        assert_eq!(refused(Some(&long), None), KeyError::PassphraseTooLong { max_bytes: 1024 });
        assert!(matches!(refused(None, Some(&[7; 31])), KeyError::KeyFileLength { len_bytes: 31, .. }));
        let long = vec![7; SealingKey::MAX_KEY_FILE_LEN_BYTES + 1];
        assert!(matches!(refused(None, Some(&long)), KeyError::KeyFileLength { .. }));
        assert!(SealingKey::new(Some(" "), None).is_ok());
        assert!(SealingKey::new(None, Some(&[7; 32])).is_ok());
        assert!(SealingKey::new(None, Some(&long[1..])).is_ok());
    }

    /// U+0958 and its like are the text that grows most.
    #[test]
    fn a_passphrase_that_grows_by_normalization_fits() {
        for text in ["\u{0958}", "\u{1D160}", "\u{FB2C}", "\u{0390}"] {
            let text = text.repeat(SealingKey::MAX_PASSPHRASE_LEN_BYTES / text.len());
            assert!(normalized(&text).unwrap().len() <= MAX_NFC_GROWTH * text.len());
        }
        assert_eq!(*normalized("e\u{301} \n").unwrap(), "é \n");
    }

    #[test]
    fn keys_do_not_show() {
        let key = SealingKey::new(Some("correct horse"), Some(&[0xAB; 40])).unwrap();
        let derived = DerivedKey::from_prk(Salt([1; 16]), &[0xCD; 32]);
        let seals = [Seal::Key(key.clone(), Salt([1; 16])), Seal::Derived(derived.clone())];
        let shown = format!("{key:?} {derived:?} {seals:?}");
        let positions = format!("{:?}", derived.positions());
        for hidden in ["horse", "171, 171", "205, 205", positions.trim_matches(['[', ']'])] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
