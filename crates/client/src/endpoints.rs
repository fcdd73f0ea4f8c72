//! Where the nodes are, and which of them a request asks next.
//!
//! This module alone decides the choice. Requests start at the endpoints in turn; within one request,
//! an endpoint that asked for a pause is left alone until the pause is over.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Url;
use tokio::time::Instant;

/// The address of a node's HTTP API, such as `http://127.0.0.1:8081`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint(Arc<str>);

impl Endpoint {
    /// The address as text, without a slash at the end.
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
        if url.scheme() != "http" {
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
            Some(port) => format!("http://{host}:{port}").into(),
            None => format!("http://{host}").into(),
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

/// Why a text is not the address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// There is no `http://` in front.
    #[error("`{text}` has no scheme: write `http://{text}`")]
    NoScheme {
        /// What was given.
        text: String,
    },
    /// The text cannot be read as a URL with a host.
    #[error("`{text}` is not a URL: write it like `http://127.0.0.1:8081`")]
    NotAUrl {
        /// What was given.
        text: String,
    },
    /// Another scheme than `http`.
    #[error("`{text}` uses {scheme}: nodes are reached over http")]
    NotHttp {
        /// What was given.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// There is more than scheme, host and port.
    #[error(
        "`{text}` has more than an address: give only scheme, host and port, like `http://127.0.0.1:8081`"
    )]
    NotOnlyAddress {
        /// What was given.
        text: String,
    },
}

/// The endpoints of a client and whose turn it is.
#[derive(Debug)]
pub(crate) struct Endpoints {
    list: Vec<Endpoint>,
    next: AtomicUsize,
}

impl Endpoints {
    /// `list` is not empty.
    pub(crate) fn new(list: Vec<Endpoint>) -> Self {
        Self { list, next: AtomicUsize::new(0) }
    }

    pub(crate) fn list(&self) -> &[Endpoint] {
        &self.list
    }

    /// Begins a request, at the endpoint after the one where the last request began.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn::starting_at(&self.list, self.next.fetch_add(1, Ordering::Relaxed) % self.list.len())
    }
}

/// The choices of one request: the endpoints in order, less those that rest.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    list: &'a [Endpoint],
    rest_until: Vec<Option<Instant>>,
    next: usize,
    asked: usize,
}

impl<'a> Turn<'a> {
    /// A request that only ever asks this endpoint.
    pub(crate) fn only(endpoint: &'a Endpoint) -> Self {
        Self::starting_at(std::slice::from_ref(endpoint), 0)
    }

    fn starting_at(list: &'a [Endpoint], next: usize) -> Self {
        Self { list, rest_until: vec![None; list.len()], next, asked: next }
    }

    /// The next endpoint that does not rest and `now`; where all rest, the one whose rest ends first, and
    /// when.
    pub(crate) fn pick(&mut self, now: Instant) -> (&'a Endpoint, Instant) {
        let in_order = (0..self.list.len()).map(|step| (self.next + step) % self.list.len());
        // `min_by_key` keeps the first of equals: among those that are ready, the next in order.
        let ready_at = |&index: &usize| self.rest_until[index].map_or(now, |until| until.max(now));
        let chosen = in_order.min_by_key(ready_at).unwrap_or(self.next);
        let at = ready_at(&chosen);
        self.asked = chosen;
        self.next = (chosen + 1) % self.list.len();
        (&self.list[chosen], at)
    }

    /// The endpoint picked last is not asked again before `until`.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.rest_until[self.asked] = Some(until);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    }

    #[test]
    fn other_texts_are_refused_with_what_to_write() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Endpoint>().unwrap_err().to_string(), expected);
        };
        check("127.0.0.1:8081", "`127.0.0.1:8081` has no scheme: write `http://127.0.0.1:8081`");
        check("localhost:8081", "`localhost:8081` has no scheme: write `http://localhost:8081`");
        check("https://a", "`https://a` uses https: nodes are reached over http");
        check("http://", "`http://` is not a URL: write it like `http://127.0.0.1:8081`");
        check("http://a:99999", "`http://a:99999` is not a URL: write it like `http://127.0.0.1:8081`");
        for text in ["http://a/api", "http://a?x=1", "http://a#x", "http://user@a", "http://:secret@a"] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(matches!(error, EndpointError::NotOnlyAddress { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn requests_begin_at_the_endpoints_in_turn() {
        let endpoints = Endpoints::new(three());
        let now = Instant::now();
        let begun: Vec<_> = (0..4).map(|_| endpoints.turn().pick(now).0.as_str().to_owned()).collect();
        assert_eq!(begun, ["http://a", "http://b", "http://c", "http://a"]);
    }

    #[test]
    fn a_resting_endpoint_is_passed_over_until_all_rest() {
        let list = three();
        let mut turn = Turn::starting_at(&list, 1);
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);

        assert_eq!(turn.pick(now), (&list[1], now));
        turn.rest(after(300));
        assert_eq!(turn.pick(now), (&list[2], now));
        turn.rest(after(100));
        assert_eq!(turn.pick(now), (&list[0], now));
        turn.rest(after(200));
        assert_eq!(turn.pick(now), (&list[2], after(100)), "all rest: the first to be ready");
        turn.rest(after(400));
        assert_eq!(turn.pick(after(250)), (&list[0], after(250)), "its rest is over");
    }

    fn three() -> Vec<Endpoint> {
        ["http://a", "http://b", "http://c"].map(|text| text.parse().unwrap()).to_vec()
    }
}
