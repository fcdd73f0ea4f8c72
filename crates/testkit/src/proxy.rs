//! A proxy with a delay, or a hold on all traffic: the kernels of some test machines cannot delay packets
//! (netem), a process in between always can.
//!
//! Bytes come out in order and unchanged, each after the delay. Data in flight is bounded: a faster sender
//! has to wait, as with a full link. Connections are accepted while traffic is held, as by a host that hangs.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Maximum number of connections; further connections are closed at once.
const MAX_CONNECTIONS: usize = 64;
/// Bytes per read.
const PIECE_BYTES: usize = 16 << 10;
/// Pieces in flight in each direction of a connection.
const PIECES_UNDER_WAY: usize = 64;
/// Time limit for the connection to the node.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A proxy on loopback in front of one address. Dropping a proxy closes all connections through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    delay: Duration,
    held: bool,
    closed: bool,
    /// Both ends of each connection, for closing.
    connections: Vec<(TcpStream, TcpStream)>,
}

impl Proxy {
    /// Accepts connections on a free port of loopback and forwards them to `to`, without a delay at first.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, to, &shared)
        });
        Self { address, shared, listener: Some(thread) }
    }

    /// Returns the listening address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the delay of every byte received from now on, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|state| state.delay = delay);
    }

    /// Holds all traffic, without closing connections.
    pub fn hold(&self) {
        self.shared.change(|state| state.held = true);
    }

    /// Releases held traffic, in order.
    pub fn release(&self) {
        self.shared.change(|state| state.held = false);
    }

    /// Closes every connection; new connections are accepted.
    pub fn cut_connections(&self) {
        self.shared.change(|state| state.close_connections());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.closed = true;
            state.close_connections();
        });
        // Wakes the listener, which checks for the close after each connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn close_connections(&mut self) {
        for (from, to) in self.connections.drain(..) {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until a piece due at `due` may be sent. True unless the proxy was closed.
    fn wait_until_due(&self, due: Instant) -> bool {
        let mut state = self.state();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if state.closed || !state.held && left.is_zero() {
                return !state.closed;
            }
            // While held, only a change of state ends the wait.
            state = if state.held {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Registers a connection. False if there are too many, or the proxy is closed.
    fn take(&self, from: &TcpStream, to: &TcpStream) -> bool {
        let mut state = self.state();
        let pair = from.try_clone().ok().zip(to.try_clone().ok());
        let room = !state.closed && state.connections.len() < MAX_CONNECTIONS;
        state.connections.extend(pair.filter(|_| room));
        room
    }
}

fn accept(listener: &TcpListener, to: SocketAddr, shared: &Arc<Shared>) {
    for from in listener.incoming().map_while(Result::ok) {
        if shared.state().closed {
            return;
        }
        let shared = Arc::clone(shared);
        // A connection does not wait for another's connection setup.
        std::thread::spawn(move || connect(&from, to, &shared));
    }
}

/// Connects the other end and forwards bytes in both directions until either end closes.
fn connect(from: &TcpStream, to: SocketAddr, shared: &Shared) {
    let (Ok(to), Ok(who)) = (TcpStream::connect_timeout(&to, CONNECT_LIMIT), from.peer_addr()) else {
        return;
    };
    if from.set_nodelay(true).and(to.set_nodelay(true)).is_err() || !shared.take(from, &to) {
        return;
    }
    std::thread::scope(|scope| {
        for (source, sink) in [(from, &to), (&to, from)] {
            let (sender, receiver) = sync_channel(PIECES_UNDER_WAY);
            scope.spawn(move || read(source, &sender, shared));
            scope.spawn(move || write(sink, &receiver, shared));
        }
    });
    shared
        .change(|state| state.connections.retain(|(from, _)| from.peer_addr().is_ok_and(|peer| peer != who)));
}

/// A piece of data and the time of its release.
type Piece = (Instant, Vec<u8>);

fn read(mut source: &TcpStream, pieces: &SyncSender<Piece>, shared: &Shared) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        // An end of stream is forwarded as a piece without bytes, after the others.
        let len = source.read(&mut piece).unwrap_or(0);
        let due = Instant::now() + shared.state().delay;
        if pieces.send((due, piece[..len].to_vec())).is_err() || len == 0 {
            return;
        }
    }
}

fn write(mut sink: &TcpStream, pieces: &Receiver<Piece>, shared: &Shared) {
    for (due, piece) in pieces {
        if !shared.wait_until_due(due) || piece.is_empty() || sink.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = sink.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::wait_for;

    const LIMIT: Duration = Duration::from_secs(30);
    const DELAY: Duration = Duration::from_millis(80);

    /// Starts an echo server for any number of connections.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        address
    }

    fn open(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn heard(stream: &mut TcpStream, len: usize) -> Vec<u8> {
        let mut heard = vec![0; len];
        stream.read_exact(&mut heard).unwrap();
        heard
    }

    #[test]
    fn bytes_come_out_as_they_went_in_only_later() {
        let proxy = Proxy::start(echo());
        let mut stream = open(&proxy);
        // More than the limit in flight.
        let sent: Vec<u8> = (0..4_u32 << 20).map(|i| ((i * 31) >> 7) as u8).collect();
        let mut writing = stream.try_clone().unwrap();
        let all = sent.clone();
        let writer = std::thread::spawn(move || writing.write_all(&all));
        assert!(heard(&mut stream, sent.len()) == sent);
        writer.join().unwrap().unwrap();

        proxy.delay(DELAY);
        let started = Instant::now();
        stream.write_all(b"slow").unwrap();
        assert_eq!(heard(&mut stream, 4), b"slow");
        assert!(started.elapsed() >= 2 * DELAY, "there and back");
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the end is passed on as well");
        wait_for("it to be forgotten", || proxy.shared.state().connections.is_empty().then_some(()));
    }

    #[test]
    fn what_is_held_back_comes_later_and_connections_can_be_cut() {
        let proxy = Proxy::start(echo());
        let mut stream = open(&proxy);
        stream.write_all(b"a").unwrap();
        assert_eq!(heard(&mut stream, 1), b"a");
        proxy.hold();
        stream.write_all(b"b").unwrap();
        stream.set_read_timeout(Some(DELAY)).unwrap();
        let silent = stream.read(&mut [0; 1]).unwrap_err().kind();
        assert!(matches!(silent, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silent}");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        proxy.release();
        assert_eq!(heard(&mut stream, 1), b"b");
        proxy.cut_connections();
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "closed");
        let mut another = open(&proxy);
        another.write_all(b"c").unwrap();
        assert_eq!(heard(&mut another, 1), b"c");
        proxy.hold();
        let address = proxy.address();
        drop(proxy);
        assert_eq!(another.read(&mut [0; 1]).unwrap_or(0), 0, "closed with the proxy");
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }

    #[test]
    fn a_proxy_to_nobody_closes() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = Proxy::start(nobody);
        assert_eq!(open(&proxy).read(&mut [0; 1]).unwrap_or(0), 0);
    }
}
