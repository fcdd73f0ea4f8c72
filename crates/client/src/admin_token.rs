//! The token for calls that change the cluster.

use std::fmt;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};

/// Longest token that is taken.
const MAX_LEN_BYTES: usize = 4096;

/// The token that a node asks for when the cluster is to be changed. It is the same for every node, goes with those calls
/// only, and is never shown unless asked for ([`expose`](Self::expose)).
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(HeaderValue);

impl AdminToken {
    /// The token in `text`, such as the content of a token file: spaces and line ends around it do not count.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters than visible ASCII.
    pub fn new(text: &str) -> Result<Self, AdminTokenError> {
        let token = text.trim();
        if !(1..=MAX_LEN_BYTES).contains(&token.len()) {
            return Err(AdminTokenError::Length { len_bytes: token.len() });
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AdminTokenError::Characters);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| AdminTokenError::Characters)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The token as text, for an address that a person opens.
    pub fn expose(&self) -> &str {
        self.0.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
    }

    pub(crate) fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(AUTHORIZATION, self.0.clone())
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// Why a text is no token. Says nothing of the text itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    /// Empty or too long.
    #[error("the token has {len_bytes} bytes and needs 1 to {MAX_LEN_BYTES}")]
    Length {
        /// Its length.
        len_bytes: usize,
    },
    /// Other characters than visible ASCII.
    #[error("the token has characters other than visible ASCII")]
    Characters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_checked_and_not_shown() {
        let token = AdminToken::new(" s3cret \n").unwrap();
        assert_eq!(token, AdminToken::new("s3cret").unwrap());
        assert!(!format!("{token:?}").contains("s3cret"));
        assert_eq!(token.expose(), "s3cret");
        assert_eq!(AdminToken::new(" \n"), Err(AdminTokenError::Length { len_bytes: 0 }));
        assert!(matches!(AdminToken::new(&"x".repeat(5000)), Err(AdminTokenError::Length { .. })));
        for text in ["two words", "a\nb", "é"] {
            let error = AdminToken::new(text).unwrap_err();
            assert_eq!(error, AdminTokenError::Characters);
        }
    }
}
