//! The calls of the API, a file each. A handler translates between HTTP and the library or the control plane.

pub(super) mod access;
pub(super) mod admin;
pub(super) mod capacity;
mod choices;
pub(super) mod cluster;
pub(super) mod compare;
pub(super) mod console;
pub(super) mod dataset;
pub(super) mod docs;
pub(super) mod embed;
pub(super) mod error_page;
pub(super) mod events;
pub(super) mod extract;
pub(super) mod health;
pub(super) mod history;
pub(super) mod leader;
pub(super) mod settings;
