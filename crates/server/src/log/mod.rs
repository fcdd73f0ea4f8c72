//! The log of a process, which cannot stop the process (DESIGN, rule 11).
//!
//! | module | contents |
//! |---|---|
//! | `layer` | events into lines, as a `tracing` layer |
//! | `throttle` | the rate of lines per kind and peer: pure |
//! | `line` | lines and values bounded, characters escaped |
//! | `writer` | the queue, the writing thread, lost lines and their cause |
//! | `sink`, `file` | streams that may block; the file, its owner, and rotation |
//! | `condition` | the notice `log_failed` of the status |
//! | `panic` | panics into the same queue |
//!
//! `tracing-appender` has the queue and its counter, but its thread swallows write errors and does not report
//! dropped lines, and it rotates by time only, into files opened through links; it does not reopen files on a
//! signal.

mod condition;
pub(crate) mod file;
mod layer;
mod line;
mod panic;
mod sink;
mod start;
mod throttle;
mod writer;

pub(crate) use panic::log_panics;
pub(crate) use start::{Speaker, last_words, start};
pub(crate) use writer::Log;
