//! How a client is made, and its limits.

use std::time::Duration;

use tokio::time::Instant;

use crate::admin_token::AdminToken;
use crate::calls::Client;
use crate::choice::Endpoints;
use crate::endpoints::Endpoint;
use crate::retry_budget::RetryBudget;
use crate::send::Sender;

/// Time for a request, attempts and pauses included, unless set otherwise.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that can be set: beyond it, there is no deadline to speak of.
const MAX_REQUEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Time to connect to an endpoint before the next one is tried: a switched-off device does not answer at all.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Share of the request's time that one attempt has where another endpoint could do the work: an embed on a busy
/// machine takes a second or two, and after a node that hangs as much time is left for another one.
const DEFAULT_ATTEMPT_SHARE: u32 = 2;
/// Attempts after the first one, unless set otherwise.
const DEFAULT_MAX_RETRIES: u32 = 2;
/// Largest answer that is read, unless set otherwise: a 100 megapixel stego image, also in base64.
const DEFAULT_MAX_ANSWER_LEN_BYTES: usize = 512 * 1024 * 1024;

/// Makes a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    endpoints: Vec<Endpoint>,
    request_timeout: Duration,
    connect_timeout: Duration,
    attempt_timeout: Option<Duration>,
    max_retries: u32,
    max_answer_len_bytes: usize,
    admin_token: Option<AdminToken>,
}

impl ClientBuilder {
    /// A client of these endpoints, asked in turn.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self {
            endpoints: endpoints.into_iter().collect(),
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            attempt_timeout: None,
            max_retries: DEFAULT_MAX_RETRIES,
            max_answer_len_bytes: DEFAULT_MAX_ANSWER_LEN_BYTES,
            admin_token: None,
        }
    }

    /// The time a whole request has, attempts and pauses included (30 s unless set, at most a day).
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(MAX_REQUEST_TIMEOUT);
        self
    }

    /// The time one attempt has to connect (1 s unless set).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The time one attempt has for its whole answer while another endpoint is up and the request may be sent
    /// again (half of the request's time unless set). Otherwise an attempt has all the time that is left. Work on images
    /// and settings has less once it is known how long it takes: twice the slowest of the last answers, and at least
    /// 200 ms for images and 500 ms for settings.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How often a request is sent again at most (2 unless set), for whatever reason: a connection that fails, an
    /// attempt that takes too long, or a node that is busy. 0 asks one endpoint once, which then has the whole
    /// time. The request's time and the retry budget of the client may end the retries earlier.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// The token that goes with calls that change the cluster, and with no others.
    pub fn admin_token(mut self, token: AdminToken) -> Self {
        self.admin_token = Some(token);
        self
    }

    /// The largest answer that is read (512 MiB unless set).
    pub fn max_answer_len_bytes(mut self, limit: usize) -> Self {
        self.max_answer_len_bytes = limit;
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// Without endpoints, or when the HTTP client cannot be set up.
    pub fn build(self) -> Result<Client, BuildError> {
        if self.endpoints.is_empty() {
            return Err(BuildError::NoEndpoints);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("steg-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            // The sender decides about every attempt; a node never redirects.
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|source| BuildError::Http { source })?;
        Ok(Client::new(Sender {
            http,
            endpoints: Endpoints::new(self.endpoints),
            budget: RetryBudget::new(Instant::now()),
            paces: Default::default(),
            request_timeout: self.request_timeout,
            attempt_timeout: self
                .attempt_timeout
                .unwrap_or(self.request_timeout / DEFAULT_ATTEMPT_SHARE)
                .min(self.request_timeout),
            max_retries: self.max_retries,
            max_answer_len_bytes: self.max_answer_len_bytes,
            admin_token: self.admin_token,
        }))
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The list of endpoints is empty.
    #[error("no endpoints are given")]
    NoEndpoints,
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http {
        /// What failed.
        #[source]
        source: reqwest::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_needs_an_endpoint() {
        assert!(matches!(ClientBuilder::new([]).build(), Err(BuildError::NoEndpoints)));
    }
}
