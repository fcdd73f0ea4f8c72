//! The table of media type codes of `docs/format.md`. It only grows: a code, once given, keeps its meaning.

use crate::secret::MediaType;

/// No media type was given.
pub(super) const NONE: u8 = 0;
/// The type is spelt out in the name field.
pub(super) const LITERAL: u8 = 255;

/// The type with code `i + 1` is at place `i`.
const TYPES: [&str; 48] = [
    "application/octet-stream",
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/x-tar",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/zstd",
    "text/plain",
    "text/html",
    "text/css",
    "text/csv",
    "text/markdown",
    "text/javascript",
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/svg+xml",
    "image/avif",
    "image/heic",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
    "audio/mp4",
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "video/x-matroska",
    "message/rfc822",
    "application/json",
    "application/xml",
    "application/yaml",
    "application/rtf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
    "application/epub+zip",
    "application/x-pem-file",
    "application/pgp-encrypted",
    "application/vnd.sqlite3",
    "application/wasm",
];

/// Returns the code of `media_type`, [`LITERAL`] if not in the table.
pub(super) fn code(media_type: Option<&MediaType>) -> u8 {
    match media_type {
        None => NONE,
        Some(given) => (1..)
            .zip(TYPES)
            .find_map(|(code, known)| (known == given.as_str()).then_some(code))
            .unwrap_or(LITERAL),
    }
}

/// Returns the type behind `code`; `None` for 0, for [`LITERAL`] and for codes of newer releases.
pub(super) fn by_code(code: u8) -> Option<MediaType> {
    let place = usize::from(code).checked_sub(1)?;
    TYPES.get(place).and_then(|known| MediaType::parse(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_documented_one() {
        let page = include_str!("../../../../docs/format.md");
        for (i, known) in TYPES.iter().enumerate() {
            assert!(page.contains(&format!("| {} | {known} |", i + 1)), "{known}");
            assert_eq!(code(MediaType::parse(known).as_ref()), (i + 1) as u8);
            assert_eq!(by_code((i + 1) as u8).unwrap().as_str(), *known);
        }
        assert_eq!(by_code(0), None);
        assert_eq!(by_code(LITERAL), None);
        assert_eq!(code(MediaType::parse("application/x-unheard-of").as_ref()), LITERAL);
    }
}
