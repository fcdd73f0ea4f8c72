//! Calls that inject a fault into a node as a drill. Each call goes to its target node, once.

use std::time::Duration;

pub use api::drills::DrillAnswer;
use api::drills::{FailRequest, Fault};
use reqwest::Method;
use serde_json::json;

use crate::calls::Client;
use crate::cluster;
use crate::endpoints::Endpoint;
use crate::error::ClientError;
use crate::reply::{Reply, Via};
use crate::request::Call;

/// Fault injected into a node by a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailAction {
    fault: Fault,
    duration: Option<Duration>,
}

impl FailAction {
    /// Immediate end of the process, without a shutdown.
    pub const CRASH: Self = Self { fault: Fault::Crash, duration: None };
    /// Orderly shutdown and restart.
    pub const RESTART: Self = Self { fault: Fault::Restart, duration: None };
    /// Suspicion of a healthy leader.
    pub const FALSE_ALARM: Self = Self { fault: Fault::FalseAlarm, duration: None };

    /// Refusal of work as paused, until restored or until the duration has passed.
    pub fn pause(duration: Option<Duration>) -> Self {
        Self { fault: Fault::Pause, duration }
    }

    /// Isolation from the other nodes, until restored or until the duration has passed.
    pub fn partition(duration: Option<Duration>) -> Self {
        Self { fault: Fault::Partition, duration }
    }

    /// Suspension of the process for the duration.
    pub fn hang(duration: Duration) -> Self {
        Self { fault: Fault::Hang, duration: Some(duration) }
    }

    /// A delay of the next disk write by the duration.
    pub fn stall_disk(duration: Duration) -> Self {
        Self { fault: Fault::StallDisk, duration: Some(duration) }
    }

    /// Returns the name in the API.
    pub fn as_str(self) -> &'static str {
        self.fault.as_str()
    }

    fn call(self) -> Call {
        let for_ms = self.duration.map(|duration| duration.as_millis() as u64);
        let request = FailRequest { action: self.fault, for_ms };
        Call::admin(Method::POST, "/admin/fail").json(json!(request))
    }
}

impl Client {
    /// Injects a fault into the given node. Sent once: a crashed node cannot be asked again.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] with status 403 from a node with drills disabled.
    pub async fn fail(&self, endpoint: &Endpoint, action: FailAction) -> Result<DrillAnswer, ClientError> {
        let raw = self.sender.send_once(&action.call(), endpoint).await?;
        Reply::new(raw, cluster::read).read()
    }

    /// Ends a drill on the given node. Without a drill, the node stays unchanged.
    ///
    /// # Errors
    /// As [`fail`](Self::fail).
    pub async fn restore(&self, endpoint: &Endpoint) -> Result<Via, ClientError> {
        Ok(self.sender.send_once(&Call::admin(Method::POST, "/admin/restore"), endpoint).await?.via)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Body, JSON};
    use crate::test_server::{TestServer, refusing_endpoint, response};

    const ANSWER: &[u8] = br#"{"action": "hang", "node_id": "n2", "after_ms": 50, "added_later": 1}"#;

    #[tokio::test]
    async fn a_drill_goes_to_its_node_once() {
        let node = TestServer::start(vec![response(202, JSON, &[], ANSWER)]).await;
        let client = Client::builder([refusing_endpoint(), node.endpoint()]).build().unwrap();
        let action = FailAction::hang(Duration::from_secs(3));
        let answer = client.fail(&node.endpoint(), action).await.unwrap();
        assert_eq!((answer.node_id.as_str(), answer.after_ms), ("n2", 50));
        let sent = node.last_request();
        assert!(sent.starts_with("POST /admin/fail HTTP/1.1\r\n"), "{sent}");
        assert!(sent.ends_with(r#"{"action":"hang","for_ms":3000}"#), "{sent}");
        assert_eq!(client.restore(&refusing_endpoint()).await.unwrap_err().via().unwrap().attempts(), 1);
    }

    #[test]
    fn a_time_is_sent_where_there_is_one() {
        let check = |action: FailAction, expected: &str| {
            let call = action.call();
            let Body::Json(body) = call.body().unwrap() else { panic!("it has a body") };
            assert_eq!(body.to_string(), expected);
        };
        check(FailAction::CRASH, r#"{"action":"crash"}"#);
        check(FailAction::pause(None), r#"{"action":"pause"}"#);
    }
}
