//! A real node over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod bombs;
mod calls;
mod clients;
mod commands;
mod compare;
mod console;
mod covers;
mod deadlines;
mod early;
mod keyed;
mod log;
mod overload;
mod places;
mod request;
mod script;
mod signals;
mod slow;
mod tls;
