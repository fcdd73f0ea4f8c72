//! Live events of the cluster: the stream of `/cluster/events`.

use api::events::Event;
use reqwest::Response;

use crate::calls::Client;
use crate::endpoints::Endpoint;
use crate::error::{BadAnswer, ClientError};
use crate::event_lines::{EventLines, Frame};
use crate::reply::Via;
use crate::request::Call;
use crate::send::content_type;

const EVENT_STREAM: &str = "text/event-stream";

/// A stream of events, read with [`Events::next`].
#[derive(Debug)]
pub struct Events {
    via: Via,
    response: Response,
    lines: EventLines,
}

impl Client {
    /// Opens the event stream of the given node, which starts with the node's retained events or, with
    /// `after`, with the events since the event of that id. The request's timeout applies until the stream
    /// begins.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn events(&self, endpoint: &Endpoint, after: Option<u64>) -> Result<Events, ClientError> {
        let mut call = Call::get("/cluster/events", EVENT_STREAM);
        if let Some(id) = after {
            call = call.header("last-event-id", id.to_string());
        }
        let response = self.sender.open(&call, endpoint).await?;
        let via = Via::direct(endpoint.clone());
        let found = content_type(response.headers());
        if found != EVENT_STREAM {
            let source = BadAnswer::ContentType { expected: EVENT_STREAM, found };
            return Err(ClientError::BadAnswer { via, source });
        }
        Ok(Events { via, response, lines: EventLines::default() })
    }
}

impl Events {
    /// Returns the next event; `None` at the end of the stream. Cancel safe: a dropped call loses no event.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`], and [`ClientError::BadAnswer`] for a frame that is not an event.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            while let Some(frame) = self.lines.next() {
                if let Some(event) = read(&frame).map_err(|source| self.bad(source))? {
                    return Ok(Some(event));
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.lines.feed(&chunk).map_err(|source| self.bad(source))?,
                Ok(None) => return Ok(None),
                Err(source) => {
                    let via = self.via.clone();
                    return Err(ClientError::ConnectionLost { via, source: source.without_url() });
                }
            }
        }
    }

    fn bad(&self, source: BadAnswer) -> ClientError {
        ClientError::BadAnswer { via: self.via.clone(), source }
    }
}

/// Parses the event in a frame; `None` for a frame about the stream itself.
fn read(frame: &Frame) -> Result<Option<Event>, BadAnswer> {
    if frame.event == "lagged" {
        return Ok(None);
    }
    serde_json::from_str(&frame.data).map(Some).map_err(|source| BadAnswer::Json { source })
}

#[cfg(test)]
mod tests {
    use api::events::EventKind;

    use super::*;
    use crate::error::ErrorKind;
    use crate::test_server::{TestServer, response};

    const STREAM: &[u8] = b": keep-alive\n\nid: 7\nevent: leader\ndata: {\"id\": 7, \"at_ms\": 1, \"node\": \"n2\", \
        \"kind\": \"leader\", \"leader_id\": \"n3\", \"term\": 4}\n\nevent: lagged\ndata: {\"missed\": 3}\n\nid: 8\n\
        event: novel\ndata: {\"id\": 8, \"at_ms\": 2, \"node\": \"n2\", \"kind\": \"novel\", \"voters\": []}\n\n";

    #[tokio::test]
    async fn events_come_one_by_one_and_unknown_kinds_do_no_harm() {
        let node = TestServer::start(vec![response(200, EVENT_STREAM, &[], STREAM)]).await;
        let client = Client::builder([node.endpoint()]).build().unwrap();
        let mut events = client.events(&node.endpoint(), Some(6)).await.unwrap();
        let first = events.next().await.unwrap().unwrap();
        assert_eq!((first.id, first.node.as_str()), (7, "n2"));
        assert_eq!(first.kind, EventKind::Leader { leader_id: Some("n3".into()), term: 4 });
        assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Other);
        assert_eq!(events.next().await.unwrap(), None);
        assert!(node.last_request().contains("last-event-id: 6\r\n"));
    }

    #[tokio::test]
    async fn what_is_no_event_is_refused() {
        let check = async |content_type: &str, body: &[u8]| {
            let node = TestServer::start(vec![response(200, content_type, &[], body)]).await;
            let client = Client::builder([node.endpoint()]).build().unwrap();
            match client.events(&node.endpoint(), None).await {
                Ok(mut events) => events.next().await.unwrap_err().kind(),
                Err(error) => error.kind(),
            }
        };
        assert_eq!(check("text/html", b"<html>").await, ErrorKind::BadAnswer);
        assert_eq!(check(EVENT_STREAM, b"data: {}\n\n").await, ErrorKind::BadAnswer);
    }
}
