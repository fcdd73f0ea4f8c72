//! Construction of a client, and its limits.

use std::time::Duration;

use reqwest::Certificate;
use tokio::time::Instant;

use crate::admin_token::AdminToken;
use crate::calls::Client;
use crate::choice::Endpoints;
use crate::endpoints::Endpoint;
use crate::retry_budget::RetryBudget;
use crate::send::Sender;

/// Default time for a request, attempts and pauses included.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request timeout; a longer deadline would have no practical effect.
const MAX_REQUEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Default time to connect to an endpoint before the next is tried: a device without power does not answer at
/// all.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Default share of the request's time for an attempt where another endpoint could do the work: an embed on a
/// busy machine takes a second or two, and a hanging node leaves as much time for another node.
const DEFAULT_ATTEMPT_SHARE: u32 = 2;
/// Default number of attempts after the first.
const DEFAULT_MAX_RETRIES: u32 = 2;
/// Default limit for an answer: a stego image of 100 megapixels, also in base64.
const DEFAULT_MAX_ANSWER_LEN_BYTES: usize = 512 * 1024 * 1024;

/// Builder of a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    endpoints: Vec<Endpoint>,
    request_timeout: Duration,
    connect_timeout: Duration,
    attempt_timeout: Option<Duration>,
    max_retries: u32,
    max_answer_len_bytes: usize,
    admin_token: Option<AdminToken>,
    ca_certificates: Option<Vec<Certificate>>,
}

impl ClientBuilder {
    /// Creates a builder for a client of the given endpoints, asked in turn.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self {
            endpoints: endpoints.into_iter().collect(),
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            attempt_timeout: None,
            max_retries: DEFAULT_MAX_RETRIES,
            max_answer_len_bytes: DEFAULT_MAX_ANSWER_LEN_BYTES,
            admin_token: None,
            ca_certificates: None,
        }
    }

    /// Sets the time limit of a whole request, attempts and pauses included (30 s unless set, at most a day).
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(MAX_REQUEST_TIMEOUT);
        self
    }

    /// Sets the time limit of an attempt to connect (1 s unless set).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time limit of an attempt for its whole answer while another endpoint is up and the request
    /// may be sent again (half of the request's time unless set). Otherwise an attempt has all the remaining
    /// time. Work on images and settings has less after enough answers: twice the slowest recent answer, and
    /// at least 200 ms for images and 500 ms for settings.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Sets the highest number of retries of a request (2 unless set), after a failed connection, a slow
    /// attempt or a busy node. With 0, a single endpoint is asked once and has the whole time. The request's
    /// timeout and the retry budget of the client may end the retries earlier.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the admin token, sent only with calls that change the cluster.
    pub fn admin_token(mut self, token: AdminToken) -> Self {
        self.admin_token = Some(token);
        self
    }

    /// Trusts these certificates, one or several in PEM, and no others. Unless set, those of the system.
    ///
    /// # Errors
    /// [`BuildError::Certificate`] for a text without a certificate.
    pub fn ca_certificates_pem(mut self, pem: &[u8]) -> Result<Self, BuildError> {
        let certificates = Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
        self.ca_certificates = Some(certificates.ok_or(BuildError::Certificate)?);
        Ok(self)
    }

    /// Sets the largest answer that is read (512 MiB unless set).
    pub fn max_answer_len_bytes(mut self, limit: usize) -> Self {
        self.max_answer_len_bytes = limit;
        self
    }

    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`BuildError::NoEndpoints`] without endpoints, [`BuildError::Http`] if the HTTP client cannot be set
    /// up.
    pub fn build(self) -> Result<Client, BuildError> {
        if self.endpoints.is_empty() {
            return Err(BuildError::NoEndpoints);
        }
        let http = reqwest::Client::builder();
        let is_tls = self.endpoints.iter().any(Endpoint::is_https);
        let http = match self.ca_certificates {
            Some(certificates) if is_tls => http.tls_certs_only(certificates),
            None if is_tls => http,
            // Reading the system's certificates takes time, and fails where there are none.
            _ => http.tls_certs_only([]),
        };
        // Fails if there is one already, which then counts.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = http
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

/// Reason for a failed construction of a client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An empty list of endpoints.
    #[error("no endpoints are given")]
    NoEndpoints,
    /// A file without a certificate in PEM.
    #[error("no certificate in PEM is given")]
    Certificate,
    /// An HTTP client that cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http {
        /// The error of the HTTP library.
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
