//! Storage of the samples in a PNG, and the signature of every PNG.

use crate::codec::format::{Channels, SampleDepth};

pub(crate) const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// Storage of the samples in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) colour: u8,
    pub(super) depth: u8,
    /// True if tRNS gives some colours individual alpha.
    pub(super) transparency: bool,
}

impl Stored {
    pub(super) const GREY: u8 = 0;
    pub(super) const RGB: u8 = 2;
    pub(super) const PALETTE: u8 = 3;
    pub(super) const GREY_ALPHA: u8 = 4;
    pub(super) const RGBA: u8 = 6;

    /// True if PNG allows this combination (11.2.1, table 11).
    pub(super) fn is_legal(self) -> bool {
        match self.colour {
            Self::GREY => matches!(self.depth, 1 | 2 | 4 | 8 | 16),
            Self::PALETTE => matches!(self.depth, 1 | 2 | 4 | 8),
            Self::RGB | Self::GREY_ALPHA | Self::RGBA => matches!(self.depth, 8 | 16),
            _ => false,
        }
    }

    /// Returns the samples of a pixel once palettes, low depths and transparent colours are resolved.
    pub(super) fn channels(self) -> Channels {
        match (self.colour, self.transparency) {
            (Self::GREY, false) => Channels::Grey,
            (Self::GREY, true) | (Self::GREY_ALPHA, _) => Channels::GreyAlpha,
            (Self::RGB | Self::PALETTE, false) => Channels::Rgb,
            _ => Channels::Rgba,
        }
    }

    pub(super) fn decoded_depth(self) -> SampleDepth {
        if self.depth == 16 { SampleDepth::Sixteen } else { SampleDepth::Eight }
    }
}
