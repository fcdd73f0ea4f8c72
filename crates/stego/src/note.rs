//! Advice to the user besides the result.

use std::fmt;

/// Something the user should know about an image that was made or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Embedded: what the open sequential mode does not do.
    NotHiddenFromAnalysis,
    /// Embedded: the file was put together from parts, which shows.
    ShowsItsMaker,
    /// Embedded: the secret fits, its name did not.
    NameLeftOut,
    /// Embedded: the cover's file held metadata that the stego image does not have.
    MetadataLeftOut(Vec<String>),
    /// Embedded: the metadata that was kept tells where the picture was taken.
    LocationKept,
    /// Embedded: the cover is an animation, of which the stego image shows the first frame.
    FirstFrameOnly,
    /// Extracted: the file is cut off below the rows that carry the payload.
    CutOffBelowPayload,
    /// Extracted: the file is damaged below the rows that carry the payload.
    DamagedBelowPayload,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHiddenFromAnalysis => f.write_str(
                "mode sequential is open: anyone with this image can extract the secret, and statistical \
                 analysis can tell that it carries one",
            ),
            Self::ShowsItsMaker => f.write_str(
                "the structure of the file shows which program made it: it is put together from parts that were there",
            ),
            Self::NameLeftOut => f.write_str(
                "the secret fills the image, so its file name (and a media type without a code) was left out",
            ),
            Self::MetadataLeftOut(names) => {
                write!(f, "metadata of the cover that is not in this image: {}", names.join(", "))
            }
            Self::LocationKept => f.write_str(
                "the metadata kept from the cover tells where it was taken (GPS); metadata=strip leaves it out",
            ),
            Self::FirstFrameOnly => {
                f.write_str("the cover is an animation; this image is its first frame and does not move")
            }
            Self::CutOffBelowPayload => f.write_str(
                "the image is cut off, but below the rows that carry the secret: the secret is whole",
            ),
            Self::DamagedBelowPayload => f.write_str(
                "the image is damaged, but not where it carries the secret: the secret is whole",
            ),
        }
    }
}
