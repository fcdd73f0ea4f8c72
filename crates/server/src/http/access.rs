//! Who may change the cluster: whoever is on the node's own machine, and whoever knows the admin token.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use control_plane::catalog::{Actor, Authority};
use sha2::{Digest, Sha256};

use super::code::Code;
use super::origins;
use super::problem::Problem;
use crate::app::App;
use crate::config::NodeConfig;
use crate::listener::PeerAddress;

/// Characters of an operator's name, at most.
const MAX_OPERATOR_CHARS: usize = 100;
/// Length of a token, at least: shorter ones can be guessed.
const MIN_TOKEN_CHARS: usize = 8;

/// Who may change the cluster.
pub(crate) struct Access {
    /// SHA-256 of the admin token: comparing digests tells nothing about the token by its duration.
    token: Option<[u8; 32]>,
    /// Where those pages of the console come from that this machine serves itself.
    console_origins: Vec<String>,
}

impl Access {
    /// With the token in the file at `path`; an empty path: no token, and only loopback may. There the pages of those of `nodes`
    /// may too that have loopback addresses; those of other machines may not.
    ///
    /// # Errors
    /// If the file cannot be read, can be read by others, or holds no token.
    pub(crate) fn load(path: &str, nodes: &[NodeConfig]) -> anyhow::Result<Self> {
        let console_origins = origins::on_loopback(nodes);
        if path.is_empty() {
            return Ok(Self { token: None, console_origins });
        }
        let path = Path::new(path);
        let what =
            || format!("cannot use the admin token file {} (security.admin_token_file)", path.display());
        let mode = fs::metadata(path).with_context(what)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!("{}: it can be read by others; run: chmod 600 {}", what(), path.display());
        }
        let text = fs::read_to_string(path).with_context(what)?;
        let token = text.trim();
        if token.len() < MIN_TOKEN_CHARS || token.contains(|c: char| !c.is_ascii_graphic()) {
            bail!("{}: it should hold one line of at least {MIN_TOKEN_CHARS} visible characters", what());
        }
        Ok(Self { token: Some(Sha256::digest(token).into()), console_origins })
    }

    /// By which right a request changes the cluster.
    fn check(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<Authority, Problem> {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(given) = authorization.and_then(|value| value.strip_prefix("Bearer ")) {
            let given: [u8; 32] = Sha256::digest(given.trim()).into();
            return match self.token {
                Some(token) if token == given => Ok(Authority::AdminToken),
                Some(_) => Err(Problem::new(Code::TokenWrong, "this is not the admin token")),
                None => Err(Problem::new(
                    Code::TokenWrong,
                    "no admin token is configured (security.admin_token_file)",
                )),
            };
        }
        // Behind a proxy on this machine everybody seems to be on it.
        let forwarded =
            ["forwarded", "x-forwarded-for", "via"].iter().any(|name| headers.contains_key(*name));
        if forwarded || !peer.is_some_and(|peer| peer.is_loopback()) {
            return Err(token_required(self.token.is_some()));
        }
        match foreign_page(headers, &self.console_origins) {
            Some(why) => Err(Problem::new(Code::CrossOrigin, why)),
            None => Ok(Authority::Loopback),
        }
    }
}

/// A browser on this machine can be made to call loopback by any page it shows. Such a call gives itself away. The pages of
/// the cluster's own nodes on this machine may: people operate a node from another one's.
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

fn token_required(configured: bool) -> Problem {
    let how = if configured {
        "send the admin token: Authorization: Bearer TOKEN"
    } else {
        "no admin token is configured on this node (security.admin_token_file), so only loopback may"
    };
    let detail =
        format!("calls that change the cluster need the admin token unless they come from loopback; {how}");
    Problem::new(Code::TokenRequired, detail)
}

/// Somebody who may change the cluster. Handlers that take it are closed to everybody else.
pub(super) struct Operator(pub Actor);

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<PeerAddress>().and_then(|peer| peer.0);
        let authority = app.access.check(peer, &parts.headers)?;
        let name = operator_name(&parts.headers)?;
        Ok(Self(Actor { name, authority, via: app.node_id.clone() }))
    }
}

fn operator_name(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("x-steg-operator") else { return Ok(None) };
    let bad = || {
        let detail =
            format!("X-Steg-Operator takes a name of up to {MAX_OPERATOR_CHARS} characters, in UTF-8");
        Problem::new(Code::InvalidOperator, detail)
    };
    let name = std::str::from_utf8(value.as_bytes()).map_err(|_| bad())?;
    if name.chars().count() > MAX_OPERATOR_CHARS || name.chars().any(char::is_control) {
        return Err(bad());
    }
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn check(token: Option<&str>, peer: &str, headers: &[(&str, &str)]) -> Result<Authority, &'static str> {
        let console_origins = ["http://127.0.0.1:8082", "http://localhost:8082"].map(str::to_owned).into();
        let access = Access { token: token.map(|token| Sha256::digest(token).into()), console_origins };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        access.check(peer.parse().ok(), &headers).map_err(|problem| problem.code().as_str())
    }

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:8081");

    #[test]
    fn loopback_may_and_others_need_the_token() {
        assert_eq!(check(None, "127.0.0.1", &[LOCAL]), Ok(Authority::Loopback));
        assert_eq!(check(None, "::1", &[("host", "[::1]:8081")]), Ok(Authority::Loopback));
        assert_eq!(check(None, "127.0.0.1", &[("host", "localhost")]), Ok(Authority::Loopback));
        assert_eq!(check(None, "10.0.0.1", &[LOCAL]), Err("token_required"));
        let forwarded = ("x-forwarded-for", "10.0.0.1");
        assert_eq!(check(None, "127.0.0.1", &[LOCAL, forwarded]), Err("token_required"));
        assert_eq!(check(None, "unknown", &[LOCAL]), Err("token_required"));
        assert_eq!(check(Some("secret-token"), "10.0.0.1", &[LOCAL]), Err("token_required"));
        let right = ("authorization", "Bearer secret-token");
        assert_eq!(check(Some("secret-token"), "10.0.0.1", &[LOCAL, right]), Ok(Authority::AdminToken));
        let wrong = ("authorization", "Bearer another");
        assert_eq!(check(Some("secret-token"), "10.0.0.1", &[LOCAL, wrong]), Err("token_wrong"));
        assert_eq!(check(Some("secret-token"), "127.0.0.1", &[LOCAL, wrong]), Err("token_wrong"));
        assert_eq!(check(None, "10.0.0.1", &[LOCAL, right]), Err("token_wrong"));
        assert_eq!(
            check(Some("secret-token"), "10.0.0.1", &[("authorization", "Basic eA==")]),
            Err("token_required")
        );
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
            assert_eq!(check(None, "127.0.0.1", headers), Err("cross_origin"), "{headers:?}");
        }
        let own = [LOCAL, ("origin", "http://127.0.0.1:8081"), ("sec-fetch-site", "same-origin")];
        assert_eq!(check(None, "127.0.0.1", &own), Ok(Authority::Loopback));
    }

    #[test]
    fn pages_of_other_nodes_can() {
        for origin in ["http://127.0.0.1:8082", "http://localhost:8082"] {
            for site in ["same-origin", "same-site", "cross-site"] {
                let headers = [LOCAL, ("origin", origin), ("sec-fetch-site", site)];
                assert_eq!(check(None, "127.0.0.1", &headers), Ok(Authority::Loopback), "{headers:?}");
            }
            let rebound = [("host", "rebound.example:8081"), ("origin", origin)];
            assert_eq!(check(None, "127.0.0.1", &rebound), Err("cross_origin"));
            assert_eq!(check(None, "10.0.0.1", &[LOCAL, ("origin", origin)]), Err("token_required"));
        }
        for origin in [
            "http://127.0.0.1:80820",
            "https://127.0.0.1:8082",
            "http://127.0.0.1:8082/",
            "HTTP://127.0.0.1:8082",
        ] {
            assert_eq!(
                check(None, "127.0.0.1", &[LOCAL, ("origin", origin)]),
                Err("cross_origin"),
                "{origin}"
            );
        }
    }

    #[test]
    fn a_token_file_is_private_and_holds_a_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let load = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Access::load(path.to_str().unwrap(), &[])
        };
        assert!(load("secret-token\n", 0o600).unwrap().token.is_some());
        assert!(load("secret-token\n", 0o644).is_err());
        assert!(load("short\n", 0o600).is_err());
        assert!(load("two words here\n", 0o600).is_err());
        assert!(Access::load("/nowhere/token", &[]).is_err());
        assert!(Access::load("", &[]).unwrap().token.is_none());
    }
}
