//! Shows on a terminal how far a run is.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::Run;
use crate::stats::Stats;

const REFRESH: Duration = Duration::from_millis(250);
/// Steps of the bar: it stands for requests or for time, whichever ends the run.
const STEPS: u64 = 1000;
const TEMPLATE: &str = "{bar:30} {percent:>3} %  {msg}";

/// Shows the progress of `run` on stderr until the run stops; nothing where stderr is not a terminal.
pub(crate) async fn show(run: Arc<Run>) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(TEMPLATE).expect("the template is a constant that is valid"));
    let mut refresh = tokio::time::interval(REFRESH);
    while run.stop.run_until_cancelled(refresh.tick()).await.is_some() {
        let elapsed = run.start.elapsed();
        let (done, text) = run.with_stats(|stats| (stats.total(), line(stats, run.plan.planned(), elapsed)));
        bar.set_position((run.plan.fraction_done(done, elapsed) * STEPS as f64) as u64);
        bar.set_message(text);
    }
    bar.finish_and_clear();
}

fn line(stats: &Stats, planned: Option<u64>, elapsed: Duration) -> String {
    let of_planned = planned.map(|planned| format!("/{planned}")).unwrap_or_default();
    let rate = stats.total() as f64 / elapsed.as_secs_f64().max(0.001);
    let p95 = stats.latency_ms().p95.map_or_else(|| "-".into(), |p95| format!("{p95:.0} ms"));
    format!("{}{of_planned} done  {rate:.1}/s  {} errors  p95 {p95}", stats.total(), stats.failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn the_line_shows_what_is_known() {
        let stats = Stats::new(&[]);
        let second = Duration::from_secs(1);
        assert_eq!(line(&stats, Some(40), second), "0/40 done  0.0/s  0 errors  p95 -");
        assert_eq!(line(&stats, None, second), "0 done  0.0/s  0 errors  p95 -");
    }
}
