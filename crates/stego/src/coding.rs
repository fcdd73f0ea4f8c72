//! Codes that carry a message in few changes.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

pub(crate) mod double_layer;
pub(crate) mod payload_limited;
pub(crate) mod syndrome_trellis;
mod viterbi;
