//! What can go wrong with a request, and the short stable name of each kind.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use api::{Code, Plane, ProblemDocument, Retry};

use crate::endpoints::Endpoint;
use crate::reply::Via;

/// Longest `code` that is taken from a problem document as the name of an error kind.
const MAX_CODE_LEN_BYTES: usize = 64;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The request cannot be sent as it is, such as with a media type that is none.
    #[error("the request cannot be built")]
    Request {
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// No connection to the endpoint.
    #[error("cannot connect to {}", via.endpoint)]
    Connect {
        /// The endpoint asked last.
        via: Via,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {} broke", via.endpoint)]
    ConnectionLost {
        /// The endpoint asked last.
        via: Via,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// No complete answer before the request's deadline, or, where another endpoint was to be asked, within the time
    /// of one attempt.
    #[error("no answer from {} within {} ms", via.endpoint, timeout.as_millis())]
    Timeout {
        /// The endpoint asked last.
        via: Via,
        /// The time there was: the request's, retries included, or the attempt's.
        timeout: Duration,
    },
    /// The node answered with an error status.
    #[error("{} answered {refusal}", via.endpoint)]
    Refused {
        /// The endpoint that answered.
        via: Via,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The answer is not what the API promises.
    #[error("the answer of {} is not what the API promises", via.endpoint)]
    BadAnswer {
        /// The endpoint that answered.
        via: Via,
        /// What is wrong with it.
        #[source]
        source: BadAnswer,
    },
    /// The answer is larger than this client reads.
    #[error("the answer of {} is larger than {limit_bytes} bytes", via.endpoint)]
    AnswerTooLarge {
        /// The endpoint that answered.
        via: Via,
        /// The limit.
        limit_bytes: usize,
    },
    /// The request would have been sent again if not too many others had been already. Counts as the error that it
    /// carries.
    #[error("not sent again: the retry budget is used up, because too many requests fail")]
    RetryBudget {
        /// How the last attempt ended.
        #[source]
        source: Box<ClientError>,
    },
    /// The runtime stopped while the answer was being read.
    #[error("stopped while reading the answer")]
    Stopped,
}

impl ClientError {
    /// The kind of this error, for counting.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Request { .. } => ErrorKind::BadRequest,
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

    /// The endpoint asked last and those before it; `None` where no node was asked.
    pub fn via(&self) -> Option<&Via> {
        match self {
            Self::Request { .. } | Self::Stopped => None,
            Self::Connect { via, .. }
            | Self::ConnectionLost { via, .. }
            | Self::Timeout { via, .. }
            | Self::Refused { via, .. }
            | Self::BadAnswer { via, .. }
            | Self::AnswerTooLarge { via, .. } => Some(via),
            Self::RetryBudget { source } => source.via(),
        }
    }

    /// How the last attempt ended: the error itself, or the one that a used-up retry budget stands before.
    pub fn last_attempt(&self) -> &Self {
        match self {
            Self::RetryBudget { source } => source.last_attempt(),
            error => error,
        }
    }

    /// The endpoints that were asked in vain, the last one included.
    pub(crate) fn into_tried(self) -> Vec<Endpoint> {
        let via = self.via().cloned();
        via.map_or_else(Vec::new, |Via { endpoint, mut retried }| {
            retried.push(endpoint);
            retried
        })
    }
}

/// The kind of an error under a name that does not change: what errors are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The request cannot be sent as it is.
    BadRequest,
    /// No connection.
    Connect,
    /// The connection broke before the answer was complete.
    ConnectionLost,
    /// No complete answer in time.
    Timeout,
    /// An error status without a problem document.
    Http(u16),
    /// An error status with a problem document: its `code`, which a newer release may have made.
    Problem(String),
    /// An answer that is not what the API promises.
    BadAnswer,
    /// An answer larger than the client reads.
    AnswerTooLarge,
    /// The runtime stopped.
    Stopped,
}

impl ErrorKind {
    /// The name: lower case, words joined by `_`; the node's own `code` where it gave one.
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

/// An error status and what the node said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The problem document, where there is one.
    pub problem: Option<ProblemDocument>,
    /// How long the node asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// What helps: by the problem's code, by the status where this release does not know the code.
    pub fn retry(&self) -> Retry {
        self.known_code().map_or_else(|| Retry::of_status(self.status), Code::retry)
    }

    /// True if nothing was done, and another node or a later time may help.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self.retry(), Retry::Elsewhere | Retry::Later)
    }

    /// True if the refusal holds for any work sent to the node, and not only for what needs a quorum.
    pub(crate) fn is_about_all_work(&self) -> bool {
        self.is_temporary() && self.known_code().is_none_or(|code| code.plane() == Plane::Data)
    }

    /// True if the outcome is open: the same request with the same idempotency key finds it.
    pub fn is_unsettled(&self) -> bool {
        self.retry() == Retry::SameKey
    }

    /// Code of the problem, if this release knows it.
    pub fn known_code(&self) -> Option<Code> {
        Code::named(self.code()?)
    }

    /// Name of the problem, if it is a plain name. Anything else is not used as one: kinds are counted and printed, and
    /// what a peer sends must not make the list of them large or strange.
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

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// A header that the API promises is missing, or its value cannot be read.
    #[error("the header `{name}` is missing or unreadable")]
    Header {
        /// The header.
        name: &'static str,
    },
    /// Another content type than the one asked for.
    #[error("the content type is `{found}` and not `{expected}`")]
    ContentType {
        /// What the request accepts.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// The body is not the JSON that the API promises.
    #[error("the body is not the JSON expected")]
    Json {
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// An event of a stream that does not end where it should.
    #[error("an event is longer than {limit_bytes} bytes")]
    EventTooLong {
        /// The limit.
        limit_bytes: usize,
    },
    /// The size that the answer names is not the size of what it carries.
    #[error("the answer names {named} bytes and carries {carried}")]
    Size {
        /// As named.
        named: u64,
        /// As found.
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
