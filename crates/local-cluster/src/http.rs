//! A minimal HTTP client to observe nodes, with a time limit on every call.
//!
//! Programs that act as clients use the `client` crate; this client is for observation, and for code without
//! async.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Maximum length of an answer.
const MAX_REPLY_BYTES: usize = 16 << 20;
/// Bytes per read.
const PIECE_BYTES: usize = 64 << 10;

/// Answer of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body, unchanged.
    pub body: Vec<u8>,
}

impl Reply {
    /// Parses the body as JSON; `None` if invalid.
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

/// A persistent connection for calls in sequence, so that a measurement covers the call and not the
/// connection setup.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    limit: Duration,
}

impl Connection {
    /// Opens a connection with a time limit of `limit` per call.
    ///
    /// # Errors
    /// If no connection is made within `limit`.
    pub fn open(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { stream, address, limit })
    }

    /// Sends `GET path`.
    ///
    /// # Errors
    /// See [`Connection::call`].
    pub fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.call("GET", path, &[], b"")
    }

    /// Makes one call; the answer must state its length.
    ///
    /// # Errors
    /// If no whole answer came within the limit. The connection is unusable afterwards.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let until = Instant::now() + self.limit;
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request)?;
        self.read_reply(until)
    }

    fn read_reply(&mut self, until: Instant) -> io::Result<Reply> {
        let mut answer = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut whole = None;
        while whole.is_none_or(|len| answer.len() < len) {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            self.stream.set_read_timeout(Some(left.ok_or(ErrorKind::TimedOut)?))?;
            match self.stream.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => answer.extend_from_slice(&piece[..len]),
            }
            whole = whole.or_else(|| whole_len(&answer));
            if answer.len().max(whole.unwrap_or(0)) > MAX_REPLY_BYTES {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "an answer without a length, or too long",
                ));
            }
        }
        Reply::parse(&answer).ok_or_else(|| ErrorKind::InvalidData.into())
    }
}

/// Returns the length of an answer, head included; `None` until the head is complete.
fn whole_len(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let len = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    // Without a length, the size limit ends the answer.
    Some(end + 4 + len.unwrap_or(MAX_REPLY_BYTES))
}

/// Sends `GET path`; `None` without a whole answer within `limit`.
pub fn get(address: SocketAddr, path: &str, limit: Duration) -> Option<Reply> {
    let until = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.set_write_timeout(Some(limit)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    while answer.len() <= MAX_REPLY_BYTES {
        // A timeout of zero would mean no timeout.
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
    fn a_connection_carries_call_after_call() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            for answer in [
                // In two pieces, and the second call's answer without a body.
                &["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "cd"][..],
                &["HTTP/1.1 404 No\r\n", "content-length: 0\r\n\r\n"],
                &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"],
            ] {
                let mut request = [0; 1024];
                let len = stream.read(&mut request).unwrap();
                heard.push(String::from_utf8_lossy(&request[..len]).into_owned());
                for piece in answer {
                    stream.write_all(piece.as_bytes()).unwrap();
                }
            }
            heard
        });
        let mut connection = Connection::open(address, Duration::from_secs(10)).unwrap();
        let reply = connection.call("PUT", "/a", &[("accept", "b")], b"{}").unwrap();
        assert_eq!((reply.status, &reply.body[..]), (200, &b"abcd"[..]));
        assert_eq!(connection.get("/none").unwrap().status, 404);
        let error = connection.get("/chunked").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let heard = server.join().unwrap();
        assert!(heard[0].starts_with("PUT /a HTTP/1.1\r\n"), "{}", heard[0]);
        assert!(heard[0].ends_with("accept: b\r\ncontent-length: 2\r\n\r\n{}"), "{}", heard[0]);
        assert!(Connection::open(address, Duration::from_secs(10)).is_err(), "nobody listens any more");
    }

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

        // The test's listener accepts no more, though the system still completes connections.
        assert_eq!(get(address, "/livez", Duration::from_millis(50)), None);
        drop(listener);
        assert_eq!(get(address, "/livez", Duration::from_secs(10)), None);
    }
}
