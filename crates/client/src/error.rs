//! Errors of a request, and a short stable name for each kind.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use api::{Code, Plane, ProblemDocument, Retry};

use crate::endpoints::Endpoint;
use crate::reply::Via;

/// Longest `code` of a problem document accepted as the name of an error kind.
const MAX_CODE_LEN_BYTES: usize = 64;

/// Failure of a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A request that cannot be built, for example because of an invalid media type.
    #[error("the request cannot be built")]
    Request {
        /// The error of the HTTP library.
        #[source]
        source: reqwest::Error,
    },
    /// A key for an endpoint that is reached over plain HTTP. Nothing was sent.
    #[error(
        "{endpoint} is reached over plain HTTP, and every machine on the way could read the key; use https"
    )]
    Plaintext {
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// No connection to the endpoint.
    #[error("cannot connect to {}", via.endpoint)]
    Connect {
        /// The endpoint asked last.
        via: Via,
        /// The transport error.
        #[source]
        source: reqwest::Error,
    },
    /// A connection that broke before the answer was complete.
    #[error("the connection to {} broke", via.endpoint)]
    ConnectionLost {
        /// The endpoint asked last.
        via: Via,
        /// The transport error.
        #[source]
        source: reqwest::Error,
    },
    /// No complete answer before the request's deadline or, where another endpoint could be asked, within the
    /// time of an attempt.
    #[error("no answer from {} within {} ms", via.endpoint, timeout.as_millis())]
    Timeout {
        /// The endpoint asked last.
        via: Via,
        /// The time limit that passed: of the request, retries included, or of the attempt.
        timeout: Duration,
    },
    /// An error status from the node.
    #[error("{} answered {refusal}", via.endpoint)]
    Refused {
        /// The endpoint that answered.
        via: Via,
        /// The status and the problem document.
        refusal: Box<Refusal>,
    },
    /// An answer that breaks the API contract.
    #[error("the answer of {} is not what the API promises", via.endpoint)]
    BadAnswer {
        /// The endpoint that answered.
        via: Via,
        /// The deviation from the contract.
        #[source]
        source: BadAnswer,
    },
    /// An answer larger than the client's limit.
    #[error("the answer of {} is larger than {limit_bytes} bytes", via.endpoint)]
    AnswerTooLarge {
        /// The endpoint that answered.
        via: Via,
        /// The limit.
        limit_bytes: usize,
    },
    /// A retry refused by the retry budget, because too many requests had been sent again already. Counted as
    /// the carried error.
    #[error("not sent again: the retry budget is used up, because too many requests fail")]
    RetryBudget {
        /// The error of the last attempt.
        #[source]
        source: Box<ClientError>,
    },
    /// A runtime that stopped while the answer was being read.
    #[error("stopped while reading the answer")]
    Stopped,
}

impl ClientError {
    /// Returns the kind of this error, for counting.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Request { .. } => ErrorKind::BadRequest,
            Self::Plaintext { .. } => ErrorKind::Problem(Code::PlaintextRefused.as_str().to_owned()),
            Self::Connect { .. } => ErrorKind::Connect,
            Self::ConnectionLost { .. } => ErrorKind::ConnectionLost,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Refused { refusal, .. } => match refusal.code() {
                Some(code) => ErrorKind::Problem(code.to_owned()),
                None => ErrorKind::Http(refusal.status),
            },
            Self::BadAnswer { .. } => ErrorKind::BadAnswer,
            Self::AnswerTooLarge { .. } => ErrorKind::AnswerTooLarge,
            Self::RetryBudget { source } => source.kind(),
            Self::Stopped => ErrorKind::Stopped,
        }
    }

    /// Returns the endpoint asked last and those before; `None` where no node was asked.
    pub fn via(&self) -> Option<&Via> {
        match self {
            Self::Request { .. } | Self::Plaintext { .. } | Self::Stopped => None,
            Self::Connect { via, .. }
            | Self::ConnectionLost { via, .. }
            | Self::Timeout { via, .. }
            | Self::Refused { via, .. }
            | Self::BadAnswer { via, .. }
            | Self::AnswerTooLarge { via, .. } => Some(via),
            Self::RetryBudget { source } => source.via(),
        }
    }

    /// Returns the error of the last attempt: this error, or the error inside a [`ClientError::RetryBudget`].
    pub fn last_attempt(&self) -> &Self {
        match self {
            Self::RetryBudget { source } => source.last_attempt(),
            error => error,
        }
    }

    /// Returns the endpoints asked without success, the last included.
    pub(crate) fn into_tried(self) -> Vec<Endpoint> {
        let via = self.via().cloned();
        via.map_or_else(Vec::new, |Via { endpoint, mut retried }| {
            retried.push(endpoint);
            retried
        })
    }
}

/// Kind of an error under a stable name; errors are counted by kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// A request that cannot be built.
    BadRequest,
    /// No connection.
    Connect,
    /// A connection that broke before the answer was complete.
    ConnectionLost,
    /// No complete answer in time.
    Timeout,
    /// An error status without a problem document.
    Http(u16),
    /// An error status with a problem document, by its `code`, possibly a code of a newer release.
    Problem(String),
    /// An answer that breaks the API contract.
    BadAnswer,
    /// An answer larger than the client's limit.
    AnswerTooLarge,
    /// A runtime that stopped.
    Stopped,
}

impl ErrorKind {
    /// Returns the name: lower case, words joined by `_`; for a problem document, the node's `code`.
    pub fn as_str(&self) -> Cow<'_, str> {
        match self {
            Self::BadRequest => "bad_request".into(),
            Self::Connect => "connect".into(),
            Self::ConnectionLost => "connection_lost".into(),
            Self::Timeout => "timeout".into(),
            Self::Http(status) => format!("http_{status}").into(),
            Self::Problem(code) => code.as_str().into(),
            Self::BadAnswer => "bad_answer".into(),
            Self::AnswerTooLarge => "answer_too_large".into(),
            Self::Stopped => "stopped".into(),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
    }
}

/// An error status and the node's explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The problem document, if present.
    pub problem: Option<ProblemDocument>,
    /// The pause requested by the node before the next request (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Returns the retry class: of the problem's code, or of the status where the code is unknown to this
    /// release.
    pub fn retry(&self) -> Retry {
        self.known_code().map_or_else(|| Retry::of_status(self.status), Code::retry)
    }

    /// True if nothing was done, and another node or a later time may help.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self.retry(), Retry::Elsewhere | Retry::Later)
    }

    /// True if the refusal applies to all work sent to the node, not only to work that needs a quorum.
    pub(crate) fn is_about_all_work(&self) -> bool {
        self.is_temporary() && self.known_code().is_none_or(|code| code.plane() == Plane::Data)
    }

    /// True if the outcome is unknown; the same request under the same idempotency key finds out.
    pub fn is_unsettled(&self) -> bool {
        self.retry() == Retry::SameKey
    }

    /// Returns the problem's code if known to this release.
    pub fn known_code(&self) -> Option<Code> {
        Code::named(self.code()?)
    }

    /// Returns the problem's code if a plain name. Any other text is ignored: kinds are counted and printed,
    /// and a peer must not be able to make the list of kinds large or unreadable.
    pub fn code(&self) -> Option<&str> {
        let code = self.problem.as_ref()?.code.as_deref()?;
        let plain =
            code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        (plain && (1..=MAX_CODE_LEN_BYTES).contains(&code.len())).then_some(code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        let Some(problem) = &self.problem else { return Ok(()) };
        if let Some(code) = self.code() {
            write!(f, " {code}")?;
        }
        match problem.detail.as_ref().or(problem.title.as_ref()) {
            // A peer's text goes to terminals: no control characters.
            Some(text) => write!(f, ": {}", text.replace(char::is_control, " ")),
            None => Ok(()),
        }
    }
}

/// Deviation of an answer from the API contract.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// A required header that is missing or has an unreadable value.
    #[error("the header `{name}` is missing or unreadable")]
    Header {
        /// The header.
        name: &'static str,
    },
    /// A content type other than the requested type.
    #[error("the content type is `{found}` and not `{expected}`")]
    ContentType {
        /// The content type accepted by the request.
        expected: &'static str,
        /// The content type of the answer.
        found: String,
    },
    /// A body without the expected JSON.
    #[error("the body is not the JSON expected")]
    Json {
        /// The position and kind of the JSON error.
        #[source]
        source: serde_json::Error,
    },
    /// An event of a stream without an end within the limit.
    #[error("an event is longer than {limit_bytes} bytes")]
    EventTooLong {
        /// The limit.
        limit_bytes: usize,
    },
    /// A stated size that differs from the size carried.
    #[error("the answer names {named} bytes and carries {carried}")]
    Size {
        /// The size stated.
        named: u64,
        /// The size found.
        carried: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: Option<&str>) -> Refusal {
        let problem = ProblemDocument { code: code.map(str::to_owned), ..ProblemDocument::default() };
        Refusal { status, problem: Some(problem), retry_after: None }
    }

    #[test]
    fn a_problem_keeps_its_extension_members() {
        let text = r#"{"title": "Too large", "status": 413, "detail": "no room", "code": "capacity_exceeded",
            "request_id": "r1", "needed_bytes": 9}"#;
        let problem: ProblemDocument = serde_json::from_str(text).unwrap();
        assert_eq!(problem.extensions[api::problem::NEEDED_BYTES], 9);
        let refusal = Refusal { status: 413, problem: Some(problem), retry_after: None };
        assert_eq!(refusal.known_code(), Some(Code::CapacityExceeded));
        assert_eq!(refusal.to_string(), "413 capacity_exceeded: no room");
    }

    #[test]
    fn a_refusal_of_the_control_plane_says_nothing_of_other_work() {
        for &code in Code::ALL {
            let refusal = refusal(code.status(), Some(code.as_str()));
            assert_eq!(refusal.retry(), code.retry(), "{code}");
            let busy = refusal.is_temporary() && code.plane() == Plane::Data;
            assert_eq!(refusal.is_about_all_work(), busy, "{code}");
        }
        assert!(!refusal(503, Some(Code::TooManyKeys.as_str())).is_about_all_work());
        assert!(!refusal(503, Some(Code::Stopped.as_str())).is_about_all_work());
        // A newer release, or a proxy.
        assert!(refusal(503, Some("from_the_future")).is_about_all_work());
        assert_eq!(refusal(429, None).retry(), Retry::Later);
        assert_eq!(refusal(502, None).retry(), Retry::Never);
    }

    #[test]
    fn kinds_have_plain_names() {
        let check = |code: Option<&str>, expected: &str| {
            let (via, refusal) = (Via::direct("http://a".parse().unwrap()), Box::new(refusal(422, code)));
            assert_eq!(ClientError::Refused { via, refusal }.kind().as_str(), expected);
        };
        check(Some("from_the_future"), "from_the_future");
        check(Some("two words"), "http_422");
        check(Some("\u{1b}[31m"), "http_422");
        check(Some(&"a".repeat(65)), "http_422");
        check(Some(""), "http_422");
        check(None, "http_422");
    }
}
