//! `Content-Disposition` of a part (RFC 7578, section 4.2): names in every form that clients send.
//!
//! | form | sent by |
//! |---|---|
//! | `filename="größe.pdf"` in UTF-8 | browsers, curl |
//! | the same in ISO-8859-1 | older programs on Windows |
//! | `filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf` (RFC 8187), alone or beside `filename` | Python, Java, .NET |
//! | `filename="=?utf-8?B?Z3LDtsOfZS5wZGY=?="` (RFC 2047) | .NET's `HttpClient` |

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, general_purpose};
use encoding_rs::Encoding;
use percent_encoding::percent_decode;

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    general_purpose::PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Names in a part's header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Disposition {
    /// Name of the field.
    pub(crate) name: Option<String>,
    /// Name of the file; `filename*` takes precedence over `filename` (RFC 6266, section 4.3).
    pub(crate) file_name: Option<String>,
}

impl Disposition {
    /// Parses the value of the header. A malformed parameter counts as missing.
    pub(crate) fn parse(header: &[u8]) -> Self {
        let (mut name, mut plain, mut extended) = (None, None, None);
        let mut rest = after(header, b';');
        while !rest.is_empty() {
            let (key, value, next) = parameter(rest);
            match key.as_str() {
                "name" => name = name.or_else(|| Some(text(&value))),
                "filename" => plain = plain.or_else(|| Some(unescaped(&decoded_words(&text(&value))))),
                "filename*" => extended = extended.or_else(|| extended_value(&value)),
                _ => {}
            }
            rest = next;
        }
        Self { name, file_name: extended.or(plain) }
    }
}

/// Returns the bytes after the first `end`.
fn after(bytes: &[u8], end: u8) -> &[u8] {
    let at = bytes.iter().position(|&byte| byte == end).map_or(bytes.len(), |at| at + 1);
    &bytes[at..]
}

/// Splits off the first parameter: the name in lower case, the value, and the remaining parameters.
fn parameter(bytes: &[u8]) -> (String, Vec<u8>, &[u8]) {
    let end = bytes.iter().position(|byte| b"=;".contains(byte)).unwrap_or(bytes.len());
    let key = String::from_utf8_lossy(bytes[..end].trim_ascii()).to_ascii_lowercase();
    let Some(value) = bytes[end..].strip_prefix(b"=") else {
        return (key, Vec::new(), after(bytes, b';'));
    };
    match value.trim_ascii_start().strip_prefix(b"\"") {
        Some(quoted) => {
            let (value, rest) = quoted_string(quoted);
            (key, value, after(rest, b';'))
        }
        None => {
            let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
            (key, value[..end].trim_ascii().to_vec(), after(value, b';'))
        }
    }
}

/// Returns the text up to the closing quotation mark, and the bytes after. A backslash escapes a quotation
/// mark only: programs on Windows send paths with plain backslashes.
fn quoted_string(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return (value, rest),
            [b'"', behind @ ..] => return (value, behind),
            [b'\\', b'"', behind @ ..] => {
                value.push(b'"');
                behind
            }
            [b'\\', b'\\', behind @ ..] => {
                value.extend_from_slice(br"\\");
                behind
            }
            [byte, behind @ ..] => {
                value.push(*byte);
                behind
            }
        };
    }
}

/// Decodes UTF-8, otherwise ISO-8859-1, in which every byte is a character.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

/// Undoes the escapes of browsers and curl in file names (HTML, section 4.10.21.8).
fn unescaped(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// Decodes a value with its character set and language (RFC 8187, section 3.2).
fn extended_value(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    in_charset(charset, &percent_decode(encoded).collect::<Vec<u8>>())
}

/// Decodes bytes of a named character set; `None` for an unknown set or invalid bytes.
fn in_charset(label: &[u8], bytes: &[u8]) -> Option<String> {
    let text = Encoding::for_label(label)?.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(text.into_owned())
}

/// Decodes the encoded words (RFC 2047) in a text. White space between two encoded words is dropped; a
/// malformed word stays unchanged.
fn decoded_words(text: &str) -> String {
    let mut decoded = String::new();
    let (mut rest, mut is_behind_word) = (text, false);
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        let word = encoded_word(from);
        if !(is_behind_word && word.is_some() && before.trim().is_empty()) {
            decoded.push_str(before);
        }
        is_behind_word = word.is_some();
        rest = match word {
            Some((text, behind)) => {
                decoded.push_str(&text);
                behind
            }
            None => {
                decoded.push_str("=?");
                &from[2..]
            }
        };
    }
    decoded + rest
}

/// Decodes the word `=?charset?encoding?content?=` at the beginning of `text`, and returns the text after it
/// too.
fn encoded_word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, rest) = rest.split_once('?')?;
    let behind = rest.strip_prefix('=')?;
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(content).ok()?,
        // Like percent-encoding, with `=` for `%` (RFC 2047, section 4.2).
        "Q" | "q" => {
            percent_decode(content.replace('%', "=25").replace('=', "%").replace('_', " ").as_bytes())
                .collect()
        }
        _ => return None,
    };
    let charset = charset.split('*').next().unwrap_or_default();
    Some((in_charset(charset.as_bytes(), &bytes)?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[u8], file_name: Option<&str>) {
        let found = Disposition::parse(header);
        let shown = String::from_utf8_lossy(header);
        assert_eq!(found.name.as_deref(), Some("file"), "{shown}");
        assert_eq!(found.file_name.as_deref(), file_name, "{shown}");
    }

    #[test]
    fn plain_names() {
        check(b"form-data; name=\"file\"", None);
        check(b"form-data; name=file; filename=a.pdf", Some("a.pdf"));
        check(b"Form-Data ; NAME = \"file\" ; FileName = \"a b.pdf\"", Some("a b.pdf"));
        check("form-data; name=\"file\"; filename=\"größe.pdf\"".as_bytes(), Some("größe.pdf"));
        check(b"form-data; name=\"file\"; filename=\"gr\xF6\xDFe.pdf\"", Some("größe.pdf"));
        check(br#"form-data; name="file"; filename="a\"b%22.pdf""#, Some("a\"b\".pdf"));
        check(br#"form-data; name="file"; filename="C:\dir\a.pdf""#, Some(r"C:\dir\a.pdf"));
        check(br#"form-data; name="file"; filename="a; name=cover.pdf""#, Some("a; name=cover.pdf"));
        check(br#"form-data; filename="a; name=cover.pdf"; name="file""#, Some("a; name=cover.pdf"));
        check(br#"form-data; name="file"; filename="""#, Some(""));
        check(br#"form-data; name="file"; filename="no end"#, Some("no end"));
    }

    /// Examples of RFC 8187, section 3.2.3, and names as sent by Python's `requests`.
    #[test]
    fn extended_names() {
        check(b"form-data; name=\"file\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf", Some("größe.pdf"));
        check(b"form-data; name=\"file\"; filename*=utf-8'en'%e2%82%ac%20rates", Some("€ rates"));
        check(b"form-data; name=\"file\"; filename*=iso-8859-1'en'%A3%20rates", Some("£ rates"));
        let both = b"form-data; name=\"file\"; filename=\"gr__e.pdf\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf";
        check(both, Some("größe.pdf"));
        let both = b"form-data; name=\"file\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf; filename=\"gr__e.pdf\"";
        check(both, Some("größe.pdf"));
        // If the extended name cannot be decoded, the plain name is used.
        check(b"form-data; name=\"file\"; filename*=UTF-8''%FF; filename=a.pdf", Some("a.pdf"));
        check(b"form-data; name=\"file\"; filename*=x-unheard-of''a; filename=a.pdf", Some("a.pdf"));
        check(b"form-data; name=\"file\"; filename*=a.pdf", None);
    }

    /// Examples of RFC 2047, section 8, and a name as sent by .NET.
    #[test]
    fn encoded_words() {
        let check = |text: &str, want: &str| assert_eq!(decoded_words(text), want, "{text}");
        check("=?utf-8?B?Z3LDtsOfZS5wZGY=?=", "größe.pdf");
        check("=?utf-8?B?Z3LDtsOfZS5wZGY?=", "größe.pdf");
        check("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen");
        check("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore");
        check("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?= c", "ab c");
        check("=?utf-8?Q?100%25?=", "100%25");
        for plain in
            ["a.pdf", "=?", "=?utf-8?B?a b?=", "=?utf-8?X?YQ==?=", "=?x-none?Q?a?=", "=?utf-8?B?/w==?="]
        {
            check(plain, plain);
        }
        check("=?utf-8?=?utf-8?Q?a?=", "=?utf-8?a");
    }

    #[test]
    fn reading_takes_time_in_proportion_to_the_length() {
        let hostile = [b"form-data; filename=\"".to_vec(), b"=?a?B?".repeat(200_000)].concat();
        assert!(Disposition::parse(&hostile).file_name.is_some());
        assert!(Disposition::parse(&b";=".repeat(500_000)).name.is_none());
    }
}
