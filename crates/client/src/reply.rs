//! An answer as it came, and what can be asked of it before it is read.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::endpoints::Endpoint;
use crate::error::{BadAnswer, ClientError};
use crate::request::JSON;
use crate::send::content_type;

/// The way a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The endpoint that answered, or was asked last.
    pub endpoint: Endpoint,
    /// The endpoints that the request was sent to before, in vain; one may be there more than once.
    pub retried: Vec<Endpoint>,
}

impl Via {
    /// A request that was sent once, to this endpoint.
    pub fn direct(endpoint: Endpoint) -> Self {
        Self { endpoint, retried: Vec::new() }
    }

    /// How often the request was sent, 1 without a retry.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.retried.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// An answer that has arrived and is not read yet: reading is processor work that grows with its size.
#[derive(Debug)]
pub struct Reply<A> {
    raw: RawReply,
    read: fn(&RawReply) -> Result<A, BadAnswer>,
}

impl<A> Reply<A> {
    pub(crate) fn new(raw: RawReply, read: fn(&RawReply) -> Result<A, BadAnswer>) -> Self {
        Self { raw, read }
    }

    /// The way the request went.
    pub fn via(&self) -> &Via {
        &self.raw.via
    }

    /// The answer's body as it came.
    pub fn body(&self) -> &Bytes {
        &self.raw.body
    }

    /// The size of the answer's body.
    pub fn body_len_bytes(&self) -> usize {
        self.raw.body.len()
    }

    /// Whether reading takes long enough to keep it off the threads that serve connections.
    pub(crate) fn is_work(&self) -> bool {
        /// About half a millisecond of base64 and JSON.
        const WORK_LEN_BYTES: usize = 256 * 1024;
        self.raw.accept == JSON && self.raw.body.len() > WORK_LEN_BYTES
    }

    /// Reads the answer and keeps it.
    ///
    /// # Errors
    /// [`ClientError::BadAnswer`].
    pub fn peek(&self) -> Result<A, ClientError> {
        (self.read)(&self.raw).map_err(|source| ClientError::BadAnswer { via: self.raw.via.clone(), source })
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// [`ClientError::BadAnswer`].
    pub fn read(self) -> Result<A, ClientError> {
        (self.read)(&self.raw).map_err(|source| ClientError::BadAnswer { via: self.raw.via, source })
    }
}

/// An answer as it came, with a status of success.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) via: Via,
    /// The content type that was asked for.
    pub(crate) accept: &'static str,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl RawReply {
    /// The value of a header that the API promises.
    pub(crate) fn header<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, BadAnswer> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.trim().parse().ok()).ok_or(BadAnswer::Header { name })
    }

    /// The values of a header that may be missing or given more than once.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
    }

    /// An answer of another type, such as a proxy's page, must not pass for a file.
    pub(crate) fn check_content_type(&self) -> Result<(), BadAnswer> {
        let found = content_type(&self.headers);
        if found == self.accept {
            return Ok(());
        }
        Err(BadAnswer::ContentType { expected: self.accept, found })
    }

    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, BadAnswer> {
        serde_json::from_slice(&self.body).map_err(|source| BadAnswer::Json { source })
    }
}
