//! The list of modes.

use std::fmt;

use crate::carrier::adaptive::Adaptive;
use crate::carrier::scattered::Scattered;
use crate::carrier::sequential::Sequential;
use crate::carrier::{Capacity, Carrier, OpenCarrier};
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
    /// Keyed: at positions over the whole image that only the key tells, encrypted.
    Scattered,
    /// Keyed: as few changes as possible, where they are the least conspicuous, encrypted. The default with a
    /// key.
    Adaptive,
}

impl Mode {
    /// Every mode, in the order of the enum.
    pub const ALL: [Self; 3] = [Self::Sequential, Self::Scattered, Self::Adaptive];
    /// Every mode without a key.
    pub const OPEN: [Self; 1] = [Self::Sequential];

    /// The mode of an embed with a key unless another one is chosen.
    pub const DEFAULT_KEYED: Self = Self::Adaptive;

    /// Returns the mode with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Returns the name of the mode.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Scattered => "scattered",
            Self::Adaptive => "adaptive",
        }
    }

    /// True if the mode takes a key.
    pub fn is_keyed(self) -> bool {
        self.open_carrier().is_none()
    }

    /// Returns the carrier of an open mode.
    pub(crate) fn open_carrier(self) -> Option<&'static dyn OpenCarrier> {
        match self {
            Self::Sequential => Some(&Sequential),
            Self::Scattered | Self::Adaptive => None,
        }
    }

    /// Returns the carrier of the mode.
    pub(crate) fn carrier(self) -> &'static dyn Carrier {
        match self {
            Self::Sequential => &Sequential,
            Self::Scattered => &Scattered,
            Self::Adaptive => &Adaptive,
        }
    }

    /// Returns an upper estimate of the memory, in bytes, for any open or any keyed mode to read an image
    /// described by `info`, besides samples and payload.
    pub(crate) fn max_memory_bytes(info: &ImageInfo, is_keyed: bool) -> u64 {
        let modes = Self::ALL.iter().filter(|mode| mode.is_keyed() == is_keyed);
        modes.map(|mode| mode.carrier().memory_bytes(info)).max().unwrap_or(0)
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
