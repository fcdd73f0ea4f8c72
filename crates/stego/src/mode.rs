//! The list of modes.

use std::fmt;

use crate::carrier::sequential::Sequential;
use crate::carrier::{Capacity, Carrier};
use crate::codec::cover::Cover;
use crate::codec::info::ImageInfo;

/// A way to carry a secret in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Open: in the low bits of the first samples, in row order. Anyone with the image can extract the
    /// secret.
    #[default]
    Sequential,
}

impl Mode {
    /// Every mode, in the order of the enum.
    pub const ALL: [Self; 1] = [Self::Sequential];

    /// Returns the mode with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Returns the name of the mode.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
        }
    }

    /// Returns the carrier of the mode.
    pub(crate) fn carrier(self) -> &'static dyn Carrier {
        match self {
            Self::Sequential => &Sequential,
        }
    }

    /// Returns an upper estimate of the memory, in bytes, for any mode to read an image described by `info`,
    /// besides samples and payload.
    pub(crate) fn max_memory_bytes(info: &ImageInfo) -> u64 {
        Self::ALL.iter().map(|mode| mode.carrier().memory_bytes(info)).max().unwrap_or(0)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Cover {
    /// Returns the capacity of the cover in `mode`.
    pub fn capacity(&self, mode: Mode) -> Capacity {
        mode.carrier().capacity(self)
    }
}
