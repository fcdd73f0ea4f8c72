//! Answers of `/api/embed`, `/api/extract`, `/api/capacity` and `/api/compare`.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes in base64 (RFC 4648, 4) on the wire, encoded and decoded without an intermediate text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64<'a>(pub Cow<'a, [u8]>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Base64<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
                STANDARD.decode(text).map_err(|error| E::custom(format!("not base64: {error}")))
            }
        }
        deserializer.deserialize_str(Text).map(|bytes| Self(Cow::Owned(bytes)))
    }
}

/// Cover and its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CoverInfo {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Samples of a pixel, alpha included.
    pub channels: u8,
    /// Bits of a sample: 8 or 16.
    pub bit_depth: u8,
    /// Bits carried per sample.
    pub bits: u8,
    /// Length in bytes of the longest incompressible secret at these bits.
    pub capacity_bytes: u64,
}

/// Answer of `POST /api/embed` as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmbedAnswer<'a> {
    /// Id of the request.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub request_id: Cow<'a, str>,
    /// Cover.
    pub cover_info: CoverInfo,
    /// Length of the secret in bytes.
    pub secret_size_bytes: u64,
    /// Length of the container in bytes: header, name, and the secret, compressed where that helps.
    pub payload_size_bytes: u64,
    /// Peak signal-to-noise ratio against the cover in decibels; null if no sample changed.
    pub psnr_db: Option<f64>,
    /// Notes for the user.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub notes: Vec<String>,
    /// Mark of this copy; null in an unlabelled embed.
    pub mark_id: Option<String>,
    /// Stego image, a PNG in base64. The last member, so that a node can send the rest before it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stego_image_b64: Base64<'a>,
}

/// Answer of `POST /api/extract` as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExtractAnswer<'a> {
    /// Id of the request.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub request_id: Cow<'a, str>,
    /// Length of the secret in bytes.
    pub recovered_size_bytes: u64,
    /// Media type of the secret.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub recovered_mime: Cow<'a, str>,
    /// Secret in base64.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub recovered_b64: Base64<'a>,
    /// File name of the secret, safe to create in a folder; null if none was given.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub filename: Option<Cow<'a, str>>,
    /// Mark of this copy of the image; null without a mark.
    pub mark: Option<String>,
    /// Notes for the user.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub notes: Vec<String>,
}

/// Order in which the payload's bits ride.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Consecutive samples in row order; readable by everybody with the image.
    Sequential,
    /// With a key: samples all over the image, which only the key tells, and encrypted.
    Scattered,
    /// With a key: as few changes as possible, where they are the least conspicuous, and encrypted. The
    /// default with a key.
    Adaptive,
}

/// Answer of `POST /api/capacity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CapacityAnswer {
    /// Id of the request.
    pub request_id: String,
    /// Pixels in a row, a JPEG's orientation applied.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Samples of a pixel, alpha included.
    pub channels: u8,
    /// Bits of a sample, after decoding: 8 or 16.
    pub bit_depth: u8,
    /// Format of the file, such as `PNG`, `JPEG` or `lossless WebP`.
    pub format: String,
    /// Capacity in each mode.
    pub modes: Vec<ModeCapacity>,
}

/// Capacity in one mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModeCapacity {
    /// Name of the mode, which a newer release may have made.
    #[cfg_attr(feature = "openapi", schema(schema_with = <Mode as utoipa::PartialSchema>::schema))]
    pub mode: String,
    /// Bits carried per sample.
    pub bits: u8,
    /// Length in bytes of the longest incompressible secret. A file name is kept if the space suffices.
    pub capacity_bytes: u64,
}

/// Answer of `POST /api/compare` as JSON. Figures are of the colour samples (R, G, B or Y).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CompareAnswer {
    /// Id of the request.
    pub request_id: String,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Samples of a pixel, alpha included.
    pub channels: u8,
    /// Bits of a sample: 8 or 16.
    pub bit_depth: u8,
    /// True if every sample is the same, alpha included.
    pub identical: bool,
    /// Peak signal-to-noise ratio in decibels; null if no colour sample differs.
    pub psnr_db: Option<f64>,
    /// Structural similarity (Wang et al. 2004), the mean over the channels; null for images smaller than 11
    /// × 11.
    pub ssim: Option<f64>,
    /// Mean squared error in units of a sample.
    pub mse: f64,
    /// Colour samples of each image.
    pub samples: u64,
    /// Number of differing colour samples.
    pub differing_samples: u64,
    /// Pixels of each image.
    pub pixels: u64,
    /// Pixels of which a colour sample differs.
    pub differing_pixels: u64,
    /// Largest difference between two colour samples.
    pub largest_difference: u16,
    /// Pixels whose alpha differs.
    pub differing_alpha: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_it_is_written() {
        for bytes in [&b""[..], b"f", b"fo", b"foo", &[0, 255, 254]] {
            let text = serde_json::to_string(&Base64(Cow::Borrowed(bytes))).unwrap();
            assert_eq!(serde_json::from_str::<Base64<'_>>(&text).unwrap().0, bytes);
        }
        assert!(serde_json::from_str::<Base64<'_>>("\"a\"").unwrap_err().to_string().contains("not base64"));
    }
}
