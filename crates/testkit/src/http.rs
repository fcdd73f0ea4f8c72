//! As much of an HTTP client as it takes to ask a node how it is, within a bound of time.
//!
//! Tests that act as clients use the `client` crate or reqwest; this one is for watching, also into a network
//! namespace, and for crates that must not know async.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of an answer, at most.
const MAX_REPLY_BYTES: usize = 16 << 20;

/// What a node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON, if it is that.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn parse(answer: &[u8]) -> Option<Self> {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&answer[..end]).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, body: answer[end + 4..].to_vec() })
    }
}

/// `GET path`; nothing if there was no whole answer within `limit`.
pub(crate) fn get(address: SocketAddr, path: &str, limit: Duration) -> Option<Reply> {
    let until = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.set_write_timeout(Some(limit)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    while answer.len() <= MAX_REPLY_BYTES {
        // A timeout of zero would be none at all.
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut piece).ok()? {
            0 => return Reply::parse(&answer),
            len => answer.extend_from_slice(&piece[..len]),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answers_are_read_and_silence_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let len = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\n\r\n{\"code\":\"paused\"}").unwrap();
            drop(stream);
            (listener, String::from_utf8_lossy(&request[..len]).into_owned())
        });
        let reply = get(address, "/livez", Duration::from_secs(10)).unwrap();
        assert_eq!((reply.status, &reply.json().unwrap()["code"]), (503, &"paused".into()));
        let (listener, request) = server.join().unwrap();
        assert!(request.starts_with("GET /livez HTTP/1.1\r\n"), "{request}");

        // Nobody accepts any more, though the system still takes connections.
        assert_eq!(get(address, "/livez", Duration::from_millis(50)), None);
        drop(listener);
        assert_eq!(get(address, "/livez", Duration::from_secs(10)), None);
    }
}
