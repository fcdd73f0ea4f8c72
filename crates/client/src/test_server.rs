//! A test node with prepared answers: each connection has a single request and a single answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::endpoints::Endpoint;

/// Server that answers its connections in order with prepared bytes and closes each.
pub(crate) struct TestServer {
    endpoint: Endpoint,
    last_request: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl TestServer {
    /// Starts a node that gives the answers in order. An empty answer cuts the connection.
    pub(crate) async fn start(answers: Vec<Vec<u8>>) -> Self {
        Self::start_slow(Duration::ZERO, answers).await
    }

    /// Starts a node that waits for `pause` before each answer.
    pub(crate) async fn start_slow(pause: Duration, answers: Vec<Vec<u8>>) -> Self {
        Self::run(move |listener, last_request| async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                *last_request.lock().unwrap() = request;
                tokio::time::sleep(pause).await;
                stream.write_all(&answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        })
        .await
    }

    /// Starts a node that accepts connections and never answers.
    pub(crate) async fn silent() -> Self {
        Self::run(|listener, _| async move {
            let mut held = Vec::new();
            loop {
                held.push(listener.accept().await.unwrap());
            }
        })
        .await
    }

    async fn run<F>(serve: impl FnOnce(TcpListener, Arc<Mutex<Vec<u8>>>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let last_request = Arc::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&last_request)));
        Self { endpoint, last_request, task }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    pub(crate) fn last_request(&self) -> String {
        String::from_utf8_lossy(&self.last_request.lock().unwrap()).into_owned()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns an address without a listener: port 1 is reserved, and no service uses it.
pub(crate) fn refusing_endpoint() -> Endpoint {
    "http://127.0.0.1:1".parse().unwrap()
}

/// Builds an HTTP answer with a length.
pub(crate) fn response(status: u16, content_type: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// Reads a request to its end, according to its `content-length`.
async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    loop {
        if let Some(head_len) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..head_len]).to_ascii_lowercase();
            let body_len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let body_len: usize = body_len.map_or(0, |value| value.parse().unwrap());
            if request.len() >= head_len + 4 + body_len {
                return request;
            }
        }
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return request;
        }
    }
}
