//! Calls about the cluster, as opposed to images.

use api::headers;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::Client;

use crate::cluster::{self, Change, ClusterStatus, LeaderTransfer, Members, Setting, SettingsPage};
use crate::endpoints::Endpoint;
use crate::error::ClientError;
use crate::reply::Reply;
use crate::request::{Call, JSON};

/// Characters left unescaped in a path (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Most pages of settings read: a server with endless pages is abandoned.
const MAX_PAGES: usize = 2000;

/// Options for writing a setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// The version that the setting must have for the write to happen.
    pub if_version: Option<u64>,
    /// The idempotency key of the write; if absent, the client generates a key.
    pub idempotency_key: Option<String>,
    /// The operator's name, for the record.
    pub operator: Option<String>,
}

impl PutOptions {
    fn apply(&self, call: Call) -> Call {
        let key = self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut call = call.idempotency_key(key);
        if let Some(version) = self.if_version {
            call = call.header("if-match", format!("\"{version}\""));
        }
        if let Some(operator) = &self.operator {
            call = call.header(headers::OPERATOR, operator.clone());
        }
        call
    }
}

/// Cluster calls. Reads and settings go to any endpoint that answers; the `fetch_` forms also give access to
/// the answer as received.
impl Client {
    /// Asks for the status of the cluster.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn status(&self) -> Result<ClusterStatus, ClientError> {
        self.fetch_status().await?.read()
    }

    /// Sends the request of [`status`](Self::status) and leaves the answer unread.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_status(&self) -> Result<Reply<ClusterStatus>, ClientError> {
        self.fetch(&Call::get("/cluster/status", JSON), cluster::read).await
    }

    /// Asks the given node once for the status of the cluster.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn status_of(&self, endpoint: &Endpoint) -> Result<ClusterStatus, ClientError> {
        let raw = self.sender.send_once(&Call::get("/cluster/status", JSON), endpoint).await?;
        Reply::new(raw, cluster::read).read()
    }

    /// Asks for the members of the cluster.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn members(&self) -> Result<Members, ClientError> {
        self.fetch_members().await?.read()
    }

    /// Sends the request of [`members`](Self::members) and leaves the answer unread.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_members(&self) -> Result<Reply<Members>, ClientError> {
        self.fetch(&Call::get("/cluster/members", JSON), cluster::read).await
    }

    /// Reads all settings that are set, each page as recent as the last change acknowledged before the page
    /// was read.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn settings(&self) -> Result<Vec<Setting>, ClientError> {
        let mut settings = Vec::new();
        for page in self.fetch_settings().await? {
            settings.append(&mut page.read()?.settings);
        }
        Ok(settings)
    }

    /// Reads all settings as [`settings`](Self::settings) does, page by page.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn fetch_settings(&self) -> Result<Vec<Reply<SettingsPage>>, ClientError> {
        let mut pages = Vec::new();
        let mut path = "/cluster/settings?consistency=linearizable".to_owned();
        while pages.len() < MAX_PAGES {
            let page: Reply<SettingsPage> =
                self.fetch(&Call::get(path, JSON).agreed(), cluster::read).await?;
            let next = page.peek()?.next;
            pages.push(page);
            let Some(next) = next else { break };
            let after = utf8_percent_encode(&next, UNRESERVED);
            path = format!("/cluster/settings?consistency=linearizable&after={after}");
        }
        Ok(pages)
    }

    /// Reads a setting.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] with status 404 for an unset setting.
    pub async fn setting(&self, key: &str) -> Result<Setting, ClientError> {
        self.fetch_setting(key).await?.read()
    }

    /// Sends the request of [`setting`](Self::setting) and leaves the answer unread.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_setting(&self, key: &str) -> Result<Reply<Setting>, ClientError> {
        self.fetch(&Call::get(setting_path(key), JSON).agreed(), cluster::read).await
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// Any [`ClientError`]. After [`ClientError::Timeout`], [`ClientError::ConnectionLost`] and a refusal
    /// with the code `outcome_unknown` the setting may have been written.
    pub async fn put_setting(
        &self,
        key: &str,
        value: &Value,
        options: &PutOptions,
    ) -> Result<Change, ClientError> {
        self.fetch_put_setting(key, value, options).await?.read()
    }

    /// Sends the request of [`put_setting`](Self::put_setting) and leaves the answer unread.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_put_setting(
        &self,
        key: &str,
        value: &Value,
        options: &PutOptions,
    ) -> Result<Reply<Change>, ClientError> {
        let call = Call::admin(Method::PUT, setting_path(key)).agreed().json(json!({ "value": value }));
        self.fetch(&options.apply(call), cluster::read).await
    }

    /// Unsets a setting.
    ///
    /// # Errors
    /// As [`put_setting`](Self::put_setting).
    pub async fn delete_setting(&self, key: &str, options: &PutOptions) -> Result<Change, ClientError> {
        self.fetch_delete_setting(key, options).await?.read()
    }

    /// Sends the request of [`delete_setting`](Self::delete_setting) and leaves the answer unread.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_delete_setting(
        &self,
        key: &str,
        options: &PutOptions,
    ) -> Result<Reply<Change>, ClientError> {
        let call = Call::admin(Method::DELETE, setting_path(key)).agreed();
        self.fetch(&options.apply(call), cluster::read).await
    }

    /// Transfers leadership to the given node or, if none is named, to the leader's best successor.
    ///
    /// Asking for a named node again is harmless, so that call is repeated like a read. Without a name every
    /// call moves leadership on, and the call is not sent again once a node may have carried it out.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] with status 404 for an unknown node, 409 if the node, or
    /// every other node, cannot lead. After [`ClientError::Timeout`] and [`ClientError::ConnectionLost`] the
    /// transfer may have happened.
    pub async fn transfer_leader(&self, to: Option<&str>) -> Result<LeaderTransfer, ClientError> {
        self.fetch_transfer_leader(to).await?.read()
    }

    /// Sends the request of [`transfer_leader`](Self::transfer_leader) and leaves the answer unread.
    ///
    /// # Errors
    /// Any [`ClientError`] but [`ClientError::BadAnswer`].
    pub async fn fetch_transfer_leader(
        &self,
        to: Option<&str>,
    ) -> Result<Reply<LeaderTransfer>, ClientError> {
        let call = Call::admin(Method::POST, "/cluster/leader-transfers").json(json!({ "to": to }));
        let call = if to.is_some() { call } else { call.not_twice() };
        self.fetch(&call, cluster::read).await
    }
}

fn setting_path(key: &str) -> String {
    format!("/cluster/settings/{}", utf8_percent_encode(key, UNRESERVED))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::admin_token::AdminToken;
    use crate::drills::FailAction;
    use crate::request::Work;
    use crate::test_server::{TestServer, refusing_endpoint, response};

    const SETTING: &[u8] = br#"{"key": "bits", "value": 2, "version": 17, "updated_at": "2026-11-24T10:00:00.123Z",
        "updated_by": {"name": null, "authority": "admin_token", "via": "n2"}, "previous": 1, "request_id": "r1"}"#;
    const PATIENT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_write_carries_its_conditions_and_who_does_it() {
        let node = TestServer::start(vec![response(200, JSON, &[], SETTING)]).await;
        let token = AdminToken::new("s3cret").unwrap();
        let client = Client::builder([node.endpoint()]).admin_token(token).build().unwrap();
        let options = PutOptions {
            if_version: Some(16),
            idempotency_key: Some("k1".into()),
            operator: Some("alice".into()),
        };
        // The answer of a cluster with nodes of release 0.1; from then on it has a version in place of
        // values.
        let change = client.put_setting("note.a b/ü", &json!("x"), &options).await.unwrap();
        assert_eq!((change.version, change.previous_version, change.request_id.as_str()), (17, None, "r1"));
        let sent = node.last_request();
        assert!(
            sent.starts_with("PUT /cluster/settings/note.a%20b%2F%C3%BC HTTP/1.1\r\n"),
            "the key is one segment of the path: {sent}"
        );
        for expected in [
            "idempotency-key: k1\r\n",
            "if-match: \"16\"\r\n",
            "x-steg-operator: alice\r\n",
            "authorization: Bearer s3cret\r\n",
            "\r\n\r\n{\"value\":\"x\"}",
        ] {
            assert!(sent.contains(expected), "{expected:?} in {sent}");
        }
        assert!(!format!("{client:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn the_token_stays_out_of_other_calls_and_of_errors() {
        let status = br#"{"cluster_name": "c", "node_id": "n1", "term": 1, "quorum": true, "nodes": []}"#;
        let node = TestServer::start(vec![response(200, JSON, &[], status)]).await;
        let token = AdminToken::new("s3cret").unwrap();
        let client = Client::builder([node.endpoint()]).admin_token(token).build().unwrap();
        client.status().await.unwrap();
        assert!(!node.last_request().contains("authorization"));

        let error = client.fail(&refusing_endpoint(), FailAction::CRASH).await.unwrap_err();
        assert!(!format!("{error:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn a_write_is_repeated_under_the_same_key() {
        let unknown = br#"{"status": 504, "code": "outcome_unknown"}"#;
        let first =
            TestServer::start(vec![Vec::new(), response(504, "application/problem+json", &[], unknown)])
                .await;
        let second = TestServer::start(vec![response(200, JSON, &[], SETTING)]).await;
        // The same server twice: first it cuts the connection, then it reports an unknown outcome.
        let client = Client::builder([first.endpoint(), first.endpoint(), second.endpoint()])
            .request_timeout(PATIENT)
            .build()
            .unwrap();
        client.put_setting("bits", &json!(2), &PutOptions::default()).await.unwrap();
        let key = |request: String| {
            request.lines().find_map(|line| Some(line.strip_prefix("idempotency-key: ")?.to_owned())).unwrap()
        };
        assert_eq!(key(first.last_request()), key(second.last_request()));
    }

    #[tokio::test]
    async fn a_transfer_is_repeated_where_that_is_harmless() {
        let answer = || response(200, JSON, &[], br#"{"from": "n1", "to": "n2", "term": 7}"#);
        for (to, body) in [(Some("n2"), r#"{"to":"n2"}"#), (None, r#"{"to":null}"#)] {
            // The server cuts the connection first, like a node that crashes during the call.
            let node = TestServer::start(vec![Vec::new(), answer()]).await;
            let client = Client::builder([node.endpoint()]).request_timeout(PATIENT).build().unwrap();
            let transferred = client.transfer_leader(to).await;
            let sent = node.last_request();
            assert!(sent.starts_with("POST /cluster/leader-transfers HTTP/1.1\r\n"), "{sent}");
            assert!(sent.ends_with(body), "{sent}");
            match to {
                Some(_) => assert_eq!(transferred.unwrap().term, 7),
                None => assert_eq!(transferred.unwrap_err().kind().as_str(), "connection_lost"),
            }
        }
        // An unreachable node, or an answer that nothing was done, leaves no doubt about the outcome.
        let failed = response(
            503,
            "application/problem+json",
            &[("retry-after", "0")],
            br#"{"status": 503, "code": "transfer_failed"}"#,
        );
        let node = TestServer::start(vec![failed, answer()]).await;
        let client =
            Client::builder([refusing_endpoint(), node.endpoint()]).request_timeout(PATIENT).build().unwrap();
        assert_eq!(client.transfer_leader(None).await.unwrap().to, "n2");
    }

    #[tokio::test]
    async fn a_write_does_not_wait_for_a_node_that_hangs() {
        let (silent, node) =
            (TestServer::silent().await, TestServer::start(vec![response(200, JSON, &[], SETTING)]).await);
        let client =
            Client::builder([silent.endpoint(), node.endpoint()]).request_timeout(PATIENT).build().unwrap();
        for _ in 0..64 {
            client.sender.paces[Work::Agree as usize].lock().unwrap().note(0, Duration::from_millis(1));
        }
        let started = Instant::now();
        client.put_setting("bits", &json!(2), &PutOptions::default()).await.unwrap();
        assert!(started.elapsed() < PATIENT / 2, "that is what an attempt has otherwise");
    }

    #[tokio::test]
    async fn a_missing_quorum_does_not_turn_other_work_away() {
        let body = br#"{"status": 503, "code": "no_quorum"}"#;
        let no_quorum = || response(503, "application/problem+json", &[("retry-after", "3600")], body);
        let node = TestServer::start(vec![no_quorum(), response(200, "image/png", &[], b"PNG")]).await;
        let client = Client::builder([node.endpoint(), refusing_endpoint()]).max_retries(0).build().unwrap();
        let error = client.settings().await.unwrap_err();
        assert_eq!(error.kind().as_str(), "no_quorum");
        // The other endpoint is next in turn, then this node again, which is not avoided.
        assert!(client.dataset(0).await.is_err());
        client.dataset(0).await.unwrap();
    }
}
