//! Web origins (RFC 6454) of the configured nodes, under which browsers know the pages of the nodes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::NodeConfig;

/// The port that an origin with scheme `http` leaves out.
const DEFAULT_PORT: u16 = 80;

/// Returns a node's origin by its address.
pub(crate) fn origin(node: &NodeConfig) -> String {
    // Browsers treat an IPv4-mapped IPv6 address as a different origin.
    let host = node.ip.to_canonical();
    match node.http_port {
        DEFAULT_PORT => format!("http://{}", host.in_url()),
        port => format!("http://{}", host.with_port(port)),
    }
}

/// Returns the console's address on a node that listens on `http_port`.
pub(crate) fn console_address(node: &NodeConfig, http_port: u16) -> String {
    origin(&NodeConfig { http_port, ..node.clone() }) + "/"
}

/// Returns the source expression that lets a page call a node (Content Security Policy, level 3, section
/// 2.3.1). The grammar has no form for IPv6 addresses: such a node is allowed by its port on any host.
pub(crate) fn policy_source(node: &NodeConfig) -> String {
    if node.ip.to_canonical().address().is_some_and(|ip| ip.is_ipv6()) {
        format!("http://*:{}", node.http_port)
    } else {
        origin(node)
    }
}

/// Returns the origins of the nodes on loopback, whose pages come from this machine.
pub(crate) fn on_loopback(nodes: &[NodeConfig]) -> Vec<String> {
    let nodes: Vec<_> = nodes.iter().filter(|node| node.ip.is_loopback()).cloned().collect();
    all(&nodes)
}

/// Returns every origin of every node, in order and without duplicates: nodes at 127.0.0.1 and ::1 have
/// `localhost` too.
pub(crate) fn all(nodes: &[NodeConfig]) -> Vec<String> {
    let mut all = Vec::new();
    for node in nodes {
        all.push(origin(node));
        let is_localhost = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if node.ip.to_canonical().address().is_some_and(|ip| is_localhost.contains(&ip)) {
            all.push(match node.http_port {
                DEFAULT_PORT => "http://localhost".to_owned(),
                port => format!("http://localhost:{port}"),
            });
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
        let check = |ip: &str, port, want: &str| assert_eq!(origin(&node(ip, port)), want);
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
        let check = |ip: &str, port, want: &str| assert_eq!(policy_source(&node(ip, port)), want);
        check("172.20.10.2", 8081, "http://172.20.10.2:8081");
        check("fd00::1", 8081, "http://*:8081");
        check("node-1.lan", 8081, "http://node-1.lan:8081");
        check("::ffff:10.0.0.1", 80, "http://10.0.0.1");
    }

    #[test]
    fn only_pages_of_this_machine_are_on_loopback() {
        let nodes = [node("10.0.0.1", 8081), node("127.0.0.1", 8082), node("127.0.0.2", 8083)];
        assert_eq!(
            on_loopback(&nodes),
            ["http://127.0.0.1:8082", "http://127.0.0.2:8083", "http://localhost:8082"]
        );
    }

    #[test]
    fn nodes_on_loopback_are_localhost_too() {
        let check = |nodes: &[NodeConfig], want: &[&str]| assert_eq!(all(nodes), want);
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
}
