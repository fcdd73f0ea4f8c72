//! Sends a call until it is answered: the attempts, the pauses between them, and the deadline over all.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::endpoints::{Endpoint, Endpoints, Turn};
use crate::error::{ClientError, Problem, Refusal};
use crate::reply::{RawReply, Via};
use crate::request::Call;

/// Rest of an endpoint that is busy and does not say for how long, or that cannot be reached. It keeps the
/// attempts of a request from being spent in an instant on one endpoint; others are asked at once.
const DEFAULT_REST: Duration = Duration::from_millis(100);
/// Largest problem document that is read.
const MAX_PROBLEM_LEN_BYTES: usize = 64 * 1024;
/// Most memory that is set aside on the word of a `Content-Length`, before any byte has come.
const MAX_PREALLOCATED_BYTES: u64 = 16 * 1024 * 1024;

/// What sending needs to know.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) request_timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) max_answer_len_bytes: usize,
}

impl Sender {
    /// Sends `call` to whichever endpoint answers it.
    pub(crate) async fn send(&self, call: &Call) -> Result<RawReply, ClientError> {
        self.send_in_turn(call, self.endpoints.turn(), self.max_retries).await
    }

    /// Sends `call` to this endpoint once.
    pub(crate) async fn send_once(&self, call: &Call, endpoint: &Endpoint) -> Result<RawReply, ClientError> {
        self.send_in_turn(call, Turn::only(endpoint), 0).await
    }

    async fn send_in_turn(
        &self,
        call: &Call,
        mut turn: Turn<'_>,
        max_retries: u32,
    ) -> Result<RawReply, ClientError> {
        let deadline = Instant::now() + self.request_timeout;
        let (mut endpoint, _) = turn.pick(Instant::now());
        let mut attempts = 1;
        loop {
            let via = Via { endpoint: endpoint.clone(), attempts };
            let error = match timeout_at(deadline, self.attempt(call, via.clone())).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(error)) => error,
                Err(_) => return Err(ClientError::Timeout { via, timeout: self.request_timeout }),
            };
            let Some(rest) = rest_before_retry(&error) else { return Err(error) };
            if attempts > max_retries {
                return Err(error);
            }
            let now = Instant::now();
            // A rest beyond the deadline is as good as one up to it, and cannot overflow the clock.
            turn.rest(now + rest.min(self.request_timeout));
            let (next, ready_at) = turn.pick(now);
            // What the node said tells more than a timeout would.
            if ready_at >= deadline {
                return Err(error);
            }
            sleep_until(ready_at).await;
            endpoint = next;
            attempts += 1;
        }
    }

    async fn attempt(&self, call: &Call, via: Via) -> Result<RawReply, ClientError> {
        let response = match self.request(call, &via.endpoint)?.send().await {
            Ok(response) => response,
            Err(source) if source.is_builder() => return Err(ClientError::Request { source }),
            Err(source) if source.is_connect() => {
                return Err(ClientError::Connect { via, source: source.without_url() });
            }
            Err(source) => return Err(ClientError::ConnectionLost { via, source: source.without_url() }),
        };
        if response.status() != StatusCode::OK {
            return Err(ClientError::Refused { refusal: Box::new(read_refusal(response).await), via });
        }
        let headers = response.headers().clone();
        let body = read_body(response, self.max_answer_len_bytes).await.map_err(|error| match error {
            BodyError::TooLarge { limit_bytes } => {
                ClientError::AnswerTooLarge { via: via.clone(), limit_bytes }
            }
            BodyError::Broken(source) => {
                ClientError::ConnectionLost { via: via.clone(), source: source.without_url() }
            }
        })?;
        Ok(RawReply { via, accept: call.accept, headers, body })
    }

    fn request(&self, call: &Call, endpoint: &Endpoint) -> Result<reqwest::RequestBuilder, ClientError> {
        let url = format!("{endpoint}{}", call.path);
        let request = self.http.request(call.method.clone(), url).header(ACCEPT, call.accept);
        Ok(match call.form().map_err(|source| ClientError::Request { source })? {
            Some(form) => request.multipart(form),
            None => request,
        })
    }
}

/// For how long an endpoint is left alone after this error; `None` when asking again is of no use.
fn rest_before_retry(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Connect { .. } => Some(DEFAULT_REST),
        // The node may well be there: it closed a connection that had been idle, or has just restarted.
        ClientError::ConnectionLost { .. } => Some(Duration::ZERO),
        ClientError::Refused { refusal, .. } if refusal.is_temporary() => {
            Some(refusal.retry_after.unwrap_or(DEFAULT_REST))
        }
        _ => None,
    }
}

async fn read_refusal(response: Response) -> Refusal {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let is_problem = content_type(response.headers()) == "application/problem+json";
    // The status stands, whether its explanation can be read or not.
    let problem: Option<Problem> = match read_body(response, MAX_PROBLEM_LEN_BYTES).await {
        Ok(body) if is_problem => serde_json::from_slice(&body).ok(),
        _ => None,
    };
    Refusal { status, problem, retry_after }
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3); nodes never send the form with a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The content type without its parameters, in lower case; empty where there is none.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

enum BodyError {
    TooLarge { limit_bytes: usize },
    Broken(reqwest::Error),
}

async fn read_body(mut response: Response, limit_bytes: usize) -> Result<Bytes, BodyError> {
    let announced = response.content_length().unwrap_or(0);
    if announced > limit_bytes as u64 {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    let mut body = BytesMut::with_capacity(announced.min(MAX_PREALLOCATED_BYTES) as usize);
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if chunk.len() > limit_bytes - body.len() {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
