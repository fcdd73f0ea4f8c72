//! `POST /api/embed`.

mod arriving;
mod figures;
mod order;
mod prepared;
mod sent;

use std::sync::Arc;

use api::fields;
use api::images::{EmbedAnswer, Mode};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use stego::{CheckedPixels, Part};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::choices::{Binary, Metadata, Verify};
use crate::app::App;
use crate::control::EmbedDefaults;
use crate::covers::CoverKey;
use crate::data_plane::{DEFAULT_COVER, DataPlane};
use crate::http::answer::negotiate::prefers;
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::ImageProblems;
use crate::http::answer::{Answer, Piece};
use crate::http::body::upload::{FieldKind, Fields, Form};
use crate::http::body::upload_request::UploadRequest;
use crate::http::idempotency;
use crate::http::middleware::principal::{Anonymous, Principal};
use arriving::ArrivingCover;
use order::Order;

const PATH: &str = "/api/embed";
const FIELDS: Fields = &[
    (fields::FILE, FieldKind::File),
    (fields::COVER, FieldKind::File),
    (fields::COVER_ID, FieldKind::NotYet),
    (fields::LABEL, FieldKind::NotYet),
    (fields::PASSPHRASE, FieldKind::NotYet),
    (fields::PASSWORD, FieldKind::NotYet),
    (fields::KEY_FILE, FieldKind::NotYet),
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
    #[schema(inline)]
    mode: Option<Mode>,
    /// Bits carried per sample, 1 to 4; the default is the cluster's setting.
    #[schema(minimum = 1, maximum = 4)]
    bits: Option<u8>,
    #[schema(inline)]
    metadata: Option<Metadata>,
    #[schema(inline)]
    verify: Option<Verify>,
}

/// Hide a file in an image
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
    let UploadRequest { request, headers, request_id, start_by } = upload;
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
    let (form, request_id) =
        idempotency::id_of_upload(&app, upload, form, Some(&options), request_id, start_by).await?;
    let answer =
        embed_form(&app, (form, checked), defaults, &request_id, prefers(&headers, figures::PNG), start_by)
            .await;
    Ok(idempotency::under(request_id, answer))
}

async fn embed_form(
    app: &App,
    (form, checked): (Form, Option<CheckedPixels>),
    defaults: EmbedDefaults,
    request_id: &Arc<str>,
    as_png: bool,
    start_by: Instant,
) -> Result<Response, Problem> {
    let mut order = Order::from_form(form, defaults, request_id, as_png)?;
    order.checked = checked;
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
