//! Log lines of the nodes, as a timeline: simulated time, node, message.

#![expect(clippy::print_stdout, reason = "the timeline of a run")]

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::executor::Executor;

thread_local! {
    static EXECUTOR: RefCell<Weak<Executor>> = const { RefCell::new(Weak::new()) };
}

/// Names the executor of the runs on the thread.
pub(crate) fn follow(executor: &Arc<Executor>) {
    EXECUTOR.set(Arc::downgrade(executor));
}

/// Returns the simulated time of the latest run on the thread, while the run lasts.
pub(crate) fn now() -> Duration {
    EXECUTOR.with_borrow(Weak::upgrade).map_or(Duration::ZERO, |executor| executor.now())
}

/// Prints what nodes log from now on. Call at most once.
pub fn print_timeline(max_level: Level) {
    tracing_subscriber::registry().with(Timeline { max_level }).init();
}

struct Timeline {
    max_level: Level,
}

impl<S: Subscriber> Layer<S> for Timeline {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        // openraft tells every step of its own; its warnings suffice.
        if event.metadata().target().starts_with("openraft") && level > Level::WARN {
            return;
        }
        let Some(executor) = EXECUTOR.with_borrow(Weak::upgrade).filter(|_| level <= self.max_level) else {
            return;
        };
        let node = executor.running().map_or("  ".to_owned(), |process| format!("n{}", process.node + 1));
        let mut line = Line::default();
        event.record(&mut line);
        let at = executor.now().as_secs_f64();
        println!("{at:11.6} {node} {level:5} {}{}", line.message, line.fields);
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
