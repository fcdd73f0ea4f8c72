//! Answers with large bodies, counted against the shared memory until sent.

mod frames;
pub(super) mod negotiate;
pub(super) mod problem;
pub(super) mod responses;

use api::headers;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use stego::Note;

use crate::budget::CountedBytes;
use crate::data_plane::DataPlane;
use frames::Frames;
use problem::Problem;

/// A body and its headers.
pub(crate) struct Answer {
    /// The media type.
    pub media_type: &'static str,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body, in consecutive pieces.
    pub body: Vec<Piece>,
}

/// A part of a body.
pub(crate) enum Piece {
    /// Created for this answer, and counted as the answer's memory.
    Own(Vec<u8>),
    /// Shared with other answers, and counted by the owner.
    Shared(Bytes),
}

impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}

impl Answer {
    /// Encodes a value as JSON. Large values belong on a pixel thread.
    ///
    /// # Errors
    /// [`Problem::internal`] if the value cannot be encoded.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self::of_json([to_json(value)?.into()]))
    }

    /// Builds an answer of JSON in pieces.
    pub(crate) fn of_json<const N: usize>(pieces: [Piece; N]) -> Self {
        Self { media_type: "application/json", headers: HeaderMap::new(), body: pieces.into() }
    }

    /// Builds the response. Own pieces count in the node's transfer memory until sent.
    ///
    /// # Errors
    /// [`Code::Overloaded`](api::Code::Overloaded) if the transfer memory is exhausted.
    pub(crate) fn into_response(self, data: &DataPlane) -> Result<Response, Problem> {
        let mut memory = data.transfer_memory.empty_share();
        let mut frames = Vec::with_capacity(self.body.len());
        for piece in self.body {
            frames.push(match piece {
                Piece::Shared(bytes) => bytes,
                Piece::Own(bytes) => {
                    let len_bytes = bytes.len() as u64;
                    memory.grow(len_bytes)?;
                    Bytes::from_owner(CountedBytes::new(bytes, memory.split(len_bytes)))
                }
            });
        }
        let mut response = Response::new(Body::new(Frames::new(frames)));
        *response.status_mut() = StatusCode::OK;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        Ok(response)
    }
}

/// Encodes a value as JSON.
///
/// # Errors
/// [`Problem::internal`] if the value cannot be encoded.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "cannot encode an answer as JSON");
        Problem::internal()
    })
}

/// Adds a header with a text value; a text that is no valid header value is left out.
pub(crate) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(HeaderName::from_static(name), value);
    }
}

/// Adds a header for each note, as a quoted string (RFC 9651, section 3.3.3): notes contain commas, and a
/// browser joins headers of one name by commas.
pub(crate) fn insert_notes(map: &mut HeaderMap, notes: &[Note]) {
    for note in notes {
        let escaped = note.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        insert(map, headers::NOTE, &format!("\"{escaped}\""));
    }
}

/// Length of `len_bytes` in base64, rounded up.
pub(crate) fn base64_len(len_bytes: u64) -> u64 {
    len_bytes.div_ceil(3).saturating_mul(4)
}
