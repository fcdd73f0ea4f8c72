//! The log of a process, which cannot stop it (DESIGN, rule 11).
//!
//! | module | what it does |
//! |---|---|
//! | `layer` | events into lines, for the `tracing` that everything logs with |
//! | `throttle` | the rate of lines of a kind about a peer: pure |
//! | `line` | lines and values bounded, characters escaped |
//! | `writer` | the queue, the thread that writes, what was dropped and why |
//! | `sink`, `file` | streams that may block; the file, whose it is, and its rotation |
//! | `condition` | the notice `log_failed` of the status |
//! | `panic` | panics into the same queue |
//!
//! `tracing-appender` has the queue and its counter, but its thread swallows errors of writing, tells nobody of dropped
//! lines, and rotates by time only, into files that it opens through links; it opens nothing anew on a signal.

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
