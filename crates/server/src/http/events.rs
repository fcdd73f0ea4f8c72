//! `GET /cluster/events`: what happens, as it happens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use control_plane::status::{Event, EventKind};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::code::Code;
use super::problem::{Problem, ProblemDocument};
use crate::app::App;

/// How often a silent stream shows that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What happens in the cluster
///
/// Server-sent events: `role`, `leader`, `peer`, `suspicion`, `members`, `config`, `drill`, `notice`, each with one JSON
/// object. Those of before come first, after `Last-Event-ID` if that is sent; `lagged` says how many a slow reader missed.
#[utoipa::path(
    get, path = "/cluster/events", tag = "cluster",
    params(("last-event-id" = Option<u64>, Header, description = "The last one seen")),
    responses(
        (status = 200, description = "A stream without an end", body = String, content_type = "text/event-stream"),
        (status = 503, description = "As many watch as may", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Problem> {
    let place = Arc::clone(&app.watchers)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::TooManyWatchers, "as many watch the events as may"))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let (recent, live) = app.control.events();
    // Ids begin at 1 with each start: a last id beyond them is of an earlier one.
    let newest = recent.last().map_or(0, |event| event.id);
    let after = last.filter(|last| *last <= newest).unwrap_or(0);
    let before = stream::iter(recent.into_iter().filter(move |event| event.id > after));
    let before = before.map(|event| Ok(written(&event)));
    let stopping = app.draining();
    let live = stream::unfold((live, place), |(mut live, place)| async move {
        next(&mut live).await.map(|event| (Ok(event), (live, place)))
    });
    let events = before.chain(live).take_until(stopping.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

async fn next(live: &mut Receiver<Arc<Event>>) -> Option<SseEvent> {
    match live.recv().await {
        Ok(event) => Some(written(&event)),
        Err(RecvError::Lagged(missed)) => {
            Some(SseEvent::default().event("lagged").data(format!("{{\"missed\":{missed}}}")))
        }
        Err(RecvError::Closed) => None,
    }
}

fn written(event: &Event) -> SseEvent {
    let json = serde_json::to_string(event).expect("events have text keys only");
    SseEvent::default().id(event.id.to_string()).event(name(&event.kind)).data(json)
}

fn name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Role { .. } => "role",
        EventKind::Leader { .. } => "leader",
        EventKind::Peer { .. } => "peer",
        EventKind::Suspicion { .. } => "suspicion",
        EventKind::Members { .. } => "members",
        EventKind::Config { .. } => "config",
        EventKind::Drill { .. } => "drill",
        EventKind::Notice { .. } => "notice",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_kind_in_the_data() {
        let kind = EventKind::Leader { leader_id: None, term: 3 };
        let event = Event { id: 7, at_ms: 1, node: "n1".to_owned(), kind };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["kind"], name(&event.kind));
        assert_eq!(
            json,
            serde_json::json!({"id": 7, "at_ms": 1, "node": "n1", "kind": "leader", "leader_id": null, "term": 3})
        );
    }
}
