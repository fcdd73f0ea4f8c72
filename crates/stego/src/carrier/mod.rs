//! Carriers: bytes into samples and back.

mod sequential;
mod words;

pub use sequential::Capacity;
pub(crate) use sequential::{ReadError, SampleReader, SampleWriter, Taking, carrying_rows};
