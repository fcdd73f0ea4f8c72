//! Multipart uploads: read as a stream, counted against the body limit, the shared memory and the clock.
//!
//! A request that is refused half-way is still read to its end within bounds, so that a client which sends
//! first and reads later gets the answer instead of a connection reset.

mod disposition;
mod error;
mod fields;
mod key_parts;
mod parts;
mod receiver;

use axum::extract::Request;
use tokio::time::Instant;

use crate::budget::{CountedBytes, Share};
use crate::data_plane::DataPlane;
use crate::http::middleware::confidential::Confidential;
pub(crate) use error::{InvalidValue, UploadError};
pub(crate) use fields::{FieldKind, Fields, Look};
pub(crate) use key_parts::KeyParts;
use parts::{Received, ReceivedFile};
use receiver::{Bounds, Receiver, waits_for_permission};

/// A completely received form.
#[derive(Debug)]
pub(crate) struct Form {
    files: Vec<(&'static str, UploadedFile)>,
    texts: Vec<(&'static str, String)>,
    key: KeyParts,
    /// Memory of the texts.
    _memory: Share,
}

/// A file in a form. Its memory counts until the bytes are dropped.
#[derive(Debug)]
pub(crate) struct UploadedFile {
    /// The content.
    pub bytes: CountedBytes,
    /// The file name as sent.
    pub name: Option<String>,
    /// The media type as sent.
    pub media_type: Option<String>,
}

impl Form {
    /// Receives the form in `request`, restricted to the fields `known`, until `deadline`.
    ///
    /// # Errors
    /// An [`UploadError`] by the first violation. If the client may still be sending, the rest of the body is
    /// discarded before.
    pub(crate) async fn receive(
        request: Request,
        known: Fields,
        data: &DataPlane,
        deadline: Instant,
    ) -> Result<Self, UploadError> {
        Self::receive_within(request, known, Bounds::of(data, deadline), None).await
    }

    /// Like [`Self::receive`]; `look` inspects its field on arrival. If `look` needs no more of the file, the
    /// form holds an empty file.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub(crate) async fn receive_looking(
        request: Request,
        known: Fields,
        data: &DataPlane,
        deadline: Instant,
        look: &mut dyn Look,
    ) -> Result<Self, UploadError> {
        Self::receive_within(request, known, Bounds::of(data, deadline), Some(look)).await
    }

    async fn receive_within(
        request: Request,
        known: Fields,
        bounds: Bounds,
        look: Option<&mut dyn Look>,
    ) -> Result<Self, UploadError> {
        let (parts, body) = request.into_parts();
        let is_confidential = parts.extensions.get() == Some(&Confidential::Yes);
        let mut receiver = Receiver::new(body, bounds, is_confidential);
        let received = receiver.form(&parts.headers, known, look).await;
        if let Err(error) = &received
            && error.leaves_a_sender()
            && (receiver.asked || !waits_for_permission(&parts.headers))
        {
            receiver.memory.give_back();
            receiver.discard_rest().await;
        }
        let Received { files, texts, key } = received?;
        let memory = &mut receiver.memory;
        let counted = |(field, ReceivedFile { bytes, name, media_type }): (_, ReceivedFile)| {
            let share = memory.split(bytes.len() as u64);
            (field, UploadedFile { bytes: CountedBytes::new(bytes, share), name, media_type })
        };
        let files = files.into_iter().map(counted).collect();
        let texts_bytes = texts.iter().map(|(_, text)| text.len() as u64).sum();
        let key_memory = memory.split(key.len_bytes());
        Ok(Self { files, texts, key: key.counted(key_memory), _memory: receiver.memory.split(texts_bytes) })
    }

    /// Returns all fields with names and file metadata: files in the order sent, then texts in the order
    /// sent, then the key. Different forms have different pieces. They are the input of keyed digests only: a
    /// bare digest would confirm a guessed passphrase.
    pub(crate) fn pieces(&self) -> Vec<&[u8]> {
        fn add<'p>(pieces: &mut Vec<&'p [u8]>, piece: Option<&'p [u8]>) {
            match piece {
                Some(piece) => pieces.extend([b"+", piece]),
                None => pieces.push(b"-"),
            }
        }
        let mut pieces: Vec<&[u8]> = Vec::new();
        for (name, file) in &self.files {
            add(&mut pieces, Some(name.as_bytes()));
            add(&mut pieces, file.name.as_deref().map(str::as_bytes));
            add(&mut pieces, file.media_type.as_deref().map(str::as_bytes));
            add(&mut pieces, Some(&file.bytes));
        }
        add(&mut pieces, None);
        for (name, text) in &self.texts {
            add(&mut pieces, Some(name.as_bytes()));
            add(&mut pieces, Some(text.as_bytes()));
        }
        add(&mut pieces, None);
        for part in self.key.pieces() {
            add(&mut pieces, part);
        }
        pieces
    }

    /// True if the form has a passphrase or a key file.
    pub(crate) fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// Takes the key out of the form.
    pub(crate) fn take_key(&mut self) -> Option<KeyParts> {
        self.has_key().then(|| std::mem::take(&mut self.key))
    }

    /// Takes the file in field `name` out of the form.
    pub(crate) fn take_file(&mut self, name: &str) -> Option<UploadedFile> {
        let at = self.files.iter().position(|(field, _)| *field == name)?;
        Some(self.files.swap_remove(at).1)
    }

    /// Takes the image in field `name` out of the form.
    ///
    /// # Errors
    /// [`UploadError::EmptyFile`] for an image of no bytes.
    pub(crate) fn take_image(&mut self, name: &'static str) -> Result<Option<UploadedFile>, UploadError> {
        match self.take_file(name) {
            Some(file) if file.bytes.is_empty() => Err(UploadError::EmptyFile { name }),
            file => Ok(file),
        }
    }

    /// Returns the text in field `name`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find_map(|(field, text)| (*field == name).then_some(text.as_str()))
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    #[test]
    fn different_forms_have_different_pieces() {
        let file = |bytes: &[u8], name: Option<&str>| UploadedFile {
            bytes: CountedBytes::new(bytes.to_vec(), Budget::new(0).empty_share()),
            name: name.map(str::to_owned),
            media_type: None,
        };
        let keyed = |files: Vec<(&'static str, UploadedFile)>, texts: Vec<(&'static str, &str)>, key| {
            let texts = texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect();
            let form = Form { files, texts, key, _memory: Budget::new(0).empty_share() };
            form.pieces().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let form = |files, texts| keyed(files, texts, KeyParts::default());
        let forms = [
            form(vec![], vec![]),
            form(vec![("file", file(b"ab", None))], vec![]),
            form(vec![("file", file(b"ab", Some("")))], vec![]),
            form(vec![("file", file(b"ab", Some("a")))], vec![]),
            form(vec![("cover", file(b"ab", None))], vec![]),
            form(vec![("file", file(b"a", None)), ("cover", file(b"b", None))], vec![]),
            form(vec![("file", file(b"ab", None))], vec![("bits", "2")]),
            form(vec![], vec![("file", "ab")]),
            keyed(vec![], vec![], KeyParts::of_test(Some(b"a"), None)),
            keyed(vec![], vec![], KeyParts::of_test(None, Some(b"a"))),
            keyed(vec![], vec![], KeyParts::of_test(Some(b"a"), Some(b""))),
            keyed(vec![], vec![("passphrase", "a")], KeyParts::default()),
        ];
        for (i, pieces) in forms.iter().enumerate() {
            assert!(!forms[..i].contains(pieces), "form {i}");
        }
        assert_eq!(forms[0], form(vec![], vec![]));
    }

    #[test]
    fn a_form_does_not_show_its_key() {
        let key = KeyParts::of_test(Some(b"correct horse"), Some(b"battery staple"));
        let form = Form { files: vec![], texts: vec![], key, _memory: Budget::new(0).empty_share() };
        let shown = format!("{form:?}");
        assert!(
            !shown.contains("horse") && !shown.contains("98, 97") && shown.contains("KeyParts(..)"),
            "{shown}"
        );
    }
}
