//! Problem documents (RFC 9457): the one place that knows which error has which status and code.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_plane::catalog::Refusal;
use control_plane::{ControlError, TransferError};
use serde::Serialize;
use serde_json::{Map, Value, json};
use stego::{ContainerError, EmbedError, ExtractError, ImageError, Stopped};

use super::upload::UploadError;
use crate::budget::Exhausted;
use crate::pool::PoolError;

/// The media type of a problem document.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
const IMAGE_TOO_LARGE: &str = "The image is too large";
/// When to come back after an overload, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// Why a request was not served.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    /// Further members, such as both figures of a 413.
    figures: Map<String, Value>,
    retry_after_s: Option<u32>,
}

/// A problem document as sent (RFC 9457). Further members carry figures where there are some.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProblemDocument {
    /// `urn:steg:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:steg:problem:capacity_exceeded")]
    kind: String,
    /// The code in words, the same for every occurrence.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened here.
    detail: String,
    /// Stable, for programs.
    #[schema(example = "capacity_exceeded")]
    code: &'static str,
    /// The request's `x-request-id`.
    request_id: String,
    /// Figures, where they help: `needed_bytes`, `available_bytes`, `max_bytes` …
    #[serde(flatten)]
    #[schema(value_type = Object)]
    figures: Map<String, Value>,
}

impl Problem {
    /// A problem of this status, code and title.
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code, title, detail: detail.into(), figures: Map::new(), retry_after_s: None }
    }

    /// 400: a request that is not as it should be.
    pub(super) fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request is malformed", detail)
    }

    /// 400: what a later release will do.
    pub(super) fn not_supported_yet(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "not_supported_yet", "A later release will do this", detail)
    }

    /// 404.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here", detail)
    }

    /// What stands for an error that some library answered with on its own.
    pub(super) fn of_bare(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::NOT_FOUND => Some(Self::not_found("there is nothing under this path")),
            status if status.is_client_error() => Some(Self::new(
                status,
                "malformed_request",
                "The request is malformed",
                "the request cannot be understood",
            )),
            status if status.is_server_error() => Some(Self::internal()),
            _ => None,
        }
    }

    /// 413, with what was needed and what there is.
    pub(super) fn too_large(
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        figures: &[(&str, u64)],
    ) -> Self {
        let mut problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, title, detail);
        problem.figures = figures.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure))).collect();
        problem
    }

    /// 503 with `Retry-After`: nothing was done, trying again later helps.
    pub(super) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let title = "The node cannot take this request now";
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail);
        problem.retry_after_s = Some(RETRY_AFTER_S);
        problem
    }

    /// 500: a defect of this program, told without its inside.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong in the node",
            "the node's log says more under this request id",
        )
    }

    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// What happened.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The whole answer, once the request's id is known.
    pub(super) fn render(self, request_id: &str) -> Response {
        let document = ProblemDocument {
            kind: format!("urn:steg:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            request_id: request_id.to_owned(),
            figures: self.figures,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// The problem travels in the response's extensions to [`super::request`], which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        let (code, detail) = (error.code(), with_source(&error));
        match error {
            ImageError::NotAnImage | ImageError::Unsupported { .. } => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                code,
                "This kind of file is not supported",
                detail,
            ),
            ImageError::Truncated { .. } | ImageError::Damaged { .. } => Self::malformed(code, detail),
            ImageError::TooManyPixels { width, height, max_pixels } => {
                let figures =
                    [("width", width.into()), ("height", height.into()), ("max_pixels", max_pixels)];
                Self::too_large(code, IMAGE_TOO_LARGE, detail, &figures)
            }
            ImageError::TooMuchMemory { needed_bytes, max_bytes } => {
                Self::too_large(code, IMAGE_TOO_LARGE, detail, &needed_and_available(needed_bytes, max_bytes))
            }
            ImageError::Stopped(stopped) => stopped.into(),
        }
    }
}

impl From<Stopped> for Problem {
    fn from(_: Stopped) -> Self {
        Self::unavailable("deadline_exceeded", "the work on the image took longer than a request may")
    }
}

impl From<ContainerError> for Problem {
    fn from(error: ContainerError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        let title = match error {
            ContainerError::NoPayload => "There is no payload in this image",
            ContainerError::UnknownVersion { .. } | ContainerError::UnknownLayout { .. } => {
                "A newer release made this image"
            }
            ContainerError::Damaged { .. } => "The payload is damaged",
            ContainerError::SecretTooLarge { needed_bytes, max_bytes } => {
                let figures = needed_and_available(needed_bytes, max_bytes);
                return Self::too_large(code, "The secret is too large", detail, &figures);
            }
            ContainerError::Stopped(stopped) => return stopped.into(),
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title, detail)
    }
}

impl From<ExtractError> for Problem {
    fn from(error: ExtractError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            ExtractError::Image(error) => error.into(),
            ExtractError::Container(error) => error.into(),
            ExtractError::Reencoded { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                code,
                "The image was saved anew in a lossy format",
                detail,
            ),
        }
    }
}

impl From<EmbedError> for Problem {
    fn from(error: EmbedError) -> Self {
        const TITLE: &str = "The secret does not fit into the image";
        let (code, detail) = (error.code(), error.to_string());
        match error {
            EmbedError::CapacityExceeded { needed_bytes, available_bytes } => {
                Self::too_large(code, TITLE, detail, &needed_and_available(needed_bytes, available_bytes))
            }
            EmbedError::CoverTooSmall => {
                Self::too_large(code, TITLE, detail, &needed_and_available(stego::HEADER_LEN_BYTES as u64, 0))
            }
            EmbedError::Container(error) => error.into(),
            EmbedError::Stopped(stopped) => stopped.into(),
            EmbedError::NotVerified { source } => {
                tracing::error!(?source, "a stego image did not give its secret back and was withheld");
                Self::internal()
            }
        }
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::unavailable("overloaded", "as many requests as may wait do so already"),
            PoolError::Late => Self::unavailable("overloaded", "no thread was free for this request in time"),
            PoolError::Panicked => Self::internal(),
        }
    }
}

impl From<Exhausted> for Problem {
    fn from(_: Exhausted) -> Self {
        Self::unavailable("overloaded", "the memory for images, uploads and answers is used up at the moment")
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let detail = error.to_string();
        match error {
            UploadError::NotMultipart => Self::malformed("not_multipart", detail),
            UploadError::Malformed(_) | UploadError::EndlessStructure => {
                Self::malformed("malformed_multipart", detail)
            }
            UploadError::UnknownField { .. } => Self::malformed("unknown_field", detail),
            UploadError::RepeatedField { .. } => Self::malformed("repeated_field", detail),
            UploadError::FieldTooLong { .. } => Self::malformed("field_too_long", detail),
            UploadError::NotText { .. } => Self::malformed("field_not_text", detail),
            UploadError::BodyTooLarge { needed_bytes, max_bytes } => Self::too_large(
                "body_too_large",
                "The request's body is too large",
                detail,
                &needed_and_available(needed_bytes, max_bytes),
            ),
            UploadError::Exhausted(exhausted) => exhausted.into(),
            UploadError::Stalled | UploadError::TooSlow => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "upload_too_slow", "The upload took too long", detail)
            }
            UploadError::Broken(_) => Self::malformed("upload_broken", detail),
        }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            // Proposed, so it may happen yet: neither "done" nor "try again" would be true.
            ControlError::OutcomeUnknown => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                code,
                "It may or may not have been done",
                format!("{detail}; ask again with the same Idempotency-Key to learn which"),
            ),
            _ => {
                let mut problem = Self::unavailable(code, detail);
                problem.title = "The cluster cannot agree on this now";
                problem
            }
        }
    }
}

impl From<TransferError> for Problem {
    fn from(error: TransferError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        let (status, title) = match error {
            // There is no key to ask with, and none is needed.
            TransferError::Control(ControlError::OutcomeUnknown) => {
                (StatusCode::GATEWAY_TIMEOUT, "It may or may not have been done")
            }
            TransferError::Control(error) => return error.into(),
            TransferError::UnknownNode { .. } => (StatusCode::NOT_FOUND, "There is no such node"),
            TransferError::Unfit { .. } => (StatusCode::CONFLICT, "This node cannot lead now"),
            TransferError::NoSuccessor { .. } => (StatusCode::CONFLICT, "Nobody can take over now"),
            TransferError::NotTaken { .. } => {
                let mut problem = Self::unavailable(code, detail);
                problem.title = "Leadership was not handed over";
                return problem;
            }
        };
        Self::new(status, code, title, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let (status, code, title) = match &refusal {
            Refusal::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The idempotency key was used for another request",
            ),
            Refusal::TooManyKeys { .. } => return Self::unavailable("too_many_keys", detail),
            Refusal::NoSuchSetting { .. } => (StatusCode::NOT_FOUND, "no_such_setting", "This is not set"),
            Refusal::VersionMismatch { .. } => {
                (StatusCode::PRECONDITION_FAILED, "version_mismatch", "It was changed meanwhile")
            }
            Refusal::TooManySettings { .. } => {
                (StatusCode::CONFLICT, "too_many_settings", "There is no room for another setting")
            }
        };
        let mut problem = Self::new(status, code, title, detail);
        if let Refusal::VersionMismatch { expected, actual } = refusal {
            problem.figures = [("expected", expected), ("actual", actual)]
                .map(|(name, figure)| (name.to_owned(), json!(figure)))
                .into_iter()
                .collect();
        }
        problem
    }
}

fn needed_and_available(needed_bytes: u64, available_bytes: u64) -> [(&'static str, u64); 2] {
    [("needed_bytes", needed_bytes), ("available_bytes", available_bytes)]
}

/// An error and what is behind it, in one line. Image decoders speak of the file only.
fn with_source(error: &dyn std::error::Error) -> String {
    let line = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_that_fail_say_whether_to_come_back() {
        let check = |error: TransferError, status: u16, code: &str, retry_after: bool| {
            let problem = Problem::from(error);
            assert_eq!(problem.code(), code);
            let answer = problem.render("id");
            assert_eq!(answer.status(), status, "{code}");
            assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), retry_after, "{code}");
        };
        let (name, reason) = (|| "n2".to_owned(), || "it has no vote".to_owned());
        check(TransferError::UnknownNode { name: name() }, 404, "unknown_node", false);
        check(TransferError::Unfit { name: name(), reason: reason() }, 409, "cannot_lead", false);
        check(TransferError::NoSuccessor { reason: reason() }, 409, "no_successor", false);
        check(TransferError::NotTaken { to: name(), leader: name() }, 503, "transfer_failed", true);
        check(ControlError::NoQuorum { reason: reason() }.into(), 503, "no_quorum", true);
        check(ControlError::OutcomeUnknown.into(), 504, "outcome_unknown", false);
    }
}
