//! Addresses of nodes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;

/// Address of a node's HTTP API, such as `http://127.0.0.1:8081`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint(Arc<str>);

impl Endpoint {
    /// Builds the address of a node from its configured host, an IP address or a host name, and port.
    ///
    /// # Errors
    /// If `host` is neither an IP address nor a host name.
    pub fn of_node(host: &str, http_port: u16) -> Result<Self, EndpointError> {
        let authority = match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, http_port).to_string(),
            Err(_) => format!("{host}:{http_port}"),
        };
        format!("http://{authority}").parse()
    }

    /// True for HTTPS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// True if nobody on the way can read what is sent: over HTTPS, or within this machine.
    pub fn is_confidential(&self) -> bool {
        let host = Url::parse(&self.0).ok().and_then(|url| {
            let host = url.host_str()?;
            Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
        });
        let is_local = |host: &str| match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host == "localhost",
        };
        self.is_https() || host.is_some_and(|host| is_local(&host))
    }

    /// Returns the address as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if !text.contains("://") {
            return Err(EndpointError::NoScheme { text: text.into() });
        }
        let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl { text: text.into() })?;
        let scheme = url.scheme();
        if !matches!(scheme, "http" | "https") {
            return Err(EndpointError::NotHttp { text: text.into(), scheme: url.scheme().into() });
        }
        let Some(host) = url.host_str() else {
            return Err(EndpointError::NotAUrl { text: text.into() });
        };
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err(EndpointError::NotOnlyAddress { text: text.into() });
        }
        Ok(Self(match url.port() {
            Some(port) => format!("{scheme}://{host}:{port}").into(),
            None => format!("{scheme}://{host}").into(),
        }))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.0)
    }
}

/// Reason for rejecting a text as the address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// A text without `http://`.
    #[error("`{text}` has no scheme: write `http://{text}`")]
    NoScheme {
        /// The text given.
        text: String,
    },
    /// A text that is not a URL with a host.
    #[error("`{text}` is not a URL: write it like `http://127.0.0.1:8081`")]
    NotAUrl {
        /// The text given.
        text: String,
    },
    /// A scheme other than `http` and `https`.
    #[error("`{text}` uses {scheme}: nodes are reached over http or https")]
    NotHttp {
        /// The text given.
        text: String,
        /// The scheme found.
        scheme: String,
    },
    /// A URL with more than scheme, host and port.
    #[error(
        "`{text}` has more than an address: give only scheme, host and port, like `http://127.0.0.1:8081`"
    )]
    NotOnlyAddress {
        /// The text given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_as_scheme_host_and_port() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Endpoint>().unwrap().as_str(), expected, "{text}");
        };
        check("http://127.0.0.1:8081", "http://127.0.0.1:8081");
        check(" http://Node-1.local:8081/ ", "http://node-1.local:8081");
        check("http://example.org", "http://example.org");
        check("http://example.org:80", "http://example.org");
        check("http://[::1]:8081", "http://[::1]:8081");
        check("https://Node-1.local:443/", "https://node-1.local");
    }

    #[test]
    fn keys_go_over_https_or_stay_here() {
        let check = |text: &str, expected: bool| {
            assert_eq!(text.parse::<Endpoint>().unwrap().is_confidential(), expected, "{text}");
        };
        for here in [
            "http://127.0.0.1:8081",
            "http://localhost:1",
            "http://[::1]",
            "http://127.1.2.3",
            "https://10.0.0.1",
        ] {
            check(here, true);
        }
        for elsewhere in
            ["http://10.0.0.1:8081", "http://node-1.lan", "http://localhost.evil.example", "http://[fd00::1]"]
        {
            check(elsewhere, false);
        }
    }

    #[test]
    fn a_node_is_at_an_address_or_a_name() {
        let check = |host: &str, expected: Option<&str>| {
            let endpoint = Endpoint::of_node(host, 8081).ok();
            assert_eq!(endpoint.as_ref().map(Endpoint::as_str), expected, "{host}");
        };
        check("10.0.0.1", Some("http://10.0.0.1:8081"));
        check("fd00::1", Some("http://[fd00::1]:8081"));
        check("Node-1.lan", Some("http://node-1.lan:8081"));
        for other in ["", "a b", "a/b", "user@a", "a:1"] {
            check(other, None);
        }
    }

    #[test]
    fn other_texts_are_refused_with_what_to_write() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Endpoint>().unwrap_err().to_string(), expected);
        };
        check("127.0.0.1:8081", "`127.0.0.1:8081` has no scheme: write `http://127.0.0.1:8081`");
        check("localhost:8081", "`localhost:8081` has no scheme: write `http://localhost:8081`");
        check("ftp://a", "`ftp://a` uses ftp: nodes are reached over http or https");
        check("http://", "`http://` is not a URL: write it like `http://127.0.0.1:8081`");
        check("http://a:99999", "`http://a:99999` is not a URL: write it like `http://127.0.0.1:8081`");
        for text in ["http://a/api", "http://a?x=1", "http://a#x", "http://user@a", "http://:secret@a"] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(matches!(error, EndpointError::NotOnlyAddress { .. }), "{text}: {error}");
        }
    }
}
