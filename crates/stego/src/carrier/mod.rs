//! Carriers: bytes into samples and back.

pub(crate) mod sequential;
mod words;
