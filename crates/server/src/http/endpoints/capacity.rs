//! `POST /api/capacity`.

use std::sync::Arc;

use api::Code;
use api::fields;
use api::images::{CapacityAnswer, ModeCapacity};
use axum::Json;
use axum::extract::State;
use stego::{BitsPerSample, ImageFile, Limits, Mode, probe};
use utoipa::ToSchema;

use crate::data_plane::DataPlane;
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::ImageProblems;
use crate::http::body::upload::{FieldKind, Fields, Form, UploadedFile};
use crate::http::body::upload_request::UploadRequest;
use crate::http::middleware::principal::{Anonymous, Principal};
use crate::work::Work;

const FIELDS: Fields = &[(fields::FILE, FieldKind::File)];

/// Form of a capacity request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct CapacityForm {
    /// The image to be used as a cover: a PNG of any kind, a JPEG, BMP, GIF, TIFF, QOI or WebP.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Get the capacity of an image
#[utoipa::path(
    post, path = "/api/capacity", tag = "stego",
    request_body(content = CapacityForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "Capacity for each number of bits", body = CapacityAnswer),
        ImageProblems,
    )
)]
pub(crate) async fn capacity(
    _: Principal<Anonymous>,
    State(data): State<Arc<DataPlane>>,
    upload: UploadRequest,
) -> Result<Json<CapacityAnswer>, Problem> {
    let UploadRequest { request, request_id, start_by, .. } = upload;
    let mut form = Form::receive(request, FIELDS, &data, start_by).await?;
    let file = form.take_image(fields::FILE)?.ok_or_else(|| {
        Problem::new(
            Code::FileMissing,
            "the field `file` with the image is missing; with curl: -F file=@cover.png",
        )
    })?;
    let measure = |file: &UploadedFile, limits: &Limits| memory_bytes(&file.bytes, limits);
    let run = move |file: UploadedFile, limits: &Limits| capacity_of(&file.bytes, limits, &request_id);
    Work::new(&data, start_by).measure_and_run(file, measure, run).await.map(Json)
}

/// Returns the memory needed, by the image's header. Runs on a pixel thread.
fn memory_bytes(file: &[u8], limits: &Limits) -> Result<u64, Problem> {
    let info = probe(file, limits)?;
    let memory_bytes = info.embed_memory_bytes(0);
    info.check_memory(memory_bytes, limits)?;
    Ok(memory_bytes + info.doubtful_memory_bytes())
}

/// Computes the capacity, on a pixel thread. The image is decoded, so that an embed of the promised size
/// succeeds.
fn capacity_of(file: &[u8], limits: &Limits, request_id: &str) -> Result<CapacityAnswer, Problem> {
    let file = ImageFile::open(file, limits)?;
    let cover = file.cover(limits)?;
    let in_mode = |mode: Mode| {
        let capacity = cover.capacity(mode);
        let bits = BitsPerSample::all().filter(move |bits| !mode.is_keyed() || *bits == BitsPerSample::ONE);
        bits.map(move |bits| ModeCapacity {
            mode: mode.as_str().to_owned(),
            bits: bits.as_u8(),
            capacity_bytes: capacity.secret_bytes(bits),
        })
    };
    Ok(CapacityAnswer {
        request_id: request_id.to_owned(),
        width: cover.width(),
        height: cover.height(),
        channels: cover.channels().count() as u8,
        bit_depth: cover.depth().bits(),
        format: file.info().format.to_string(),
        modes: Mode::ALL.into_iter().flat_map(in_mode).collect(),
    })
}
