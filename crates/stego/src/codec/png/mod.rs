//! PNG (W3C, third edition), on the `png` crate: headers and chunks, rows, surviving metadata, and writing,
//! as a whole or at the cost of the changes.

mod chunks;
pub(crate) mod decode;
pub(crate) mod encode;
mod error;
mod filter;
mod frame;
pub(crate) mod header;
mod layout;
mod needed;
pub(crate) mod profile;
pub(crate) mod splice;
pub(crate) mod stored;
