//! The payload container: a self-describing byte string around a secret.
//!
//! Version 2 in its open layout ([`open`]) and version 1 of the sealed layout ([`sealed`]) are written and
//! read; the earlier system's container ([`legacy`]) is read. `docs/format.md` is the definition; the golden
//! test in [`open`] pins this module to it.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod deflate;
pub(crate) mod error;
pub(crate) mod find;
pub(crate) mod legacy;
mod media_types;
pub(crate) mod open;
pub(crate) mod packing;
pub(crate) mod sealed;
