//! Safe file names for secrets named by an image: none hides a file, reads as an option or opens a device.

use std::borrow::Cow;

/// Names of devices on Windows, with any extension ("Naming Files, Paths, and Namespaces", Microsoft).
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
/// Names of devices that end with a digit.
const PORTS: [&str; 2] = ["COM", "LPT"];
/// Characters with a meaning in paths of Windows.
const WINDOWS_ONLY: [char; 7] = ['<', '>', ':', '"', '|', '?', '*'];

/// Returns `name`, or a safe replacement in the current folder: with `_` before a name that a shell, a
/// program or a system would interpret, and after an end that Windows cuts off.
pub(crate) fn safe(name: &str) -> Cow<'_, str> {
    debug_assert!(!name.contains('/'), "{name} is a path");
    let mut safe = Cow::Borrowed(name);
    if cfg!(windows) && name.contains(WINDOWS_ONLY) {
        safe = name.replace(WINDOWS_ONLY, "_").into();
    }
    if name.starts_with(['.', '-', '~']) || is_device(name) {
        safe = format!("_{safe}").into();
    }
    if name.ends_with(['.', ' ']) {
        safe = format!("{safe}_").into();
    }
    safe
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_port = |port: &&str| {
        let number = stem.strip_prefix(*port);
        number.is_some_and(|number| number.chars().count() == 1 && number.contains(char::is_numeric))
    };
    DEVICES.contains(&stem.as_str()) || PORTS.iter().any(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_meaning_are_changed() {
        let check = |name: &str, expected: &str| assert_eq!(safe(name), expected, "{name}");
        for plain in ["report.pdf", "a.b-c~", "console", "com10.txt", "lpt.txt", "größe", "nullable.txt"] {
            check(plain, plain);
        }
        check(".bashrc", "_.bashrc");
        check("--help", "_--help");
        check("~root", "_~root");
        check("PRN", "_PRN");
        check("aux .txt", "_aux .txt");
        check("lpt9", "_lpt9");
        check("COM¹", "_COM¹");
        check("a.", "a._");
        check(".", "_._");
    }
}
