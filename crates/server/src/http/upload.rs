//! Multipart uploads: read as a stream, counted against the body limit, the shared memory and the clock.
//!
//! A request that is refused half-way is still read to its end within bounds, so that a client which sends
//! first and reads later gets the answer instead of a connection reset.

mod disposition;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use multer::{Field, Multipart};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::encoding::{self, Encoded};
use crate::app::App;
use crate::budget::{Budget, CountedBytes, Exhausted, Share};
use crate::pace::{Allowance, Pacing};
use disposition::Disposition;

/// Maximum length of a text field.
const MAX_TEXT_LEN_BYTES: usize = 1024;
/// Maximum length of consecutive chunks outside of a form's fields: boundaries, part headers, and the
/// beginning of a field in the same chunk. hyper delivers several hundred KiB at a time and the parser polls
/// twice before parsing, so honest forms reach more than 1 MiB. The bound exists because the parser scans its
/// whole buffer again with each chunk.
const MAX_STRUCTURE_BYTES: usize = 4 << 20;
/// Bytes that are read and discarded of a refused request.
const MAX_DISCARDED_BYTES: u64 = 1 << 30;
/// Time limit for discarding.
const MAX_DISCARDING: Duration = Duration::from_secs(10);

/// Length at which an arriving image is first inspected; later inspections follow at every doubling.
const FIRST_LOOK_BYTES: usize = 256 << 10;

/// Inspection of a file while it arrives.
pub(super) trait Look: Send {
    /// Takes the next bytes of the file. Every byte is passed exactly once.
    fn pass(&mut self, bytes: &[u8]);

    /// Inspects the file received so far, and returns the buffer if more is needed. With `None`, nothing of
    /// the file is kept and the rest is only passed.
    fn look(&mut self, so_far: Vec<u8>) -> BoxFuture<'_, Option<Vec<u8>>>;
}

/// Kind of a form field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// Bytes, with a file name and a media type.
    File,
    /// A short text.
    Text,
    /// A reserved field, refused by this release: ignoring the field would do something other than requested.
    NotYet,
}

/// Fields accepted by a call.
pub(super) type Fields = &'static [(&'static str, FieldKind)];

/// A completely received form.
#[derive(Debug)]
pub(super) struct Form {
    files: Vec<(&'static str, UploadedFile)>,
    texts: Vec<(&'static str, String)>,
    /// Memory of the texts.
    _memory: Share,
}

/// A file in a form. Its memory counts until the bytes are dropped.
#[derive(Debug)]
pub(super) struct UploadedFile {
    /// The content.
    pub bytes: CountedBytes,
    /// The file name as sent.
    pub name: Option<String>,
    /// The media type as sent.
    pub media_type: Option<String>,
}

/// Reason why a form was not received.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// A body or part with a content coding.
    #[error(transparent)]
    Encoded(#[from] Encoded),
    /// A field reserved for a later release.
    #[error("{}", not_yet(.name))]
    NotYet {
        /// The field's name.
        name: &'static str,
    },
    /// A body that is not multipart/form-data.
    #[error(
        "the body should be multipart/form-data with a boundary, and Content-Type is {found}; with curl: -F \
         file=@secret.pdf"
    )]
    NotMultipart {
        /// Value of Content-Type.
        found: String,
    },
    /// The body ends before the form does.
    #[error(
        "the form has no end: the body was cut off, or the boundary that Content-Type names is not the one in the body"
    )]
    CutOff,
    /// The body breaks the rules of multipart/form-data (RFC 7578).
    #[error("the multipart body is malformed: {0}")]
    Malformed(multer::Error),
    /// A field that the call does not know.
    #[error("there is no field `{name}` in this call; it has {known}")]
    UnknownField {
        /// The field's name.
        name: String,
        /// Names of the accepted fields.
        known: String,
    },
    /// A field given twice.
    #[error("the field `{name}` is given twice")]
    RepeatedField {
        /// The field's name.
        name: &'static str,
    },
    /// An empty image.
    #[error("the file in the field `{name}` is empty")]
    EmptyFile {
        /// The field's name.
        name: &'static str,
    },
    /// A text over the limit.
    #[error("the field `{name}` is longer than {MAX_TEXT_LEN_BYTES} bytes")]
    FieldTooLong {
        /// The field's name.
        name: &'static str,
    },
    /// Part headers or a preamble over the limit.
    #[error("the multipart body has more than {MAX_STRUCTURE_BYTES} bytes outside of its fields")]
    EndlessStructure,
    /// A text that is not UTF-8.
    #[error("the field `{name}` is not UTF-8 text")]
    NotText {
        /// The field's name.
        name: &'static str,
    },
    /// A body over the limit.
    #[error("the body has {needed_bytes} bytes or more; at most {max_bytes} are allowed here")]
    BodyTooLarge {
        /// Announced length, or the bytes received before reading stopped.
        needed_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The memory shared by all uploads is used up.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Bytes arrive too slowly, or not at all.
    #[error(
        "the body arrives too slowly (limits.min_transfer_bytes_per_s) or not at all (limits.idle_timeout_ms)"
    )]
    Stalled,
    /// The body missed the request's deadline.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The connection broke.
    #[error("the body ended early")]
    Broken(#[source] axum::Error),
}

impl UploadError {
    /// True if the client may still be sending.
    fn leaves_a_sender(&self) -> bool {
        !matches!(self, Self::Stalled | Self::TooSlow | Self::Broken(_))
    }
}

impl Form {
    /// Receives the form in `request`, restricted to the fields `known`, until `deadline`.
    ///
    /// # Errors
    /// An [`UploadError`] by the first violation. If the client may still be sending, the rest of the body is
    /// discarded before.
    pub(super) async fn receive(
        request: Request,
        known: Fields,
        app: &App,
        deadline: Instant,
    ) -> Result<Self, UploadError> {
        Self::receive_within(request, known, Bounds::of(app, deadline), None).await
    }

    /// Like [`Self::receive`], for a form with one file, which `look` inspects on arrival. If `look` needs no
    /// more of the file, the form holds an empty file.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub(super) async fn receive_looking(
        request: Request,
        known: Fields,
        app: &App,
        deadline: Instant,
        look: &mut dyn Look,
    ) -> Result<Self, UploadError> {
        Self::receive_within(request, known, Bounds::of(app, deadline), Some(look)).await
    }

    async fn receive_within(
        request: Request,
        known: Fields,
        bounds: Bounds,
        look: Option<&mut dyn Look>,
    ) -> Result<Self, UploadError> {
        let (parts, body) = request.into_parts();
        let mut receiver = Receiver::new(body, bounds);
        let received = receiver.form(&parts.headers, known, look).await;
        if let Err(error) = &received
            && error.leaves_a_sender()
            && (receiver.asked || !waits_for_permission(&parts.headers))
        {
            receiver.memory.give_back();
            receiver.discard_rest().await;
        }
        let Received { files, texts } = received?;
        let memory = &mut receiver.memory;
        let counted = |(field, ReceivedFile { bytes, name, media_type }): (_, ReceivedFile)| {
            let share = memory.split(bytes.len() as u64);
            (field, UploadedFile { bytes: CountedBytes::new(bytes, share), name, media_type })
        };
        let files = files.into_iter().map(counted).collect();
        let texts_bytes = texts.iter().map(|(_, text)| text.len() as u64).sum();
        Ok(Self { files, texts, _memory: receiver.memory.split(texts_bytes) })
    }

    /// Returns the SHA-256 of all fields with names and file metadata, texts after files, each in the order
    /// sent. A long form belongs on a pixel thread.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Length prefixes separate the parts; a missing part has a length that no part can have.
        let mut add = |part: Option<&[u8]>| {
            hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        };
        for (name, file) in &self.files {
            add(Some(name.as_bytes()));
            add(file.name.as_deref().map(str::as_bytes));
            add(file.media_type.as_deref().map(str::as_bytes));
            add(Some(&file.bytes));
        }
        add(None);
        for (name, text) in &self.texts {
            add(Some(name.as_bytes()));
            add(Some(text.as_bytes()));
        }
        hash.finalize().into()
    }

    /// Takes the file in field `name` out of the form.
    pub(super) fn take_file(&mut self, name: &str) -> Option<UploadedFile> {
        let at = self.files.iter().position(|(field, _)| *field == name)?;
        Some(self.files.swap_remove(at).1)
    }

    /// Takes the image in field `name` out of the form.
    ///
    /// # Errors
    /// [`UploadError::EmptyFile`] for an image of no bytes.
    pub(super) fn take_image(&mut self, name: &'static str) -> Result<Option<UploadedFile>, UploadError> {
        match self.take_file(name) {
            Some(file) if file.bytes.is_empty() => Err(UploadError::EmptyFile { name }),
            file => Ok(file),
        }
    }

    /// Returns the text in field `name`.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find_map(|(field, text)| (*field == name).then_some(text.as_str()))
    }
}

/// True for a client that expects `100 Continue` and sends no body once refused (RFC 9110, section 10.1.1).
fn waits_for_permission(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

/// Fields of a form, by name, in the order sent.
#[derive(Default)]
struct Received {
    files: Vec<(&'static str, ReceivedFile)>,
    texts: Vec<(&'static str, String)>,
}

impl Received {
    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(seen, _)| *seen == name) || self.texts.iter().any(|(seen, _)| *seen == name)
    }
}

struct ReceivedFile {
    bytes: Vec<u8>,
    name: Option<String>,
    media_type: Option<String>,
}

/// Resource bounds of one upload.
struct Bounds {
    /// Account of the memory that the upload keeps.
    memory: Share,
    max_bytes: u64,
    pacing: Pacing,
    deadline: Instant,
}

impl Bounds {
    fn of(app: &App, deadline: Instant) -> Self {
        let limits = &app.config.limits;
        Self {
            memory: Budget::empty_share(&app.transfer_memory),
            max_bytes: limits.max_body_bytes,
            pacing: Pacing::new(limits, &app.transfer_memory),
            deadline,
        }
    }
}

/// Position of the parser, shared with the stream that feeds the parser.
#[derive(Debug, Default)]
struct Place {
    /// True inside a field, false in the form's structure.
    in_field: AtomicBool,
    /// True while the file's bytes are passed on and not kept.
    passing: AtomicBool,
}

/// Reads a body and accounts for the bytes.
struct Receiver {
    body: BodyDataStream,
    memory: Share,
    received_bytes: u64,
    max_bytes: u64,
    pacing: Pacing,
    allowance: Allowance,
    deadline: Instant,
    /// True once the body was polled: hyper has then sent `100 Continue` to a client that expects it.
    asked: bool,
    place: Arc<Place>,
    structure_bytes: usize,
}

impl Receiver {
    fn new(body: Body, bounds: Bounds) -> Self {
        let Bounds { memory, max_bytes, pacing, deadline } = bounds;
        Self {
            body: body.into_data_stream(),
            memory,
            received_bytes: 0,
            max_bytes,
            allowance: pacing.allowance(),
            pacing,
            deadline,
            asked: false,
            place: Arc::default(),
            structure_bytes: 0,
        }
    }

    async fn form(
        &mut self,
        headers: &HeaderMap,
        known: Fields,
        look: Option<&mut dyn Look>,
    ) -> Result<Received, UploadError> {
        encoding::check_body(headers)?;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(|kind| multer::parse_boundary(kind).ok()).ok_or_else(|| {
            UploadError::NotMultipart { found: content_type.map_or("missing".to_owned(), quoted) }
        })?;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(needed_bytes) = announced.filter(|&bytes: &u64| bytes > self.max_bytes) {
            return Err(UploadError::BodyTooLarge { needed_bytes, max_bytes: self.max_bytes });
        }
        let room_bytes = announced.unwrap_or(self.max_bytes);
        let place = Arc::clone(&self.place);
        let chunks = stream::try_unfold(self, |receiver| async move {
            // The parser buffers everything that is ready before parsing; the yield makes it parse in
            // between.
            tokio::task::yield_now().await;
            Ok::<_, UploadError>(receiver.next_chunk().await?.map(|chunk| (chunk, receiver)))
        });
        collect(Multipart::new(chunks.boxed(), boundary), known, room_bytes, &place, look).await
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        self.asked = true;
        let asked = Instant::now();
        let idle_until = asked + self.allowance.left();
        let until = idle_until.min(self.deadline);
        let chunk = match timeout_at(until, self.body.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(chunk)) => chunk.map_err(UploadError::Broken)?,
            Err(_) if idle_until < self.deadline => return Err(UploadError::Stalled),
            Err(_) => return Err(UploadError::TooSlow),
        };
        self.allowance.settle(asked.elapsed(), chunk.len() as u64, self.pacing.rate());
        self.received_bytes += chunk.len() as u64;
        if self.received_bytes > self.max_bytes {
            return Err(UploadError::BodyTooLarge {
                needed_bytes: self.received_bytes,
                max_bytes: self.max_bytes,
            });
        }
        if self.place.passing.load(Ordering::Relaxed) {
            // Other fields retain less than a line of text each.
            self.memory.give_back();
        } else {
            self.memory.grow(chunk.len() as u64)?;
        }
        self.structure_bytes =
            if self.place.in_field.load(Ordering::Relaxed) { 0 } else { self.structure_bytes + chunk.len() };
        if self.structure_bytes > MAX_STRUCTURE_BYTES {
            return Err(UploadError::EndlessStructure);
        }
        Ok(Some(chunk))
    }

    /// Reads and discards the rest of the body, within bounds.
    async fn discard_rest(&mut self) {
        let until = Instant::now() + MAX_DISCARDING;
        let mut discarded_bytes = 0;
        while discarded_bytes < MAX_DISCARDED_BYTES {
            let idle_until = Instant::now() + self.pacing.allowance().left();
            match timeout_at(until.min(idle_until), self.body.next()).await {
                Ok(Some(Ok(chunk))) => discarded_bytes += chunk.len() as u64,
                Ok(Some(Err(_)) | None) | Err(_) => break,
            }
        }
    }
}

/// Collects the fields; `room_bytes` bounds all fields together.
async fn collect(
    mut multipart: Multipart<'_>,
    known: Fields,
    mut room_bytes: u64,
    place: &Place,
    mut look: Option<&mut dyn Look>,
) -> Result<Received, UploadError> {
    let mut received = Received::default();
    while let Some(mut field) = multipart.next_field().await.map_err(from_multer)? {
        place.in_field.store(true, Ordering::Relaxed);
        let disposition = disposition_of(&field);
        let (name, kind) = known_field(disposition.name.as_deref().unwrap_or_default(), known)?;
        if received.has(name) {
            return Err(UploadError::RepeatedField { name });
        }
        encoding::check_part(field.headers())?;
        match kind {
            FieldKind::NotYet => return Err(UploadError::NotYet { name }),
            FieldKind::File => {
                let file_name = disposition.file_name;
                let media_type = field.content_type().map(|kind| kind.essence_str().to_owned());
                let bytes = match look.as_deref_mut() {
                    Some(look) => looked_at(&mut field, room_bytes, place, look).await?,
                    None => file_bytes(&mut field, room_bytes).await?,
                };
                room_bytes = room_bytes.saturating_sub(bytes.len() as u64);
                // Browsers send an empty part for a field without a chosen file (HTML, section 4.10.21.4).
                if file_name.as_deref() != Some("") || !bytes.is_empty() {
                    received.files.push((name, ReceivedFile { bytes, name: file_name, media_type }));
                }
            }
            FieldKind::Text => received.texts.push((name, text(&mut field, name).await?)),
        }
        place.in_field.store(false, Ordering::Relaxed);
    }
    Ok(received)
}

/// Reads a whole file. The vector reserves the maximum from the start, since a growing vector is copied and
/// exists twice meanwhile; untouched pages cost nothing.
async fn file_bytes(field: &mut Field<'_>, room_bytes: u64) -> Result<Vec<u8>, UploadError> {
    let mut bytes = vec_with_room(room_bytes);
    while let Some(chunk) = field.chunk().await.map_err(from_multer)? {
        bytes.extend_from_slice(&chunk);
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Like [`file_bytes`], or returns nothing if `look` needs no more.
async fn looked_at(
    field: &mut Field<'_>,
    room_bytes: u64,
    place: &Place,
    look: &mut dyn Look,
) -> Result<Vec<u8>, UploadError> {
    let mut kept = Some(vec_with_room(room_bytes));
    let mut next_look = FIRST_LOOK_BYTES;
    while let Some(chunk) = field.chunk().await.map_err(from_multer)? {
        look.pass(&chunk);
        let Some(mut bytes) = kept.take() else { continue };
        bytes.extend_from_slice(&chunk);
        let is_due = bytes.len() >= next_look;
        next_look = if is_due { bytes.len().saturating_mul(2) } else { next_look };
        kept = if is_due { look.look(bytes).await } else { Some(bytes) };
        place.passing.store(kept.is_none(), Ordering::Relaxed);
    }
    place.passing.store(false, Ordering::Relaxed);
    let mut bytes = kept.unwrap_or_default();
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Returns an empty vector with room for `room_bytes`, or without if the system refuses the reservation.
fn vec_with_room(room_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = bytes.try_reserve_exact(usize::try_from(room_bytes).unwrap_or(0));
    bytes
}

async fn text(field: &mut Field<'_>, name: &'static str) -> Result<String, UploadError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(from_multer)? {
        if bytes.len() + chunk.len() > MAX_TEXT_LEN_BYTES {
            return Err(UploadError::FieldTooLong { name });
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| UploadError::NotText { name })
}

/// Quotes a header's value, cut to 64 characters.
fn quoted(text: &str) -> String {
    format!("`{}`", text.chars().take(64).collect::<String>())
}

/// Error text of a field reserved for a later release, with the workaround.
fn not_yet(name: &str) -> String {
    const SECRETS: [&str; 3] = ["passphrase", "password", "key_file"];
    let instead = match SECRETS.contains(&name) {
        true => {
            "; nothing is encrypted: encrypt the file before it is embedded, and decrypt it after it is extracted, with \
             `age --passphrase` (https://age-encryption.org) for example"
        }
        false => "",
    };
    format!("this release does not serve the field `{name}` yet, and nothing was done{instead}")
}

fn disposition_of(field: &Field<'_>) -> Disposition {
    field
        .headers()
        .get(header::CONTENT_DISPOSITION)
        .map(|value| Disposition::parse(value.as_bytes()))
        .unwrap_or_default()
}

fn known_field(name: &str, known: Fields) -> Result<(&'static str, FieldKind), UploadError> {
    known.iter().copied().find(|(field, _)| *field == name).ok_or_else(|| UploadError::UnknownField {
        name: name.chars().take(64).collect(),
        known: served(known).collect::<Vec<_>>().join(", "),
    })
}

/// Names of the fields that a form may have.
fn served(known: Fields) -> impl Iterator<Item = &'static str> {
    known.iter().filter(|(_, kind)| *kind != FieldKind::NotYet).map(|(field, _)| *field)
}

/// Unwraps the [`UploadError`] that the parser returns inside its own error.
fn from_multer(error: multer::Error) -> UploadError {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<UploadError>() {
            Ok(ours) => *ours,
            Err(other) => UploadError::Malformed(multer::Error::StreamReadFailed(other)),
        },
        multer::Error::IncompleteStream
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteFieldData { .. } => UploadError::CutOff,
        other => UploadError::Malformed(other),
    }
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_forms_have_different_digests() {
        let file = |bytes: &[u8], name: Option<&str>| UploadedFile {
            bytes: CountedBytes::new(bytes.to_vec(), Budget::new(0).empty_share()),
            name: name.map(str::to_owned),
            media_type: None,
        };
        let form = |files: Vec<(&'static str, UploadedFile)>, texts: Vec<(&'static str, &str)>| {
            let texts = texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect();
            Form { files, texts, _memory: Budget::new(0).empty_share() }.digest()
        };
        let forms = [
            form(vec![], vec![]),
            form(vec![("file", file(b"ab", None))], vec![]),
            form(vec![("file", file(b"ab", Some("")))], vec![]),
            form(vec![("file", file(b"ab", Some("a")))], vec![]),
            form(vec![("cover", file(b"ab", None))], vec![]),
            form(vec![("file", file(b"a", None)), ("cover", file(b"b", None))], vec![]),
            form(vec![("file", file(b"ab", None))], vec![("bits", "2")]),
            form(vec![], vec![("file", "ab")]),
        ];
        for (i, digest) in forms.iter().enumerate() {
            assert!(!forms[..i].contains(digest), "form {i}");
        }
        assert_eq!(forms[0], form(vec![], vec![]));
    }
}
