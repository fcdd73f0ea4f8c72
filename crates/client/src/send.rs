//! Sending of a call until answered: the attempts, the pauses between attempts, and the deadline over all.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use api::{ProblemDocument, Retry};
use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::admin_token::AdminToken;
use crate::choice::{Choice, Endpoints, Need, Turn};
use crate::endpoints::Endpoint;
use crate::error::{ClientError, Refusal};
use crate::health::back_off;
use crate::patience::Pace;
use crate::reply::{RawReply, Via};
use crate::request::{Body, Call, Work};
use crate::retry_budget::RetryBudget;

/// Rest of a busy endpoint that sends no `Retry-After`.
const DEFAULT_PAUSE: Duration = Duration::from_millis(100);
/// Largest random reduction of a pause between two attempts at an endpoint, as a fraction of the pause, so
/// that clients that failed together do not return together.
const JITTER: f64 = 0.5;
/// Largest problem document that is read.
const MAX_PROBLEM_LEN_BYTES: usize = 64 * 1024;
/// Least time between a node's decision and the end of the attempt.
const MIN_MARGIN: Duration = Duration::from_millis(50);
/// Most memory allocated because of a `Content-Length`, before any byte has arrived.
const MAX_PREALLOCATED_BYTES: u64 = 16 * 1024 * 1024;

/// Shared state and settings for sending.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) budget: RetryBudget,
    pub(crate) paces: [Mutex<Pace>; Work::COUNT],
    pub(crate) request_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) max_answer_len_bytes: usize,
    pub(crate) admin_token: Option<AdminToken>,
}

/// A single sending of a call.
struct Attempt<'a> {
    call: &'a Call,
    choice: Choice,
    via: Via,
    deadline: Instant,
    may_retry: bool,
}

/// A failed attempt.
struct Failed {
    error: ClientError,
    /// True if the budget has paid for the next attempt.
    paid: bool,
}

impl Sender {
    /// Sends `call` to the endpoints in turn until answered, within the deadline, the retry limit and the
    /// budget.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub(crate) async fn send(&self, call: &Call) -> Result<RawReply, ClientError> {
        let exposed = self.endpoints.list().iter().find(|endpoint| !endpoint.is_confidential());
        if let Some(endpoint) = exposed.filter(|_| call.has_key()) {
            return Err(ClientError::Plaintext { endpoint: endpoint.clone() });
        }
        let now = Instant::now();
        self.budget.deposit(now);
        self.send_in_turn(call, self.endpoints.turn(call.need, now), self.max_retries).await
    }

    /// Sends `call` to the given endpoint once.
    ///
    /// # Errors
    /// As [`send`](Self::send), without [`ClientError::RetryBudget`].
    pub(crate) async fn send_once(&self, call: &Call, endpoint: &Endpoint) -> Result<RawReply, ClientError> {
        self.send_in_turn(call, Turn::only(endpoint), 0).await
    }

    /// Sends `call` to the given endpoint once and returns as soon as the answer begins, for an endless
    /// stream.
    ///
    /// # Errors
    /// Any [`ClientError`] of the connection, the status or the timeout; the body is left unread.
    pub(crate) async fn open(&self, call: &Call, endpoint: &Endpoint) -> Result<Response, ClientError> {
        let via = Via::direct(endpoint.clone());
        let timeout = self.request_timeout;
        let until = Instant::now() + timeout;
        match timeout_at(until, self.respond(call, &via, until)).await {
            Ok(response) => response,
            Err(_) => Err(ClientError::Timeout { via, timeout }),
        }
    }

    async fn send_in_turn(
        &self,
        call: &Call,
        mut turn: Turn<'_>,
        max_retries: u32,
    ) -> Result<RawReply, ClientError> {
        let deadline = Instant::now() + self.request_timeout;
        let mut choice = turn.pick(Instant::now());
        let mut retried = Vec::new();
        let mut definite = None;
        loop {
            let via = Via { endpoint: turn.endpoint(choice).clone(), retried };
            debug_assert!(via.attempts() <= max_retries.saturating_add(1), "{via:?}, limit {max_retries}");
            let may_retry = via.attempts() <= max_retries;
            let attempt = Attempt { call, choice, via, deadline, may_retry };
            let (error, paid) = match self.attempt_within(attempt, &mut turn).await {
                Ok(reply) => return Ok(reply),
                Err(Failed { error, paid }) => (error, paid),
            };
            definite = told_by(&error).or(definite);
            let Some(pause) = pause_before_retry(call, &error, turn.failures(choice)) else {
                return Err(error);
            };
            let now = Instant::now();
            if !may_retry || now >= deadline {
                return Err(last_word(error, definite));
            }
            // A rest beyond the deadline is equivalent to a rest until the deadline, and could overflow the
            // clock.
            let until = now + pause.min(self.request_timeout);
            match &error {
                ClientError::Refused { refusal, .. } if refusal.retry() == Retry::Later => {
                    turn.rest_all(choice, until);
                }
                _ => turn.rest(choice, until),
            }
            let Some(next) = wait_for_endpoint(&turn, deadline).await else {
                // A node's answer is more informative than a timeout.
                return Err(last_word(error, definite));
            };
            if !paid && !self.budget.withdraw(Instant::now()) {
                return Err(ClientError::RetryBudget { source: Box::new(last_word(error, definite)) });
            }
            choice = next;
            retried = error.into_tried();
        }
    }

    /// Makes an attempt and records its outcome for the endpoint. The attempt has less than the whole time
    /// where another endpoint could do the work.
    async fn attempt_within(&self, attempt: Attempt<'_>, turn: &mut Turn<'_>) -> Result<RawReply, Failed> {
        let Attempt { call, choice, .. } = attempt;
        let sent = Instant::now();
        turn.asked(choice, sent, self.attempt_timeout);
        let (result, paid) = self.wait_for(attempt, turn, sent).await;
        let now = Instant::now();
        match &result {
            Err(ClientError::Request { .. } | ClientError::Stopped) => {}
            Err(ClientError::Connect { .. } | ClientError::ConnectionLost { .. }) => {
                turn.failed(Need::Node, choice, sent, now);
            }
            Err(ClientError::Timeout { .. }) => turn.failed(turn.need(), choice, sent, now),
            Err(ClientError::Refused { refusal, .. }) if refusal.is_temporary() => {
                let of = if refusal.is_about_all_work() { Need::Node } else { Need::Quorum };
                turn.paused(of, choice, now, refusal.retry_after.unwrap_or(DEFAULT_PAUSE));
            }
            Err(ClientError::Refused { refusal, .. }) if refusal.is_unsettled() => {
                turn.failed(Need::Quorum, choice, sent, now);
            }
            Ok(_) | Err(_) => turn.answered(choice, sent),
        }
        if result.is_ok()
            && let Some(mut pace) = self.pace(call)
        {
            pace.note(call.files_len_bytes(), now - sent);
        }
        result.map_err(|error| Failed { error, paid })
    }

    /// Waits for the answer: first for the usual time, then for the time limit of an attempt, unless another
    /// endpoint can be asked instead and the budget pays for the retry.
    async fn wait_for(
        &self,
        Attempt { call, choice, via, deadline, may_retry }: Attempt<'_>,
        turn: &Turn<'_>,
        sent: Instant,
    ) -> (Result<RawReply, ClientError>, bool) {
        let has_substitute = |now| may_retry && !call.not_twice && turn.has_other(choice, now);
        let timed_out = |timeout| Err(ClientError::Timeout { via: via.clone(), timeout });
        let timeout = if has_substitute(sent) { self.attempt_timeout } else { self.request_timeout };
        let until = deadline.min(sent + timeout);
        let mut answer = pin!(self.attempt(call, via.clone(), until));
        let least = call.work.map(Work::least_patience).unwrap_or_default();
        let usual = self.pace(call).and_then(|pace| pace.patience(call.files_len_bytes(), least));
        if let Some(usual) = usual.filter(|usual| sent + *usual < until) {
            if let Ok(result) = timeout_at(sent + usual, &mut answer).await {
                return (result, false);
            }
            let now = Instant::now();
            if has_substitute(now) && self.budget.withdraw(now) {
                return (timed_out(usual), true);
            }
        }
        match timeout_at(until, answer).await {
            Ok(result) => (result, false),
            Err(_) => (timed_out(if until < deadline { timeout } else { self.request_timeout }), false),
        }
    }

    fn pace(&self, call: &Call) -> Option<std::sync::MutexGuard<'_, Pace>> {
        let pace = &self.paces[call.work? as usize];
        Some(pace.lock().expect("nothing panics while it holds this"))
    }

    async fn attempt(&self, call: &Call, via: Via, until: Instant) -> Result<RawReply, ClientError> {
        let response = self.respond(call, &via, until).await?;
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

    /// Sends the request and returns the beginning of an answer with a status of success.
    async fn respond(&self, call: &Call, via: &Via, until: Instant) -> Result<Response, ClientError> {
        let lost = |source: reqwest::Error| ClientError::ConnectionLost {
            via: via.clone(),
            source: source.without_url(),
        };
        let mut request = self.request(call, &via.endpoint)?;
        if call.need == Need::Quorum {
            // The node decides before the end of this attempt: a call given up here has an unknown outcome.
            let left = until.saturating_duration_since(Instant::now());
            let wait = left.saturating_sub(MIN_MARGIN.max(left / 10));
            request = request.header(api::headers::TIMEOUT_MS, wait.as_millis().max(1) as u64);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(source) if source.is_builder() => return Err(ClientError::Request { source }),
            Err(source) if source.is_connect() => {
                return Err(ClientError::Connect { via: via.clone(), source: source.without_url() });
            }
            Err(source) => return Err(lost(source)),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let refusal = Box::new(read_refusal(response).await.map_err(lost)?);
        Err(ClientError::Refused { refusal, via: via.clone() })
    }

    fn request(&self, call: &Call, endpoint: &Endpoint) -> Result<reqwest::RequestBuilder, ClientError> {
        let url = format!("{endpoint}{}", call.path);
        let mut request = self.http.request(call.method.clone(), url).header(ACCEPT, call.accept);
        for (name, value) in &call.headers {
            request = request.header(*name, value.as_bytes());
        }
        let own = self.admin_token.as_ref().filter(|_| call.is_admin);
        if let Some(token) = call.token.as_ref().or(own) {
            request = token.authorize(request);
        }
        Ok(match call.body().map_err(|source| ClientError::Request { source })? {
            Body::None => request,
            Body::Form(form) => request.multipart(form),
            Body::Json(value) => request.json(value),
        })
    }
}

/// Waits until an endpoint may be asked; `None` if no endpoint may be asked before the deadline.
async fn wait_for_endpoint(turn: &Turn<'_>, deadline: Instant) -> Option<Choice> {
    loop {
        let now = Instant::now();
        let choice = turn.pick(now);
        if choice.ready_at >= deadline {
            return None;
        }
        if choice.ready_at <= now {
            return Some(choice);
        }
        sleep_until(choice.ready_at).await;
    }
}

/// Returns a node's definite answer that nothing was done, with the endpoint.
fn told_by(error: &ClientError) -> Option<(Box<Refusal>, Endpoint)> {
    match error {
        ClientError::Refused { refusal, via } if !refusal.is_unsettled() => {
            Some((refusal.clone(), via.endpoint.clone()))
        }
        _ => None,
    }
}

/// Chooses the error of a request whose attempts ended with `error`: the last definite answer of another
/// endpoint is more informative than a refused connection.
fn last_word(error: ClientError, definite: Option<(Box<Refusal>, Endpoint)>) -> ClientError {
    match (error, definite) {
        (ClientError::Connect { via, .. }, Some((refusal, endpoint))) => {
            ClientError::Refused { refusal, via: Via { endpoint, retried: via.retried } }
        }
        (error, _) => error,
    }
}

/// Returns the rest of an endpoint that has failed this request `failures` times before; `None` if a retry is
/// of no use. Another endpoint is asked at once, except after [`Retry::Later`].
fn pause_before_retry(call: &Call, error: &ClientError, failures: u32) -> Option<Duration> {
    match error {
        ClientError::Timeout { .. } | ClientError::ConnectionLost { .. } if call.not_twice => None,
        ClientError::Connect { .. } | ClientError::Timeout { .. } => Some(jittered(back_off(failures + 1))),
        // The node is probably up: it closed an idle connection, or has just restarted.
        ClientError::ConnectionLost { .. } if failures == 0 => Some(Duration::ZERO),
        ClientError::ConnectionLost { .. } => Some(jittered(back_off(failures))),
        ClientError::Refused { refusal, .. }
            if refusal.is_temporary() || call.has_idempotency_key() && refusal.is_unsettled() =>
        {
            Some(refusal.retry_after.unwrap_or_else(|| jittered(back_off(failures + 1))))
        }
        _ => None,
    }
}

/// Returns the pause less a random part.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - JITTER * rand::random::<f64>())
}

/// Reads an error status and its explanation. The status stands even if the explanation cannot be read,
/// unless the connection breaks first: another node may give a better answer.
async fn read_refusal(response: Response) -> Result<Refusal, reqwest::Error> {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let is_problem = content_type(response.headers()) == api::problem::MEDIA_TYPE;
    let problem: Option<ProblemDocument> = match read_body(response, MAX_PROBLEM_LEN_BYTES).await {
        Ok(body) if is_problem => serde_json::from_slice(&body).ok(),
        Err(BodyError::Broken(error)) => return Err(error),
        _ => None,
    };
    Ok(Refusal { status, problem, retry_after })
}

/// Parses `Retry-After` in seconds (RFC 9110, 10.2.3); nodes never send the date form.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Returns the content type in lower case without its parameters; empty if absent.
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
