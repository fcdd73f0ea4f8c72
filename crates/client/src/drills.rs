//! The calls that let a node fail, as a drill. Each goes to the one node it is meant for, once.

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

/// What a fault drill does to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailAction {
    /// Ends its process at once, without a word.
    Crash,
    /// Makes it answer that it is paused, until it is restored or the time is over.
    Pause(Option<Duration>),
    /// Cuts it off from the other nodes, until it is restored or the time is over.
    Partition(Option<Duration>),
    /// Stops its process for this long.
    Hang(Duration),
    /// Stops it in good order and starts it anew.
    Restart,
    /// Makes its next write to the disk this much slower.
    StallDisk(Duration),
    /// Has it suspect a leader that is well.
    FalseAlarm,
}

impl FailAction {
    /// Name in the API.
    pub fn as_str(self) -> &'static str {
        self.fault().as_str()
    }

    fn fault(self) -> Fault {
        match self {
            Self::Crash => Fault::Crash,
            Self::Pause(_) => Fault::Pause,
            Self::Partition(_) => Fault::Partition,
            Self::Hang(_) => Fault::Hang,
            Self::Restart => Fault::Restart,
            Self::StallDisk(_) => Fault::StallDisk,
            Self::FalseAlarm => Fault::FalseAlarm,
        }
    }

    fn duration(self) -> Option<Duration> {
        match self {
            Self::Pause(duration) | Self::Partition(duration) => duration,
            Self::Hang(duration) | Self::StallDisk(duration) => Some(duration),
            Self::Crash | Self::Restart | Self::FalseAlarm => None,
        }
    }

    fn call(self) -> Call {
        let for_ms = self.duration().map(|duration| duration.as_millis() as u64);
        let request = FailRequest { action: self.fault(), for_ms };
        Call::admin(Method::POST, "/admin/fail").json(json!(request))
    }
}

impl Client {
    /// Makes this node fail, as a drill. Sent once: a node that crashed cannot be asked again.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] with status 403 where drills are off.
    pub async fn fail(&self, endpoint: &Endpoint, action: FailAction) -> Result<DrillAnswer, ClientError> {
        let raw = self.sender.send_once(&action.call(), endpoint).await?;
        Reply::new(raw, cluster::read).read()
    }

    /// Ends a drill on this node. One that stands under none stays as it is.
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
        let action = FailAction::Hang(Duration::from_secs(3));
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
        check(FailAction::Crash, r#"{"action":"crash"}"#);
        check(FailAction::Pause(None), r#"{"action":"pause"}"#);
    }
}
