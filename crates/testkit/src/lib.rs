//! Real nodes and real inputs for the tests.
//!
//! Nothing here sleeps for a while and hopes: everything waits on a condition, with a deadline that only a broken
//! node reaches.

mod inputs;
mod node;
mod png;

pub use inputs::{covers, noise, photographs, text};
pub use node::{Node, NodeBuilder, wait_for};
pub use png::{PngParts, chunk};
