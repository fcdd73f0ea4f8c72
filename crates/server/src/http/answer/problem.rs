//! Problem documents (RFC 9457): the only mapping from errors to [`Code`]s.

use std::time::Duration;

use api::problem::{AVAILABLE_BYTES, MEDIA_TYPE, NEEDED_BYTES};
use api::{Code, ProblemDocument};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_plane::catalog::Refusal;
use control_plane::{ControlError, TransferError};
use serde_json::{Map, Value, json};
use stego::{
    ContainerError, EmbedError, ExtractError, ImageError, ImageFormat, Incomparable, KeyError, Stopped,
};

use crate::auth::{AuthError, HostError};
use crate::budget::Exhausted;
use crate::covers::CoverError;
use crate::derivations::DeriveError;
use crate::http::body::encoding::Encoded;
use crate::http::body::upload::{InvalidValue, UploadError};
use crate::in_flight::NotAdmitted;
use crate::pool::PoolError;

/// Default `Retry-After` of a 503 in seconds: nothing was done, and a later retry may succeed.
const RETRY_AFTER_S: u64 = 1;
/// `Retry-After` without room for an idempotency key. Keys expire one by one, after 10 minutes or 24 hours.
const UNTIL_KEYS_EXPIRE: Duration = Duration::from_secs(60);
/// Minimum of a `Retry-After` that is computed.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(RETRY_AFTER_S);

/// A problem: code, detail and figures of a failed request.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    /// The code's own status, unless a library answered with another.
    status: StatusCode,
    detail: String,
    /// Further members, such as both figures of a 413.
    figures: Map<String, Value>,
    /// Seconds until a retry may succeed, if known.
    retry_after_s: Option<u64>,
    /// The decoder that panicked and its message; for the log and the metrics, never for the answer.
    decoder_panic: Option<(ImageFormat, String)>,
}

impl Problem {
    /// Creates a problem of this code; `detail` describes this occurrence.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: status_of(code),
            detail: detail.into(),
            figures: Map::new(),
            retry_after_s: None,
            decoder_panic: None,
        }
    }

    /// The decoder whose panic ended the work, and its message.
    pub(crate) fn decoder_panic(&self) -> Option<(ImageFormat, &str)> {
        self.decoder_panic.as_ref().map(|(format, message)| (*format, message.as_str()))
    }

    /// Adds figures as further members.
    pub(crate) fn with<const N: usize>(mut self, figures: [(&str, u64); N]) -> Self {
        self.figures.extend(figures.map(|(name, figure)| (name.to_owned(), json!(figure))));
        self
    }

    /// Sets the time until a retry may succeed, rounded up to seconds.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_s = Some(wait.as_millis().div_ceil(1000) as u64);
        self
    }

    /// Prefixes the detail with the name of the form's field.
    pub(crate) fn in_field(mut self, name: &str) -> Self {
        self.detail = format!("{name}: {}", self.detail);
        self
    }

    /// Substitutes a problem for a bare error status of a library.
    pub(crate) fn of_bare(status: StatusCode) -> Option<Self> {
        let problem = match status {
            StatusCode::NOT_FOUND => Self::new(Code::NotFound, "there is nothing under this path"),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(Code::BodyTooLarge, "the body is longer than the limit of this call")
            }
            status if status.is_client_error() => {
                Self { status, ..Self::new(Code::MalformedRequest, "the request cannot be understood") }
            }
            status if status.is_server_error() => Self::internal(),
            _ => return None,
        };
        Some(problem)
    }

    /// 500: a defect of this program, reported without internals.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "the node's log says more under this request id")
    }

    /// The stable code.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// The detail.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Builds the whole answer, once the request's id is known.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let code = self.code.as_str();
        debug_assert!(self.status.as_u16() >= 400, "a problem is an error: {code}");
        let document = ProblemDocument {
            type_uri: Some(self.code.type_uri()),
            title: Some(self.code.title().to_owned()),
            status: Some(self.status.as_u16()),
            detail: Some(self.detail),
            code: Some(code.to_owned()),
            request_id: Some(request_id.to_owned()),
            extensions: self.figures,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Ok(help) = HeaderValue::from_str(&format!("</docs/errors#{code}>; rel=\"help\"")) {
            headers.insert(header::LINK, help);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == Code::EncodingNotSupported {
            // RFC 9110, section 15.5.16.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let usual = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S);
        if let Some(seconds) = self.retry_after_s.or(usual) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Response extension of an error status whose body is a page; such a body is not replaced by a problem
/// document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorPage;

impl IntoResponse for Problem {
    /// Stores the problem in the response's extensions for the request layer, which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Stopped> for Problem {
    fn from(_: Stopped) -> Self {
        Self::new(Code::DeadlineExceeded, "the work on the image exceeded the request's time limit")
    }
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        let problem = Self::new(named(error.code()), with_source(&error));
        match error {
            ImageError::TooManyPixels { width, height, max_pixels } => {
                problem.with([("width", width.into()), ("height", height.into()), ("max_pixels", max_pixels)])
            }
            ImageError::TooMuchMemory { needed_bytes, max_bytes } => {
                problem.with(needed_and_available(needed_bytes, max_bytes))
            }
            ImageError::Stopped(stopped) => stopped.into(),
            ImageError::DecoderPanicked { format, message } => {
                Self { decoder_panic: Some((format, message)), ..problem }
            }
            _ => problem,
        }
    }
}

impl From<Incomparable> for Problem {
    fn from(error: Incomparable) -> Self {
        match error {
            Incomparable::Stopped(stopped) => stopped.into(),
            error => Self::new(Code::NotComparable, error.to_string()),
        }
    }
}

impl From<ContainerError> for Problem {
    fn from(error: ContainerError) -> Self {
        let problem = Self::new(named(error.code()), error.to_string());
        match error {
            ContainerError::SecretTooLarge { needed_bytes, max_bytes } => {
                problem.with(needed_and_available(needed_bytes, max_bytes))
            }
            ContainerError::Stopped(stopped) => stopped.into(),
            _ => problem,
        }
    }
}

impl From<ExtractError> for Problem {
    fn from(error: ExtractError) -> Self {
        match error {
            ExtractError::Image(error) => error.into(),
            ExtractError::Container(error) => error.into(),
            ExtractError::TooFewSamples { needed_samples, available_samples } => {
                Self::new(named(error.code()), error.to_string())
                    .with([("needed_samples", needed_samples), ("available_samples", available_samples)])
            }
            error => Self::new(named(error.code()), error.to_string()),
        }
    }
}

impl From<EmbedError> for Problem {
    fn from(error: EmbedError) -> Self {
        let problem = Self::new(named(error.code()), error.to_string());
        match error {
            EmbedError::Image(error) => error.into(),
            EmbedError::CapacityExceeded { needed_bytes, available_bytes } => {
                problem.with(needed_and_available(needed_bytes, available_bytes))
            }
            EmbedError::CoverTooSmall => {
                problem.with(needed_and_available(stego::HEADER_LEN_BYTES as u64, 0))
            }
            EmbedError::TooFewSamples { needed_samples, available_samples } => {
                problem.with([("needed_samples", needed_samples), ("available_samples", available_samples)])
            }
            EmbedError::Options(_) => problem,
            EmbedError::Container(error) => error.into(),
            EmbedError::Stopped(stopped) => stopped.into(),
            EmbedError::NotVerified { source } => {
                tracing::error!(?source, "stego image failed verification and was withheld");
                Self::internal()
            }
        }
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::new(
                Code::Overloaded,
                "the queue for pixel work is full (limits.pixel_queue); retry at another node",
            ),
            PoolError::Late => Self::new(
                Code::Overloaded,
                "no pixel thread was free within limits.request_timeout_ms; retry at another node",
            ),
            PoolError::Panicked => Self::internal(),
        }
    }
}

impl From<Exhausted> for Problem {
    fn from(_: Exhausted) -> Self {
        Self::new(
            Code::Overloaded,
            "the memory for images, uploads and answers is in use at the moment; retry at another node",
        )
    }
}

impl From<CoverError> for Problem {
    fn from(error: CoverError) -> Self {
        match error {
            CoverError::Pool(error) => error.into(),
            CoverError::Exhausted(error) => error.into(),
            CoverError::Stopped(error) => error.into(),
            CoverError::NotVerified => Self::internal(),
        }
    }
}

impl From<Encoded> for Problem {
    fn from(error: Encoded) -> Self {
        Self::new(Code::EncodingNotSupported, error.to_string())
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let code = match error {
            UploadError::NotMultipart { .. } => Code::NotMultipart,
            UploadError::Malformed(_) | UploadError::CutOff | UploadError::EndlessStructure => {
                Code::MalformedMultipart
            }
            UploadError::Encoded(encoded) => return encoded.into(),
            UploadError::InvalidValue(invalid) => return invalid.into(),
            UploadError::NotYet { .. } => Code::NotSupportedYet,
            UploadError::EmptyFile { .. } => Code::FileEmpty,
            UploadError::UnknownField { .. } => Code::UnknownField,
            UploadError::RepeatedField { .. } => Code::RepeatedField,
            UploadError::FieldTooLong { .. } => Code::FieldTooLong,
            UploadError::NotText { .. } => Code::FieldNotText,
            UploadError::Key(key) => return key.into(),
            UploadError::KeyFileTooLong { .. } => Code::InvalidKey,
            UploadError::Plaintext { .. } => Code::PlaintextRefused,
            UploadError::BodyTooLarge { needed_bytes, max_bytes } => {
                return Self::new(Code::BodyTooLarge, error.to_string())
                    .with(needed_and_available(needed_bytes, max_bytes));
            }
            UploadError::Exhausted(exhausted) => return exhausted.into(),
            UploadError::Stalled | UploadError::TooSlow => Code::UploadTooSlow,
            UploadError::Broken(_) => Code::UploadBroken,
        };
        Self::new(code, error.to_string())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::new(named(error.code()), error.to_string())
    }
}

impl From<DeriveError> for Problem {
    fn from(error: DeriveError) -> Self {
        match error {
            DeriveError::Full { retry_after } | DeriveError::Late { retry_after } => {
                let detail = format!("{error}; retry after Retry-After, or at another node");
                Self::new(Code::Overloaded, detail).retry_after(retry_after.max(MIN_RETRY_AFTER))
            }
            DeriveError::Panicked => Self::internal(),
        }
    }
}

impl From<InvalidValue> for Problem {
    fn from(InvalidValue { code, detail }: InvalidValue) -> Self {
        Self::new(code, detail)
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let detail = match error {
            // The change was proposed and may still be committed: neither "done" nor "try again" would be
            // true.
            ControlError::OutcomeUnknown => {
                format!("{error}; repeat the request with the same Idempotency-Key to learn the outcome")
            }
            _ => error.to_string(),
        };
        Self::new(error.code(), detail)
    }
}

impl From<TransferError> for Problem {
    fn from(error: TransferError) -> Self {
        match error {
            // A transfer has no idempotency key and needs none.
            TransferError::Control(error) if error != ControlError::OutcomeUnknown => error.into(),
            error => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let code = match refusal {
            Refusal::KeyReused => Code::IdempotencyKeyReused,
            Refusal::TooManyKeys { .. } | Refusal::TableFull { .. } => {
                return Self::new(Code::TooManyKeys, detail).retry_after(UNTIL_KEYS_EXPIRE);
            }
            Refusal::ShareFull { .. } => {
                return Self::new(Code::TooManyKeysOfCaller, detail).retry_after(UNTIL_KEYS_EXPIRE);
            }
            Refusal::NoSuchSetting { .. } => Code::NoSuchSetting,
            Refusal::TooManySettings { .. } => Code::TooManySettings,
            // Every action of a client is of the first version, and clients activate nothing.
            Refusal::NotActivated { .. } | Refusal::NotCovered { .. } => return Self::internal(),
            Refusal::VersionMismatch { expected, actual } => {
                return Self::new(Code::VersionMismatch, detail)
                    .with([("expected", expected), ("actual", actual)]);
            }
        };
        Self::new(code, detail)
    }
}

impl From<NotAdmitted> for Problem {
    fn from(error: NotAdmitted) -> Self {
        let code = match error {
            NotAdmitted::TooMany => Code::Overloaded,
            NotAdmitted::SameKey => Code::RequestInFlight,
        };
        Self::new(code, error.to_string())
    }
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        let code = match error {
            HostError::Unknown(_) => Code::UnknownHost,
            HostError::Missing | HostError::Repeated | HostError::Malformed => Code::MalformedRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = error.to_string();
        match error {
            AuthError::TokenRequired { .. } => Self::new(Code::TokenRequired, detail),
            AuthError::TokenWrong => Self::new(Code::TokenWrong, detail),
            AuthError::TooManyGuesses { retry_after } => {
                Self::new(Code::TooManyGuesses, detail).retry_after(retry_after)
            }
            AuthError::CrossOrigin(_) => Self::new(Code::CrossOrigin, detail),
        }
    }
}

/// HTTP status of a code.
pub(crate) fn status_of(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns the code of a `stego` error by name. An unknown name is a defect; a test covers every error.
fn named(text: &str) -> Code {
    Code::named(text).unwrap_or(Code::Internal)
}

fn needed_and_available(needed_bytes: u64, available_bytes: u64) -> [(&'static str, u64); 2] {
    [(NEEDED_BYTES, needed_bytes), (AVAILABLE_BYTES, available_bytes)]
}

/// Joins an error and its source in one line. Image decoders describe the file only.
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
    fn a_decoder_that_panics_is_told_to_the_log_alone() {
        let error = ImageError::DecoderPanicked { format: ImageFormat::Tiff, message: "index 9".to_owned() };
        let problem = Problem::from(error);
        assert_eq!(problem.code(), Code::UnsupportedImage);
        assert_eq!(problem.decoder_panic(), Some((ImageFormat::Tiff, "index 9")));
        assert!(
            problem.detail().contains("TIFF") && !problem.detail().contains("index 9"),
            "{}",
            problem.detail()
        );
    }

    /// All errors of the libraries. A new variant does not compile here until added to the lists.
    fn image_errors() -> Vec<ImageError> {
        let all = vec![
            ImageError::NotAnImage,
            ImageError::Unsupported { what: "a".to_owned() },
            ImageError::Truncated { format: ImageFormat::Png },
            ImageError::Damaged { format: ImageFormat::Png, source: "b".into() },
            ImageError::TextMode { format: ImageFormat::Png },
            ImageError::DecoderPanicked { format: ImageFormat::Png, message: "c".to_owned() },
            ImageError::TooManyPixels { width: 1, height: 2, max_pixels: 1 },
            ImageError::TooMuchMemory { needed_bytes: 2, max_bytes: 1 },
            ImageError::Stopped(Stopped),
        ];
        for error in &all {
            match error {
                ImageError::NotAnImage
                | ImageError::Unsupported { .. }
                | ImageError::Truncated { .. }
                | ImageError::Damaged { .. }
                | ImageError::TextMode { .. }
                | ImageError::DecoderPanicked { .. }
                | ImageError::TooManyPixels { .. }
                | ImageError::TooMuchMemory { .. }
                | ImageError::Stopped(_) => {}
            }
        }
        all
    }

    fn container_errors() -> Vec<ContainerError> {
        let all = vec![
            ContainerError::NoPayload,
            ContainerError::UnknownVersion { found: 3 },
            ContainerError::UnknownLayout { layout: 3 },
            ContainerError::Damaged { what: "a" },
            ContainerError::SecretTooLarge { needed_bytes: 2, max_bytes: 1 },
            ContainerError::Stopped(Stopped),
        ];
        for error in &all {
            match error {
                ContainerError::NoPayload
                | ContainerError::UnknownVersion { .. }
                | ContainerError::UnknownLayout { .. }
                | ContainerError::Damaged { .. }
                | ContainerError::SecretTooLarge { .. }
                | ContainerError::Stopped(_) => {}
            }
        }
        all
    }

    fn extract_errors() -> Vec<ExtractError> {
        let images = image_errors().into_iter().map(ExtractError::Image);
        let keyed = [
            ExtractError::NoPayloadOrWrongKey,
            ExtractError::TooFewSamples { needed_samples: 2, available_samples: 1 },
        ];
        let containers = container_errors().into_iter().map(ExtractError::Container);
        let all: Vec<_> = images.chain(containers).chain(keyed).collect();
        for error in &all {
            match error {
                // The other variants occur on extraction only; a test below checks their codes by name.
                ExtractError::Image(_)
                | ExtractError::Container(_)
                | ExtractError::NoPayloadOrWrongKey
                | ExtractError::TooFewSamples { .. }
                | ExtractError::LossyFormat { .. }
                | ExtractError::Reencoded { .. } => {}
            }
        }
        all
    }

    fn embed_errors() -> Vec<EmbedError> {
        let all = vec![
            EmbedError::CapacityExceeded { needed_bytes: 2, available_bytes: 1 },
            EmbedError::CoverTooSmall,
            EmbedError::TooFewSamples { needed_samples: 2, available_samples: 1 },
            EmbedError::NotVerified { source: None },
            EmbedError::Stopped(Stopped),
        ];
        for error in &all {
            match error {
                EmbedError::Image(_)
                | EmbedError::CapacityExceeded { .. }
                | EmbedError::CoverTooSmall
                | EmbedError::TooFewSamples { .. }
                | EmbedError::Options(_)
                | EmbedError::Container(_)
                | EmbedError::NotVerified { .. }
                | EmbedError::Stopped(_) => {}
            }
        }
        all.into_iter().chain(container_errors().into_iter().map(EmbedError::Container)).collect()
    }

    #[test]
    fn an_error_of_a_library_keeps_its_code() {
        let check = |own: &'static str, problem: Problem| assert_eq!(problem.code().as_str(), own);
        // The library does not know the reason of a stop; here the reason is the deadline.
        let code = |own| if own == "stopped" { "deadline_exceeded" } else { own };
        image_errors().into_iter().for_each(|error| check(code(error.code()), error.into()));
        container_errors().into_iter().for_each(|error| check(code(error.code()), error.into()));
        extract_errors().into_iter().for_each(|error| check(code(error.code()), error.into()));
        embed_errors().into_iter().for_each(|error| check(code(error.code()), error.into()));
        check(KeyError::Missing.code(), KeyError::Missing.into());
        assert_eq!(named(Code::ImageWasReencoded.as_str()), Code::ImageWasReencoded);
    }

    #[test]
    fn transfers_that_fail_say_whether_to_come_back() {
        let check = |error: TransferError, code: Code, retry_after: bool| {
            let problem = Problem::from(error);
            assert_eq!(problem.code(), code);
            let answer = problem.render("id");
            assert_eq!(answer.status(), code.status(), "{code}");
            assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), retry_after, "{code}");
        };
        let (name, reason) = (|| "n2".to_owned(), || "it has no vote".to_owned());
        check(TransferError::UnknownNode { name: name() }, Code::UnknownNode, false);
        check(TransferError::Unfit { name: name(), reason: reason() }, Code::CannotLead, false);
        check(TransferError::NoSuccessor { reason: reason() }, Code::NoSuccessor, false);
        check(TransferError::NotTaken { to: name(), leader: name() }, Code::TransferFailed, true);
        check(ControlError::NoQuorum { reason: reason() }.into(), Code::NoQuorum, true);
        check(ControlError::OutcomeUnknown.into(), Code::OutcomeUnknown, false);
    }
}
