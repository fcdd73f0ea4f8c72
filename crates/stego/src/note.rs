//! Advice to the user besides the result.

use std::fmt;

use crate::examination::GiveAway;

/// Advice to the user on an image made or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Embedded: the secret is not hidden from analysis in the open sequential mode.
    NotHiddenFromAnalysis,
    /// Embedded: the file was put together from parts, which shows.
    ShowsItsMaker,
    /// Embedded: the secret fits, the name did not.
    NameLeftOut,
    /// Embedded: the stego image lacks metadata of the cover's file.
    MetadataLeftOut(Vec<String>),
    /// Embedded: the kept metadata tell the location of the picture.
    LocationKept,
    /// Embedded: the cover is an animation, of which the stego image shows the first frame.
    FirstFrameOnly,
    /// Embedded with a key: a single changed sample of this cover shows, by each of these properties.
    CoverGivesAway(Vec<GiveAway>),
    /// Embedded with a key: others have the cover too, or the key opens it already. Only a caller knows.
    CoverIsKnown,
    /// Extracted: the file is cut off below the rows with the payload.
    CutOffBelowPayload,
    /// Extracted: the file is damaged below the rows with the payload.
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
            Self::CoverGivesAway(kinds) => {
                let reasons: Vec<String> = kinds.iter().map(|kind| format!("{kind} ({})", kind.code())).collect();
                write!(
                    f,
                    "cover_gives_away: changes of this cover can be shown without the key, so its safe capacity is 0 \
                     bytes: {}",
                    reasons.join("; ")
                )
            }
            Self::CoverIsKnown => f.write_str(
                "cover_is_known: others have this cover, or it carries a secret under this key already, and a \
                 comparison shows the changes; take another, and do not publish the original",
            ),
            Self::CutOffBelowPayload => f.write_str(
                "the image is cut off, but below the rows that carry the secret: the secret is whole",
            ),
            Self::DamagedBelowPayload => f.write_str(
                "the image is damaged, but not where it carries the secret: the secret is whole",
            ),
        }
    }
}
