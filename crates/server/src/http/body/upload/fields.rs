//! Fields of forms, and inspections of them while they arrive.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::error::InvalidValue;

/// Kind of a form field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldKind {
    /// Bytes, with a file name and a media type.
    File,
    /// A short text, checked on arrival: an unsupported value ends the upload.
    Text(fn(&str) -> Result<(), InvalidValue>),
    /// A passphrase: a text, overwritten when dropped.
    Passphrase,
    /// A key file: bytes, overwritten when dropped. The file's name is not kept.
    KeyFile,
    /// A reserved field, refused by this release: an ignored field would change the meaning of the request.
    NotYet,
}

/// Fields accepted by a call.
pub(crate) type Fields = &'static [(&'static str, FieldKind)];

/// Names of the fields that a form may have.
pub(super) fn served(known: Fields) -> impl Iterator<Item = &'static str> {
    known.iter().filter(|(_, kind)| !matches!(kind, FieldKind::NotYet)).map(|(field, _)| *field)
}

/// Inspection of the file in one field while it arrives.
pub(crate) trait Look: Send {
    /// Name of the field.
    fn field(&self) -> &'static str;

    /// Takes a text field of the form, as soon as it arrived.
    fn text(&mut self, _name: &'static str, _text: &str) {}

    /// Learns that the form has a key.
    fn keyed(&mut self) {}

    /// Takes the next bytes of the file. Every byte is passed exactly once. The upload waits meanwhile.
    fn pass<'a>(&'a mut self, chunk: &'a Bytes) -> BoxFuture<'a, ()>;

    /// Inspects the file received so far, and returns the buffer if more is needed. With `None`, nothing of
    /// the file is kept and the rest is only passed.
    fn look(&mut self, so_far: Vec<u8>) -> BoxFuture<'_, Option<Vec<u8>>> {
        ready(Some(so_far)).boxed()
    }
}
