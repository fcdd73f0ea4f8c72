//! Content codings of requests (RFC 9110, section 8.4): the API decodes none of them.

use axum::http::{HeaderMap, HeaderName, header};

/// Encoding of a part (RFC 7578, section 4.7).
pub(crate) const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");
/// Values of either header that leave the bytes unencoded (RFC 2045, section 6.2).
const PLAIN: [&str; 4] = ["identity", "7bit", "8bit", "binary"];
/// Maximum length of a header's value in an answer, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// A body or part with a content coding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {coding} is not supported; send the bytes as they are")]
pub(crate) struct Encoded {
    header: &'static str,
    coding: String,
}

/// Checks that a body under these headers has no content coding.
///
/// # Errors
/// [`Encoded`] with the header that names a coding.
pub(crate) fn check_body(headers: &HeaderMap) -> Result<(), Encoded> {
    check(headers, &header::CONTENT_ENCODING, "Content-Encoding")
}

/// Like [`check_body`], for a part of a form, including `Content-Transfer-Encoding`.
///
/// # Errors
/// [`Encoded`] with the header that names a coding.
pub(crate) fn check_part(headers: &HeaderMap) -> Result<(), Encoded> {
    check_body(headers)?;
    check(headers, &CONTENT_TRANSFER_ENCODING, "Content-Transfer-Encoding")
}

fn check(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<(), Encoded> {
    let encoded = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let is_encoded = |value: &str| !value.split(',').map(str::trim).all(is_plain);
    match encoded.into_iter().find(|value| is_encoded(value)) {
        Some(value) => Err(Encoded { header: shown, coding: value.chars().take(MAX_SHOWN_CHARS).collect() }),
        None => Ok(()),
    }
}

fn is_plain(coding: &str) -> bool {
    coding.is_empty() || PLAIN.iter().any(|plain| coding.eq_ignore_ascii_case(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_that_change_nothing_pass() {
        let check = |value: &str, expected: Result<(), &str>| {
            let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, value.parse().unwrap())]);
            let found = check_part(&headers).map_err(|error| error.to_string());
            let expected = expected.map_err(|coding| {
                format!("Content-Encoding: {coding} is not supported; send the bytes as they are")
            });
            assert_eq!(found, expected, "{value}");
        };
        check("identity", Ok(()));
        check("", Ok(()));
        check("Identity, identity", Ok(()));
        check("gzip", Err("gzip"));
        check("identity, br", Err("identity, br"));
        assert_eq!(check_part(&HeaderMap::new()), Ok(()));
    }
}
