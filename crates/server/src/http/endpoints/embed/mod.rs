//! `POST /api/embed`.

mod arriving;
mod figures;
mod keyed;
mod order;
mod prepared;
mod sent;

use std::sync::Arc;

use api::fields;
use api::images::{EmbedAnswer, Mode};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use stego::Part;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::choices::{Binary, Metadata, Verify};
use crate::app::App;
use crate::covers::CoverKey;
use crate::data_plane::{DEFAULT_COVER, DataPlane};
use crate::derivations::Caller;
use crate::http::answer::negotiate::prefers;
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::ImageProblems;
use crate::http::answer::{Answer, Piece};
use crate::http::body::upload::{FieldKind, Fields, Form};
use crate::http::body::upload_request::UploadRequest;
use crate::http::idempotency::{self, Identity};
use crate::http::middleware::principal::{Anonymous, Principal};
use arriving::ArrivingCover;
use order::Order;

const PATH: &str = "/api/embed";
const FIELDS: Fields = &[
    (fields::FILE, FieldKind::File),
    (fields::COVER, FieldKind::File),
    (fields::PASSPHRASE, FieldKind::Passphrase),
    (fields::KEY_FILE, FieldKind::KeyFile),
    (fields::COVER_ID, FieldKind::NotYet),
    (fields::LABEL, FieldKind::NotYet),
    (fields::PASSWORD, FieldKind::NotYet),
    (fields::MODE, FieldKind::Text(|text| order::parse_mode(text).map(drop))),
    (fields::BITS, FieldKind::Text(|text| order::parse_bits(text).map(drop))),
    (fields::METADATA, FieldKind::Text(|text| order::parse_metadata(text).map(drop))),
    (fields::VERIFY, FieldKind::Text(|text| order::parse_verify(text).map(drop))),
];
/// The form of an embed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct EmbedForm {
    /// The secret: any bytes. File name and media type are kept and returned; without a media type, the usual
    /// one for the file name is used.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The cover: a PNG of any kind, a JPEG, BMP, GIF, TIFF, QOI or WebP. Of an animation, the first frame is
    /// used. The default is `dataset/0`.
    #[schema(value_type = Option<String>, format = Binary)]
    cover: Option<Vec<u8>>,
    /// Passphrase, 1 to 1024 bytes of UTF-8, nothing trimmed: only who has it extracts the secret, or learns
    /// that there is one. Over TLS, or on the node's own machine.
    #[schema(format = Password, min_length = 1, max_length = 1024)]
    passphrase: Option<String>,
    /// Key file, 32 bytes to 16 MiB, any content; in place of a passphrase or, if both are given, needed with
    /// it.
    #[schema(value_type = Option<String>, format = Binary)]
    key_file: Option<Vec<u8>>,
    /// The default is `adaptive` with a passphrase or key file, `sequential` without.
    #[schema(inline)]
    mode: Option<Mode>,
    /// Bits carried per sample, 1 to 4; the default is the cluster's setting. With a key, 1.
    #[schema(minimum = 1, maximum = 4)]
    bits: Option<u8>,
    #[schema(inline)]
    metadata: Option<Metadata>,
    #[schema(inline)]
    verify: Option<Verify>,
}

/// Hide a file in an image
///
/// With a passphrase or key file the secret is encrypted and spread over the image, so that nobody without
/// the key reads it; without, anyone with the image can extract it.
///
/// Returns the stego image, a PNG, as JSON with base64 or, with `Accept: image/png`, as the image itself with
/// the figures in the `x-stego-*` headers. The image is verified by reading it back first. Repeating an
/// upload with the same `Idempotency-Key` gives the same answer on every node of a release, including
/// `request_id`.
#[utoipa::path(
    post, path = "/api/embed", tag = "stego", params(idempotency::KeyHeader),
    request_body(content = EmbedForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The stego image", content(
            (EmbedAnswer<'static> = "application/json"),
            (inline(Binary) = "image/png"),
        )),
        ImageProblems,
    )
)]
pub(crate) async fn embed(
    _: Principal<Anonymous>,
    State(app): State<App>,
    upload: UploadRequest,
) -> Result<Response, Problem> {
    let UploadRequest { request, headers, request_id, start_by, caller } = upload;
    let mut arriving = ArrivingCover::new(&app.data, start_by);
    let form = Form::receive_looking(request, FIELDS, &app.data, start_by, &mut arriving).await?;
    let checked = arriving.checked().await;
    if checked.is_some() {
        app.telemetry.metrics.count_checked_on_arrival();
    }
    let upload = (PATH, &headers);
    // Read once: the cluster's settings may change meanwhile.
    let defaults = app.control.embed_defaults();
    let options = order::effective_options(&form, defaults)?;
    let (form, identity) =
        idempotency::id_of_upload(&app, upload, form, options, request_id, start_by).await?;
    let as_png = prefers(&headers, figures::PNG);
    let answer = match Order::from_form(form, defaults, &identity.request_id, as_png) {
        Ok(mut order) => {
            order.checked = checked;
            embed_checked(&app, order, &identity, (caller, start_by)).await
        }
        Err(problem) => Err(problem),
    };
    Ok(idempotency::under(identity.request_id, answer))
}

async fn embed_checked(
    app: &App,
    order: Order,
    identity: &Identity,
    (caller, start_by): (Caller, Instant),
) -> Result<Response, Problem> {
    let order = keyed::derive(app, order, identity, (caller, start_by)).await?;
    let answer = embed_order(&app.data, order, start_by).await?.into_response(&app.data)?;
    app.telemetry.metrics.count_embedded();
    Ok(answer)
}

/// Embeds into the uploaded cover, or into the default cover.
async fn embed_order(data: &Arc<DataPlane>, mut order: Order, start_by: Instant) -> Result<Answer, Problem> {
    match order.cover.take() {
        Some(file) => sent::embed(data, order, file, start_by).await,
        None => {
            let cover = data.cover(CoverKey::Dataset(DEFAULT_COVER), start_by).await?;
            prepared::embed(data, order, cover, start_by).await
        }
    }
}

/// Converts the parts of a stego image to pieces of a body: kept parts are slices of `source`, not copies.
fn pieces(parts: Vec<Part<'_>>, source: &Bytes) -> Vec<Piece> {
    let piece = |part| match part {
        Part::New(bytes) => Piece::Own(bytes),
        Part::Kept(bytes) => Piece::Shared(source.slice_ref(bytes)),
    };
    parts.into_iter().map(piece).collect()
}
