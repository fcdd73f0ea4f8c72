//! The simulated network: TCP connections over links with delay, loss, limited rate and partitions.
//!
//! Bytes of one connection arrive in order and unchanged, as with TCP; a lost packet is a retransmission,
//! and so a delay. Connections overtake each other, so messages of different connections are reordered. A
//! link that is cut holds bytes back, until the link is mended and the sender retransmits, or the connection
//! ends. A message is repeated only by its sender.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use control_plane::world::net::{Accept, Input, Pipe};
use control_plane::world::{Operation, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::executor::{Executor, Process};

/// Bytes that wait for a reader; a writer waits beyond.
const WINDOW_BYTES: usize = 256 << 10;
/// Longest pause before a retransmission.
const RETRANSMIT_WITHIN: Duration = Duration::from_millis(400);

/// Properties of a link, in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Link {
    /// Least delay of a packet.
    pub delay: Duration,
    /// Greatest addition to the delay.
    pub jitter: Duration,
    /// Packets lost of a thousand.
    pub lost_permille: u32,
    /// Bytes per second; none for no limit.
    pub rate: Option<u64>,
    /// True if no packet passes.
    pub cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(100),
            jitter: Duration::from_micros(300),
            lost_permille: 0,
            rate: None,
            cut: false,
        }
    }
}

/// The network of a simulation.
pub(crate) struct Network {
    executor: Arc<Executor>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: BTreeMap<(usize, usize), Link>,
    listeners: BTreeMap<usize, (Process, Arc<Backlog>)>,
    flows: Vec<(usize, usize, Weak<Mutex<Flow>>)>,
    /// Time at which each node last read bytes of each peer, by peer and node.
    heard: BTreeMap<(usize, usize), Duration>,
    /// Machines that are off: nothing answers, not even with a refusal.
    off: std::collections::BTreeSet<usize>,
}

/// One direction of a connection.
struct Flow {
    sender: Process,
    receiver: Process,
    /// Chunks on their way, with the time of arrival; none while the link holds the chunk back.
    chunks: VecDeque<(Option<Duration>, Vec<u8>)>,
    bytes: usize,
    last_arrival: Duration,
    /// End of the direction, behind all chunks.
    end: Option<End>,
    /// True once nobody receives any more.
    receiver_is_gone: bool,
    /// Time at which the sender learns that nobody receives; none inside while the link holds it back.
    refused: Option<Option<Duration>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Timer for the next arrival.
    wake: Option<Arc<Timer>>,
}

/// End of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    /// Time of arrival; none while the link holds the end back.
    at: Option<Duration>,
    /// True for a reset, which discards the bytes on their way.
    reset: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the address of a node.
pub(crate) fn address(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1 + node as u8))
}

fn node_of(address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(address) if address.octets()[..3] == [10, 0, 0] => {
            usize::from(address.octets()[3]).checked_sub(1)
        }
        _ => None,
    }
}

impl Network {
    pub(crate) fn new(executor: Arc<Executor>) -> Self {
        Self { executor, state: Mutex::default() }
    }

    /// Changes the link from one node to another.
    pub(crate) fn set_link(&self, from: usize, to: usize, link: Link) {
        lock(&self.state).links.insert((from, to), link);
        self.retransmit(from, to);
    }

    /// Returns the link from one node to another.
    pub(crate) fn link(&self, from: usize, to: usize) -> Link {
        lock(&self.state).links.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Returns the time at which a node last read bytes of a peer.
    pub(crate) fn heard_at(&self, peer: usize, node: usize) -> Option<Duration> {
        lock(&self.state).heard.get(&(peer, node)).copied()
    }

    /// Sends again what the link held back, and what a slower link would still carry.
    fn retransmit(&self, from: usize, to: usize) {
        if self.link(from, to).cut {
            return;
        }
        self.refuse_again(from, to);
        let flows: Vec<Arc<Mutex<Flow>>> = {
            let mut state = lock(&self.state);
            state.flows.retain(|(.., flow)| flow.strong_count() > 0);
            let on_link =
                state.flows.iter().filter(|(sender, receiver, _)| (*sender, *receiver) == (from, to));
            on_link.filter_map(|(.., flow)| flow.upgrade()).collect()
        };
        for flow in flows {
            let pause = self.random_within(RETRANSMIT_WITHIN);
            let at = self.executor.now() + self.link(from, to).delay + pause;
            let mut flow = lock(&flow);
            for (arrival, _) in &mut flow.chunks {
                *arrival = Some(arrival.map_or(at, |earlier| earlier.min(at)));
            }
            if let Some(end) = &mut flow.end {
                end.at = Some(end.at.map_or(at, |earlier| earlier.min(at)));
            }
            flow.last_arrival = flow.last_arrival.min(at);
            flow.schedule(&self.executor);
        }
    }

    /// Sends again the refusals that the link held back: they go to the senders of the other direction.
    fn refuse_again(&self, from: usize, to: usize) {
        let flows: Vec<Arc<Mutex<Flow>>> = {
            let state = lock(&self.state);
            let back = state.flows.iter().filter(|(sender, receiver, _)| (*receiver, *sender) == (from, to));
            back.filter_map(|(.., flow)| flow.upgrade()).collect()
        };
        for flow in flows {
            let at = self.executor.now() + self.random_within(RETRANSMIT_WITHIN);
            let mut flow = lock(&flow);
            let is_held = flow.refused == Some(None) || (flow.receiver_is_gone && flow.refused.is_none());
            if is_held {
                flow.refuse(at, &self.executor);
            }
        }
    }

    fn random_within(&self, limit: Duration) -> Duration {
        let nanos = limit.as_nanos() as u64;
        Duration::from_nanos(if nanos == 0 { 0 } else { self.executor.random() % nanos })
    }

    /// Returns the time at which a packet of `bytes` sent now arrives; none if the link is cut.
    fn arrival(&self, from: usize, to: usize, bytes: usize) -> Option<Duration> {
        let link = self.link(from, to);
        let mut after = link.delay + self.random_within(link.jitter);
        if link.lost_permille > 0 && self.executor.random() % 1000 < u64::from(link.lost_permille) {
            after += RETRANSMIT_WITHIN / 2 + self.random_within(RETRANSMIT_WITHIN / 2);
        }
        if let Some(rate) = link.rate {
            after += Duration::from_nanos(bytes as u64 * 1_000_000_000 / rate.max(1));
        }
        (!link.cut).then(|| self.executor.now() + after)
    }

    /// Listens on a node.
    pub(crate) fn listen(
        self: &Arc<Self>,
        process: Process,
        address: SocketAddr,
    ) -> io::Result<Arc<dyn Accept>> {
        let node = node_of(address.ip()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut state = lock(&self.state);
        if state.listeners.get(&node).is_some_and(|(holder, _)| *holder == process) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = Arc::new(Backlog::default());
        let earlier = state.listeners.insert(node, (process, Arc::clone(&backlog)));
        // Connections that wait in a backlog are finished when it is dropped, which takes the lock.
        drop(state);
        drop(earlier);
        Ok(backlog)
    }

    /// Opens a connection from a process.
    pub(crate) fn connect(self: &Arc<Self>, from: Process, address: SocketAddr) -> Operation<Pipe> {
        let network = Arc::clone(self);
        Box::pin(async move {
            let to = node_of(address.ip()).ok_or(io::ErrorKind::AddrNotAvailable)?;
            network.pass(from, from.node, to).await;
            let answering = loop {
                if lock(&network.state).off.contains(&to) {
                    network.sleep(from, RETRANSMIT_WITHIN).await;
                    continue;
                }
                break lock(&network.state).listeners.get(&to).cloned();
            };
            network.pass(from, to, from.node).await;
            let Some((receiver, backlog)) = answering else {
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            if lock(&network.state).listeners.get(&to).map(|(process, _)| *process) != Some(receiver) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let there = network.flow(from, receiver);
            let back = network.flow(receiver, from);
            let near = network.pipe(Arc::clone(&back), Arc::clone(&there));
            let far = network.pipe(there, back);
            backlog.add(far, SocketAddr::new(self::address(from.node), 40_000));
            Ok(near)
        })
    }

    /// Waits for the arrival of an empty packet.
    async fn pass(&self, process: Process, from: usize, to: usize) {
        loop {
            if let Some(at) = self.arrival(from, to, 64) {
                let timer = self.executor.timer(Some(process), at);
                fired(&timer).await;
                return;
            }
            self.sleep(process, RETRANSMIT_WITHIN / 4).await;
        }
    }

    async fn sleep(&self, process: Process, pause: Duration) {
        let timer = self.executor.timer(Some(process), self.executor.now() + pause);
        fired(&timer).await;
    }

    fn flow(&self, sender: Process, receiver: Process) -> Arc<Mutex<Flow>> {
        let flow = Arc::new(Mutex::new(Flow {
            sender,
            receiver,
            chunks: VecDeque::new(),
            bytes: 0,
            last_arrival: Duration::ZERO,
            end: None,
            receiver_is_gone: false,
            refused: None,
            reader: None,
            writer: None,
            wake: None,
        }));
        let mut state = lock(&self.state);
        if state.flows.len().is_multiple_of(256) {
            state.flows.retain(|(.., flow)| flow.strong_count() > 0);
        }
        state.flows.push((sender.node, receiver.node, Arc::downgrade(&flow)));
        flow
    }

    fn pipe(self: &Arc<Self>, input: Arc<Mutex<Flow>>, output: Arc<Mutex<Flow>>) -> Pipe {
        Pipe {
            input: Box::new(Receiving { network: Arc::clone(self), flow: input }),
            output: Box::new(Sending { network: Arc::clone(self), flow: output }),
        }
    }

    /// Ends all that a process has open. With the machine, nothing is sent any more.
    pub(crate) fn end(&self, process: Process, machine: bool) {
        let (flows, listener): (Vec<Arc<Mutex<Flow>>>, _) = {
            let mut state = lock(&self.state);
            let listens = state.listeners.get(&process.node).is_some_and(|(holder, _)| *holder == process);
            let listener = if listens { state.listeners.remove(&process.node) } else { None };
            if machine {
                state.off.insert(process.node);
            }
            (state.flows.iter().filter_map(|(.., flow)| flow.upgrade()).collect(), listener)
        };
        // Connections that wait to be accepted are finished here, which takes the lock.
        drop(listener);
        for flow in flows {
            let (sender, receiver) = {
                let flow = lock(&flow);
                (flow.sender, flow.receiver)
            };
            if sender == process && machine {
                // What is on its way arrives; the end never does. A machine that starts again refuses.
                lock(&flow).end.get_or_insert(End { at: None, reset: true });
            } else if sender == process {
                self.finish(&flow, false);
            } else if receiver == process {
                self.finish_for_sender(&flow);
            }
        }
    }

    /// A machine runs again: connections of earlier processes are reset.
    pub(crate) fn machine_runs(&self, node: usize) {
        let was_off = lock(&self.state).off.remove(&node);
        if was_off {
            for other in 0..usize::from(u8::MAX) {
                let with = |(from, to, _): &(usize, usize, _)| {
                    (*from, *to) == (node, other) || (*from, *to) == (other, node)
                };
                if lock(&self.state).flows.iter().any(with) {
                    self.retransmit(node, other);
                }
            }
        }
    }

    /// Sends the end of a direction.
    fn finish(&self, flow: &Mutex<Flow>, reset: bool) {
        let (from, to) = {
            let flow = lock(flow);
            if flow.end.is_some() {
                return;
            }
            (flow.sender.node, flow.receiver.node)
        };
        let at = self.arrival(from, to, 64);
        let mut flow = lock(flow);
        let at = at.map(|at| at.max(flow.last_arrival));
        flow.end = Some(End { at, reset });
        flow.schedule(&self.executor);
    }

    /// The receiver is gone: the sender learns of it by a reset, unless the machine of the receiver is off.
    fn finish_for_sender(&self, flow: &Mutex<Flow>) {
        let (sender, receiver) = {
            let mut flow = lock(flow);
            if std::mem::replace(&mut flow.receiver_is_gone, true) {
                return;
            }
            flow.chunks.clear();
            flow.bytes = 0;
            (flow.sender.node, flow.receiver.node)
        };
        if lock(&self.state).off.contains(&receiver) {
            return;
        }
        let at = self.arrival(receiver, sender, 64);
        let mut flow = lock(flow);
        match at {
            Some(at) => flow.refuse(at, &self.executor),
            None => flow.refused = Some(None),
        }
    }
}

/// Waits for a timer.
async fn fired(timer: &Timer) {
    std::future::poll_fn(|cx| timer.poll(cx)).await;
}

impl Flow {
    /// Sets a timer for the next arrival, if a reader waits.
    fn schedule(&mut self, executor: &Executor) {
        if self.reader.is_none() {
            return;
        }
        let next = match self.chunks.front() {
            Some((at, _)) => *at,
            None => self.end.and_then(|end| end.at),
        };
        let Some(at) = next else { return };
        let timer = executor.timer(Some(self.receiver), at);
        let waker = self.reader.clone().expect("checked above");
        let armed = timer.poll(&Context::from_waker(&waker));
        debug_assert!(armed.is_pending(), "a timer that has just started has not fired");
        self.wake = Some(timer);
    }

    /// Lets the sender learn at `at` that nobody receives.
    fn refuse(&mut self, at: Duration, executor: &Executor) {
        self.refused = Some(Some(at));
        if let Some(writer) = self.writer.take() {
            let timer = executor.timer(Some(self.sender), at);
            let armed = timer.poll(&Context::from_waker(&writer));
            debug_assert!(armed.is_pending(), "a timer that has just started has not fired");
            self.wake = Some(timer);
        }
    }

    /// Returns what a reader finds now.
    fn arrived(&self, now: Duration) -> Arrived {
        match (self.chunks.front(), self.end) {
            (_, Some(End { at: Some(at), reset: true })) if at <= now => Arrived::Reset,
            (Some((Some(at), _)), _) if *at <= now => Arrived::Bytes,
            (None, Some(End { at: Some(at), .. })) if at <= now => Arrived::End,
            _ => Arrived::Nothing,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Arrived {
    Bytes,
    End,
    Reset,
    Nothing,
}

struct Receiving {
    network: Arc<Network>,
    flow: Arc<Mutex<Flow>>,
}

impl Receiving {
    fn wait(&self, cx: &Context<'_>) {
        let mut flow = lock(&self.flow);
        flow.reader = Some(cx.waker().clone());
        flow.schedule(&self.network.executor);
    }
}

impl Input for Receiving {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if lock(&self.flow).arrived(self.network.executor.now()) != Arrived::Nothing {
            return Poll::Ready(());
        }
        self.wait(cx);
        Poll::Pending
    }

    fn is_silent(&self) -> bool {
        lock(&self.flow).arrived(self.network.executor.now()) == Arrived::Nothing
    }
}

impl AsyncRead for Receiving {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now = self.network.executor.now();
        {
            let mut flow = lock(&self.flow);
            match flow.arrived(now) {
                Arrived::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Arrived::End => return Poll::Ready(Ok(())),
                Arrived::Nothing => {}
                Arrived::Bytes => {
                    let (at, mut chunk) = flow.chunks.pop_front().expect("bytes have arrived");
                    let len = chunk.len().min(buf.remaining());
                    buf.put_slice(&chunk[..len]);
                    flow.bytes -= len;
                    if len < chunk.len() {
                        chunk.drain(..len);
                        flow.chunks.push_front((at, chunk));
                    }
                    if let Some(writer) = flow.writer.take() {
                        writer.wake();
                    }
                    let ends = (flow.sender.node, flow.receiver.node);
                    drop(flow);
                    lock(&self.network.state).heard.insert(ends, now);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        self.wait(cx);
        Poll::Pending
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.network.finish_for_sender(&self.flow);
    }
}

struct Sending {
    network: Arc<Network>,
    flow: Arc<Mutex<Flow>>,
}

impl AsyncWrite for Sending {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (from, to) = {
            let mut flow = lock(&self.flow);
            let now = self.network.executor.now();
            let is_refused = flow.refused.flatten().is_some_and(|at| at <= now);
            if is_refused || flow.end.is_some() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if flow.bytes >= WINDOW_BYTES {
                flow.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            (flow.sender.node, flow.receiver.node)
        };
        let at = self.network.arrival(from, to, bytes.len());
        let mut flow = lock(&self.flow);
        let held = flow.chunks.back().is_some_and(|(at, _)| at.is_none());
        let at = at.filter(|_| !held).map(|at| at.max(flow.last_arrival));
        flow.last_arrival = at.unwrap_or(flow.last_arrival);
        flow.bytes += bytes.len();
        if flow.receiver_is_gone {
            return Poll::Ready(Ok(bytes.len()));
        }
        flow.chunks.push_back((at, bytes.to_vec()));
        if flow.chunks.len() == 1 {
            flow.schedule(&self.network.executor);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.finish(&self.flow, false);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.network.finish(&self.flow, false);
    }
}

/// Connections that wait to be accepted.
#[derive(Default)]
struct Backlog(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    pipes: VecDeque<(Pipe, SocketAddr)>,
    acceptor: Option<Waker>,
}

impl Backlog {
    fn add(&self, pipe: Pipe, address: SocketAddr) {
        let mut waiting = lock(&self.0);
        waiting.pipes.push_back((pipe, address));
        if let Some(acceptor) = waiting.acceptor.take() {
            acceptor.wake();
        }
    }
}

impl Accept for Backlog {
    fn accept(&self) -> Operation<(Pipe, SocketAddr)> {
        let waiting = Arc::clone(&self.0);
        Box::pin(std::future::poll_fn(move |cx| {
            let mut waiting = lock(&waiting);
            match waiting.pipes.pop_front() {
                Some(accepted) => Poll::Ready(Ok(accepted)),
                None => {
                    waiting.acceptor = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process ends while connections wait that it has not accepted: they are finished with the rest.
    #[test]
    fn a_process_ends_with_connections_that_wait() {
        let executor = Arc::new(Executor::new(1));
        let network = Arc::new(Network::new(Arc::clone(&executor)));
        let process = |node| Process { node, start: 0 };
        let listener = network.listen(process(1), SocketAddr::new(address(1), 5001)).expect("a free port");
        let (near, client) = (Arc::<Mutex<Option<Pipe>>>::default(), Arc::clone(&network));
        let connected = Arc::clone(&near);
        executor.spawn(
            Some(process(0)),
            Box::pin(async move {
                let pipe = client.connect(process(0), SocketAddr::new(address(1), 5001)).await;
                *lock(&connected) = Some(pipe.expect("a listener"));
            }),
        );
        while lock(&near).is_none() {
            executor.step();
        }
        drop(listener);
        network.end(process(1), false);
        let again = network.listen(process(1), SocketAddr::new(address(1), 5001));
        again.map(drop).expect("the port is free again");
    }
}
