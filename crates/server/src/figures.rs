//! How the node is doing: measured once a second, told from memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use anyhow::Context;
use control_plane::status::NodeFigures;
use hdrhistogram::Histogram;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tracing::warn;

/// Between two measurements.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// What the rate and the percentile are about.
const WINDOW_S: u64 = 60;
/// Durations are kept with two digits, up to a minute.
const MAX_DURATION_US: u64 = 60_000_000;

/// The node's figures, measured by a thread of their own.
pub(crate) struct Figures {
    started: Instant,
    window: Mutex<Window>,
    latest: RwLock<NodeFigures>,
}

impl Figures {
    /// Starts to measure, until the last handle is gone.
    pub(crate) fn start() -> anyhow::Result<Arc<Self>> {
        let window = Mutex::new(Window::default());
        let figures = Arc::new(Self { started: Instant::now(), window, latest: RwLock::default() });
        let watched = Arc::downgrade(&figures);
        std::thread::Builder::new()
            .name("figures".to_owned())
            .spawn(move || sample(&watched))
            .context("cannot start the thread that measures")?;
        Ok(figures)
    }

    /// A request to the API was answered.
    pub(crate) fn count(&self, took: Duration) {
        let second = self.started.elapsed().as_secs();
        self.window.lock().unwrap_or_else(PoisonError::into_inner).count(second, took);
    }

    /// As they are now, from memory.
    pub(crate) fn now(&self) -> NodeFigures {
        let mut figures = self.latest.read().unwrap_or_else(PoisonError::into_inner).clone();
        figures.uptime_s = self.started.elapsed().as_secs();
        figures
    }

    fn update(&self, system: &System, me: Pid, cores: f32) {
        let elapsed = self.started.elapsed();
        let (qps_1m, p95_ms) = self.window.lock().unwrap_or_else(PoisonError::into_inner).summary(elapsed);
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
            p95_ms,
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
            warn!(%error, "the system does not tell how it is doing");
            return;
        }
    };
    while let Some(figures) = figures.upgrade() {
        system.refresh_cpu_usage();
        system.refresh_memory();
        let process = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, process);
        figures.update(&system, me, cores);
        drop(figures);
        std::thread::sleep(SAMPLE_EVERY);
    }
}

/// Requests of the last minute, in seconds of their own. Holds no clock: the second is an argument.
#[derive(Default)]
struct Window(VecDeque<Second>);

struct Second {
    second: u64,
    durations: Histogram<u32>,
}

impl Window {
    fn count(&mut self, second: u64, took: Duration) {
        self.forget_before(second);
        if self.0.back().is_none_or(|last| last.second < second) {
            let durations =
                Histogram::new_with_max(MAX_DURATION_US, 2).expect("a legal range and number of digits");
            self.0.push_back(Second { second, durations });
        }
        let last = self.0.back_mut().expect("one was pushed");
        last.durations.saturating_record(took.as_micros() as u64);
    }

    /// Requests a second, and the 95th percentile of their duration in milliseconds.
    fn summary(&mut self, elapsed: Duration) -> (f32, f32) {
        self.forget_before(elapsed.as_secs());
        let Some(first) = self.0.front() else { return (0.0, 0.0) };
        let mut all = first.durations.clone();
        for second in self.0.iter().skip(1) {
            all.add(&second.durations).expect("the same range");
        }
        let window_s = elapsed.as_secs_f32().clamp(1.0, WINDOW_S as f32);
        (all.len() as f32 / window_s, all.value_at_quantile(0.95) as f32 / 1000.0)
    }

    fn forget_before(&mut self, second: u64) {
        while self.0.front().is_some_and(|first| first.second + WINDOW_S <= second) {
            self.0.pop_front();
        }
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
        let (qps, p95) = window.summary(Duration::from_secs(119));
        assert!((9.5..=10.5).contains(&qps), "{qps}");
        assert!((115.0..=120.0).contains(&p95), "{p95}");
        assert_eq!(window.summary(Duration::from_secs(200)), (0.0, 0.0));
    }

    #[test]
    fn a_young_node_counts_what_it_has() {
        let mut window = Window::default();
        (0..20).for_each(|_| window.count(0, Duration::from_millis(5)));
        assert_eq!(window.summary(Duration::from_millis(500)).0, 20.0);
    }
}
