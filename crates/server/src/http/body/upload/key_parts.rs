//! The key in a form: a passphrase, a key file, or both. Overwritten when dropped, and absent from `Debug`.
//!
//! Buffers of the connection and of the parser, which held the bytes before, are beyond this module.

use std::fmt;

use multer::Field;
use stego::{KeyError, SealingKey};
use zeroize::Zeroizing;

use super::error::{UploadError, from_multer};
use crate::budget::Share;

/// Room of a buffer at the start. Most key files and all passphrases fit.
const FIRST_ROOM_BYTES: usize = 4096;

/// The parts of a form that make its key.
#[derive(Default)]
pub(crate) struct KeyParts {
    passphrase: Option<Zeroizing<Vec<u8>>>,
    key_file: Option<Zeroizing<Vec<u8>>>,
    _memory: Option<Share>,
}

impl KeyParts {
    /// True without a passphrase and without a key file.
    pub(super) fn is_empty(&self) -> bool {
        self.passphrase.is_none() && self.key_file.is_none()
    }

    /// True if the form has a passphrase already.
    pub(super) fn has_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    /// True if the form has a key file already.
    pub(super) fn has_key_file(&self) -> bool {
        self.key_file.is_some()
    }

    /// Length of both parts in bytes.
    pub(super) fn len_bytes(&self) -> u64 {
        self.pieces().into_iter().flatten().map(|part| part.len() as u64).sum()
    }

    /// Passphrase and key file.
    pub(super) fn pieces(&self) -> [Option<&[u8]>; 2] {
        [&self.passphrase, &self.key_file].map(|part| part.as_deref().map(Vec::as_slice))
    }

    /// Adds the account of the memory.
    pub(super) fn counted(self, memory: Share) -> Self {
        Self { _memory: Some(memory), ..self }
    }

    /// Receives a passphrase.
    pub(super) async fn receive_passphrase(&mut self, field: &mut Field<'_>) -> Result<(), UploadError> {
        let max_bytes = SealingKey::MAX_PASSPHRASE_LEN_BYTES;
        let text = receive(field, max_bytes).await?.ok_or(KeyError::PassphraseTooLong { max_bytes })?;
        if std::str::from_utf8(&text).is_err() {
            return Err(UploadError::NotText { name: api::fields::PASSPHRASE });
        }
        self.passphrase = Some(text);
        Ok(())
    }

    /// Receives a key file. Browsers send an empty part without a name for a field without a chosen file
    /// (HTML, section 4.10.21.4); it is no key file.
    pub(super) async fn receive_key_file(
        &mut self,
        field: &mut Field<'_>,
        file_name: Option<&str>,
    ) -> Result<(), UploadError> {
        let max_bytes = SealingKey::MAX_KEY_FILE_LEN_BYTES;
        let content = receive(field, max_bytes).await?.ok_or(UploadError::KeyFileTooLong { max_bytes })?;
        if file_name != Some("") || !content.is_empty() {
            self.key_file = Some(content);
        }
        Ok(())
    }

    /// Makes the key. The digest of a long key file belongs on a pixel thread.
    ///
    /// # Errors
    /// A [`KeyError`] for a part of a length outside the bounds.
    pub(crate) fn key(&self) -> Result<SealingKey, KeyError> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::len);
        debug_assert!(
            self.passphrase.as_deref().is_none_or(|bytes| text(bytes).is_ok()),
            "checked on arrival"
        );
        let passphrase = self.passphrase.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        SealingKey::new(passphrase, self.key_file.as_deref().map(Vec::as_slice))
    }
}

#[cfg(test)]
impl KeyParts {
    /// Parts as received.
    pub(super) fn of_test(passphrase: Option<&[u8]>, key_file: Option<&[u8]>) -> Self {
        let [passphrase, key_file] = [passphrase, key_file].map(|part| Some(Zeroizing::new(part?.to_vec())));
        Self { passphrase, key_file, _memory: None }
    }
}

impl fmt::Debug for KeyParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyParts(..)")
    }
}

/// Reads a field; `None` if longer than `max_bytes`. A buffer that grows is overwritten before it is freed.
async fn receive(field: &mut Field<'_>, max_bytes: usize) -> Result<Option<Zeroizing<Vec<u8>>>, UploadError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FIRST_ROOM_BYTES.min(max_bytes)));
    while let Some(chunk) = field.chunk().await.map_err(from_multer)? {
        let len_bytes = bytes.len() + chunk.len();
        if len_bytes > max_bytes {
            return Ok(None);
        }
        if len_bytes > bytes.capacity() {
            let mut longer = Zeroizing::new(Vec::with_capacity(len_bytes.max(2 * bytes.capacity())));
            longer.extend_from_slice(&bytes);
            bytes = longer;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}
