//! Three real nodes, killed, wiped, moved and cut off.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod api;
mod asymmetric;
mod clocks;
mod crash;
mod demo;
mod disks;
mod drills;
mod failover;
mod floods;
mod formation;
mod guessing;
mod guides;
mod journal;
mod leader;
mod log;
mod names;
mod observer;
mod partition;
mod proxies;
mod put_back;
mod request;
mod settings;
mod status;
mod strangers;
mod upgrade;
