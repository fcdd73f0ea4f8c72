//! The codes that come from the command itself are explained beside those of a node; a test of the server has
//! the codes of the API.

use client::ErrorKind;

const PAGE: &str = include_str!("../../../docs/errors.md");
const SOURCE: &str = include_str!("../src/failure.rs");

/// The texts in the source that stand where a failure takes its code: after `code:`, or after an exit status
/// by its name.
fn own_codes() -> Vec<String> {
    let mut codes = Vec::new();
    let pieces: Vec<&str> = SOURCE.split('"').collect();
    for pair in pieces.chunks_exact(2) {
        let (before, text) = (pair[0].trim_end(), pair[1]);
        let status = before.strip_suffix(',').map(|rest| rest.rsplit(['(', ' ']).next().unwrap_or_default());
        let after_status = status.is_some_and(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        });
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if plain && (after_status || before.ends_with("code:")) {
            codes.push(text.to_owned());
        }
    }
    codes
}

#[test]
fn every_code_of_the_command_is_explained() {
    let own = own_codes();
    for known in ["file", "file_too_large", "setup", "not_healthy"] {
        assert!(own.iter().any(|code| code == known), "`{known}` is not in {own:?}");
    }
    let of_the_client = [
        ErrorKind::BadRequest,
        ErrorKind::Connect,
        ErrorKind::ConnectionLost,
        ErrorKind::Timeout,
        ErrorKind::Http(500),
        ErrorKind::BadAnswer,
        ErrorKind::AnswerTooLarge,
        ErrorKind::Stopped,
    ];
    let of_the_client = of_the_client.iter().map(|kind| kind.as_str().into_owned());
    for code in of_the_client.chain(own) {
        let explained = PAGE.contains(&format!("\n| `{code}`")) || PAGE.contains(&format!("\n### {code}\n"));
        assert!(explained, "docs/errors.md has nothing on `{code}`");
    }
}
