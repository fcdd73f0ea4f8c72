//! Addresses reserved for one test.
//!
//! Tests run in many processes at once (nextest), and a cluster needs to know its ports before the start. All
//! of 127.0.0.0/8 is loopback on Linux, so each cluster gets hosts of its own there, chosen by the id of the
//! test's process, and every node keeps the usual ports. A UDP socket on each host's Raft port, unused by
//! nodes, holds the reservation for the lifetime of [`Addresses`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Maximum number of nodes of a cluster.
pub const MAX_NODES: usize = 14;
/// Ports of every node with a host of its own.
pub(crate) const HTTP_PORT: u16 = 8081;
pub(crate) const RAFT_PORT: u16 = 5001;

/// Blocks of 16 hosts in each 127.a.b.0/24.
const BLOCKS_PER_NET: u32 = 16;
/// Nets 127.1.0.0/24 to 127.254.255.0/24; the commonly used 127.0.0.0/16 is left out.
const NETS: u32 = 254 * 256;
/// Maximum number of blocks tried.
const ATTEMPTS: u32 = 64;

/// Addresses of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeAddress {
    /// The host.
    pub ip: Ipv4Addr,
    /// The port of the HTTP API.
    pub http_port: u16,
    /// The port of connections between nodes.
    pub raft_port: u16,
}

/// The addresses of one cluster, reserved until dropped.
#[derive(Debug)]
pub struct Addresses {
    nodes: Vec<NodeAddress>,
    _reserved: Vec<UdpSocket>,
}

impl NodeAddress {
    /// Returns the socket address of the HTTP API.
    pub fn http(self) -> SocketAddr {
        (self.ip, self.http_port).into()
    }

    /// Returns the socket address of the Raft port.
    pub fn raft(self) -> SocketAddr {
        (self.ip, self.raft_port).into()
    }
}

impl Addresses {
    /// Reserves addresses for `count` nodes, each on a host of its own; on a system with a single loopback
    /// address (macOS), on free ports of that address.
    ///
    /// # Panics
    ///
    /// If `count` is above [`MAX_NODES`], or if no addresses are free.
    pub fn reserve(count: usize) -> Self {
        assert!(count <= MAX_NODES, "a cluster of a test has {MAX_NODES} nodes at most");
        /// Blocks requested by this process so far, so that each search starts at a fresh block.
        static ASKED: AtomicU32 = AtomicU32::new(0);
        for _ in 0..ATTEMPTS {
            let block = ASKED.fetch_add(1, Ordering::Relaxed);
            if let Ok(addresses) = Self::on_hosts(count, std::process::id(), block) {
                return addresses;
            }
        }
        Self::on_ports(count).expect("free addresses on loopback")
    }

    /// Address of each node.
    pub fn nodes(&self) -> &[NodeAddress] {
        &self.nodes
    }

    fn on_hosts(count: usize, process: u32, block: u32) -> io::Result<Self> {
        let nodes = (0..count).map(|i| NodeAddress {
            ip: host(process, block, i),
            http_port: HTTP_PORT,
            raft_port: RAFT_PORT,
        });
        Self::hold(nodes.collect())
    }

    fn on_ports(count: usize) -> io::Result<Self> {
        // All are open at the same time, so that no two are the same.
        let open = (0..2 * count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let open = open.collect::<io::Result<Vec<_>>>()?;
        let ports = open.iter().map(|l| Ok(l.local_addr()?.port())).collect::<io::Result<Vec<_>>>()?;
        drop(open);
        let nodes = ports.chunks_exact(2).map(|pair| NodeAddress {
            ip: Ipv4Addr::LOCALHOST,
            http_port: pair[0],
            raft_port: pair[1],
        });
        Self::hold(nodes.collect())
    }

    /// Reserves the addresses and checks that nothing listens on them.
    fn hold(nodes: Vec<NodeAddress>) -> io::Result<Self> {
        let reserved = nodes.iter().map(|node| UdpSocket::bind(node.raft())).collect::<io::Result<_>>()?;
        for node in &nodes {
            TcpListener::bind(node.http())?;
            TcpListener::bind(node.raft())?;
        }
        Ok(Self { nodes, _reserved: reserved })
    }
}

/// Returns host `i` of block `block` of a process.
fn host(process: u32, block: u32, i: usize) -> Ipv4Addr {
    let net = (process + block / BLOCKS_PER_NET) % NETS;
    let last = (block % BLOCKS_PER_NET) * 16 + 1 + u32::try_from(i).expect("a cluster is small");
    Ipv4Addr::from_bits((127 << 24) | ((net + 256) << 8) | last)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn clusters_share_no_address() {
        let clusters: Vec<Addresses> = (0..20).map(|_| Addresses::reserve(MAX_NODES)).collect();
        let all: HashSet<NodeAddress> = clusters.iter().flat_map(|c| c.nodes().iter().copied()).collect();
        assert_eq!(all.len(), 20 * MAX_NODES);
        for node in all {
            assert!(node.ip.is_loopback() && node.http() != node.raft(), "{node:?}");
            TcpListener::bind(node.http()).expect("a reservation leaves TCP alone");
        }
    }

    #[test]
    fn an_address_in_use_is_passed_over() {
        let held = Addresses::reserve(3);
        let error = Addresses::hold(held.nodes().to_vec()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);

        let nodes = held.nodes().to_vec();
        drop(held);
        let listener = TcpListener::bind(nodes[1].raft()).unwrap();
        assert!(Addresses::hold(nodes.clone()).is_err(), "something listens on {}", nodes[1].raft());
        drop(listener);
        Addresses::hold(nodes).expect("free again");
    }

    #[test]
    fn one_host_is_enough_where_there_is_only_one() {
        let addresses = Addresses::on_ports(3).unwrap();
        let ports: HashSet<u16> =
            addresses.nodes().iter().flat_map(|node| [node.http_port, node.raft_port]).collect();
        assert_eq!(ports.len(), 6);
    }

    #[test]
    fn every_process_id_has_hosts() {
        for process in [1, 255, 256, 32_768, NETS - 1, NETS, 4_194_304, u32::MAX / 2] {
            for block in [0, 15, 16, 17, 100_000] {
                let octets = host(process, block, MAX_NODES - 1).octets();
                assert_eq!(octets[0], 127);
                assert!((1..=254).contains(&octets[1]), "{octets:?}");
            }
        }
        assert_ne!(host(1, 15, MAX_NODES - 1), host(1, 16, 0));
    }
}
