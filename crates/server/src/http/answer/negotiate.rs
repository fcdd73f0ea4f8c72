//! Content negotiation (RFC 9110, section 12.5).

use axum::http::{HeaderMap, HeaderName, header};

/// True if `Accept` prefers `media_type`, named exactly, over JSON. JSON is the default.
pub(crate) fn prefers(headers: &HeaderMap, media_type: &str) -> bool {
    let mut wanted = 0.0;
    let mut json = 0.0;
    for (kind, quality) in weighted(headers, header::ACCEPT) {
        if kind == media_type {
            wanted = quality;
        } else if ["application/json", "application/*", "*/*"].contains(&kind.as_str()) {
            json = quality.max(json);
        }
    }
    wanted > 0.0 && wanted >= json
}

/// True if `Accept-Encoding` accepts gzip. Without the header, gzip is not assumed.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings: Vec<_> = weighted(headers, header::ACCEPT_ENCODING).collect();
    let of = |name| codings.iter().find(|(coding, _)| coding == name).map(|(_, quality)| *quality);
    of("gzip").or_else(|| of("*")).is_some_and(|quality| quality > 0.0)
}

/// Returns the items that a header lists, in lower case, with their weights.
fn weighted(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (String, f32)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|parameter| parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")))
            .map_or(1.0, |text| text.parse::<f32>().unwrap_or(0.0));
        (kind, quality)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_form_that_was_named_wins() {
        let check = |accept: Option<&'static str>, want: bool| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(prefers(&headers, "image/png"), want, "{accept:?}");
        };
        check(None, false);
        check(Some("*/*"), false);
        check(Some("image/png"), true);
        check(Some("IMAGE/PNG; q=0.5"), true);
        check(Some("application/json, image/png;q=0.9"), false);
        check(Some("application/json;q=0.1, image/png"), true);
        check(Some("image/png;q=0"), false);
        check(Some("text/html, image/png, */*;q=0.8"), true);
        check(Some("image/*"), false);
        check(Some("image/png;q=0.1, */*"), false);
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let check = |accept: Option<&'static str>, want: bool| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
            }
            assert_eq!(takes_gzip(&headers), want, "{accept:?}");
        };
        check(None, false);
        check(Some(""), false);
        check(Some("identity"), false);
        check(Some("gzip, deflate, br"), true);
        check(Some("br, GZIP;q=0.5"), true);
        check(Some("gzip;q=0, *"), false);
        check(Some("*"), true);
        check(Some("br, *;q=0"), false);
    }
}
