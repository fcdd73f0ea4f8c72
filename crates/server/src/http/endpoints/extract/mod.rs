//! `POST /api/extract`.

mod early;
mod keyed;
mod png_end;

use std::borrow::Cow;
use std::sync::Arc;

use api::fields;
use api::headers;
use api::images::{Base64, ExtractAnswer};
use api::{Code, ProblemDocument};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use stego::{Extracted, ImageFile, Limits, MediaType};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::choices::Binary;
use crate::app::App;
use crate::derivations::Caller;
use crate::http::answer::negotiate::prefers;
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::ImageProblems;
use crate::http::answer::{self, Answer, base64_len};
use crate::http::body::upload::{FieldKind, Fields, Form, UploadedFile};
use crate::http::body::upload_request::UploadRequest;
use crate::http::idempotency::{self, Identity};
use crate::http::middleware::principal::{Anonymous, Principal};
use crate::work::Work;
use early::{Early, Found};

const PATH: &str = "/api/extract";
const OCTET_STREAM: &str = "application/octet-stream";
const FIELDS: Fields = &[
    (fields::FILE, FieldKind::File),
    (fields::PASSPHRASE, FieldKind::Passphrase),
    (fields::KEY_FILE, FieldKind::KeyFile),
    (fields::PASSWORD, FieldKind::NotYet),
];
/// Characters of a file name that stay unencoded in a header (RFC 8187, `attr-char`).
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Form of an extract request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct ExtractForm {
    /// The stego image: the original PNG, not a photo or a screenshot. Lossless conversions are read too; a
    /// JPEG is refused, since JPEGs carry no payload yet.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Passphrase of the embed, 1 to 1024 bytes of UTF-8, nothing trimmed. Over TLS, or on the node's own
    /// machine.
    #[schema(format = Password, min_length = 1, max_length = 1024)]
    passphrase: Option<String>,
    /// Key file of the embed.
    #[schema(value_type = Option<String>, format = Binary)]
    key_file: Option<Vec<u8>>,
}

/// Extract the file from an image
///
/// Returns the secret as JSON with base64 or, with `Accept: application/octet-stream`, as raw bytes. The
/// secret is byte for byte the embedded file. With a passphrase or key file only what was embedded with that
/// key is found, without one only what was embedded without. Whether an image carries nothing or something
/// under another key cannot be told: both are `no_payload_or_wrong_key`.
#[utoipa::path(
    post, path = "/api/extract", tag = "stego", params(idempotency::KeyHeader),
    request_body(content = ExtractForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The secret", content(
            (ExtractAnswer<'static> = "application/json"),
            (inline(Binary) = "application/octet-stream"),
        )),
        (status = 422, description = "No payload, a damaged payload, or a re-encoded image", body = ProblemDocument, content_type = "application/problem+json"),
        ImageProblems,
    )
)]
pub(crate) async fn extract(
    _: Principal<Anonymous>,
    State(app): State<App>,
    upload: UploadRequest,
) -> Result<Response, Problem> {
    let UploadRequest { request, headers, request_id, start_by, caller } = upload;
    let as_bytes = prefers(&headers, OCTET_STREAM);
    if !idempotency::is_keyed(&headers) {
        let mut early = Early::new(&app.data, memory_bytes, start_by);
        let form = Form::receive_looking(request, FIELDS, &app.data, start_by, &mut early).await?;
        let found = early.outcome();
        return extract_form(&app, form, found, request_id, as_bytes, (caller, start_by)).await;
    }
    // The request id of a keyed request depends on every byte.
    let form = Form::receive(request, FIELDS, &app.data, start_by).await?;
    let upload = (PATH, &headers);
    let (form, Identity { request_id, .. }) =
        idempotency::id_of_upload(&app, upload, form, String::new(), request_id, start_by).await?;
    let answer = extract_form(&app, form, None, Arc::clone(&request_id), as_bytes, (caller, start_by)).await;
    Ok(idempotency::under(request_id, answer))
}

async fn extract_form(
    app: &App,
    mut form: Form,
    found: Option<Result<Found, Problem>>,
    request_id: Arc<str>,
    as_bytes: bool,
    (caller, start_by): (Caller, Instant),
) -> Result<Response, Problem> {
    if let Some(key) = form.take_key() {
        let image = keyed::image(form, found)?;
        let answer =
            keyed::extract(&app.data, (image, key), (caller, start_by), (&request_id, as_bytes)).await?;
        let answer = answer.into_response(&app.data)?;
        app.telemetry.metrics.count_extracted();
        return Ok(answer);
    }
    let work = Work::new(&app.data, start_by);
    let answer = match found {
        Some(found) => {
            let Found { extracted, memory } = found?;
            let json_bytes = if as_bytes { 0 } else { base64_len(extracted.secret.len() as u64) };
            let run = move |found, _: &Limits| answer_with(found, &request_id, as_bytes);
            let answer = work.run(extracted, json_bytes, run).await?;
            drop(memory);
            answer
        }
        None => extract_file(work, form, request_id, as_bytes).await?,
    };
    let answer = answer.into_response(&app.data)?;
    app.telemetry.metrics.count_extracted();
    Ok(answer)
}

/// Extracts from the whole file.
async fn extract_file(
    work: Work,
    mut form: Form,
    request_id: Arc<str>,
    as_bytes: bool,
) -> Result<Answer, Problem> {
    let file = take_image(&mut form)?;
    let measure = move |file: &UploadedFile, limits: &Limits| memory_bytes(&file.bytes, limits, as_bytes);
    let run = move |file: UploadedFile, limits: &Limits| {
        let found = stego::extract(&file.bytes, limits)?;
        drop(file);
        answer_with(found, &request_id, as_bytes)
    };
    work.measure_and_run(file, measure, run).await
}

fn take_image(form: &mut Form) -> Result<UploadedFile, Problem> {
    form.take_image(fields::FILE)?.ok_or_else(|| {
        Problem::new(
            Code::FileMissing,
            "the field `file` with the image is missing; with curl: -F file=@stego.png",
        )
    })
}

/// Returns the memory needed, by the headers of the image and of its container. Runs on a pixel thread.
fn memory_bytes(file: &[u8], limits: &Limits, as_bytes: bool) -> Result<u64, Problem> {
    let file = ImageFile::open(file, limits)?;
    file.info().check_memory(file.extract_memory_bytes(), limits)?;
    let (carried_bytes, secret_bytes) = file.claimed_lengths_bytes(limits)?;
    let json_bytes = if as_bytes { 0 } else { base64_len(secret_bytes) };
    let memory_bytes = file.extract_memory_bytes() + 2 * carried_bytes + secret_bytes + json_bytes;
    Ok(memory_bytes + file.info().doubtful_memory_bytes())
}

/// Builds the answer, on a pixel thread.
fn answer_with(found: Extracted, request_id: &str, as_bytes: bool) -> Result<Answer, Problem> {
    if as_bytes {
        return Ok(bytes_answer(found));
    }
    Answer::json(&ExtractAnswer {
        request_id: Cow::Borrowed(request_id),
        recovered_size_bytes: found.secret.len() as u64,
        recovered_mime: Cow::Borrowed(media_type(&found)),
        recovered_b64: Base64(Cow::Borrowed(&found.secret)),
        filename: found.name.as_ref().map(|name| Cow::Borrowed(name.as_str())),
        mark: found.mark.map(|mark| mark.to_string()),
        notes: found.notes.iter().map(ToString::to_string).collect(),
    })
}

fn media_type(found: &Extracted) -> &str {
    found.media_type.as_ref().map_or(OCTET_STREAM, MediaType::as_str)
}

/// Returns the fallback name for programs without support of `filename*` (RFC 6266, appendix D).
fn ascii(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' })
        .collect()
}

fn bytes_answer(found: Extracted) -> Answer {
    let mut map = HeaderMap::new();
    answer::insert(&mut map, headers::RECOVERED_MIME, media_type(&found));
    answer::insert(&mut map, headers::RECOVERED_SIZE_BYTES, &found.secret.len().to_string());
    if let Some(mark) = found.mark {
        answer::insert(&mut map, headers::MARK, &mark.to_string());
    }
    answer::insert_notes(&mut map, &found.notes);
    let disposition = match &found.name {
        Some(name) => {
            let encoded = utf8_percent_encode(name.as_str(), ATTR_CHAR);
            format!("attachment; filename=\"{}\"; filename*=UTF-8''{encoded}", ascii(name.as_str()))
        }
        None => "attachment".to_owned(),
    };
    answer::insert(&mut map, "content-disposition", &disposition);
    Answer { media_type: OCTET_STREAM, headers: map, body: vec![found.secret.into()] }
}
