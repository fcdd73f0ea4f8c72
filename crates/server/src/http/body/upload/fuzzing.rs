//! Entry point of the upload's fuzz target.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use bytes::Bytes;
use futures_util::stream;

use super::error::MAX_TEXT_LEN_BYTES;
use super::*;
use crate::budget::Budget;
use crate::config::LimitsConfig;
use crate::pace::Pacing;

const FIELDS: Fields = &[
    ("file", FieldKind::File),
    ("cover", FieldKind::File),
    ("bits", FieldKind::Text(|_| Ok(()))),
    ("mode", FieldKind::Text(|_| Ok(()))),
];
const BOUNDED: &str = "multipart/form-data; boundary=B";
const MAX_BODY_BYTES: u64 = 1 << 20;
/// Never reached: the whole body is available at once.
const PLENTY: Duration = Duration::from_secs(60);
/// Maximum length of a file's name in bytes.
const MAX_NAME_BYTES: usize = 32;

/// Receives `bytes` as a body, whole and in pieces, and as the content of a well-formed form.
pub(crate) fn check(bytes: &[u8]) {
    let [flags, piece, rest @ ..] = bytes else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O needs nothing").block_on(async {
        any_body(flags & 1 != 0, usize::from(*piece), rest).await;
        well_formed(usize::from(*piece), rest).await;
    });
}

/// Checks that splitting a body into pieces makes no difference.
async fn any_body(names_its_type: bool, piece: usize, rest: &[u8]) {
    let line_end = rest.iter().position(|&byte| byte == b'\n').filter(|_| names_its_type);
    let (content_type, body) = match line_end {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (BOUNDED.as_bytes(), rest),
    };
    let whole = received(content_type, body, body.len()).await;
    let pieces = received(content_type, body, piece).await;
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole.pieces(), pieces.pieces(), "{whole:?} and {pieces:?}"),
        (Err(_), Err(_)) => {}
        (whole, pieces) => panic!("whole: {whole:?}, in pieces of {piece}: {pieces:?}"),
    }
    if let Ok(form) = whole {
        let held: usize = form.files.iter().map(|(_, file)| file.bytes.len()).sum();
        assert!(held <= body.len(), "{held} bytes of {}", body.len());
        assert!(form.texts.iter().all(|(_, text)| text.len() <= MAX_TEXT_LEN_BYTES));
    }
}

/// Checks that a file arrives unchanged, with its name.
async fn well_formed(piece: usize, content: &[u8]) {
    let boundary = b"\r\n--B";
    if [b"\r\n", content].concat().windows(boundary.len()).any(|window| window == boundary) {
        return;
    }
    let name: String = String::from_utf8_lossy(&content[..content.len().min(MAX_NAME_BYTES)])
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '.')
        .collect();
    if name.is_empty() && content.is_empty() {
        // Browsers send such a part for a field without a file; it counts as left out.
        return;
    }
    let head = format!("--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
    let body = [head.as_bytes(), content, b"\r\n--B--\r\n"].concat();
    let mut form = received(BOUNDED.as_bytes(), &body, piece).await.expect("the form is well formed");
    let file = form.take_file("file").expect("the form has this field");
    assert_eq!(&file.bytes[..], content);
    assert_eq!(file.name, Some(name));
}

/// Receives the form in `body`, which arrives in pieces. Checks that a refused form returns its memory.
async fn received(content_type: &[u8], body: &[u8], piece: usize) -> Result<Form, UploadError> {
    let budget = Budget::new(MAX_BODY_BYTES);
    let bounds = || Bounds {
        memory: budget.empty_share(),
        max_bytes: MAX_BODY_BYTES,
        pacing: Pacing::new(&LimitsConfig::default(), &budget),
        deadline: Instant::now() + PLENTY,
    };
    let chunks: Vec<_> =
        body.chunks(piece.max(1)).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
    let mut request = Request::new(Body::from_stream(stream::iter(chunks)));
    if let Ok(value) = content_type.try_into() {
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    let form = Form::receive_within(request, FIELDS, bounds(), None).await;
    if form.is_err() {
        assert_eq!(budget.used_bytes(), 0, "a refused form keeps memory");
    }
    form
}
