//! The payload container: a self-describing byte string around a secret.
//!
//! Version 2 in its open layout is written ([`open`]); version 2 and the earlier system's container
//! ([`legacy`]) are read. `docs/format.md` is the definition; the golden test in [`open`] pins this module to
//! it.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod deflate;
pub(crate) mod error;
pub(crate) mod find;
pub(crate) mod legacy;
mod media_types;
pub(crate) mod open;
pub(crate) mod packing;
