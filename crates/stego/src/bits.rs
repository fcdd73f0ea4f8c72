//! Number of low bits of a sample that carry payload.

/// Bits per sample, 1 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitsPerSample(u8);

impl BitsPerSample {
    /// One bit: the least visible, and the width of every container header.
    pub const ONE: Self = Self(1);
    /// Four bits, the upper limit; the change can be seen in smooth areas.
    pub const MAX: Self = Self(4);

    /// `None` unless `bits` is 1, 2, 3 or 4.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= 1 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// Returns the number of bits, 1 to 4.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// Returns every width, in ascending order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=Self::MAX.0).map(Self)
    }
}

impl Default for BitsPerSample {
    fn default() -> Self {
        Self::ONE
    }
}
