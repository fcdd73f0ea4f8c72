//! Web origins (RFC 6454) of the configured nodes, under which browsers know the pages of the nodes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{NodeConfig, SecurityConfig};

/// Scheme of the nodes' pages: `https` for nodes with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme under `config`, which counts for all nodes.
    pub(crate) fn of(config: &SecurityConfig) -> Self {
        if config.tls_cert.is_empty() { Self::Http } else { Self::Https }
    }

    /// Name in a URL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that an origin leaves out.
    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The origin of a host; `with_port` has the port.
    fn origin(self, host: &str, with_port: &str, port: u16) -> String {
        let authority = if port == self.default_port() { host } else { with_port };
        format!("{}://{authority}", self.as_str())
    }
}

/// Returns a node's origin by its address.
pub(crate) fn origin(node: &NodeConfig, scheme: Scheme) -> String {
    // Browsers treat an IPv4-mapped IPv6 address as a different origin.
    let host = node.ip.to_canonical();
    scheme.origin(&host.in_url().to_string(), &host.with_port(node.http_port).to_string(), node.http_port)
}

/// Returns the console's address on a node that listens on `http_port`.
pub(crate) fn console_address(node: &NodeConfig, http_port: u16, scheme: Scheme) -> String {
    origin(&NodeConfig { http_port, ..node.clone() }, scheme) + "/"
}

/// Returns the source expression that lets a page call a node (Content Security Policy, level 3, section
/// 2.3.1). The grammar has no form for IPv6 addresses: such a node is allowed by its port on any host.
pub(crate) fn policy_source(node: &NodeConfig, scheme: Scheme) -> String {
    if node.ip.to_canonical().address().is_some_and(|ip| ip.is_ipv6()) {
        format!("{}://*:{}", scheme.as_str(), node.http_port)
    } else {
        origin(node, scheme)
    }
}

/// Returns the origins of the nodes on loopback, whose pages come from this machine.
pub(crate) fn on_loopback(nodes: &[NodeConfig], scheme: Scheme) -> Vec<String> {
    let nodes: Vec<_> = nodes.iter().filter(|node| node.ip.is_loopback()).cloned().collect();
    all(&nodes, scheme)
}

/// Returns every origin of every node, in order and without duplicates: nodes at 127.0.0.1 and ::1 have
/// `localhost` too.
pub(crate) fn all(nodes: &[NodeConfig], scheme: Scheme) -> Vec<String> {
    let mut all = Vec::new();
    for node in nodes {
        all.push(origin(node, scheme));
        let is_localhost = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if node.ip.to_canonical().address().is_some_and(|ip| is_localhost.contains(&ip)) {
            let with_port = format!("localhost:{}", node.http_port);
            all.push(scheme.origin("localhost", &with_port, node.http_port));
        }
    }
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ip: &str, http_port: u16) -> NodeConfig {
        NodeConfig { id: "n1".into(), ip: ip.parse().unwrap(), bind_ip: None, http_port, raft_port: 5001 }
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        let check = |ip: &str, port, want: &str| assert_eq!(origin(&node(ip, port), Scheme::Http), want);
        check("172.20.10.2", 8081, "http://172.20.10.2:8081");
        check("172.20.10.2", 80, "http://172.20.10.2");
        check("fd00:0:0::1", 8081, "http://[fd00::1]:8081");
        check("FD00::1", 80, "http://[fd00::1]");
        // 443 is the default of another scheme.
        check("::1", 443, "http://[::1]:443");
        check("::ffff:10.0.0.1", 8081, "http://10.0.0.1:8081");
        check("Node-1.lan", 8081, "http://node-1.lan:8081");
        check("node-1.lan", 80, "http://node-1.lan");
    }

    #[test]
    fn a_policy_has_no_addresses_of_ipv6() {
        let check =
            |ip: &str, port, want: &str| assert_eq!(policy_source(&node(ip, port), Scheme::Http), want);
        check("172.20.10.2", 8081, "http://172.20.10.2:8081");
        check("fd00::1", 8081, "http://*:8081");
        check("node-1.lan", 8081, "http://node-1.lan:8081");
        check("::ffff:10.0.0.1", 80, "http://10.0.0.1");
    }

    #[test]
    fn only_pages_of_this_machine_are_on_loopback() {
        let nodes = [node("10.0.0.1", 8081), node("127.0.0.1", 8082), node("127.0.0.2", 8083)];
        assert_eq!(
            on_loopback(&nodes, Scheme::Http),
            ["http://127.0.0.1:8082", "http://127.0.0.2:8083", "http://localhost:8082"]
        );
    }

    #[test]
    fn nodes_on_loopback_are_localhost_too() {
        let check = |nodes: &[NodeConfig], want: &[&str]| assert_eq!(all(nodes, Scheme::Http), want);
        check(&[], &[]);
        check(&[node("10.0.0.1", 8081)], &["http://10.0.0.1:8081"]);
        check(&[node("127.0.0.1", 80)], &["http://127.0.0.1", "http://localhost"]);
        check(
            &[node("127.0.0.1", 8081), node("127.0.0.2", 8081), node("::1", 8083)],
            &[
                "http://127.0.0.1:8081",
                "http://127.0.0.2:8081",
                "http://[::1]:8083",
                "http://localhost:8081",
                "http://localhost:8083",
            ],
        );
    }

    #[test]
    fn nodes_with_a_certificate_have_another_scheme() {
        let config = SecurityConfig { tls_cert: "node.crt".into(), ..SecurityConfig::default() };
        let scheme = Scheme::of(&config);
        assert_eq!(Scheme::of(&SecurityConfig::default()), Scheme::Http);
        assert_eq!(origin(&node("10.0.0.1", 443), scheme), "https://10.0.0.1");
        assert_eq!(origin(&node("10.0.0.1", 80), scheme), "https://10.0.0.1:80");
        assert_eq!(console_address(&node("10.0.0.1", 1), 8081, scheme), "https://10.0.0.1:8081/");
        assert_eq!(policy_source(&node("fd00::1", 8081), scheme), "https://*:8081");
        assert_eq!(
            all(&[node("127.0.0.1", 8081)], scheme),
            ["https://127.0.0.1:8081", "https://localhost:8081"]
        );
    }
}
