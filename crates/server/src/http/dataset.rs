//! `GET /api/dataset/{index}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use stego::{Cover, DATASET_LEN};

use super::answer::Answer;
use super::problem::{Problem, ProblemDocument};
use crate::app::{App, DEFAULT_COVER};

/// Get a synthetic test image
///
/// Photograph-like, made by code, the same for the same index on every node. Image 0 is the default cover.
#[utoipa::path(
    get, path = "/api/dataset/{index}", tag = "stego",
    params(("index" = u32, Path, description = "0 to 49")),
    responses(
        (status = 200, description = "The image", body = Vec<u8>, content_type = "image/png"),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "No such index", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Overload or stop; see Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn dataset(
    State(app): State<Arc<App>>,
    Path(index): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let index =
        index.parse().ok().filter(|index| *index < DATASET_LEN).ok_or_else(|| {
            Problem::not_found(format!("the dataset has the images 0 to {}", DATASET_LEN - 1))
        })?;
    let tag = format!("\"dataset-{}-{index}\"", env!("CARGO_PKG_VERSION"));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let job_app = Arc::clone(&app);
    let body =
        app.pool.run(app.start_by(), move || png(index, &job_app)).await?.ok_or_else(Problem::internal)?;
    let mut headers = HeaderMap::new();
    super::answer::insert(&mut headers, "etag", &tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    Answer { media_type: "image/png", headers, body }.into_response(&app)
}

/// On a pixel thread.
fn png(index: u32, app: &App) -> Option<Vec<u8>> {
    if index == DEFAULT_COVER {
        return Some(app.default_cover().to_png());
    }
    Some(Cover::dataset(index)?.to_png())
}
