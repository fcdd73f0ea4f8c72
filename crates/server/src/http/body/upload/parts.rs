//! The parts of a form, collected from the parser.

use std::sync::atomic::Ordering;

use axum::http::header;
use multer::{Field, Multipart};

use super::disposition::Disposition;
use super::error::{MAX_TEXT_LEN_BYTES, UploadError, from_multer};
use super::fields::{FieldKind, Fields, Look, served};
use super::key_parts::KeyParts;
use super::receiver::Place;
use crate::http::body::encoding;

/// Length at which an arriving image is first inspected; later inspections follow at every doubling.
const FIRST_LOOK_BYTES: usize = 256 << 10;

/// Fields of a form, by name, in the order sent.
#[derive(Default)]
pub(super) struct Received {
    pub(super) files: Vec<(&'static str, ReceivedFile)>,
    pub(super) texts: Vec<(&'static str, String)>,
    pub(super) key: KeyParts,
}

impl Received {
    fn has(&self, name: &str, kind: FieldKind) -> bool {
        match kind {
            FieldKind::Passphrase => self.key.has_passphrase(),
            FieldKind::KeyFile => self.key.has_key_file(),
            FieldKind::File | FieldKind::Text(_) | FieldKind::NotYet => {
                let (files, texts) =
                    (self.files.iter().map(|file| file.0), self.texts.iter().map(|text| text.0));
                files.chain(texts).any(|seen| seen == name)
            }
        }
    }
}

/// A file of a form.
pub(super) struct ReceivedFile {
    pub(super) bytes: Vec<u8>,
    pub(super) name: Option<String>,
    pub(super) media_type: Option<String>,
}

/// Collects the fields; `room_bytes` bounds all fields together.
pub(super) async fn collect(
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
        if received.has(name, kind) {
            return Err(UploadError::RepeatedField { name });
        }
        encoding::check_part(field.headers())?;
        match kind {
            FieldKind::NotYet => return Err(UploadError::NotYet { name }),
            FieldKind::File => {
                let file_name = disposition.file_name;
                let media_type = field.content_type().map(|kind| kind.essence_str().to_owned());
                let bytes = match look.as_deref_mut().filter(|look| look.field() == name) {
                    Some(look) => looked_at(&mut field, room_bytes, place, look).await?,
                    None => file_bytes(&mut field, room_bytes).await?,
                };
                room_bytes = room_bytes.saturating_sub(bytes.len() as u64);
                // Browsers send an empty part for a field without a chosen file (HTML, section 4.10.21.4).
                if file_name.as_deref() != Some("") || !bytes.is_empty() {
                    received.files.push((name, ReceivedFile { bytes, name: file_name, media_type }));
                }
            }
            FieldKind::Text(check) => {
                let text = text(&mut field, name).await?;
                check(&text)?;
                if let Some(look) = &mut look {
                    look.text(name, &text);
                }
                received.texts.push((name, text));
            }
            FieldKind::Passphrase | FieldKind::KeyFile => {
                if !place.is_confidential {
                    return Err(UploadError::Plaintext { name });
                }
                let is_passphrase = matches!(kind, FieldKind::Passphrase);
                let key = &mut received.key;
                match is_passphrase {
                    true => key.receive_passphrase(&mut field).await?,
                    false => key.receive_key_file(&mut field, disposition.file_name.as_deref()).await?,
                }
                if let Some(look) = look.as_deref_mut().filter(|_| !key.is_empty()) {
                    look.keyed();
                }
            }
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
        look.pass(&chunk).await;
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
