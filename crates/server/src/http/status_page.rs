//! `GET /`: a small page about this node, without scripts, until the console takes its place.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse};

use crate::app::App;
use crate::metrics::resident_memory_bytes;

const PAGE: &str = include_str!("status_page.html");
/// Nothing is loaded, from anywhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'";

/// The page, filled in.
pub(super) async fn status_page(State(app): State<Arc<App>>, headers: HeaderMap) -> impl IntoResponse {
    let state = match (app.is_draining(), app.is_warm()) {
        (true, _) => "draining",
        (false, false) => "starting",
        (false, true) => "ready",
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("<this node>");
    let resident = resident_memory_bytes().map_or("unknown".to_owned(), mebibytes);
    let figures = [
        ("{{cluster_name}}", escaped(&app.config.cluster_name)),
        ("{{node_id}}", escaped(&app.node_id)),
        ("{{host}}", escaped(host)),
        ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
        ("{{state}}", state.to_owned()),
        ("{{refresh_s}}", app.config.gui.status_poll_ms.div_ceil(1000).max(1).to_string()),
        ("{{uptime}}", duration(app.started.elapsed().as_secs())),
        ("{{embedded}}", app.metrics.embedded().to_string()),
        ("{{extracted}}", app.metrics.extracted().to_string()),
        ("{{pixel_jobs}}", app.pool.jobs().to_string()),
        ("{{transfer_memory}}", mebibytes(app.transfer_memory.used_bytes())),
        ("{{resident_memory}}", resident),
    ];
    let page = figures.iter().fold(PAGE.to_owned(), |page, (name, figure)| page.replace(name, figure));
    let headers =
        [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY), (header::CACHE_CONTROL, "no-store")];
    (headers, Html(page))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Configured names may hold anything.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_for_people() {
        let check = |seconds, want| assert_eq!(duration(seconds), want);
        check(0, "0 s");
        check(61, "1 min 1 s");
        check(3600, "1 h 0 min");
        check(90_000, "1 d 1 h");
    }

    #[test]
    fn names_cannot_write_markup() {
        assert_eq!(escaped("<script>\"&"), "&lt;script&gt;&quot;&amp;");
    }
}
