//! Calls of the API.

use std::sync::Arc;

use crate::answer::{CapacityAnswer, DatasetAnswer, EmbedAnswer, ExtractAnswer, HealthAnswer};
use crate::builder::ClientBuilder;
use crate::endpoints::Endpoint;
use crate::error::{BadAnswer, ClientError};
use crate::reply::{RawReply, Reply, Via};
use crate::request::{Call, CapacityRequest, EmbedRequest, ExtractRequest, JSON};
use crate::send::Sender;

/// Client of a cluster. Cheap to clone; clones share the connections and the turn of the endpoints.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) sender: Arc<Sender>,
}

impl Client {
    /// Returns a builder for a client of the given endpoints.
    pub fn builder(endpoints: impl IntoIterator<Item = Endpoint>) -> ClientBuilder {
        ClientBuilder::new(endpoints)
    }

    pub(crate) fn new(sender: Sender) -> Self {
        Self { sender: Arc::new(sender) }
    }

    /// Returns the endpoints of this client.
    pub fn endpoints(&self) -> &[Endpoint] {
        self.sender.endpoints.list()
    }

    /// Hides a secret in an image.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn embed(&self, request: &EmbedRequest) -> Result<EmbedAnswer, ClientError> {
        read(self.fetch_embed(request).await?).await
    }

    /// Sends the request of [`embed`](Self::embed) and leaves the answer unread, for callers that measure, or
    /// that run processor work elsewhere.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_embed(&self, request: &EmbedRequest) -> Result<Reply<EmbedAnswer>, ClientError> {
        self.fetch(&request.call(), EmbedAnswer::read).await
    }

    /// Finds the secret in a stego image.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn extract(&self, request: &ExtractRequest) -> Result<ExtractAnswer, ClientError> {
        read(self.fetch_extract(request).await?).await
    }

    /// Sends the request of [`extract`](Self::extract) and leaves the answer unread.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_extract(&self, request: &ExtractRequest) -> Result<Reply<ExtractAnswer>, ClientError> {
        self.fetch(&request.call(), ExtractAnswer::read).await
    }

    /// Asks for the capacity of an image.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn capacity(&self, request: &CapacityRequest) -> Result<CapacityAnswer, ClientError> {
        self.fetch(&request.call(), CapacityAnswer::read).await?.read()
    }

    /// Fetches the synthetic test image of the given index, 0 to 49.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn dataset(&self, index: u8) -> Result<DatasetAnswer, ClientError> {
        let call = Call::get(format!("/api/dataset/{index}"), "image/png");
        self.fetch(&call, DatasetAnswer::read).await?.read()
    }

    /// Checks once that the process of the given node is alive.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn livez(&self, endpoint: &Endpoint) -> Result<Via, ClientError> {
        Ok(self.sender.send_once(&Call::get("/livez", "text/plain"), endpoint).await?.via)
    }

    /// Checks once that the given node accepts work.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] with status 503 from a live node that accepts no work.
    pub async fn readyz(&self, endpoint: &Endpoint) -> Result<Via, ClientError> {
        Ok(self.sender.send_once(&Call::get("/readyz", "text/plain"), endpoint).await?.via)
    }

    /// Asks the given node once for its health.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn health(&self, endpoint: &Endpoint) -> Result<HealthAnswer, ClientError> {
        let raw = self.sender.send_once(&Call::get("/healthz", JSON), endpoint).await?;
        Reply::new(raw, HealthAnswer::read).read()
    }

    /// Sends a call and keeps its answer for [`Reply::read`].
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub(crate) async fn fetch<A>(
        &self,
        call: &Call,
        read: fn(&RawReply) -> Result<A, BadAnswer>,
    ) -> Result<Reply<A>, ClientError> {
        Ok(Reply::new(self.sender.send(call).await?, read))
    }
}

/// Reads an answer; a large answer is read on a thread for blocking work.
async fn read<A: Send + 'static>(reply: Reply<A>) -> Result<A, ClientError> {
    if !reply.is_work() {
        return reply.read();
    }
    match tokio::task::spawn_blocking(move || reply.read()).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ClientError::Stopped),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::error::ErrorKind;
    use crate::request::{AnswerForm, Upload, Work};
    use crate::test_server::{TestServer, refusing_endpoint, response};

    const PATIENT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_refused_connection_moves_on_to_the_next_endpoint() {
        let node = TestServer::start(vec![extracted()]).await;
        let client = client([refusing_endpoint(), node.endpoint()]).build().unwrap();
        let answer = client.extract(&request()).await.unwrap();
        assert_eq!(&answer.secret[..], b"abc");
        assert_eq!(answer.via.endpoint, node.endpoint());
        assert_eq!(answer.via.attempts(), 2);
    }

    #[tokio::test]
    async fn a_key_is_not_sent_over_plain_http() {
        let node = TestServer::start(vec![extracted()]).await;
        let key = crate::request::Key::new(Some("a passphrase".to_owned()), None);
        let exposed = client(["http://192.0.2.1:1".parse().unwrap(), node.endpoint()]).build().unwrap();
        let error = exposed.extract(&request().key(key.clone())).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "plaintext_refused");
        assert!(client([node.endpoint()]).build().unwrap().extract(&request().key(key)).await.is_ok());
    }

    #[tokio::test]
    async fn a_cut_connection_is_tried_again() {
        let cut = extracted()[..40].to_vec();
        let node = TestServer::start(vec![Vec::new(), cut, extracted()]).await;
        let answer = client([node.endpoint()]).build().unwrap().extract(&request()).await.unwrap();
        assert_eq!(answer.via.attempts(), 3);
    }

    #[tokio::test]
    async fn retries_end() {
        let client = client([refusing_endpoint()]).max_retries(1).build().unwrap();
        let error = client.extract(&request()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_eq!(error.via().unwrap().attempts(), 2);
    }

    #[tokio::test]
    async fn a_busy_node_is_left_alone_for_as_long_as_it_asks() {
        let node = TestServer::start(vec![busy(1), extracted()]).await;
        let client = client([node.endpoint()]).build().unwrap();
        let started = Instant::now();
        let answer = client.extract(&request()).await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
        assert_eq!(answer.via.attempts(), 2);
    }

    #[tokio::test]
    async fn another_node_is_asked_while_the_busy_one_rests() {
        let (busy_node, node) =
            (TestServer::start(vec![busy(3600)]).await, TestServer::start(vec![extracted()]).await);
        let client = client([busy_node.endpoint(), node.endpoint()]).build().unwrap();
        let answer = client.extract(&request()).await.unwrap();
        assert_eq!(answer.via.endpoint, node.endpoint());
    }

    #[tokio::test]
    async fn a_pause_beyond_the_deadline_is_not_waited_for() {
        for seconds in [3600, u64::MAX] {
            let node = TestServer::start(vec![busy(seconds)]).await;
            let client = client([node.endpoint()]).build().unwrap();
            let started = Instant::now();
            let error = client.extract(&request()).await.unwrap_err();
            assert!(started.elapsed() < PATIENT);
            assert_eq!(error.kind().as_str(), "overloaded");
        }
    }

    #[tokio::test]
    async fn a_node_that_never_answers_meets_the_deadline() {
        let node = TestServer::silent().await;
        let timeout = Duration::from_millis(200);
        let client = client([node.endpoint()]).request_timeout(timeout).build().unwrap();
        let started = Instant::now();
        let error = client.extract(&request()).await.unwrap_err();
        assert!(started.elapsed() >= timeout);
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.via().unwrap().endpoint, node.endpoint());
    }

    #[tokio::test]
    async fn a_problem_is_reported_and_not_retried() {
        let body = r#"{"title": "too large", "status": 413, "code": "capacity_exceeded", "needed_bytes": 9}"#;
        let node =
            TestServer::start(vec![response(413, "application/problem+json", &[], body.as_bytes())]).await;
        let error = client([node.endpoint()]).build().unwrap().extract(&request()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "capacity_exceeded");
        assert_eq!(error.via().unwrap().attempts(), 1);
        let ClientError::Refused { refusal, .. } = error else { panic!("{error}") };
        assert_eq!(refusal.status, 413);
        assert_eq!(refusal.problem.unwrap().extensions["needed_bytes"], 9);
    }

    #[tokio::test]
    async fn an_error_page_is_counted_by_its_status() {
        let node = TestServer::start(vec![response(502, "text/html", &[], b"<html>")]).await;
        let error = client([node.endpoint()]).build().unwrap().extract(&request()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "http_502");
    }

    #[tokio::test]
    async fn answers_are_read_up_to_the_limit() {
        let announced = extracted();
        // The same without a length: the body ends with the connection.
        let body =
            announced[announced.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4..].to_vec();
        let endless = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec(), body.clone()];
        for answer in [announced, endless.concat()] {
            let read_with_limit = async |limit| {
                let node = TestServer::start(vec![answer.clone()]).await;
                let client = client([node.endpoint()]).max_answer_len_bytes(limit).build().unwrap();
                client.extract(&request()).await
            };
            let error = read_with_limit(body.len() - 1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AnswerTooLarge);
            assert_eq!(&read_with_limit(body.len()).await.unwrap().secret[..], b"abc");
        }
    }

    #[tokio::test]
    async fn a_malformed_answer_is_an_error() {
        let node = TestServer::start(vec![response(200, "application/json", &[], b"{\"request")]).await;
        let error = client([node.endpoint()]).build().unwrap().extract(&request()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadAnswer);
    }

    #[tokio::test]
    async fn the_request_carries_its_files_and_fields() {
        let headers = [
            ("x-request-id", "r1"),
            ("x-stego-width", "40"),
            ("x-stego-height", "30"),
            ("x-stego-channels", "3"),
            ("x-stego-capacity-bytes", "900"),
            ("x-stego-secret-size-bytes", "3"),
            ("x-stego-payload-size-bytes", "12"),
            ("x-stego-bit-depth", "8"),
            ("x-stego-bits", "2"),
        ];
        let node = TestServer::start(vec![response(200, "image/png", &headers, b"PNG")]).await;
        let secret = Upload::new("abc").name("plan\r\nx: \"é\".txt").media_type("text/plain");
        let request =
            EmbedRequest::new(secret).cover(Upload::new("cover")).bits(2).answer(AnswerForm::Binary);
        let answer = client([node.endpoint()]).build().unwrap().embed(&request).await.unwrap();
        assert_eq!((answer.cover.capacity_bytes, answer.cover.bits), (900, 2));

        let sent = node.last_request();
        assert!(sent.starts_with("POST /api/embed HTTP/1.1\r\n"), "{sent}");
        for expected in [
            "accept: image/png\r\n",
            "name=\"file\"; filename=\"plan__x: \\\"é\\\".txt\"\r\nContent-Type: text/plain\r\n\r\nabc\r\n",
            "name=\"cover\"\r\n\r\ncover\r\n",
            "name=\"bits\"\r\n\r\n2\r\n",
        ] {
            assert!(sent.contains(expected), "{expected:?} in {sent}");
        }
    }

    #[tokio::test]
    async fn a_large_answer_is_read_off_the_async_threads() {
        let secret = vec![b'A'; 1 << 20];
        let body = format!(
            r#"{{"request_id": "r1", "recovered_size_bytes": 786432, "recovered_mime": "text/plain",
            "recovered_b64": "{}"}}"#,
            String::from_utf8(secret).unwrap()
        );
        let node = TestServer::start(vec![response(200, "application/json", &[], body.as_bytes())]).await;
        let answer = client([node.endpoint()]).build().unwrap().extract(&request()).await.unwrap();
        assert_eq!(answer.secret.len(), 786_432);
    }

    #[tokio::test]
    async fn a_node_that_hangs_leaves_time_for_another() {
        let (silent, node) = (TestServer::silent().await, TestServer::start(vec![extracted()]).await);
        let client = client([silent.endpoint(), node.endpoint()])
            .attempt_timeout(Duration::from_millis(50))
            .build()
            .unwrap();
        let answer = client.extract(&request()).await.unwrap();
        assert_eq!(answer.via, Via { endpoint: node.endpoint(), retried: vec![silent.endpoint()] });
    }

    #[tokio::test]
    async fn a_node_that_hangs_is_left_as_soon_as_an_answer_is_overdue() {
        let (silent, node) = (TestServer::silent().await, TestServer::start(vec![extracted()]).await);
        let client = client([silent.endpoint(), node.endpoint()]).build().unwrap();
        know_pace(&client);
        let started = Instant::now();
        let answer = client.extract(&request()).await.unwrap();
        assert_eq!(answer.via, Via { endpoint: node.endpoint(), retried: vec![silent.endpoint()] });
        assert!(started.elapsed() < PATIENT / 2, "that is what an attempt has otherwise");
    }

    #[tokio::test]
    async fn an_overdue_answer_is_waited_for_when_nobody_else_can_give_it() {
        let node = TestServer::start_slow(Duration::from_millis(300), vec![extracted()]).await;
        let client = client([node.endpoint(), refusing_endpoint()]).max_retries(0).build().unwrap();
        know_pace(&client);
        assert_eq!(client.extract(&request()).await.unwrap().via.attempts(), 1);
    }

    #[tokio::test]
    async fn an_endpoint_without_a_substitute_has_the_whole_time() {
        let node = TestServer::start(vec![Vec::new(), extracted()]).await;
        let check = async |client: Client| client.extract(&request()).await.unwrap();
        let client = client([node.endpoint()]).attempt_timeout(Duration::ZERO).build().unwrap();
        check(client).await;
    }

    #[tokio::test]
    async fn a_draining_node_is_avoided_by_later_requests() {
        let draining = TestServer::start(vec![busy(3600)]).await;
        let node = TestServer::start(vec![extracted(); 3]).await;
        let client = client([draining.endpoint(), node.endpoint()]).build().unwrap();
        let mut attempts = Vec::new();
        for _ in 0..3 {
            attempts.push(client.extract(&request()).await.unwrap().via.attempts());
        }
        assert_eq!(attempts, [2, 1, 1]);
    }

    #[tokio::test]
    async fn a_used_up_retry_budget_is_named() {
        let client = client([refusing_endpoint()]).max_retries(3).build().unwrap();
        while client.sender.budget.withdraw(tokio::time::Instant::now()) {}
        // The tokens added by elapsed seconds are fewer than the retries requested here.
        let mut errors = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let client = client.clone();
            errors.spawn(async move { client.extract(&request()).await.unwrap_err() });
        }
        let errors = errors.join_all().await;
        assert!(errors.iter().any(|error| matches!(error, ClientError::RetryBudget { .. })));
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
            assert!(error.via().is_some());
        }
    }

    #[tokio::test]
    async fn one_node_is_asked_once() {
        let busy_node = TestServer::start(vec![busy(0)]).await;
        let client = client([busy_node.endpoint()]).build().unwrap();
        let error = client.readyz(&busy_node.endpoint()).await.unwrap_err();
        assert_eq!(error.via().unwrap().attempts(), 1);
        let alive = TestServer::start(vec![response(200, "text/plain", &[], b"ok")]).await;
        assert_eq!(client.livez(&alive.endpoint()).await.unwrap().endpoint, alive.endpoint());
    }

    /// Gives the client the pace of many answers within a millisecond each.
    fn know_pace(client: &Client) {
        for _ in 0..64 {
            let mut pace = client.sender.paces[Work::Extract as usize].lock().unwrap();
            pace.note(request().call().files_len_bytes(), Duration::from_millis(1));
        }
    }

    fn client<const N: usize>(endpoints: [Endpoint; N]) -> ClientBuilder {
        Client::builder(endpoints).request_timeout(PATIENT)
    }

    fn request() -> ExtractRequest {
        ExtractRequest::new(Upload::new("PNG")).answer(AnswerForm::Json)
    }

    fn extracted() -> Vec<u8> {
        let body = br#"{"request_id": "r1", "recovered_size_bytes": 3, "recovered_mime": "text/plain",
            "recovered_b64": "YWJj"}"#;
        response(200, "application/json", &[], body)
    }

    fn busy(retry_after_s: u64) -> Vec<u8> {
        let body = br#"{"title": "busy", "status": 503, "code": "overloaded"}"#;
        response(503, "application/problem+json", &[("retry-after", &retry_after_s.to_string())], body)
    }
}
