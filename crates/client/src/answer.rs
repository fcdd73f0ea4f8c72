//! Answers of nodes.

use std::borrow::Cow;

pub use api::images::{CoverInfo, ModeCapacity};
use api::{headers, health, images};
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use crate::error::BadAnswer;
use crate::reply::{RawReply, Via};
use crate::request::JSON;

/// Answer to an embed request.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedAnswer {
    /// The path of the request through the endpoints.
    pub via: Via,
    /// The id under which the node logged the request.
    pub request_id: String,
    /// The image that carries the secret, a PNG.
    pub stego_image: Bytes,
    /// The cover and its capacity.
    pub cover: CoverInfo,
    /// The size of the secret.
    pub secret_size_bytes: u64,
    /// The size of the payload: a header, the name, and the secret, compressed if smaller.
    pub payload_size_bytes: u64,
    /// Remarks about the image for the user.
    pub notes: Vec<String>,
    /// The mark that distinguishes this copy from others; `None` in an unlabelled embed.
    pub mark_id: Option<String>,
}

impl EmbedAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`BadAnswer`] if a header, the content type or the body is not as expected.
    pub(crate) fn read(raw: &RawReply) -> Result<Self, BadAnswer> {
        raw.check_content_type()?;
        if raw.accept == JSON { Self::read_json(raw) } else { Self::read_png(raw) }
    }

    fn read_png(raw: &RawReply) -> Result<Self, BadAnswer> {
        Ok(Self {
            via: raw.via.clone(),
            request_id: raw.header(headers::REQUEST_ID)?,
            stego_image: raw.body.clone(),
            cover: CoverInfo {
                width: raw.header(headers::WIDTH)?,
                height: raw.header(headers::HEIGHT)?,
                channels: raw.header(headers::CHANNELS)?,
                bit_depth: raw.header(headers::BIT_DEPTH)?,
                bits: raw.header(headers::BITS)?,
                capacity_bytes: raw.header(headers::CAPACITY_BYTES)?,
            },
            secret_size_bytes: raw.header(headers::SECRET_SIZE_BYTES)?,
            payload_size_bytes: raw.header(headers::PAYLOAD_SIZE_BYTES)?,
            notes: raw.texts(headers::NOTE).map(unquoted).collect(),
            mark_id: raw.texts(headers::MARK).next().map(str::to_owned),
        })
    }

    fn read_json(raw: &RawReply) -> Result<Self, BadAnswer> {
        let document: images::EmbedAnswer<'_> = raw.json()?;
        Ok(Self {
            via: raw.via.clone(),
            request_id: document.request_id.into_owned(),
            stego_image: document.stego_image_b64.0.into_owned().into(),
            cover: document.cover_info,
            secret_size_bytes: document.secret_size_bytes,
            payload_size_bytes: document.payload_size_bytes,
            notes: document.notes,
            mark_id: document.mark_id,
        })
    }
}

/// Answer to an extract request.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtractAnswer {
    /// The path of the request through the endpoints.
    pub via: Via,
    /// The id under which the node logged the request.
    pub request_id: String,
    /// The secret, bit for bit.
    pub secret: Bytes,
    /// The media type of the secret.
    pub media_type: String,
    /// The name of the hidden file.
    pub filename: Option<String>,
    /// The mark in the image.
    pub mark: Option<String>,
}

impl ExtractAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`BadAnswer`] if a header, the content type or the body is not as expected.
    pub(crate) fn read(raw: &RawReply) -> Result<Self, BadAnswer> {
        raw.check_content_type()?;
        if raw.accept == JSON { Self::read_json(raw) } else { Self::read_bytes(raw) }
    }

    fn read_bytes(raw: &RawReply) -> Result<Self, BadAnswer> {
        check_size(raw.header(headers::RECOVERED_SIZE_BYTES)?, &raw.body)?;
        Ok(Self {
            via: raw.via.clone(),
            request_id: raw.header(headers::REQUEST_ID)?,
            secret: raw.body.clone(),
            media_type: raw.header(headers::RECOVERED_MIME)?,
            filename: raw.texts("content-disposition").find_map(filename),
            mark: raw.texts(headers::MARK).next().map(str::to_owned),
        })
    }

    fn read_json(raw: &RawReply) -> Result<Self, BadAnswer> {
        let document: images::ExtractAnswer<'_> = raw.json()?;
        let secret = document.recovered_b64.0.into_owned().into();
        check_size(document.recovered_size_bytes, &secret)?;
        Ok(Self {
            via: raw.via.clone(),
            request_id: document.request_id.into_owned(),
            secret,
            media_type: document.recovered_mime.into_owned(),
            filename: document.filename.map(Cow::into_owned),
            mark: document.mark,
        })
    }
}

/// Capacity of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapacityAnswer {
    /// The path of the request through the endpoints.
    pub via: Via,
    /// The id under which the node logged the request.
    pub request_id: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Samples per pixel, alpha included.
    pub channels: u8,
    /// The file's format, such as `PNG`.
    pub format: String,
    /// The capacity in each mode.
    pub modes: Vec<ModeCapacity>,
}

impl CapacityAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`BadAnswer`] if a header, the content type or the body is not as expected.
    pub(crate) fn read(raw: &RawReply) -> Result<Self, BadAnswer> {
        raw.check_content_type()?;
        let images::CapacityAnswer { request_id, width, height, channels, bit_depth: _, format, modes } =
            raw.json()?;
        Ok(Self { via: raw.via.clone(), request_id, width, height, channels, format, modes })
    }
}

/// A synthetic test image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetAnswer {
    /// The path of the request through the endpoints.
    pub via: Via,
    /// The image, a PNG.
    pub image: Bytes,
}

impl DatasetAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`BadAnswer`] if a header, the content type or the body is not as expected.
    pub(crate) fn read(raw: &RawReply) -> Result<Self, BadAnswer> {
        raw.check_content_type()?;
        Ok(Self { via: raw.via.clone(), image: raw.body.clone() })
    }
}

/// A node's report on its own health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthAnswer {
    /// The path of the request through the endpoints.
    pub via: Via,
    /// `ok`, or `draining` during shutdown.
    pub status: String,
    /// The node's name.
    pub node_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The node's release.
    pub version: String,
    /// Seconds since the start of the node.
    pub uptime_s: u64,
}

impl HealthAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`BadAnswer`] if a header, the content type or the body is not as expected.
    pub(crate) fn read(raw: &RawReply) -> Result<Self, BadAnswer> {
        raw.check_content_type()?;
        let health::HealthAnswer { status, node_id, cluster_name, version, uptime_s, .. } = raw.json()?;
        Ok(Self { via: raw.via.clone(), status, node_id, cluster_name, version, uptime_s })
    }
}

fn check_size(named: u64, secret: &Bytes) -> Result<(), BadAnswer> {
    let carried = secret.len() as u64;
    if named == carried { Ok(()) } else { Err(BadAnswer::Size { named, carried }) }
}

/// Returns the content of a quoted string (RFC 9651, section 3.3.3); unquoted text is returned unchanged.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut is_escape = false;
    let said = |c: &char| {
        is_escape = *c == '\\' && !is_escape;
        !is_escape
    };
    inner.chars().filter(said).collect()
}

/// Returns the file name in a `Content-Disposition`, in the form used by nodes (RFC 6266 and RFC 8187:
/// percent-encoded UTF-8 bytes).
fn filename(disposition: &str) -> Option<String> {
    let encoded = disposition.split(';').find_map(|part| part.trim().strip_prefix("filename*=UTF-8''"))?;
    percent_decode_str(encoded).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    const COVER: &str = r#""cover_info": {"width": 4, "height": 2, "channels": 3, "bit_depth": 8, "bits": 1,
        "capacity_bytes": 9}"#;
    const EMBED_HEADERS: [(&str, &str); 10] = [
        ("x-request-id", "r1"),
        (headers::WIDTH, "4"),
        (headers::HEIGHT, "2"),
        (headers::CHANNELS, "3"),
        (headers::BIT_DEPTH, "8"),
        (headers::BITS, "1"),
        (headers::CAPACITY_BYTES, "9"),
        (headers::SECRET_SIZE_BYTES, "3"),
        (headers::PAYLOAD_SIZE_BYTES, "8"),
        (headers::NOTE, r#""a \"note\", \\""#),
    ];

    #[test]
    fn both_forms_of_an_embed_answer_say_the_same() {
        let body = format!(
            r#"{{"request_id": "r1", {COVER}, "secret_size_bytes": 3, "payload_size_bytes": 8,
            "stego_image_b64": "UE5H", "notes": ["a \"note\", \\"], "mark_id": null, "added_later": 1}}"#
        );
        let from_json = EmbedAnswer::read(&raw(JSON, &[], &body)).unwrap();
        let from_png = EmbedAnswer::read(&raw("image/png", &EMBED_HEADERS, "PNG")).unwrap();
        assert_eq!(from_json, from_png);
        assert_eq!(from_png.stego_image, "PNG");
        assert_eq!((from_png.cover.capacity_bytes, from_png.secret_size_bytes), (9, 3));
        assert_eq!((from_png.payload_size_bytes, from_png.cover.height), (8, 2));
        assert_eq!(from_png.notes, [r#"a "note", \"#]);
    }

    #[test]
    fn malformed_embed_answers_are_refused() {
        let check = |body: &str, expected: &str| {
            let error = EmbedAnswer::read(&raw(JSON, &[], body)).unwrap_err();
            assert_eq!(error.to_string(), expected, "{body}");
        };
        check("", "the body is not the JSON expected");
        check("{}", "the body is not the JSON expected");
        let with_image = |image: &str| {
            format!(
                r#"{{"request_id": "r1", {COVER}, "secret_size_bytes": 3, "payload_size_bytes": 8,
                "stego_image_b64": "{image}"}}"#
            )
        };
        check(&with_image("UE5"), "the body is not the JSON expected");
        check(&with_image("U E5H"), "the body is not the JSON expected");
    }

    #[test]
    fn each_promised_header_is_needed() {
        for (missing, _) in &EMBED_HEADERS[..9] {
            let mut answer = raw("image/png", &EMBED_HEADERS, "PNG");
            answer.headers.remove(*missing);
            let error = EmbedAnswer::read(&answer).unwrap_err();
            assert!(matches!(error, BadAnswer::Header { name } if name == *missing), "{missing}: {error}");
        }
    }

    #[test]
    fn a_page_does_not_pass_for_an_image() {
        let mut answer = raw("image/png", &EMBED_HEADERS, "<html>");
        answer.headers.insert("content-type", "text/html; charset=utf-8".parse().unwrap());
        let error = EmbedAnswer::read(&answer).unwrap_err();
        assert_eq!(error.to_string(), "the content type is `text/html` and not `image/png`");
    }

    #[test]
    fn both_forms_of_an_extract_answer_say_the_same() {
        let body = r#"{"request_id": "r1", "recovered_size_bytes": 3, "recovered_mime": "text/plain",
            "recovered_b64": "YWJj", "filename": "café; 1.txt", "mark": null}"#;
        let headers = [
            ("x-request-id", "r1"),
            (headers::RECOVERED_SIZE_BYTES, "3"),
            (headers::RECOVERED_MIME, "text/plain"),
            ("content-disposition", "attachment; filename*=UTF-8''caf%C3%A9%3B%201.txt"),
        ];
        let from_json = ExtractAnswer::read(&raw(JSON, &[], body)).unwrap();
        let from_bytes = ExtractAnswer::read(&raw("application/octet-stream", &headers, "abc")).unwrap();
        assert_eq!(from_json, from_bytes);
        assert_eq!(from_bytes.secret, "abc");
        assert_eq!(from_bytes.filename.as_deref(), Some("café; 1.txt"));
    }

    #[test]
    fn an_extract_answer_carries_the_size_that_it_names() {
        let body = r#"{"request_id": "r1", "recovered_size_bytes": 4, "recovered_mime": "text/plain",
            "recovered_b64": "YWJj"}"#;
        let error = ExtractAnswer::read(&raw(JSON, &[], body)).unwrap_err();
        assert!(matches!(error, BadAnswer::Size { named: 4, carried: 3 }), "{error}");
    }

    #[test]
    fn capacity_and_health_are_read() {
        let body = r#"{"request_id": "r1", "width": 4, "height": 2, "channels": 3, "bit_depth": 8, "format": "PNG",
            "modes": [{"mode": "sequential", "bits": 1, "capacity_bytes": 9}]}"#;
        let capacity = CapacityAnswer::read(&raw(JSON, &[], body)).unwrap();
        assert_eq!(capacity.modes[0].capacity_bytes, 9);
        let body = r#"{"status": "ok", "node_id": "n1", "cluster_name": "phase1", "version": "0.1.0",
            "uptime_s": 7}"#;
        let health = HealthAnswer::read(&raw(JSON, &[], body)).unwrap();
        assert_eq!((health.node_id.as_str(), health.uptime_s), ("n1", 7));
    }

    fn raw(accept: &'static str, headers: &[(&'static str, &str)], body: &str) -> RawReply {
        let mut map = HeaderMap::new();
        map.insert("content-type", accept.parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let via = Via::direct("http://a".parse().unwrap());
        RawReply { via, accept, headers: map, body: Bytes::copy_from_slice(body.as_bytes()) }
    }
}
