//! Figures of the node: measured once a second, read from memory.

mod history;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use anyhow::Context;
use control_plane::status::NodeFigures;
use control_plane::unix_ms;
use hdrhistogram::Histogram;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tracing::warn;

pub(crate) use history::{History, STEP_MS, Step};

/// Interval of measurements.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Window of the rate and of the percentiles, in seconds.
const WINDOW_S: u64 = 60;
/// Maximum recorded duration: a minute, with two significant digits.
const MAX_DURATION_US: u64 = 60_000_000;

/// The node's figures, measured by a thread of their own.
pub(crate) struct Figures {
    started: Instant,
    window: Mutex<Window>,
    latest: RwLock<NodeFigures>,
    history: Mutex<History>,
}

impl Figures {
    /// Starts to measure, until the last handle is dropped.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start() -> anyhow::Result<Arc<Self>> {
        let figures = Arc::new(Self {
            started: Instant::now(),
            window: Mutex::new(Window::default()),
            latest: RwLock::default(),
            history: Mutex::new(History::new()),
        });
        let watched = Arc::downgrade(&figures);
        std::thread::Builder::new()
            .name("figures".to_owned())
            .spawn(move || sample(&watched))
            .context("cannot start the measuring thread")?;
        Ok(figures)
    }

    /// Counts an answered data-plane request.
    pub(crate) fn count(&self, took: Duration) {
        let second = self.started.elapsed().as_secs();
        self.window.lock().unwrap_or_else(PoisonError::into_inner).count(second, took);
        let took_us = took.as_micros() as u64;
        self.history.lock().unwrap_or_else(PoisonError::into_inner).count(unix_ms(), took_us);
    }

    /// The current figures, from memory.
    pub(crate) fn now(&self) -> NodeFigures {
        let mut figures = self.latest.read().unwrap_or_else(PoisonError::into_inner).clone();
        figures.uptime_s = self.started.elapsed().as_secs();
        figures
    }

    /// Returns the steps of [`STEP_MS`] that ended after `since_ms` (milliseconds since 1970), the oldest
    /// first.
    pub(crate) fn history(&self, since_ms: u64) -> Vec<Step> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).since(since_ms)
    }

    fn update(&self, system: &System, me: Pid, cores: f32) {
        let elapsed = self.started.elapsed();
        let Summary { qps_1m, p50_ms, p95_ms, total } =
            self.window.lock().unwrap_or_else(PoisonError::into_inner).summary(elapsed);
        let process = system.process(me);
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f32 * 100.0 / whole as f32 };
        let figures = NodeFigures {
            cpu_pct: system.global_cpu_usage(),
            mem_pct: share(
                system.total_memory().saturating_sub(system.available_memory()),
                system.total_memory(),
            ),
            process_cpu_pct: process.map_or(0.0, |process| process.cpu_usage() / cores),
            process_memory_bytes: process.map_or(0, sysinfo::Process::memory),
            qps_1m,
            p50_ms: Some(p50_ms),
            p95_ms,
            requests_total: Some(total),
            uptime_s: elapsed.as_secs(),
        };
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

fn sample(figures: &Weak<Figures>) {
    let Ok(me) = sysinfo::get_current_pid() else { return };
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f32);
    let mut system = match System::new() {
        Ok(system) => system,
        Err(error) => {
            warn!(%error, "figures of the system not available");
            return;
        }
    };
    while let Some(figures) = figures.upgrade() {
        system.refresh_cpu_usage();
        system.refresh_memory();
        let process = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, process);
        figures.update(&system, me, cores);
        figures.history.lock().unwrap_or_else(PoisonError::into_inner).tick(unix_ms());
        drop(figures);
        std::thread::sleep(SAMPLE_EVERY);
    }
}

/// Requests of the last minute, by second. Holds no clock: the second is an argument.
#[derive(Default)]
struct Window {
    seconds: VecDeque<Second>,
    /// Requests since the start.
    total: u64,
}

struct Second {
    second: u64,
    durations: Histogram<u32>,
}

/// Summary of the last minute.
#[derive(Debug, PartialEq)]
struct Summary {
    /// Requests per second.
    qps_1m: f32,
    p50_ms: f32,
    p95_ms: f32,
    /// Requests since the start.
    total: u64,
}

fn durations() -> Histogram<u32> {
    Histogram::new_with_max(MAX_DURATION_US, 2).expect("a legal range and number of digits")
}

/// A quantile of durations in milliseconds.
fn quantile_ms(durations: &Histogram<u32>, quantile: f64) -> f32 {
    durations.value_at_quantile(quantile) as f32 / 1000.0
}

impl Window {
    fn count(&mut self, second: u64, took: Duration) {
        self.forget_before(second);
        if self.seconds.back().is_none_or(|last| last.second < second) {
            self.seconds.push_back(Second { second, durations: durations() });
        }
        let took_us = took.as_micros() as u64;
        let last = self.seconds.back_mut().expect("one was pushed");
        last.durations.saturating_record(took_us);
        self.total += 1;
    }

    fn summary(&mut self, elapsed: Duration) -> Summary {
        self.forget_before(elapsed.as_secs());
        let mut all = durations();
        for second in &self.seconds {
            all.add(&second.durations).expect("the same range");
        }
        let window_s = elapsed.as_secs_f32().clamp(1.0, WINDOW_S as f32);
        Summary {
            qps_1m: all.len() as f32 / window_s,
            p50_ms: quantile_ms(&all, 0.5),
            p95_ms: quantile_ms(&all, 0.95),
            total: self.total,
        }
    }

    fn forget_before(&mut self, second: u64) {
        while self.seconds.front().is_some_and(|first| first.second + WINDOW_S <= second) {
            self.seconds.pop_front();
        }
        debug_assert!(
            self.seconds.len() as u64 <= WINDOW_S + 1,
            "a minute, and a second that began meanwhile"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_the_last_minute() {
        let mut window = Window::default();
        for second in 0..120 {
            for _ in 0..10 {
                window.count(second, Duration::from_millis(second));
            }
        }
        let Summary { qps_1m, p50_ms, p95_ms, total } = window.summary(Duration::from_secs(119));
        assert!((9.5..=10.5).contains(&qps_1m), "{qps_1m}");
        assert!((88.0..=92.0).contains(&p50_ms), "{p50_ms}");
        assert!((115.0..=120.0).contains(&p95_ms), "{p95_ms}");
        assert_eq!(total, 1200);
        let silent = Summary { qps_1m: 0.0, p50_ms: 0.0, p95_ms: 0.0, total };
        assert_eq!(window.summary(Duration::from_secs(200)), silent);
    }

    #[test]
    fn a_young_node_counts_what_it_has() {
        let mut window = Window::default();
        (0..20).for_each(|_| window.count(0, Duration::from_millis(5)));
        assert_eq!(window.summary(Duration::from_millis(500)).qps_1m, 20.0);
    }
}
