//! Short JSON bodies of calls that change the cluster.

use api::Code;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::encoding;
use crate::http::answer::problem::Problem;

/// Maximum length of such a body.
const MAX_BODY_BYTES: usize = 16 << 10;

/// Parses a body as a JSON object; `shape` describes the expected object to people. An error names the
/// member.
///
/// # Errors
/// A problem if the body is encoded, is not declared as JSON, is longer than [`MAX_BODY_BYTES`] or does not
/// match `T`.
pub(crate) fn parse<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
    shape: &str,
) -> Result<T, Problem> {
    encoding::check_body(headers)?;
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    {
        return Err(Problem::new(
            Code::JsonExpected,
            format!("send {shape} with Content-Type: application/json"),
        ));
    }
    if body.len() > MAX_BODY_BYTES {
        let figures = [("needed_bytes", body.len() as u64), ("available_bytes", MAX_BODY_BYTES as u64)];
        return Err(Problem::new(
            Code::BodyTooLarge,
            format!("{shape} takes {MAX_BODY_BYTES} bytes at most"),
        )
        .with(figures));
    }
    let malformed =
        |why: &dyn std::fmt::Display| Problem::new(Code::MalformedJson, format!("send {shape}: {why}"));
    // serde accepts an array of the members in order for a struct.
    if body.trim_ascii_start().first().is_some_and(|&first| first != b'{') {
        return Err(malformed(&"the body is JSON of another kind, and an object is expected"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| malformed(&error))?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}
