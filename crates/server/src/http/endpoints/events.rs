//! `GET /cluster/events`: a stream of cluster events and, on request, of the status.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api::events::Event;
use api::{Code, ProblemDocument};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::cluster::status_now;
use crate::app::App;
use crate::http::answer::problem::Problem;
use crate::http::middleware::principal::{Anonymous, Principal};

/// Interval of keep-alive comments on a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Minimum interval between two statuses on one stream.
const STATUS_AT_MOST_EVERY: Duration = Duration::from_millis(50);

/// Content of the stream.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Watched {
    /// Also send the status: events `status` with the answer of `GET /cluster/status`, at once, every
    /// `gui.status_poll_ms`, and after each other event.
    #[serde(default)]
    #[param(required = false)]
    status: bool,
}

/// Stream cluster events
///
/// Server-sent events: `role`, `leader`, `peer`, `suspicion`, `members`, `config`, `drill`, `notice`, each
/// with one JSON object (below). Retained events come first, after `Last-Event-ID` if sent; `lagged` gives
/// the number of events that a slow reader missed. With `status=true` the stream also has events `status`
/// with the answer of `GET /cluster/status`. `status` and `lagged` (`{"missed": 3}`) have no id.
#[utoipa::path(
    get, path = "/cluster/events", tag = "cluster",
    params(("last-event-id" = Option<u64>, Header, description = "Id of the last event received"), Watched),
    responses(
        (status = 200, description = "An endless stream; the schema is the data of one event", body = Event, content_type = "text/event-stream"),
        (status = 400, description = "`status` is neither true nor false", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Too many event streams on this node", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn events(
    _: Principal<Anonymous>,
    State(app): State<App>,
    Query(Watched { status }): Query<Watched>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Problem> {
    let place = Arc::clone(&app.control.watchers).try_acquire_owned().map_err(|_| {
        Problem::new(Code::TooManyWatchers, "too many event streams on this node; retry at another node")
    })?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let (recent, live) = app.control.plane.events();
    // Ids begin at 1 with each start: a larger last id belongs to an earlier process.
    let newest = recent.last().map_or(0, |event| event.id);
    let after = last.filter(|last| *last <= newest).unwrap_or(0);
    let first = stream::iter(status.then(|| status_of(&app)));
    let before = recent.into_iter().filter(move |event| event.id > after);
    let before = first.chain(stream::iter(before.map(|event| written(&event)).collect::<Vec<_>>()));

    let stopping = app.lifecycle.draining();
    let watcher = Watcher { live, statuses: status.then(|| Statuses::new(&app)), app, _place: place };
    let live = stream::unfold(watcher, |mut watcher| async move { Some((watcher.next().await?, watcher)) });
    let events = before.chain(live).take_until(stopping.cancelled_owned());
    Ok(Sse::new(events.map(Ok)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// An event stream and its permit.
struct Watcher {
    live: Receiver<Arc<Event>>,
    statuses: Option<Statuses>,
    app: App,
    _place: OwnedSemaphorePermit,
}

/// Schedule of the statuses.
struct Statuses {
    last: Instant,
    due: Instant,
}

impl Statuses {
    /// Restarts the schedule after a status was sent.
    fn new(app: &App) -> Self {
        let every = Duration::from_millis(app.setup.config.gui.status_poll_ms);
        let now = Instant::now();
        Self { last: now, due: now + every }
    }

    /// Advances the next status because an event may have changed it.
    fn hurry(&mut self) {
        self.due = self.due.min(self.last + STATUS_AT_MOST_EVERY);
    }

    async fn due(statuses: Option<&Self>) {
        match statuses {
            Some(statuses) => sleep_until(statuses.due).await,
            None => std::future::pending().await,
        }
    }
}

impl Watcher {
    /// Returns the next event or status.
    async fn next(&mut self) -> Option<SseEvent> {
        tokio::select! {
            received = self.live.recv() => {
                self.statuses.iter_mut().for_each(Statuses::hurry);
                match received {
                    Ok(event) => Some(written(&event)),
                    Err(RecvError::Lagged(missed)) => {
                        Some(SseEvent::default().event("lagged").data(format!("{{\"missed\":{missed}}}")))
                    }
                    Err(RecvError::Closed) => None,
                }
            }
            () = Statuses::due(self.statuses.as_ref()) => {
                self.statuses = Some(Statuses::new(&self.app));
                Some(status_of(&self.app))
            }
        }
    }
}

fn status_of(app: &App) -> SseEvent {
    let json = serde_json::to_string(&status_now(app)).expect("a status has text keys only");
    SseEvent::default().event("status").data(json)
}

fn written(event: &Event) -> SseEvent {
    let json = serde_json::to_string(event).expect("events have text keys only");
    SseEvent::default().id(event.id.to_string()).event(event.kind.as_str()).data(json)
}
