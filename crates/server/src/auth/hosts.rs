//! Host names and addresses of a node, as accepted in requests.
//!
//! A foreign page can make its own name resolve to a node (DNS rebinding): the browser then treats the node
//! as the page's own server. Only the request's host reveals the attack, so a node refuses every foreign
//! host.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version, header};
use control_plane::Host;

use crate::config::NodeConfig;

/// The hosts of one node. Loopback and the local address of the connection are always included.
#[derive(Debug)]
pub(crate) struct Hosts(Vec<Host>);

/// Refusal of a request by its host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// HTTP/1.1 without a Host header.
    #[error("a request of HTTP/1.1 needs the header Host (RFC 9112, section 3.2)")]
    Missing,
    /// More than one Host header.
    #[error("the header Host is given more than once (RFC 9112, section 3.2)")]
    Repeated,
    /// A value other than a host with an optional port.
    #[error("the request's host is neither a host name nor an address")]
    Malformed,
    /// A host of another node or name.
    #[error(
        "this node does not answer to the host `{0}`; if it is a name of the node or of a proxy in front of it, add it to \
         security.hosts in the configuration"
    )]
    Unknown(Host),
}

impl Hosts {
    /// Combines the hosts of `node` with the `more` configured ones.
    pub(crate) fn new(node: &NodeConfig, more: &[Host]) -> Self {
        let bound = node.bind_ip.map(Host::from);
        let own = std::iter::once(node.ip.clone()).chain(bound);
        Self(own.chain(more.iter().cloned()).map(|host| host.to_canonical()).collect())
    }

    /// Checks the host of a request. `local` is this node's address of the connection.
    ///
    /// # Errors
    /// A [`HostError`] for a missing, repeated, malformed or foreign host.
    pub(super) fn check(
        &self,
        version: Version,
        target: &Uri,
        headers: &HeaderMap,
        local: Option<IpAddr>,
    ) -> Result<(), HostError> {
        let mut given = headers.get_all(header::HOST).iter();
        let header = given.next();
        if given.next().is_some() {
            return Err(HostError::Repeated);
        }
        if header.is_none() && version >= Version::HTTP_11 {
            return Err(HostError::Missing);
        }
        // A target in absolute form overrides the header (RFC 9112, section 3.2.2).
        let authority = match (target.authority(), header) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(value)) => value.to_str().map_err(|_| HostError::Malformed)?,
            // HTTP/1.0, which no browser speaks.
            (None, None) => return Ok(()),
        };
        let host = host_of(authority).ok_or(HostError::Malformed)?.to_canonical();
        let is_local =
            || host.address().is_some_and(|ip| local.is_some_and(|local| local.to_canonical() == ip));
        if host.is_loopback() || self.0.contains(&host) || is_local() {
            return Ok(());
        }
        Err(HostError::Unknown(host))
    }
}

/// The host in `host` or `host:port`; an IPv6 address is in brackets.
fn host_of(authority: &str) -> Option<Host> {
    let authority: Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    match host.strip_prefix('[') {
        Some(bracketed) => Some(Host::Address(IpAddr::V6(bracketed.strip_suffix(']')?.parse().ok()?))),
        None => host.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const OWN: &str = "172.20.10.2";

    fn check_with(version: Version, target: &str, hosts: &[&str], expected: &str) {
        let node = NodeConfig {
            id: "n1".into(),
            ip: OWN.parse().unwrap(),
            bind_ip: Some("fd00::2".parse().unwrap()),
            http_port: 8081,
            raft_port: 5001,
        };
        let more = ["stego.example.com".parse().unwrap(), "198.51.100.7".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        let local = "::ffff:10.0.0.9".parse().ok();
        let result = Hosts::new(&node, &more).check(version, &target.parse().unwrap(), &headers, local);
        let found = match result {
            Ok(()) => "served",
            Err(HostError::Missing) => "missing",
            Err(HostError::Repeated) => "repeated",
            Err(HostError::Malformed) => "malformed",
            Err(HostError::Unknown(_)) => "unknown",
        };
        assert_eq!(found, expected, "{version:?} {target} {hosts:?}");
    }

    #[test]
    fn a_node_answers_to_its_own_hosts() {
        let check = |host: &str, expected| check_with(Version::HTTP_11, "/", &[host], expected);
        for own in [
            "172.20.10.2",
            "172.20.10.2:8081",
            "172.20.10.2:80",
            "[fd00::2]:8081",
            "[FD00:0::2]",
            "[::ffff:172.20.10.2]:8081",
            "localhost:8081",
            "LOCALHOST",
            "console.localhost",
            "127.0.0.1:8081",
            "127.1.2.3",
            "[::1]:8081",
            "10.0.0.9:8081",
            "stego.example.com",
            "Stego.Example.com.:443",
            "198.51.100.7",
        ] {
            check(own, "served");
        }
        for other in [
            "evil.example",
            "evil.example:8081",
            "172.20.10.3:8081",
            "10.0.0.8",
            "[fd00::3]",
            "n1",
            "example.com",
        ] {
            check(other, "unknown");
        }
        for text in [
            "",
            ":8081",
            "a b",
            "user@localhost",
            "localhost/",
            "[::1",
            "fd00::2",
            "300.0.0.1",
            "localhost,evil",
        ] {
            check(text, "malformed");
        }
    }

    #[test]
    fn a_target_in_absolute_form_beats_the_header() {
        let check = |target, hosts: &[&str], expected| check_with(Version::HTTP_11, target, hosts, expected);
        check("http://localhost:8081/livez", &["evil.example"], "served");
        check("http://evil.example/livez", &["localhost"], "unknown");
        check("http://localhost/", &[], "missing");
    }

    #[test]
    fn the_header_is_there_once() {
        check_with(Version::HTTP_11, "/", &[], "missing");
        check_with(Version::HTTP_10, "/", &[], "served");
        check_with(Version::HTTP_10, "/", &["evil.example"], "unknown");
        check_with(Version::HTTP_11, "/", &["localhost", "localhost"], "repeated");
    }
}
