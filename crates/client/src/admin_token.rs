//! Token for calls that change the cluster.

use std::fmt;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};

/// Longest token accepted.
const MAX_LEN_BYTES: usize = 4096;

/// Token required by a node for changes to the cluster. Every node has the same token, sent only with calls
/// of that kind and never shown except by [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(HeaderValue);

impl AdminToken {
    /// Parses the token in `text`, such as the content of a token file; surrounding white space is ignored.
    ///
    /// # Errors
    /// If the token is empty, too long, or has characters other than visible ASCII.
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

    /// Returns the token as text, for an address opened by the user.
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

/// Reason for rejecting a text as a token, without revealing the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    /// A token that is empty or too long.
    #[error("the token has {len_bytes} bytes and needs 1 to {MAX_LEN_BYTES}")]
    Length {
        /// The length found.
        len_bytes: usize,
    },
    /// A token with characters other than visible ASCII.
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
