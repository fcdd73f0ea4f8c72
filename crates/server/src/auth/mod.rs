//! Authorization of changes to the cluster: the admin token, and trusted loopback by configuration.

mod guesses;
mod hosts;
mod token;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use control_plane::catalog::Authority;
use tracing::warn;

use crate::config::{LoopbackConfig, NodeConfig, SecurityConfig};
use crate::listener::LocalAddress;
use crate::origins::{self, Scheme};
use guesses::{Guesses, TokenVerdict};
use hosts::Hosts;

pub(crate) use hosts::HostError;
pub(crate) use token::AdminToken;

/// Headers of requests forwarded by a proxy.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Refusal of a caller without the right to change the cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    /// No token from a caller in need of one.
    #[error(
        "the admin token is required for calls that change the cluster; send `Authorization: Bearer TOKEN`, \
         with the token {place}"
    )]
    TokenRequired {
        /// Description of the token's file.
        place: &'static str,
    },
    /// A token other than the cluster's.
    #[error("the token sent is not the admin token of this cluster")]
    TokenWrong,
    /// Too many wrong tokens from the caller's address; the token was not compared.
    #[error("too many wrong tokens from this address; no token is compared until Retry-After")]
    TooManyGuesses {
        /// Time until the next token is compared.
        retry_after: Duration,
    },
    /// A request possibly sent by a browser for a page of another site.
    #[error("{0}")]
    CrossOrigin(String),
}

/// Hosts of a node, and the authorization of changes.
pub(crate) struct Auth {
    token: AdminToken,
    loopback: LoopbackConfig,
    /// Origins of the console pages served from this machine.
    console_origins: Vec<String>,
    hosts: Hosts,
    guesses: Mutex<Guesses>,
}

impl Auth {
    /// The rules of `node`, a member of `nodes`, under `config`.
    pub(crate) fn new(
        config: &SecurityConfig,
        node: &NodeConfig,
        nodes: &[NodeConfig],
        token: AdminToken,
    ) -> Self {
        Self {
            token,
            loopback: config.loopback,
            console_origins: origins::on_loopback(nodes, Scheme::of(config)),
            hosts: Hosts::new(node, &config.hosts),
            guesses: Mutex::default(),
        }
    }

    /// Checks the host of a request.
    ///
    /// # Errors
    /// A [`HostError`] for a missing, repeated, malformed or foreign host.
    pub(crate) fn check_host(&self, parts: &Parts) -> Result<(), HostError> {
        let local = parts.extensions.get::<LocalAddress>().and_then(|local| local.0);
        self.hosts.check(parts.version, &parts.uri, &parts.headers, local)
    }

    /// Returns the authority by which a request from `peer` changes the cluster.
    ///
    /// # Errors
    /// An [`AuthError`] if the request has no such authority.
    pub(crate) fn authorize(
        &self,
        now: Instant,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<Authority, AuthError> {
        match bearer(headers) {
            Some(given) => self.check_token(now, peer, given),
            None => self.check_loopback(peer, headers),
        }
    }

    /// True for a request with the admin token. A wrong token counts as a guess.
    pub(crate) fn shows_token(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|given| self.check_token(Instant::now(), peer, given).is_ok())
    }

    fn check_token(&self, now: Instant, peer: Option<IpAddr>, given: &str) -> Result<Authority, AuthError> {
        let address = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        // Counters are never left half changed, so a poisoned lock is harmless here.
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        match guesses.judge(now, address, || self.token.is(given)) {
            TokenVerdict::Right => Ok(Authority::AdminToken),
            TokenVerdict::Wrong { last } => {
                if last {
                    warn!(peer = %address, "too many wrong admin tokens; rate limit in force");
                }
                Err(AuthError::TokenWrong)
            }
            TokenVerdict::TooMany { retry_after } => Err(AuthError::TooManyGuesses { retry_after }),
        }
    }

    fn check_loopback(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<Authority, AuthError> {
        // Behind a proxy on this machine every client seems local.
        let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        let is_loopback = peer.is_some_and(|peer| peer.is_loopback()) && !is_forwarded;
        if self.loopback == LoopbackConfig::Token || !is_loopback {
            return Err(self.token_required());
        }
        match foreign_page(headers, &self.console_origins) {
            Some(why) => Err(AuthError::CrossOrigin(why)),
            None => Ok(Authority::Loopback),
        }
    }

    fn token_required(&self) -> AuthError {
        let place = match self.token.file() {
            Some(_) => "in the file that security.admin_token_file names",
            None => "in admin.token in each node's data directory",
        };
        AuthError::TokenRequired { place }
    }
}

/// Returns the bearer token of the header Authorization (RFC 6750, section 2.1), if present.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the reason to refuse a loopback request as cross-origin. Any page can make a browser on this
/// machine call loopback; `Host`, `Origin` and `Sec-Fetch-Site` reveal such calls. Pages of the cluster's own
/// nodes on this machine are allowed, since operators use one node's console for another node.
fn foreign_page(headers: &HeaderMap, console_origins: &[String]) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.parse::<IpAddr>().is_err() && name != "localhost" {
        return Some(format!("the host `{name}` is neither an address nor localhost; send the admin token"));
    }
    if let Some(origin) = text("origin") {
        if console_origins.iter().any(|known| known == origin) {
            return None;
        }
        let of = origin.split_once("://").map_or(origin, |(_, authority)| authority);
        if of != host {
            return Some("the request comes from a page of another origin; send the admin token".to_owned());
        }
    }
    let site = text("sec-fetch-site");
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    foreign.then(|| "the request comes from a page of another site; send the admin token".to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use control_plane::ClusterSecret;

    use super::*;

    fn node(ip: &str, http_port: u16) -> NodeConfig {
        NodeConfig { id: "n1".into(), ip: ip.parse().unwrap(), bind_ip: None, http_port, raft_port: 5001 }
    }

    fn token() -> AdminToken {
        AdminToken::derived(&ClusterSecret::from_bytes([7; 32]))
    }

    /// Name of a refusal.
    fn name(error: &AuthError) -> &'static str {
        match error {
            AuthError::TokenRequired { .. } => "token_required",
            AuthError::TokenWrong => "token_wrong",
            AuthError::TooManyGuesses { .. } => "too_many_guesses",
            AuthError::CrossOrigin(_) => "cross_origin",
        }
    }

    fn bearer_of(token: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {token}"))
    }

    fn check_with(
        loopback: LoopbackConfig,
        peer: &str,
        headers: &[(&str, &str)],
    ) -> Result<Authority, &'static str> {
        let config = SecurityConfig { loopback, ..SecurityConfig::default() };
        let nodes = [node("127.0.0.1", 8081), node("127.0.0.1", 8082)];
        let auth = Auth::new(&config, &nodes[0], &nodes, token());
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        auth.authorize(Instant::now(), peer.parse().ok(), &headers).map_err(|error| name(&error))
    }

    /// Like [`check_with`], with loopback trusted.
    fn check(peer: &str, headers: &[(&str, &str)]) -> Result<Authority, &'static str> {
        check_with(LoopbackConfig::Trusted, peer, headers)
    }

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:8081");

    #[test]
    fn loopback_alone_is_no_right() {
        for headers in
            [&[LOCAL][..], &[("host", "[::1]:8081")], &[LOCAL, ("origin", "http://127.0.0.1:8081")], &[]]
        {
            for peer in ["127.0.0.1", "::1", "10.0.0.1", "unknown"] {
                assert_eq!(
                    check_with(LoopbackConfig::Token, peer, headers),
                    Err("token_required"),
                    "{headers:?}"
                );
            }
        }
        let (name, right) = bearer_of(token().text());
        for peer in ["127.0.0.1", "10.0.0.1", "unknown"] {
            let headers = [LOCAL, (name, &right)];
            assert_eq!(check_with(LoopbackConfig::Token, peer, &headers), Ok(Authority::AdminToken));
        }
    }

    #[test]
    fn trusted_loopback_may_and_others_need_the_token() {
        assert_eq!(check("127.0.0.1", &[LOCAL]), Ok(Authority::Loopback));
        assert_eq!(check("::1", &[("host", "[::1]:8081")]), Ok(Authority::Loopback));
        assert_eq!(check("127.0.0.1", &[("host", "localhost")]), Ok(Authority::Loopback));
        assert_eq!(check("10.0.0.1", &[LOCAL]), Err("token_required"));
        for name in FORWARDED {
            assert_eq!(check("127.0.0.1", &[LOCAL, (name, "10.0.0.1")]), Err("token_required"), "{name}");
        }
        assert_eq!(check("unknown", &[LOCAL]), Err("token_required"));
    }

    #[test]
    fn a_token_that_is_given_decides() {
        let (name, right) = bearer_of(token().text());
        let lower = right.replace("Bearer", "bearer");
        for peer in ["127.0.0.1", "10.0.0.1"] {
            assert_eq!(check(peer, &[LOCAL, (name, &right)]), Ok(Authority::AdminToken));
            assert_eq!(check(peer, &[LOCAL, (name, &lower)]), Ok(Authority::AdminToken));
            assert_eq!(check(peer, &[LOCAL, (name, "Bearer another")]), Err("token_wrong"));
        }
        assert_eq!(check("10.0.0.1", &[(name, "Basic eA==")]), Err("token_required"));
    }

    #[test]
    fn guesses_are_slowed_down_where_they_come_from() {
        let nodes = [node("127.0.0.1", 8081)];
        let auth = Auth::new(&SecurityConfig::default(), &nodes[0], &nodes, token());
        let now = Instant::now();
        let check = |peer: &str, token: &str| {
            let headers =
                HeaderMap::from_iter([(header::AUTHORIZATION, bearer_of(token).1.parse().unwrap())]);
            auth.authorize(now, peer.parse().ok(), &headers).map_err(|error| name(&error))
        };
        let guesses: Vec<_> =
            (0..20).map(|i| check("10.0.0.1", &format!("guess-{i}")).unwrap_err()).collect();
        assert_eq!(guesses.iter().filter(|code| **code == "token_wrong").count(), 10);
        assert_eq!(guesses[19], "too_many_guesses");
        assert_eq!(check("10.0.0.1", token().text()), Err("too_many_guesses"));
        assert_eq!(check("10.0.0.2", token().text()), Ok(Authority::AdminToken));
    }

    #[test]
    fn pages_of_others_cannot_use_a_browser_on_loopback() {
        for headers in [
            &[LOCAL, ("origin", "http://evil.example")][..],
            &[LOCAL, ("origin", "null")],
            &[LOCAL, ("origin", "http://127.0.0.1:9999")],
            &[LOCAL, ("sec-fetch-site", "cross-site")],
            &[LOCAL, ("sec-fetch-site", "same-site")],
            &[("host", "rebound.example:8081")],
            &[],
        ] {
            assert_eq!(check("127.0.0.1", headers), Err("cross_origin"), "{headers:?}");
        }
        let own = [LOCAL, ("origin", "http://127.0.0.1:8081"), ("sec-fetch-site", "same-origin")];
        assert_eq!(check("127.0.0.1", &own), Ok(Authority::Loopback));
    }

    #[test]
    fn pages_of_other_nodes_can() {
        for origin in ["http://127.0.0.1:8082", "http://localhost:8082"] {
            for site in ["same-origin", "same-site", "cross-site"] {
                let headers = [LOCAL, ("origin", origin), ("sec-fetch-site", site)];
                assert_eq!(check("127.0.0.1", &headers), Ok(Authority::Loopback), "{headers:?}");
            }
            let rebound = [("host", "rebound.example:8081"), ("origin", origin)];
            assert_eq!(check("127.0.0.1", &rebound), Err("cross_origin"));
            assert_eq!(check("10.0.0.1", &[LOCAL, ("origin", origin)]), Err("token_required"));
        }
        for origin in [
            "http://127.0.0.1:80820",
            "https://127.0.0.1:8082",
            "http://127.0.0.1:8082/",
            "HTTP://127.0.0.1:8082",
        ] {
            assert_eq!(check("127.0.0.1", &[LOCAL, ("origin", origin)]), Err("cross_origin"), "{origin}");
        }
    }
}
