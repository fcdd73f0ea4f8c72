//! The origins (RFC 6454) of the configured nodes, under which browsers know the pages that they serve.

use std::net::SocketAddr;

use crate::config::NodeConfig;

/// The port that an origin with `http` does not name.
const DEFAULT_PORT: u16 = 80;

/// A node's origin by its address.
pub(super) fn origin(node: &NodeConfig) -> String {
    // The address as such: its text has brackets and port where they belong.
    match node.http_port {
        DEFAULT_PORT if node.ip.is_ipv6() => format!("http://[{}]", node.ip),
        DEFAULT_PORT => format!("http://{}", node.ip),
        port => format!("http://{}", SocketAddr::new(node.ip, port)),
    }
}

/// Every origin of every node: those on loopback are known as `localhost` too.
pub(super) fn all(nodes: &[NodeConfig]) -> Vec<String> {
    let mut all = Vec::new();
    for node in nodes {
        all.push(origin(node));
        if node.ip.is_loopback() {
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
