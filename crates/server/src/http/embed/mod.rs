//! `POST /api/embed`.

mod figures;
mod order;
mod prepared;
mod sent;

use std::sync::Arc;

use api::fields;
use api::images::{EmbedAnswer, Mode};
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use bytes::Bytes;
use stego::Part;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answer::{Answer, Piece};
use super::choices::{Binary, Metadata, Verify};
use super::idempotency;
use super::negotiate::prefers;
use super::problem::Problem;
use super::request::RequestId;
use super::responses::ImageProblems;
use super::upload::{FieldKind, Fields, Form};
use crate::app::{App, DEFAULT_COVER};
use crate::covers::CoverKey;
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
    (fields::MODE, FieldKind::Text),
    (fields::BITS, FieldKind::Text),
    (fields::METADATA, FieldKind::Text),
    (fields::VERIFY, FieldKind::Text),
];
/// The form of an embed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(super) struct EmbedForm {
    /// The secret: any bytes. Its file name and media type are kept and given back; a part without a media type has the usual one
    /// of its file name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The cover: a PNG of any kind, a JPEG, BMP, GIF, TIFF, QOI or WebP. Of an animation, the first frame is used. Without
    /// this field it is the default cover (`dataset/0`).
    #[schema(value_type = Option<String>, format = Binary)]
    cover: Option<Vec<u8>>,
    #[schema(inline)]
    mode: Option<Mode>,
    /// Bits carried per sample, 1 to 4; what the cluster's settings say where it is left out.
    #[schema(minimum = 1, maximum = 4)]
    bits: Option<u8>,
    #[schema(inline)]
    metadata: Option<Metadata>,
    #[schema(inline)]
    verify: Option<Verify>,
}

/// Hide a file in an image
///
/// Returns the stego image, a PNG, as JSON with base64 or, with `Accept: image/png`, as it is; the
/// figures then are in the `x-stego-*` headers. It was read back before it is answered. The same upload under the same
/// `Idempotency-Key` has the same answer on every node of a release, `request_id` included.
#[utoipa::path(
    post, path = "/api/embed", tag = "stego",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 200 visible ASCII characters", pattern = "^[!-~]{1,200}$")),
    request_body(content = EmbedForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The stego image", content(
            (EmbedAnswer<'static> = "application/json"),
            (inline(Binary) = "image/png"),
        )),
        ImageProblems,
    )
)]
pub(super) async fn embed(
    State(app): State<Arc<App>>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let start_by = app.start_by();
    let headers = request.headers().clone();
    let form = Form::receive(request, FIELDS, &app, start_by).await?;
    let upload = (PATH, &headers);
    let (form, request_id) = idempotency::id_of_upload(&app, upload, form, request_id, start_by).await?;
    let answer = embed_form(&app, form, &request_id, prefers(&headers, figures::PNG), start_by).await;
    Ok(idempotency::under(request_id, answer))
}

async fn embed_form(
    app: &Arc<App>,
    form: Form,
    request_id: &Arc<str>,
    as_png: bool,
    start_by: Instant,
) -> Result<Response, Problem> {
    let order = Order::from_form(form, app, request_id, as_png)?;
    let answer = embed_order(app, order, start_by).await?.into_response(app)?;
    app.metrics.count_embedded();
    Ok(answer)
}

/// Goes the way that the cover allows.
async fn embed_order(app: &Arc<App>, mut order: Order, start_by: Instant) -> Result<Answer, Problem> {
    match order.cover.take() {
        Some(file) => sent::embed(app, order, file, start_by).await,
        None => {
            let cover = app.cover(CoverKey::Dataset(DEFAULT_COVER), start_by).await?;
            prepared::embed(app, order, cover, start_by).await
        }
    }
}

/// The parts of a stego image as they are sent: those kept lie in `source` and are not copied.
fn pieces(parts: Vec<Part<'_>>, source: &Bytes) -> Vec<Piece> {
    let piece = |part| match part {
        Part::New(bytes) => Piece::Own(bytes),
        Part::Kept(bytes) => Piece::Shared(source.slice_ref(bytes)),
    };
    parts.into_iter().map(piece).collect()
}
