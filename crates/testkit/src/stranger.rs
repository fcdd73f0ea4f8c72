//! Connections from outside the cluster, without the cluster key.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Maximum length of data read from the other side.
const MAX_HEARD_BYTES: usize = 16 << 20;

/// Time limit for each connection of a flood: a stopped node refuses, a full node is silent.
const FLOOD_CONNECT_LIMIT: Duration = Duration::from_millis(200);

/// A sequence of connections that each send only `beginning`. Dropping a flood closes all of its connections.
#[derive(Debug)]
pub struct Flood {
    opened: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Opens one connection to each of `addresses` in turn, every `pace`; `beginning` is sent on each. The
    /// latest `held` connections are kept open from this side.
    pub fn start(addresses: Vec<SocketAddr>, beginning: Vec<u8>, pace: Duration, held: usize) -> Self {
        let (opened, ended): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let (count, end) = (Arc::clone(&opened), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let mut kept = VecDeque::new();
            let mut due = Instant::now();
            for address in addresses.iter().cycle() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(mut stream) = TcpStream::connect_timeout(address, FLOOD_CONNECT_LIMIT) {
                    // The node may have closed the connection already.
                    let _ = stream.write_all(&beginning);
                    kept.push_back(stream);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                if kept.len() > held {
                    kept.pop_front();
                }
                due = (due + pace).max(Instant::now());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        Self { opened, ended, thread: Some(thread) }
    }

    /// Returns the number of connections made so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes received by a stranger, and the end of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Every byte received.
    pub bytes: Vec<u8>,
    /// True if the other side closed or reset the connection within the limit.
    pub closed: bool,
}

/// Sends `bytes` over a new connection and reads until the other side closes it, or until `limit`.
///
/// # Errors
///
/// If no connection can be made. A later break is no error: strangers are meant to be cut off.
pub fn send_as_stranger(address: SocketAddr, bytes: &[u8], limit: Duration) -> io::Result<Heard> {
    let until = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_write_timeout(Some(limit))?;
    // The node may close before all is sent; earlier answers still count.
    let _ = stream.write_all(bytes);
    let mut heard = Heard { bytes: Vec::new(), closed: false };
    let mut piece = [0; 16 << 10];
    while heard.bytes.len() <= MAX_HEARD_BYTES {
        let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            break;
        };
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => {
                heard.closed = true;
                break;
            }
            Ok(len) => heard.bytes.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            // A reset: closed with sent bytes unread.
            Err(_) => {
                heard.closed = true;
                break;
            }
        }
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Runs a peer that reads `reads` bytes, sends `says` and closes, or else keeps the connection open.
    fn check(reads: usize, says: &'static [u8], keeps: bool, limit: Duration) -> Heard {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut vec![0; reads]).unwrap();
            stream.write_all(says).unwrap();
            if keeps {
                // Ends when the other end of the channel is gone.
                let _ = wait.recv();
            }
        });
        let heard = send_as_stranger(address, b"let me in", limit).unwrap();
        drop(done);
        peer.join().unwrap();
        heard
    }

    #[test]
    fn what_comes_back_is_heard_to_the_end() {
        let long = Duration::from_secs(30);
        assert_eq!(check(9, b"go away", false, long), Heard { bytes: b"go away".to_vec(), closed: true });
        assert_eq!(check(9, b"", false, long), Heard { bytes: vec![], closed: true });
        assert!(check(4, b"", false, long).closed, "a reset is an end as well");
        let kept = check(9, b"wait", true, Duration::from_millis(100));
        assert!(!kept.closed);
    }

    #[test]
    fn nobody_there_is_an_error() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(send_as_stranger(address, b"", Duration::from_secs(1)).is_err());
    }
}
