//! `GET /api/dataset/{index}`.

use std::sync::Arc;

use api::{Code, ProblemDocument};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::choices::Binary;
use crate::covers::CoverKey;
use crate::data_plane::DataPlane;
use crate::http::answer::problem::Problem;
use crate::http::answer::{self, Answer};
use crate::http::middleware::principal::{Anonymous, Principal};

/// Upper estimate, in bytes, of the memory for making and encoding the largest image.
const MAX_MEMORY_BYTES: u64 = 40 << 20;

/// Get a synthetic test image
///
/// Photograph-like, generated, identical for the same index on every node. Image 0 is the default cover.
#[utoipa::path(
    get, path = "/api/dataset/{index}", tag = "stego",
    params(("index" = u32, Path, description = "0 to 49", maximum = 49)),
    responses(
        (status = 200, description = "The image", body = inline(Binary), content_type = "image/png"),
        (status = 304, description = "The client's copy is current"),
        (status = 404, description = "No such index", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Overload or stop; see Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn dataset(
    _: Principal<Anonymous>,
    State(data): State<Arc<DataPlane>>,
    index: Result<Path<u32>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let index =
        index.ok().map(|Path(index)| index).filter(|index| *index < dataset::LEN).ok_or_else(|| {
            Problem::new(Code::NotFound, format!("the dataset has the images 0 to {}", dataset::LEN - 1))
        })?;
    let tag = format!("\"dataset-{}-{index}\"", env!("CARGO_PKG_VERSION"));
    let mut cache_headers = HeaderMap::new();
    answer::insert(&mut cache_headers, "etag", &tag);
    cache_headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, cache_headers).into_response());
    }
    let start_by = data.start_by();
    let memory = data.pixel_memory.take(MAX_MEMORY_BYTES, start_by).await?;
    let kept = Arc::clone(&data);
    let work = move || {
        let _memory = memory;
        png(index, &kept)
    };
    let body = data.pool.run(start_by, work).await?.ok_or_else(Problem::internal)?;
    Answer { media_type: "image/png", headers: cache_headers, body: vec![body.into()] }.into_response(&data)
}

/// True if the client has the version named by `tag` (RFC 9110, section 13.1.2: a list of tags, compared
/// weakly, or `*`).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// Encodes the image, on a pixel thread.
fn png(index: u32, data: &DataPlane) -> Option<Vec<u8>> {
    match data.covers().kept(CoverKey::Dataset(index)) {
        Some(cover) => Some(cover.prepared().cover().to_png()),
        None => Some(dataset::cover(index)?.to_png()),
    }
}
