//! Progress display on a terminal.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::Run;
use crate::stats::Stats;

const REFRESH: Duration = Duration::from_millis(250);
/// Time over which the rate is averaged.
const RATE_OVER: Duration = Duration::from_secs(3);
/// Steps of the bar, which stands for requests or for time, depending on the end of the run.
const STEPS: u64 = 1000;
const TEMPLATE: &str = "{bar:30} {percent:>3} %  {msg}";

/// Shows the progress of `run` on stderr until the run stops; shows nothing if stderr is not a terminal.
pub(crate) async fn show(run: Arc<Run>) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(TEMPLATE).expect("the template is a constant that is valid"));
    let mut refresh = tokio::time::interval(REFRESH);
    let mut recent = VecDeque::new();
    while run.stop.run_until_cancelled(refresh.tick()).await.is_some() {
        let elapsed = run.start.elapsed();
        let done = run.with_stats(Stats::total);
        let rate = recent_rate(&mut recent, elapsed, done);
        let text = run.with_stats(|stats| line(stats, run.plan.planned(), rate));
        bar.set_position((run.plan.fraction_done(done, elapsed) * STEPS as f64) as u64);
        bar.set_message(text);
    }
    bar.finish_and_clear();
}

/// Returns the recent rate of requests per second, given `done` completed requests.
fn recent_rate(recent: &mut VecDeque<(Duration, u64)>, elapsed: Duration, done: u64) -> f64 {
    recent.push_back((elapsed, done));
    while recent.len() > 2 && recent.front().is_some_and(|(at, _)| elapsed.saturating_sub(*at) > RATE_OVER) {
        recent.pop_front();
    }
    let (since, before) = match recent.front() {
        Some(first) if recent.len() > 1 => *first,
        _ => (Duration::ZERO, 0),
    };
    done.saturating_sub(before) as f64 / elapsed.saturating_sub(since).as_secs_f64().max(0.001)
}

/// Formats the completed requests, their rate, latencies in milliseconds, and errors with the most frequent
/// kind.
fn line(stats: &Stats, planned: Option<u64>, rate: f64) -> String {
    let of_planned = planned.map(|planned| format!("/{planned}")).unwrap_or_default();
    let latency = stats.latency_ms();
    let shown = |ms: Option<f64>| ms.map_or_else(|| "-".into(), |ms| format!("{ms:.0}"));
    let worst = stats.errors.iter().max_by_key(|(_, error)| error.count);
    let worst = worst.map(|(kind, _)| format!(" ({kind})")).unwrap_or_default();
    format!(
        "{}{of_planned} done  {rate:.1}/s  p50 {}  p95 {}  p99 {} ms  {} errors{worst}",
        stats.total(),
        shown(latency.p50),
        shown(latency.p95),
        shown(latency.p99),
        stats.failed
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Done;

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn the_line_shows_what_is_known() {
        let stats = Stats::new(&[]);
        assert_eq!(line(&stats, Some(40), 0.0), "0/40 done  0.0/s  p50 -  p95 -  p99 - ms  0 errors");
        let mut stats = Stats::new(&[]);
        stats.record(Done::not_sent(1));
        assert_eq!(line(&stats, None, 2.0), "1 done  2.0/s  p50 -  p95 -  p99 - ms  1 errors (not_sent)");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut recent = VecDeque::new();
        let rates: Vec<f64> = (1..=10)
            .map(|second| {
                let done = if second <= 5 { second * 100 } else { 500 };
                recent_rate(&mut recent, Duration::from_secs(second), done)
            })
            .collect();
        assert_eq!(rates[..5], [100.0; 5]);
        assert_eq!(rates[8..], [0.0; 2]);
    }
}
