//! The admin token: configured or derived, and compared in constant time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use control_plane::ClusterSecret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Minimum strength of a configured token in bits, by [`strength_bits`].
const MIN_STRENGTH_BITS: usize = 128;
/// Minimum number of different characters in a configured token. A random token has fewer once in many
/// millions.
const MIN_DISTINCT: usize = 8;
/// Maximum length of a token file in bytes; a longer file is not a token file.
const MAX_FILE_BYTES: u64 = 4096;

/// The token by which operators change the cluster. Has no `Debug`: a token must not end up in a log.
#[derive(Clone)]
pub(crate) struct AdminToken {
    text: String,
    /// The configured token file; `None` for a token derived from the cluster's shared secret.
    file: Option<PathBuf>,
}

/// An unusable token file. The message never contains the token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the admin token file {path} (security.admin_token_file)")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Readable by users other than the owner.
    #[error("the admin token file {path} can be read by others (mode {mode:03o}); run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Permission bits of the file.
        mode: u32,
    },
    /// Content other than one word of visible ASCII.
    #[error(
        "the admin token file {path} must hold one line of visible ASCII characters; {MAKE_ONE} > {path}"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// A guessable token.
    #[error(
        "the admin token in {path} is too weak: about {bits} bits, at least {MIN_STRENGTH_BITS} are required; {MAKE_ONE} > \
         {path}"
    )]
    Weak {
        /// The file.
        path: PathBuf,
        /// Estimated strength.
        bits: usize,
    },
}

/// The remedy for an unsuitable token.
const MAKE_ONE: &str = "to make one: openssl rand -base64 32";

impl AdminToken {
    /// Reads the token from the file at `path`.
    ///
    /// # Errors
    /// [`TokenError`] if the file cannot be read, can be read by others, or holds no token of sufficient
    /// strength.
    pub(crate) fn configured(path: &Path) -> Result<Self, TokenError> {
        use std::io::Read as _;
        let read = |source| TokenError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(read)?;
        let mode = file.metadata().map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::TooOpen { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(read)?;
        let text = bytes.trim_ascii();
        if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Malformed { path: path.to_owned() });
        }
        let text = String::from_utf8_lossy(text).into_owned();
        match strength_bits(&text) {
            bits if bits < MIN_STRENGTH_BITS => Err(TokenError::Weak { path: path.to_owned(), bits }),
            _ => Ok(Self { text, file: Some(path.to_owned()) }),
        }
    }

    /// Derives the token from the cluster's shared secret.
    pub(crate) fn derived(secret: &ClusterSecret) -> Self {
        Self { text: secret.admin_token(), file: None }
    }

    /// The token as text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The file of a configured token; `None` for a derived token.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// True for this token. The comparison takes the same time for every wrong token of equal length.
    pub(super) fn is(&self, given: &str) -> bool {
        mac(given).verify_slice(&mac(&self.text).finalize().into_bytes()).is_ok()
    }
}

/// Returns a tag of `text`, by which texts of any length are compared in constant time (`verify_slice`).
fn mac(text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"admin token").expect("any length of key");
    mac.update(text.as_bytes());
    mac
}

/// Returns an upper estimate of the random bits in a token: length without repetitions of the beginning,
/// times bits per character of the alphabet (hexadecimal, otherwise base64). Zero for a token of only a few
/// different characters.
fn strength_bits(token: &str) -> usize {
    let bytes = token.as_bytes();
    let distinct = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
    if distinct < MIN_DISTINCT {
        return 0;
    }
    let bits_per_char = if bytes.iter().all(u8::is_ascii_hexdigit) { 4 } else { 6 };
    let is_period =
        |period: &usize| bytes[*period..].iter().zip(bytes).all(|(later, earlier)| later == earlier);
    let len = (1..=bytes.len() / 2).find(is_period).unwrap_or(bytes.len());
    len * bits_per_char
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_private_and_holds_a_token_that_cannot_be_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let check = |text: &str, mode, expected: Option<&str>| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = AdminToken::configured(&path).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), expected.is_some(), "{text} {error:?}");
            if let (Some(error), Some(part)) = (error, expected) {
                assert!(error.contains(part) && error.contains("token"), "{error}");
                assert!(text.trim().len() < 8 || !error.contains(text.trim()), "{error}");
            }
        };
        let base64 = "q7cVtmH1rT5XN0oUkX1z4w==\n";
        check(base64, 0o600, None);
        check("0f8fad5bd9cb469fa165708677289501", 0o600, None);
        check(base64, 0o644, Some("chmod 600"));
        check("", 0o600, Some("openssl rand -base64 32"));
        check("two words that are long enough", 0o600, Some("one line"));
        check("größe-größe-größe-größe-größe", 0o600, Some("ASCII"));
        check("0f8fad5bd9cb469fa16570867728950", 0o600, Some("124 bits"));
        check("q7cVtmH1rT5XN0oUkX1z4", 0o600, Some("126 bits"));
        for weak in ["short-token", &"a".repeat(64), &"abcdefgh".repeat(8), &"0123456789abcdef".repeat(2)] {
            check(weak, 0o600, Some("openssl rand -base64 32"));
        }
        assert!(matches!(AdminToken::configured(Path::new("/nowhere/token")), Err(TokenError::Read { .. })));
    }

    #[test]
    fn the_derived_token_is_strong_and_the_only_one() {
        let token = AdminToken::derived(&ClusterSecret::from_bytes([7; 32]));
        assert!(strength_bits(token.text()) == 256 && token.file().is_none());
        assert!(token.is(token.text()));
        for other in ["", "x", &token.text()[1..], &format!("{}x", token.text())] {
            assert!(!token.is(other));
        }
    }
}
