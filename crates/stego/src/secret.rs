//! The secret: bytes, and a description of the bytes.

use std::fmt;

/// A secret to embed: bytes and description.
#[derive(Debug, Clone)]
pub struct Secret<'a> {
    /// The bytes to hide; may be empty.
    pub bytes: &'a [u8],
    /// File name to give back with the bytes.
    pub name: Option<FileName>,
    /// Media type to give back with the bytes.
    pub media_type: Option<MediaType>,
    /// Mark that distinguishes this copy of the image from others.
    pub mark: Option<MarkId>,
}

impl<'a> Secret<'a> {
    /// Creates a secret without name, media type or mark.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, name: None, media_type: None, mark: None }
    }
}

/// A file name without any path: 1 to 255 bytes of UTF-8, safe to create in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    /// Longest name in bytes: the limit of file systems and of the container.
    pub const MAX_LEN_BYTES: usize = 255;

    /// Takes the last component of `path`, with either separator, and leaves out control characters and the
    /// characters that change the direction of text. An overlong name loses the end of the stem and keeps the
    /// extension. `None` if nothing is left or the rest names a folder (`.`, `..`).
    pub fn from_path(path: &str) -> Option<Self> {
        let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let clean: String = last.chars().filter(|&c| !c.is_control() && !changes_direction(c)).collect();
        let clean = clean.trim();
        match clean {
            "" | "." | ".." => None,
            name => Some(Self(shortened(name, Self::MAX_LEN_BYTES))),
        }
    }

    /// Returns the same name cut to `max_len_bytes`, with the extension if it fits; `None` if nothing is
    /// left.
    pub(crate) fn cut_to(&self, max_len_bytes: usize) -> Option<Self> {
        Self::from_path(&shortened(&self.0, max_len_bytes))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bidirectional controls of Unicode (UAX #9, section 2): `fdp.exe` must not read as `exe.pdf`.
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn shortened(name: &str, max_len_bytes: usize) -> String {
    if name.len() <= max_len_bytes {
        return name.to_owned();
    }
    let extension = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= max_len_bytes / 2 => &name[dot..],
        _ => "",
    };
    let mut cut = max_len_bytes - extension.len();
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{extension}", &name[..cut])
}

/// A media type (RFC 6838) in lower case without parameters, such as `application/pdf`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaType(String);

impl MediaType {
    /// Length of a media type in bytes, at most.
    pub const MAX_LEN_BYTES: usize = 127;

    /// Takes `type/subtype`, leaves out parameters and case; `None` for anything else. The characters
    /// are those of RFC 6838, section 4.2.
    pub fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        let well_formed = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        (essence.len() <= Self::MAX_LEN_BYTES && well_formed(kind) && well_formed(subtype))
            .then_some(Self(essence))
    }

    /// Returns the usual type of files with the extension of `name`, if any.
    pub fn of_name(name: &FileName) -> Option<Self> {
        mime_guess::from_path(name.as_str()).first_raw().and_then(Self::parse)
    }

    /// Returns the type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a mark, which distinguishes a copy of an image from others. Shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MarkId(
    /// The id's bytes as carried.
    pub [u8; MarkId::LEN_BYTES],
);

impl MarkId {
    /// Length of a mark id in bytes.
    pub const LEN_BYTES: usize = 16;
}

impl fmt::Display for MarkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_to_create() {
        let check = |path: &str, want: Option<&str>| {
            assert_eq!(FileName::from_path(path).as_ref().map(FileName::as_str), want, "{path:?}");
        };
        check("secret.pdf", Some("secret.pdf"));
        check("/etc/passwd", Some("passwd"));
        check("..\\..\\boot.ini", Some("boot.ini"));
        check("a/..", None);
        check("", None);
        check("folder/", None);
        check("  . ", None);
        check("tab\there\0", Some("tabhere"));
        check("exe.\u{202E}fdp", Some("exe.fdp"));
        check("größe.txt", Some("größe.txt"));
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = FileName::from_path(&format!("{}.tar", "ü".repeat(200))).unwrap();
        assert!(name.as_str().len() <= FileName::MAX_LEN_BYTES);
        assert!(name.as_str().ends_with("ü.tar"));
        let endless = FileName::from_path(&format!("a.{}", "b".repeat(400))).unwrap();
        assert_eq!(endless.as_str().len(), FileName::MAX_LEN_BYTES);
    }

    #[test]
    fn media_types_follow_from_extensions() {
        let check = |name: &str, want: Option<&str>| {
            let name = FileName::from_path(name).unwrap();
            assert_eq!(MediaType::of_name(&name).as_ref().map(MediaType::as_str), want, "{name}");
        };
        check("a.pdf", Some("application/pdf"));
        check("A.JPG", Some("image/jpeg"));
        check("notes.txt", Some("text/plain"));
        check("a.tar.gz", Some("application/gzip"));
        check("pdf", None);
        check(".pdf", None);
        check("a.unheard-of", None);
    }

    #[test]
    fn media_types_are_reduced_to_their_essence() {
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(MediaType::parse(text).as_ref().map(MediaType::as_str), want, "{text:?}");
        };
        check("Text/HTML; charset=utf-8", Some("text/html"));
        check("application/vnd.ms-excel", Some("application/vnd.ms-excel"));
        check("image/svg+xml", Some("image/svg+xml"));
        check("text", None);
        check("text/", None);
        check("te xt/plain", None);
        check("text/pl\nain", None);
        check(&format!("a/{}", "b".repeat(126)), None);
    }
}
