//! Hosts as network namespaces, with links that can be cut.
//!
//! Each host is a namespace with one interface at a bridge, which lies in a namespace of its own; the test's
//! namespace has an interface at the same bridge, so that a test can reach every host whatever links are cut.
//! Packets are dropped silently in the bridge, by nftables, without notice to either side, as with a broken
//! radio link; all links cut by one call are cut at the same moment. Nothing is forwarded anywhere else, and
//! the addresses, 10.(128+x).y.0/24, exist only on these interfaces.
//!
//! Requires Linux, root, `ip` (iproute2) and `nft` (nftables).

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::addresses::{HTTP_PORT, MAX_NODES, NodeAddress, RAFT_PORT};
use crate::left_out::leave_out;

/// Number of nets to choose from: 10.128.0.0/24 to 10.255.255.0/24.
const SLOTS: u32 = 128 * 256;
/// Maximum number of nets tried.
const ATTEMPTS: u32 = 64;
/// Last byte of the address at the test's end.
const HOST_BYTE: u8 = 254;
/// Prefix of the namespaces' names, followed by the id of the test's process and the net's number.
const PREFIX: &str = "testkit";
/// Directory of the namespaces of `ip netns`.
const NAMESPACES: &str = "/run/netns";
/// Directory of files bound over /etc by `ip netns exec`.
const OWN_FILES: &str = "/etc/netns";
/// Rules that drop packets between hosts, in the bridge's namespace.
const RULES: &str = "\
table bridge testkit {
    chain forward { type filter hook forward priority 0; policy accept; }
}
";

/// Hosts at a bridge, numbered from 0. Dropping a net removes everything.
#[derive(Debug)]
pub struct Net {
    slot: u32,
    hosts: usize,
    /// Namespaces created, the bridge's first.
    made: Vec<String>,
}

impl Net {
    /// True if this machine supports network namespaces. A test that needs a net returns early where
    /// unsupported; the reason is printed.
    ///
    /// # Panics
    ///
    /// If unsupported and `CI` is `true`: no test may be skipped in CI.
    pub fn available() -> bool {
        /// Requirements do not appear while tests run.
        static MISSING: OnceLock<Option<String>> = OnceLock::new();
        let Some(missing) = MISSING.get_or_init(|| try_out().err()) else { return true };
        leave_out("network namespaces", missing);
        false
    }

    /// Creates `hosts` hosts, all connected to each other.
    ///
    /// # Panics
    ///
    /// If the hosts cannot be created; see [`Net::available`].
    pub fn new(hosts: usize) -> Self {
        assert!(hosts <= MAX_NODES, "a net of a test has {MAX_NODES} hosts at most");
        remove_abandoned();
        let mut net = Self::with_bridge().expect("a bridge");
        for i in 0..hosts {
            net.add_host(i).expect("a host");
        }
        net
    }

    /// Returns the number of hosts.
    #[expect(clippy::len_without_is_empty, reason = "no net of a test is empty")]
    pub fn len(&self) -> usize {
        self.hosts
    }

    /// Returns the address of host `i`.
    pub fn ip(&self, i: usize) -> Ipv4Addr {
        ip_in(self.slot, u8::try_from(i + 1).expect("a net is small"))
    }

    /// Cuts the link between two hosts, both ways.
    pub fn cut(&self, i: usize, j: usize) {
        self.drop_all(&[(i, j), (j, i)], "");
    }

    /// Drops packets sent by `from` to `to`; the other direction stays open.
    pub fn cut_one_way(&self, from: usize, to: usize) {
        self.drop_all(&[(from, to)], "");
    }

    /// Cuts host `i` off from all other hosts, all links at the same moment. The test still reaches the host.
    pub fn isolate(&self, i: usize) {
        self.drop_all(&self.links_of(i), "");
    }

    /// Drops `percent` of the packets between host `i` and the others, in both directions, each packet at
    /// random.
    pub fn drop_at_random(&self, i: usize, percent: u8) {
        self.drop_all(&self.links_of(i), &chance(percent));
    }

    /// Drops `percent` of the packets of every link, in both directions, each packet at random.
    pub fn lose_at_random(&self, percent: u8) {
        let pairs =
            (0..self.hosts).flat_map(|i| (0..self.hosts).map(move |j| (i, j))).filter(|(i, j)| i != j);
        self.drop_all(&pairs.collect::<Vec<_>>(), &chance(percent));
    }

    /// Limits the rate of host `i`'s link, in each direction, until the net is dropped.
    ///
    /// # Panics
    ///
    /// If the system has no token bucket filter (`tbf`).
    pub fn throttle(&self, i: usize, kbit: u32) {
        let ends = [(self.made[0].as_str(), format!("n{}", i + 1)), (self.namespace(i), "eth0".to_owned())];
        for (namespace, interface) in ends {
            let filter = format!("root tbf rate {kbit}kbit burst 16kb latency 400ms");
            ip(&format!("netns exec {namespace} tc qdisc replace dev {interface} {filter}"))
                .expect("a token bucket filter");
        }
    }

    /// Restores all links that were cut.
    pub fn heal(&self) {
        nft(&self.made[0], "flush chain bridge testkit forward\n").expect("rules can be removed");
    }

    /// Runs `work` on a thread inside host `i` and returns its result. Sockets opened by `work` stay in the
    /// host's namespace.
    ///
    /// # Panics
    ///
    /// If `work` panics.
    pub fn inside<T: Send>(&self, i: usize, work: impl FnOnce() -> T + Send) -> T {
        let path = Path::new(NAMESPACES).join(self.namespace(i));
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                enter(&path);
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Gives programs started later in host `i` these names, and a name server without answers. Names added
    /// later take effect at once.
    ///
    /// # Panics
    ///
    /// If the files cannot be written.
    pub fn know_names(&self, i: usize, names: &[(&str, Ipv4Addr)]) {
        let folder = Path::new(OWN_FILES).join(self.namespace(i));
        fs::create_dir_all(&folder).expect("a folder for a namespace's own files");
        let names: String = names.iter().map(|(name, ip)| format!("{ip} {name}\n")).collect();
        // Written in place: a namespace with the file mounted keeps the same inode.
        fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n{names}")).expect("names");
        let nobody = ip_in(self.slot, HOST_BYTE - 1);
        fs::write(folder.join("resolv.conf"), format!("nameserver {nobody}\n")).expect("a name server");
        fs::write(folder.join("nsswitch.conf"), "hosts: files dns\n").expect("the order of names");
    }

    /// Returns the command prefix to run a program in host `i`.
    pub(crate) fn prefix(&self, i: usize) -> Vec<String> {
        ["ip", "netns", "exec", self.namespace(i)].map(str::to_owned).to_vec()
    }

    /// Returns the addresses of a node on each host.
    pub(crate) fn addresses(&self) -> Vec<NodeAddress> {
        let address = |i| NodeAddress { ip: self.ip(i), http_port: HTTP_PORT, raft_port: RAFT_PORT };
        (0..self.hosts).map(address).collect()
    }

    fn namespace(&self, i: usize) -> &str {
        &self.made[i + 1]
    }

    /// Returns both directions of every link of host `i`.
    fn links_of(&self, i: usize) -> Vec<(usize, usize)> {
        (0..self.hosts).filter(|&j| j != i).flat_map(|j| [(i, j), (j, i)]).collect()
    }

    /// Drops packets from one host to another, for each of the pairs, where `condition` holds for the packet.
    fn drop_all(&self, pairs: &[(usize, usize)], condition: &str) {
        let rule = |&(from, to): &(usize, usize)| {
            let (from, to) = (self.ip(from), self.ip(to));
            format!("add rule bridge testkit forward ip saddr {from} ip daddr {to} {condition}drop\n")
        };
        // One file is one transaction.
        nft(&self.made[0], &pairs.iter().map(rule).collect::<String>()).expect("a rule can be added");
    }

    /// Creates a bridge with an interface for the test, in the first free net.
    fn with_bridge() -> Result<Self, String> {
        let process = std::process::id();
        let mut why = String::new();
        for slot in (0..ATTEMPTS).map(|attempt| (process + attempt) % SLOTS) {
            match Self::reserve(slot) {
                Ok(net) => {
                    net.connect_test()?;
                    return Ok(net);
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Reserves a net. The interface at the test's end has a name determined by the net, so only one process
    /// can create it.
    fn reserve(slot: u32) -> Result<Self, String> {
        if ip("-4 -o addr show")?.contains(&format!("inet {}", net_of(slot))) {
            return Err(format!("{}0/24 is in use", net_of(slot)));
        }
        let mut net = Self { slot, hosts: 0, made: Vec::new() };
        let bridge = net.add_namespace("bridge")?;
        ip(&format!("link add {} type veth peer name test netns {bridge}", interface(slot)))?;
        Ok(net)
    }

    fn connect_test(&self) -> Result<(), String> {
        let (bridge, interface) = (&self.made[0], interface(self.slot));
        ip(&format!("-n {bridge} link add bridge type bridge"))?;
        ip(&format!("-n {bridge} link set bridge up"))?;
        ip(&format!("-n {bridge} link set test master bridge up"))?;
        nft(bridge, RULES)?;
        ip(&format!("addr add {}/24 dev {interface}", ip_in(self.slot, HOST_BYTE)))?;
        ip(&format!("link set {interface} up")).map(drop)
    }

    fn add_host(&mut self, i: usize) -> Result<(), String> {
        let host = self.add_namespace(&format!("n{}", i + 1))?;
        let bridge = &self.made[0];
        ip(&format!("-n {host} link add eth0 type veth peer name n{} netns {bridge}", i + 1))?;
        ip(&format!("-n {bridge} link set n{} master bridge up", i + 1))?;
        ip(&format!("-n {host} addr add {}/24 dev eth0", self.ip(i)))?;
        ip(&format!("-n {host} link set eth0 up"))?;
        ip(&format!("-n {host} link set lo up"))?;
        self.hosts += 1;
        Ok(())
    }

    fn add_namespace(&mut self, what: &str) -> Result<String, String> {
        let name = format!("{PREFIX}-{}-{}-{what}", std::process::id(), self.slot);
        ip(&format!("netns add {name}"))?;
        self.made.push(name.clone());
        Ok(name)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Interfaces disappear with their namespaces after a delay; the test's interface is removed now to
        // free its name.
        if let Some(bridge) = self.made.first() {
            let _ = ip(&format!("-n {bridge} link del test"));
        }
        for namespace in self.made.drain(..) {
            let _ = fs::remove_dir_all(Path::new(OWN_FILES).join(&namespace));
            let _ = ip(&format!("netns del {namespace}"));
        }
    }
}

/// Builds and removes a minimal net with every kind of rule.
fn try_out() -> Result<(), String> {
    let id = Command::new("id").arg("-u").output().map_err(|error| format!("id: {error}"))?;
    if id.stdout.trim_ascii() != b"0" {
        return Err("not root".to_owned());
    }
    let mut net = Net::with_bridge()?;
    net.add_host(0)?;
    let rules = "add rule bridge testkit forward ip saddr 10.0.0.1 numgen random mod 100 < 1 drop\n";
    nft(&net.made[0], rules)
}

/// Removes namespaces of killed tests, unless a process still runs inside.
fn remove_abandoned() {
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1)?.parse::<u32>().ok());
        let Some(owner) = owner else { continue };
        let gone = !Path::new("/proc").join(owner.to_string()).exists();
        if gone && ip(&format!("netns pids {name}")).is_ok_and(|pids| pids.trim().is_empty()) {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

#[cfg(target_os = "linux")]
fn enter(namespace: &Path) {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;
    let file = fs::File::open(namespace).expect("the namespace is there");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("root may enter a namespace");
}

#[cfg(not(target_os = "linux"))]
fn enter(_namespace: &Path) {
    unreachable!("Net::available says no here");
}

/// Returns the prefix `10.x.y.` of a net.
fn net_of(slot: u32) -> String {
    format!("10.{}.{}.", 128 + slot / 256, slot % 256)
}

fn ip_in(slot: u32, last: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits((10 << 24) | ((0x8000 + slot) << 8) | u32::from(last))
}

/// Returns the name of the test's end of the link to the bridge (15 characters at most).
fn interface(slot: u32) -> String {
    format!("testkit{slot}")
}

/// Runs `ip` with `arguments` and returns its output.
fn ip(arguments: &str) -> Result<String, String> {
    let mut command = Command::new("ip");
    command.args(arguments.split_whitespace());
    run(command, "")
}

/// Runs `nft` in a namespace, with `rules` as input.
fn nft(namespace: &str, rules: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "nft", "-f", "-"]);
    run(command, rules).map(drop)
}

fn run(mut command: Command, input: &str) -> Result<String, String> {
    let shown = format!("{command:?}");
    let failed = |error: std::io::Error| format!("{shown}: {error}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // A command that reads nothing may have ended before the write.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the condition of a rule that holds for `percent` of the packets.
fn chance(percent: u8) -> String {
    match percent {
        0..100 => format!("numgen random mod 100 < {percent} "),
        100 => String::new(),
        _ => panic!("{percent} percent"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::wait_for;

    /// Time limit for a packet: long enough for a busy machine, short enough to wait for a dropped packet.
    const PACKET: Duration = Duration::from_millis(200);

    fn sockets(net: &Net) -> Vec<UdpSocket> {
        (0..net.len())
            .map(|i| {
                let socket = net.inside(i, || UdpSocket::bind((net.ip(i), 4000)).unwrap());
                socket.set_read_timeout(Some(PACKET)).unwrap();
                socket
            })
            .collect()
    }

    /// True if a packet gets from one host to the other in time. A busy machine may be late with a packet, so
    /// an open link is retried until a packet arrives; packets are numbered, so that a late packet is not
    /// taken for the next.
    fn arrives(net: &Net, sockets: &[UdpSocket], from: usize, to: usize) -> bool {
        static SENT: AtomicU32 = AtomicU32::new(0);
        let packet = SENT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        sockets[from].send_to(&packet, (net.ip(to), 4000)).unwrap();
        let mut heard = [0; 4];
        while let Ok((_, source)) = sockets[to].recv_from(&mut heard) {
            if heard == packet {
                assert_eq!(source.ip(), net.ip(from));
                return true;
            }
        }
        false
    }

    fn check(net: &Net, sockets: &[UdpSocket], cut: &[(usize, usize)]) {
        for from in 0..net.len() {
            for to in (0..net.len()).filter(|&to| to != from) {
                if cut.contains(&(from, to)) {
                    assert!(!arrives(net, sockets, from, to), "{from} to {to} is not cut");
                } else {
                    let open = || arrives(net, sockets, from, to).then_some(());
                    wait_for(&format!("a packet from {from} to {to}"), open);
                }
            }
        }
    }

    #[test]
    fn links_are_cut_and_healed() {
        if !Net::available() {
            return;
        }
        let net = Net::new(3);
        let sockets = sockets(&net);
        check(&net, &sockets, &[]);
        net.cut_one_way(0, 1);
        check(&net, &sockets, &[(0, 1)]);
        net.cut(1, 2);
        check(&net, &sockets, &[(0, 1), (1, 2), (2, 1)]);
        net.heal();
        check(&net, &sockets, &[]);
        net.isolate(2);
        check(&net, &sockets, &[(0, 2), (2, 0), (1, 2), (2, 1)]);
        net.heal();
        check(&net, &sockets, &[]);
    }

    #[test]
    fn packets_are_dropped_at_random() {
        if !Net::available() {
            return;
        }
        let net = Net::new(2);
        let sockets = sockets(&net);
        check(&net, &sockets, &[]);
        net.drop_at_random(0, 50);
        for (from, to) in [(0, 1), (1, 0)] {
            for _ in 0..200 {
                sockets[from].send_to(b"x", (net.ip(to), 4000)).unwrap();
            }
            // All are on the way before the first is read: a missing packet was dropped.
            let arrived = (0..200).take_while(|_| sockets[to].recv(&mut [0; 8]).is_ok()).count();
            // 50 of 200 away from the mean of 100 is more than 7 standard deviations.
            assert!((50..=150).contains(&arrived), "{arrived} of 200 arrived");
        }
        net.heal();
        net.drop_at_random(1, 100);
        check(&net, &sockets, &[(0, 1), (1, 0)]);
    }

    #[test]
    fn the_test_reaches_an_isolated_host_and_a_cut_is_silent() {
        if !Net::available() {
            return;
        }
        let net = Net::new(2);
        let address = SocketAddr::from((net.ip(1), 8081));
        let listener = net.inside(1, || TcpListener::bind(address).unwrap());
        let open = || net.inside(0, || TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok());
        drop(wait_for("a connection between hosts", open));
        net.isolate(1);
        let error = net.inside(0, || TcpStream::connect_timeout(&address, PACKET).unwrap_err());
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "nobody says that it is cut");
        TcpStream::connect_timeout(&address, Duration::from_secs(30)).expect("the test is not cut off");
        drop(listener);
    }

    #[test]
    fn nothing_is_left_behind() {
        if !Net::available() {
            return;
        }
        let mut nets = vec![Net::new(2), Net::new(1)];
        assert_ne!(nets[0].slot, nets[1].slot);
        let names: Vec<String> = nets.iter().flat_map(|net| net.made.clone()).collect();
        let interfaces: Vec<String> = nets.iter().map(|net| interface(net.slot)).collect();
        for name in &names {
            assert!(Path::new(NAMESPACES).join(name).exists(), "{name}");
        }
        nets.clear();
        for name in &names {
            assert!(!Path::new(NAMESPACES).join(name).exists(), "{name}");
        }
        for interface in interfaces {
            assert!(!Path::new("/sys/class/net").join(&interface).exists(), "{interface}");
        }
    }

    #[test]
    fn what_a_killed_test_left_is_removed() {
        if !Net::available() {
            return;
        }
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let name = format!("{PREFIX}-{}-{SLOTS}-n1", gone.id());
        ip(&format!("netns add {name}")).unwrap();
        remove_abandoned();
        assert!(!Path::new(NAMESPACES).join(&name).exists(), "{name}");
    }
}
