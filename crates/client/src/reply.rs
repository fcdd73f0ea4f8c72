//! An answer as received, and its properties available before reading.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::endpoints::Endpoint;
use crate::error::{BadAnswer, ClientError};
use crate::request::JSON;
use crate::send::content_type;

/// Path of a request through the endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The endpoint that answered, or was asked last.
    pub endpoint: Endpoint,
    /// The endpoints asked before without success; an endpoint may occur more than once.
    pub retried: Vec<Endpoint>,
}

impl Via {
    /// Creates the path of a request sent once, to the given endpoint.
    pub fn direct(endpoint: Endpoint) -> Self {
        Self { endpoint, retried: Vec::new() }
    }

    /// Returns the number of times the request was sent, 1 without a retry.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.retried.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// A received answer that is not read yet; reading is processor work proportional to the size.
#[derive(Debug)]
pub struct Reply<A> {
    raw: RawReply,
    read: fn(&RawReply) -> Result<A, BadAnswer>,
}

impl<A> Reply<A> {
    pub(crate) fn new(raw: RawReply, read: fn(&RawReply) -> Result<A, BadAnswer>) -> Self {
        Self { raw, read }
    }

    /// Returns the path of the request.
    pub fn via(&self) -> &Via {
        &self.raw.via
    }

    /// Returns the answer's body as received.
    pub fn body(&self) -> &Bytes {
        &self.raw.body
    }

    /// Returns the size of the answer's body.
    pub fn body_len_bytes(&self) -> usize {
        self.raw.body.len()
    }

    /// True if reading takes too long for a thread that serves connections.
    pub(crate) fn is_work(&self) -> bool {
        /// About half a millisecond of base64 and JSON.
        const WORK_LEN_BYTES: usize = 256 * 1024;
        self.raw.accept == JSON && self.raw.body.len() > WORK_LEN_BYTES
    }

    /// Reads the answer and keeps the reply.
    ///
    /// # Errors
    /// [`ClientError::BadAnswer`] if the answer breaks the API contract.
    pub fn peek(&self) -> Result<A, ClientError> {
        (self.read)(&self.raw).map_err(|source| ClientError::BadAnswer { via: self.raw.via.clone(), source })
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// [`ClientError::BadAnswer`] if the answer breaks the API contract.
    pub fn read(self) -> Result<A, ClientError> {
        (self.read)(&self.raw).map_err(|source| ClientError::BadAnswer { via: self.raw.via, source })
    }
}

/// An answer as received, with a status of success.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) via: Via,
    /// The content type requested.
    pub(crate) accept: &'static str,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl RawReply {
    /// Returns the value of a required header.
    ///
    /// # Errors
    /// [`BadAnswer::Header`] if the header is missing or its value cannot be parsed.
    pub(crate) fn header<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, BadAnswer> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.trim().parse().ok()).ok_or(BadAnswer::Header { name })
    }

    /// Returns the values of a header that may be missing or repeated.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
    }

    /// Checks the content type, so that an answer of another type, such as a proxy's page, does not pass for
    /// a file.
    ///
    /// # Errors
    /// [`BadAnswer::ContentType`] if the type differs from the requested type.
    pub(crate) fn check_content_type(&self) -> Result<(), BadAnswer> {
        let found = content_type(&self.headers);
        if found == self.accept {
            return Ok(());
        }
        Err(BadAnswer::ContentType { expected: self.accept, found })
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    /// [`BadAnswer`] if the body is no such document.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, BadAnswer> {
        serde_json::from_slice(&self.body).map_err(|source| BadAnswer::Json { source })
    }
}
