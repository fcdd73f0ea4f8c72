//! Parameters of a stream.

/// Assumption about the data (`deflateInit2`, parameter `strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// `Z_DEFAULT_STRATEGY`: any data.
    #[default]
    Default,
    /// `Z_FILTERED`: small values, somewhat at random, such as filtered rows of an image. Matches of five
    /// bytes and less are not used.
    Filtered,
}

/// Parameters of a stream, with the names of zlib. The default is that of `compress()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Settings {
    /// Effort, 0 to 9.
    pub level: u8,
    /// Logarithm of the window's length in bytes, 9 to 15.
    pub window_bits: u8,
    /// Memory for the search and for a block, 1 to 9. Decides where blocks end.
    pub mem_level: u8,
    /// Assumption about the data.
    pub strategy: Strategy,
}

impl Default for Settings {
    fn default() -> Self {
        Self { level: 6, window_bits: 15, mem_level: 8, strategy: Strategy::Default }
    }
}

impl Settings {
    /// Replaces the logarithm of the window's length.
    #[must_use]
    pub fn with_window_bits(self, window_bits: u8) -> Self {
        Self { window_bits, ..self }
    }

    /// Replaces the memory level.
    #[must_use]
    pub fn with_mem_level(self, mem_level: u8) -> Self {
        Self { mem_level, ..self }
    }

    /// Replaces the effort.
    #[must_use]
    pub fn with_level(self, level: u8) -> Self {
        Self { level, ..self }
    }

    /// Replaces the assumption about the data.
    #[must_use]
    pub fn with_strategy(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }
}
