//! Constraint height of the syndrome-trellis code.

/// Constraint height of the code that carries a body in [`crate::Mode::Adaptive`]: 7 to 12. A step brings the
/// distortion closer to the bound and doubles the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstraintHeight(u8);

impl ConstraintHeight {
    /// The least height.
    pub const MIN: Self = Self(7);
    /// The greatest height.
    pub const MAX: Self = Self(12);

    /// Creates a height; `None` outside of 7 to 12.
    pub const fn new(height: u8) -> Option<Self> {
        if height >= Self::MIN.0 && height <= Self::MAX.0 { Some(Self(height)) } else { None }
    }

    /// Returns the height.
    pub const fn as_u8(self) -> u8 {
        self.0
    }
}

/// 10.
impl Default for ConstraintHeight {
    fn default() -> Self {
        Self(10)
    }
}
