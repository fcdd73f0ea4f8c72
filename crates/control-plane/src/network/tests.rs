//! Nodes on loopback.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::frame::MAX_FRAME_BYTES;
use super::links::{Loss, Unsent};
use super::listener::Limits;
use super::*;
use crate::secret::ClusterSecret;

/// Longer than any step of a test.
const AMPLE: Duration = Duration::from_secs(60);

fn ample() -> Instant {
    Instant::now() + AMPLE
}

fn identity(node: &str, secret: u8) -> Arc<Credentials> {
    Arc::new(Credentials::new("phase1", node, ClusterSecret::from_bytes([secret; 32])))
}

/// The node n2, with connections handled by the test.
struct Node {
    address: SocketAddr,
    pause: Pause,
    stop: CancellationToken,
    run: JoinHandle<io::Result<()>>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    table: Arc<ConnectionTable>,
}

fn bind(address: SocketAddr, rules: ConnectionLimits, pause: Pause) -> io::Result<Listener> {
    let names = ["n1", "n3"].map(str::to_owned).to_vec();
    // All are on loopback, unauthenticated peers too.
    let peers = KnownPeers { names, has_address: Box::new(|_| false) };
    Listener::bind(address, identity("n2", 7), peers, rules, pause)
}

impl Node {
    fn start() -> Self {
        Self::start_with(|_, _| {})
    }

    fn start_with(adjust: impl FnOnce(&mut ConnectionLimits, &mut Limits)) -> Self {
        let (pause, stop) = (Pause::new(), CancellationToken::new());
        let mut rules = ConnectionLimits::new(32, 8);
        let mut limits = Limits::default();
        adjust(&mut rules, &mut limits);
        let mut listener = bind("127.0.0.1:0".parse().unwrap(), rules, pause.clone()).unwrap();
        listener.limits = limits;
        let (address, table) = (listener.local_addr().unwrap(), listener.table());
        let (sender, incoming) = mpsc::unbounded_channel();
        let handle = move |arrived| drop(sender.send(arrived));
        let run = tokio::spawn(listener.run(handle, stop.clone()));
        Self { address, pause, stop, run, incoming, table }
    }

    /// Waits for these numbers of pending and authenticated connections.
    async fn wait_for(&self, pending: usize, members: usize) {
        let counts = || (self.table.figures().pending, self.table.figures().authenticated);
        while counts() != (pending, members) {
            tokio::task::yield_now().await;
        }
    }

    fn closed(&self, reason: &str) -> u64 {
        self.table.figures().closed.iter().find(|(name, _)| *name == reason).unwrap().1
    }

    async fn next(&mut self) -> Channel {
        self.incoming.recv().await.unwrap().channel
    }

    /// Takes the waiting connections and returns the count.
    fn waiting(&mut self) -> usize {
        std::iter::from_fn(|| self.incoming.try_recv().ok()).count()
    }

    /// Returns n1's links to this node.
    fn links(&self) -> Links {
        self.links_with(7)
    }

    fn links_with(&self, secret: u8) -> Links {
        links(secret, self.address)
    }
}

fn links(secret: u8, address: SocketAddr) -> Links {
    links_of("n1", secret, address)
}

fn links_of(name: &str, secret: u8, address: SocketAddr) -> Links {
    links_between(name, "n2", secret, address)
}

fn links_to(name: &str, secret: u8, address: SocketAddr) -> Links {
    links_between("n1", name, secret, address)
}

fn links_between(name: &str, peer: &str, secret: u8, address: SocketAddr) -> Links {
    let peer = (peer.to_owned(), address.ip().into(), address.port());
    let resolver: Arc<dyn Resolve> = Arc::new(SystemResolver);
    Links::new(identity(name, secret), [peer], Pause::new(), &resolver).unwrap()
}

/// Resolver with answers scripted by the test; blocks until the next answer.
struct Told(std::sync::Mutex<std::sync::mpsc::Receiver<io::Result<Vec<IpAddr>>>>);

impl Resolve for Told {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        assert_eq!(name, "n2.example");
        let answer = self.0.lock().unwrap().recv();
        answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Returns links to n2 by name, and a function for the resolver's answers.
fn links_by_name(port: u16) -> (Links, impl Fn(&[&str])) {
    let (tell, told) = std::sync::mpsc::channel();
    let resolver: Arc<dyn Resolve> = Arc::new(Told(std::sync::Mutex::new(told)));
    let peer = ("n2".to_owned(), "n2.example".parse().unwrap(), port);
    let links = Links::new(identity("n1", 7), [peer], Pause::new(), &resolver).unwrap();
    (links, move |ips: &[&str]| tell.send(Ok(ips.iter().map(|ip| ip.parse().unwrap()).collect())).unwrap())
}

/// Dials until the outcome is as wanted.
async fn dial_until(links: &Links, wanted: impl Fn(&Result<(), CallError>) -> bool) {
    let deadline = ample();
    loop {
        let dialled = links.dial("n2", Purpose::Probe, ample()).await.map(drop);
        if wanted(&dialled) {
            return;
        }
        assert!(Instant::now() < deadline, "{dialled:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Answers each request with the successor of the number.
async fn count_up(channel: &mut Channel) -> FrameError {
    loop {
        let number: u64 = match channel.recv().await {
            Ok(number) => number,
            Err(error) => return error,
        };
        if let Err(error) = channel.send(&(number + 1)).await {
            return error;
        }
    }
}

async fn call(links: &Links, number: u64) -> Result<u64, CallError> {
    links.call("n2", &number, Delivery::AtLeastOnce, ample()).await
}

/// Calls and answers one request on this channel.
async fn call_answered_by(links: &Links, channel: &mut Channel) {
    let (answer, ()) = tokio::join!(call(links, 1), async {
        let number: u64 = channel.recv().await.unwrap();
        channel.send(&(number + 1)).await.unwrap();
    });
    assert_eq!(answer.unwrap(), 2);
}

/// Calls over a new connection, kept afterwards, and returns the other end.
async fn call_on_a_new_connection(links: &Links, node: &mut Node) -> Channel {
    let (answer, channel) = tokio::join!(call(links, 1), async {
        let mut channel = node.next().await;
        let number: u64 = channel.recv().await.unwrap();
        channel.send(&(number + 1)).await.unwrap();
        channel
    });
    assert_eq!(answer.unwrap(), 2);
    channel
}

#[tokio::test]
async fn calls_share_a_connection_one_after_the_other() {
    let mut node = Node::start();
    let links = node.links();
    let mut channel = call_on_a_new_connection(&links, &mut node).await;
    for _ in 0..3 {
        call_answered_by(&links, &mut channel).await;
    }
    assert_eq!(node.waiting(), 0);
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_mix_and_few_connections_are_kept() {
    let mut node = Node::start();
    let links = node.links();
    let calls = (0..20).map(|number| {
        let links = links.clone();
        tokio::spawn(async move { (number, call(&links, number).await.unwrap()) })
    });
    let calls: Vec<_> = calls.collect();
    // No answer before all requests have arrived: each call has a dedicated connection.
    let mut channels = Vec::new();
    for _ in 0..20 {
        channels.push(node.next().await);
    }
    let servers: Vec<_> = channels
        .into_iter()
        .map(|mut channel| tokio::spawn(async move { count_up(&mut channel).await }))
        .collect();
    for call in calls {
        let (number, answer) = call.await.unwrap();
        assert_eq!(answer, number + 1);
    }
    // All but eight were closed; the rest go with the links.
    while servers.iter().filter(|server| server.is_finished()).count() < 12 {
        tokio::task::yield_now().await;
    }
    assert_eq!(servers.iter().filter(|server| !server.is_finished()).count(), 8);
    drop(links);
    for server in servers {
        assert!(matches!(server.await.unwrap(), FrameError::Closed));
    }
}

#[tokio::test]
async fn the_listener_learns_who_calls_and_what_for() {
    let mut node = Node::start();
    let links = node.links();
    for purpose in [Purpose::Rpc, Purpose::Probe, Purpose::Snapshot] {
        let mut channel = links.dial("n2", purpose, ample()).await.unwrap();
        let mut incoming = node.incoming.recv().await.unwrap();
        assert_eq!((incoming.purpose, incoming.peer_name.as_str()), (purpose, "n1"));
        channel.send_bytes(&[0, 159, 146, 150]).await.unwrap();
        assert_eq!(incoming.channel.recv_bytes().await.unwrap().as_ref(), [0, 159, 146, 150]);
    }
}

#[tokio::test]
async fn sending_does_not_wait_for_answers() {
    let mut node = Node::start();
    let (mut sender, mut receiver) = node.links().dial("n2", Purpose::Probe, ample()).await.unwrap().split();
    let mut far = node.next().await;
    for number in 0..5_u64 {
        sender.send(&number).await.unwrap();
    }
    let server = tokio::spawn(async move { count_up(&mut far).await });
    for number in 0..5_u64 {
        assert_eq!(receiver.recv::<u64>().await.unwrap(), number + 1);
    }
    drop(sender);
    assert!(matches!(server.await.unwrap(), FrameError::Closed));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let mut node = Node::start();
    let links = node.links();
    for _ in 0..3 {
        drop(call_on_a_new_connection(&links, &mut node).await);
    }
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    // n2 hangs up when it has read the second request of a connection.
    async fn hang_up(mut channel: Channel) {
        channel.recv::<u64>().await.unwrap();
    }
    let mut node = Node::start();
    let links = node.links();

    let kept = call_on_a_new_connection(&links, &mut node).await;
    let (again, _) = tokio::join!(call_on_a_new_connection(&links, &mut node), hang_up(kept));

    let (once, ()) =
        tokio::join!(links.call::<u64, u64>("n2", &1, Delivery::AtMostOnce, ample()), hang_up(again));
    let once = once.unwrap_err();
    assert!(
        matches!(&once, CallError::Lost { source: Loss::Connection(FrameError::Closed), .. }),
        "{once:?}"
    );
    assert_eq!(once.to_string(), "no answer from n2");
    assert_eq!(node.waiting(), 0, "not sent again");

    // A fresh connection that fails is not tried again, whatever the request.
    let (fresh, ()) = tokio::join!(call(&links, 1), async { hang_up(node.next().await).await });
    assert!(matches!(fresh, Err(CallError::Lost { .. })));
    assert_eq!(node.waiting(), 0);
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_was_lost() {
    let mut node = Node::start();
    let links_to_node = node.links();
    let unsent = |error: CallError| match error {
        CallError::NotSent { peer, source } => (peer, source.to_string()),
        other => panic!("{other:?}"),
    };
    let check = async |peer: &str, links: &Links, deadline: Instant, expected: &str| {
        let error = links.call::<u64, u64>(peer, &1, Delivery::AtLeastOnce, deadline).await.unwrap_err();
        assert_eq!(unsent(error), (peer.to_owned(), expected.to_owned()));
    };
    check("n9", &links_to_node, ample(), "not in this node's configuration").await;
    check("n2", &links_to_node, Instant::now(), "no connection before the deadline").await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check("n2", &links(7, nobody), ample(), &format!("cannot connect to {nobody}")).await;
    let too_long = "x".repeat(MAX_FRAME_BYTES);
    let error =
        links_to_node.call::<_, u64>("n2", &too_long, Delivery::AtLeastOnce, ample()).await.unwrap_err();
    assert_eq!(unsent(error).1, "a frame of 16777218 bytes is longer than 16777216");

    // A kept connection and no answer: lost, unless the deadline was over before.
    let mut silent = call_on_a_new_connection(&links_to_node, &mut node).await;
    check("n2", &links_to_node, Instant::now(), "no connection before the deadline").await;
    let lost = links_to_node
        .call::<u64, u64>("n2", &5, Delivery::AtLeastOnce, Instant::now() + Duration::from_secs(1))
        .await;
    assert!(matches!(lost, Err(CallError::Lost { source: Loss::Deadline, .. })), "{lost:?}");
    assert_eq!(silent.recv::<u64>().await.unwrap(), 5);
    assert!(matches!(silent.recv::<u64>().await, Err(FrameError::Closed)), "it is not used again");
}

#[tokio::test]
async fn a_refusal_says_who_and_why() {
    let mut node = Node::start();
    let address = node.address;
    let refused = call(&node.links_with(8), 1).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("peer n2 at {address} does not know this cluster's key"));
    let n3 = links_to("n3", 7, address);
    let refused = n3.dial("n3", Purpose::Probe, ample()).await.map(drop).unwrap_err();
    assert!(matches!(refused, CallError::Refused { .. }));
    assert_eq!(refused.to_string(), format!("peer n3 at {address} is n2, not n3"));
    assert_eq!(node.waiting(), 0);
}

#[tokio::test]
async fn a_redial_never_waits_for_a_resolver() {
    let node = Node::start();
    let (links, tell) = links_by_name(node.address.port());
    let started = Instant::now();
    let dialled = links.dial("n2", Purpose::Probe, ample()).await.map(drop);
    assert!(
        matches!(&dialled, Err(CallError::NotSent { source: Unsent::Unresolved { name }, .. }) if name == "n2.example"),
        "{dialled:?}"
    );
    tell(&["127.0.0.1"]);
    dial_until(&links, Result::is_ok).await;
    // A failure triggers a lookup of the name, which hangs; the last known address stays in use.
    node.pause.pause();
    let dialled = links.dial("n2", Purpose::Probe, Instant::now() + Duration::from_millis(50)).await;
    assert!(dialled.is_err());
    node.pause.resume();
    for _ in 0..20 {
        dial_until(&links, Result::is_ok).await;
    }
    assert!(started.elapsed() < AMPLE);
}

#[tokio::test]
async fn a_peer_that_moved_is_found_under_its_name() {
    let node = Node::start();
    let (links, tell) = links_by_name(node.address.port());
    tell(&["127.0.0.2"]);
    dial_until(&links, |dialled| dialled.as_ref().is_err_and(CallError::is_port_closed)).await;
    tell(&["127.0.0.1"]);
    dial_until(&links, Result::is_ok).await;
}

#[tokio::test]
async fn every_address_of_a_name_is_dialled() {
    let node = Node::start();
    let (links, tell) = links_by_name(node.address.port());
    // The port at the first address is closed, which is no evidence of a dead node.
    tell(&["127.0.0.2", "127.0.0.3", "127.0.0.1"]);
    dial_until(&links, |dialled| {
        assert!(!dialled.as_ref().is_err_and(CallError::is_port_closed));
        dialled.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_given_up_takes_its_connection_with_it() {
    let mut node = Node::start();
    let links = node.links();
    let mut channel = call_on_a_new_connection(&links, &mut node).await;
    tokio::select! {
        biased;
        _ = call(&links, 8) => panic!("nobody answers"),
        number = channel.recv::<u64>() => assert_eq!(number.unwrap(), 8),
    }
    assert!(matches!(channel.recv::<u64>().await, Err(FrameError::Closed)));
    drop(call_on_a_new_connection(&links, &mut node).await);
}

#[tokio::test]
async fn a_paused_caller_reaches_nobody_until_it_resumes() {
    let mut node = Node::start();
    let links = node.links();
    let mut kept = call_on_a_new_connection(&links, &mut node).await;
    let mut dedicated = links.dial("n2", Purpose::Probe, ample()).await.unwrap();
    let _far = node.next().await;

    links.pause();
    assert!(matches!(kept.recv::<u64>().await, Err(FrameError::Closed)));
    assert!(matches!(dedicated.send(&1).await, Err(FrameError::Paused)));
    let called = links
        .call::<u64, u64>("n2", &1, Delivery::AtLeastOnce, Instant::now() + Duration::from_millis(20))
        .await;
    assert!(matches!(called, Err(CallError::NotSent { source: Unsent::Deadline, .. })), "{called:?}");
    assert_eq!(node.waiting(), 0);

    links.resume();
    drop(call_on_a_new_connection(&links, &mut node).await);
}

#[tokio::test]
async fn a_paused_listener_lets_nobody_in_until_it_resumes() {
    let mut node = Node::start();
    let links = node.links();
    let mut far = call_on_a_new_connection(&links, &mut node).await;

    node.pause.pause();
    assert!(matches!(far.recv::<u64>().await, Err(FrameError::Paused)));
    let called = links
        .call::<u64, u64>("n2", &1, Delivery::AtMostOnce, Instant::now() + Duration::from_millis(20))
        .await;
    assert!(called.is_err());
    assert_eq!(node.waiting(), 0);
    drop(far);

    node.pause.resume();
    drop(call_on_a_new_connection(&links, &mut node).await);
}

/// Returns the bytes sent by an unauthenticated peer before silence.
fn beginnings() -> [Vec<u8>; 3] {
    let mut hello = b"STEG\x00\x01\x01\x00\x2e\x01".to_vec();
    hello.extend([9; 32]);
    for name in ["phase1", "n1", "n2"] {
        hello.push(name.len() as u8);
        hello.extend(name.as_bytes());
    }
    hello[8] = (hello.len() - 9) as u8;
    [Vec::new(), b"STEG".to_vec(), hello]
}

#[tokio::test]
async fn pending_connections_are_closed_in_time() {
    let mut node = Node::start_with(|_, limits| {
        limits.first_byte = Duration::from_millis(50);
        limits.handshake = Duration::from_millis(100);
    });
    let mut flood = Vec::new();
    for beginning in beginnings() {
        let mut connection = TcpStream::connect(node.address).await.unwrap();
        connection.write_all(&beginning).await.unwrap();
        flood.push(connection);
    }
    for mut connection in flood {
        let mut heard = Vec::new();
        // A challenge, at most.
        let _ = connection.read_to_end(&mut heard).await;
        assert!(heard.len() < 100, "{heard:?}");
    }
    node.wait_for(0, 0).await;
    assert!(node.closed("silent") >= 1 && node.closed("slow") >= 1, "{:?}", node.table.figures());
    drop(call_on_a_new_connection(&node.links(), &mut node).await);
    node.stop.cancel();
    node.run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_flood_of_pending_connections_displaces_itself_and_keeps_nobody_out() {
    for beginning in beginnings() {
        // Without time limits: the slots stay taken except for newcomers.
        let mut node = Node::start_with(|rules, limits| {
            rules.pending = 4;
            (limits.first_byte, limits.handshake) = (AMPLE, AMPLE);
        });
        let mut flood = Vec::new();
        for _ in 0..40 {
            let mut connection = TcpStream::connect(node.address).await.unwrap();
            connection.write_all(&beginning).await.unwrap();
            flood.push(connection);
        }
        while node.closed("displaced") < 36 {
            tokio::task::yield_now().await;
        }
        let mut far = call_on_a_new_connection(&node.links(), &mut node).await;
        // One more was displaced by the peer. Every displaced connection reads the end of the stream.
        for mut connection in flood.drain(..37) {
            while connection.read(&mut [0; 512]).await.unwrap_or(0) > 0 {}
        }
        assert_eq!((node.table.figures().pending, node.closed("displaced")), (3, 37));
        far.send(&0_u64).await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_floods_takes_no_place_of_another() {
    let mut node = Node::start_with(|rules, _| (rules.rpc, rules.probe) = (3, 1));
    let (flooding, other) = (links_of("n1", 7, node.address), links_of("n3", 7, node.address));
    // n1 leaks connections; each call is in flight for ever.
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut channel = flooding.dial("n2", Purpose::Rpc, ample()).await.unwrap();
        channel.send(&1_u64).await.unwrap();
        let mut incoming = node.next().await;
        assert_eq!(incoming.recv::<u64>().await.unwrap(), 1);
        near.push(channel);
        far.push(incoming);
    }
    // A refusal precedes any request: the caller knows that nothing was executed.
    let refused = flooding.call::<u64, u64>("n2", &1, Delivery::AtMostOnce, ample()).await.unwrap_err();
    assert!(matches!(&refused, CallError::NotSent { .. }), "{refused:?}");
    assert_eq!(node.closed("peer_refused"), 1);
    // Probes and the other peer have separate slots.
    for _ in 0..3 {
        flooding.dial("n2", Purpose::Probe, ample()).await.unwrap();
        node.next().await;
    }
    drop(call_on_a_new_connection(&other, &mut node).await);
    // An answered call makes its connection the first candidate for closing.
    far[1].send(&2_u64).await.unwrap();
    let _newer = flooding.dial("n2", Purpose::Rpc, ample()).await.unwrap();
    node.next().await;
    assert!(matches!(far[1].recv::<u64>().await, Err(FrameError::Displaced)));
    assert_eq!(near[1].recv::<u64>().await.unwrap(), 2);
    far.remove(1);
    assert!(matches!(near[1].recv::<u64>().await, Err(FrameError::Closed)));
}

#[tokio::test]
async fn a_place_is_free_with_the_last_half_of_a_connection() {
    let mut node = Node::start();
    let links = node.links();
    let _first = links.dial("n2", Purpose::Rpc, ample()).await.unwrap();
    let (sender, receiver) = node.next().await.split();
    node.wait_for(0, 1).await;
    drop(sender);
    assert_eq!(node.table.figures().authenticated, 1);
    drop(receiver);
    assert_eq!(node.table.figures().authenticated, 0);
}

#[tokio::test]
async fn garbage_is_turned_away_and_does_no_harm() {
    let mut node = Node::start();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"STEG\x00\x01\x01\xff\xff", &[0xff; 2000]] {
        let mut connection = TcpStream::connect(node.address).await.unwrap();
        connection.write_all(garbage).await.unwrap();
        assert_eq!(connection.read(&mut [0; 64]).await.unwrap_or(0), 0, "no answer");
    }
    drop(call_on_a_new_connection(&node.links(), &mut node).await);
}

#[tokio::test]
async fn a_stopped_listener_frees_its_port_and_leaves_connections_alone() {
    let mut node = Node::start();
    let links = node.links();
    let mut far = call_on_a_new_connection(&links, &mut node).await;
    let _pending = TcpStream::connect(node.address).await.unwrap();
    node.stop.cancel();
    node.run.await.unwrap().unwrap();

    call_answered_by(&links, &mut far).await;
    bind(node.address, ConnectionLimits::new(32, 8), Pause::new()).unwrap();
}

#[test]
fn a_connection_moves_to_another_runtime_with_what_has_arrived() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = bind("127.0.0.1:0".parse().unwrap(), ConnectionLimits::new(32, 8), Pause::new()).unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let (detached, mut moved) = mpsc::unbounded_channel();
    let run = listener.run(
        move |Incoming { mut channel, .. }| {
            let detached = detached.clone();
            tokio::spawn(async move {
                assert_eq!(channel.recv::<u64>().await.unwrap(), 0);
                channel.send(&0_u64).await.unwrap();
                detached.send(channel.detach().unwrap()).map_err(drop).unwrap();
            });
        },
        stop.clone(),
    );
    let listening = std::thread::spawn(move || runtime().block_on(run));

    runtime().block_on(async {
        let (mut sender, mut receiver) =
            links(7, address).dial("n2", Purpose::Rpc, ample()).await.unwrap().split();
        for number in 0..3_u64 {
            sender.send(&number).await.unwrap();
        }
        let mut channel = moved.recv().await.unwrap().attach().unwrap();
        for number in 1..3_u64 {
            assert_eq!(channel.recv::<u64>().await.unwrap(), number);
        }
        channel.send(&3_u64).await.unwrap();
        assert_eq!(receiver.recv::<u64>().await.unwrap(), 0);
        assert_eq!(receiver.recv::<u64>().await.unwrap(), 3);
        // The listener's runtime ends; the connection does not.
        stop.cancel();
        tokio::task::spawn_blocking(|| listening.join()).await.unwrap().unwrap().unwrap();
        channel.send(&4_u64).await.unwrap();
        assert_eq!(receiver.recv::<u64>().await.unwrap(), 4);
    });
}
