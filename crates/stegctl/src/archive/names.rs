//! Rules for the names of members: every path stays in its target folder, on any system and on any terminal.

/// Maximum depth of nested folders.
const MAX_DEPTH: usize = 64;
/// Maximum length of a whole path: the limit of macOS, the lowest of the systems.
const MAX_PATH_LEN_BYTES: usize = 1024;
/// Maximum length of one name in a path.
const MAX_COMPONENT_LEN_BYTES: usize = 255;
/// Maximum number of characters of a name shown in messages.
const MAX_SHOWN_CHARS: usize = 80;

/// Reason to refuse a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// An absolute path.
    #[error("its name is an absolute path")]
    Absolute,
    /// A path with `..`.
    #[error("its name leads out of the folder (..)")]
    Parent,
    /// An empty name.
    #[error("it has no name")]
    Empty,
    /// A name in another encoding than UTF-8.
    #[error("its name is not UTF-8")]
    NotUtf8,
    /// A name with control characters, which could steer a terminal, or end the name early in C.
    #[error("its name has control characters in it")]
    Control,
    /// A name with another meaning as a path on this system.
    #[error("its name has characters in it that this system does not allow")]
    NotAllowedHere,
    /// A name or path too long for a file system.
    #[error(
        "its name is too long: a path may take {MAX_PATH_LEN_BYTES} bytes, each name in it \
         {MAX_COMPONENT_LEN_BYTES}"
    )]
    TooLong,
    /// A path with too many folders.
    #[error("it lies more than {MAX_DEPTH} folders deep")]
    TooDeep,
}

/// Splits the path of a member into names, from the top. Empty for the folder itself (`./`), a possible
/// member of other programs' archives.
///
/// # Errors
/// The defect of the name.
pub(super) fn components(path: &[u8]) -> Result<Vec<&str>, NameError> {
    if path.len() > MAX_PATH_LEN_BYTES {
        return Err(NameError::TooLong);
    }
    let text = std::str::from_utf8(path).map_err(|_| NameError::NotUtf8)?;
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.starts_with('/') {
        return Err(NameError::Absolute);
    }
    if text.contains(char::is_control) {
        return Err(NameError::Control);
    }
    if cfg!(windows) && text.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return Err(NameError::NotAllowedHere);
    }
    let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") {
        return Err(NameError::Parent);
    }
    if names.iter().any(|name| name.len() > MAX_COMPONENT_LEN_BYTES) {
        return Err(NameError::TooLong);
    }
    if names.len() > MAX_DEPTH {
        return Err(NameError::TooDeep);
    }
    Ok(names)
}

/// Escapes an untrusted name for a message: characters that could steer a terminal or reverse the direction
/// of text.
pub(crate) fn shown(name: &[u8]) -> String {
    let mut text: String = String::from_utf8_lossy(name).chars().take(MAX_SHOWN_CHARS + 1).collect();
    if text.chars().count() > MAX_SHOWN_CHARS {
        text.pop();
        text.push('…');
    }
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        let check = |path: &str, want: Result<&[&str], NameError>| {
            assert_eq!(components(path.as_bytes()).as_deref(), want.as_ref().copied(), "{path:?}");
        };
        check("letters/to anna.txt", Ok(&["letters", "to anna.txt"]));
        check("./größe//x/", Ok(&["größe", "x"]));
        check("./", Ok(&[]));
        check("..a/b..", Ok(&["..a", "b.."]));
        check("", Err(NameError::Empty));
        check("/etc/passwd", Err(NameError::Absolute));
        check("//server/share", Err(NameError::Absolute));
        check("../x", Err(NameError::Parent));
        check("a/../../x", Err(NameError::Parent));
        check("a/..", Err(NameError::Parent));
        check("a\0b", Err(NameError::Control));
        check("\x1b[2J", Err(NameError::Control));
        check(&"a".repeat(256), Err(NameError::TooLong));
        check(&"a/".repeat(600), Err(NameError::TooLong));
        check(&"a/".repeat(65), Err(NameError::TooDeep));
        assert_eq!(components(b"gr\xF6\xDFe"), Err(NameError::NotUtf8));
    }

    #[test]
    fn messages_show_names_without_obeying_them() {
        assert_eq!(shown("exe.\u{202E}fdp\x1b".as_bytes()), r"exe.\u{202e}fdp\u{1b}");
        assert_eq!(shown("ä".repeat(100).as_bytes()), "ä".repeat(80) + "…");
    }
}
