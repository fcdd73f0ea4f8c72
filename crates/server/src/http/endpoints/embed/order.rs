//! A parsed embed request: secret, cover and options.

use std::sync::Arc;

use api::Code;
use api::fields;
use stego::{
    BitsPerSample, CheckedPixels, EmbedOptions, FileName, MediaType, MetadataPolicy, Mode, Secret, Verify,
};

use crate::budget::CountedBytes;
use crate::control::EmbedDefaults;
use crate::http::answer::problem::Problem;
use crate::http::body::upload::{Form, InvalidValue};

/// Secret, cover and options of one embed.
pub(super) struct Order {
    secret: CountedBytes,
    name: Option<FileName>,
    media_type: Option<MediaType>,
    /// File of the cover, until taken by the embed.
    pub(super) cover: Option<CountedBytes>,
    /// Pixels of the cover checked during the upload.
    pub(super) checked: Option<CheckedPixels>,
    /// Options of the embed.
    pub(super) options: EmbedOptions,
    /// Request id of the answer.
    pub(super) request_id: Arc<str>,
    /// True for the stego image itself as the answer.
    pub(super) as_png: bool,
}

impl Order {
    /// Parses the fields of a form.
    pub(super) fn from_form(
        mut form: Form,
        defaults: EmbedDefaults,
        request_id: &Arc<str>,
        as_png: bool,
    ) -> Result<Self, Problem> {
        let mode = form.text(fields::MODE).map_or_else(|| Ok(Mode::default()), parse_mode)?;
        let (bits, metadata) = bits_and_metadata(&form, defaults)?;
        let verify = form.text(fields::VERIFY).map_or_else(|| Ok(Verify::default()), parse_verify)?;
        let file = form.take_file("file").ok_or_else(|| {
            Problem::new(
                Code::FileMissing,
                "the field `file` with the secret is missing; with curl: -F file=@secret.pdf",
            )
        })?;
        let cover = form.take_image(fields::COVER)?.map(|cover| cover.bytes);
        let name = file.name.as_deref().and_then(FileName::from_path);
        let media_type = match &file.media_type {
            Some(sent) => MediaType::parse(sent),
            None => name.as_ref().and_then(MediaType::of_name),
        };
        Ok(Self {
            secret: file.bytes,
            name,
            media_type,
            cover,
            checked: None,
            options: EmbedOptions::default()
                .with_mode(mode)
                .with_bits(bits)
                .with_compress(defaults.compress)
                .with_metadata(metadata)
                .with_verify(verify),
            request_id: Arc::clone(request_id),
            as_png,
        })
    }

    /// Length of the secret in bytes.
    pub(super) fn secret_len_bytes(&self) -> u64 {
        self.secret.len() as u64
    }

    /// Returns the secret with its name and media type.
    pub(super) fn secret(&self) -> Secret<'_> {
        Secret {
            bytes: &self.secret,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            mark: None,
        }
    }
}

/// Returns the options of an embed that the cluster's settings may decide, as text, for the digest of the
/// request: under one idempotency key, an embed with other options is another request.
///
/// # Errors
/// The first field with an invalid value.
pub(super) fn effective_options(form: &Form, defaults: EmbedDefaults) -> Result<String, Problem> {
    let (bits, metadata) = bits_and_metadata(form, defaults)?;
    let metadata = match metadata {
        MetadataPolicy::Strip => "strip",
        _ => "keep",
    };
    Ok(format!("bits={} compress={} metadata={metadata}", bits.as_u8(), defaults.compress))
}

fn bits_and_metadata(
    form: &Form,
    defaults: EmbedDefaults,
) -> Result<(BitsPerSample, MetadataPolicy), InvalidValue> {
    let bits = form.text(fields::BITS).map_or_else(|| Ok(defaults.bits), parse_bits)?;
    let metadata = form.text(fields::METADATA).map_or_else(|| Ok(defaults.metadata), parse_metadata)?;
    Ok((bits, metadata))
}

#[cfg(test)]
impl Order {
    /// To hide `secret`, which has no name.
    pub(super) fn of_secret(secret: &[u8], bits: BitsPerSample, as_png: bool) -> Self {
        let memory = crate::budget::Budget::new(0).empty_share();
        Self {
            secret: CountedBytes::new(secret.to_vec(), memory),
            name: None,
            media_type: None,
            cover: None,
            checked: None,
            options: EmbedOptions::default().with_bits(bits),
            request_id: "r-1".into(),
            as_png,
        }
    }
}

pub(super) fn parse_mode(text: &str) -> Result<Mode, InvalidValue> {
    Mode::named(text).filter(|mode| !mode.is_keyed()).ok_or_else(|| {
        let mode: String = text.chars().take(64).collect();
        let modes = Mode::OPEN.map(Mode::as_str).join(", ");
        InvalidValue::new(Code::UnknownMode, format!("unknown mode `{mode}`; modes: {modes}"))
    })
}

pub(super) fn parse_bits(text: &str) -> Result<BitsPerSample, InvalidValue> {
    text.parse().ok().and_then(BitsPerSample::new).ok_or_else(|| {
        InvalidValue::new(Code::BitsOutOfRange, "the field `bits` takes 1, 2, 3 or 4 bits per sample")
    })
}

pub(super) fn parse_metadata(text: &str) -> Result<MetadataPolicy, InvalidValue> {
    match text {
        "keep" => Ok(MetadataPolicy::Keep),
        "strip" => Ok(MetadataPolicy::Strip),
        _ => Err(InvalidValue::new(Code::UnknownMetadataPolicy, "the field `metadata` takes keep or strip")),
    }
}

pub(super) fn parse_verify(text: &str) -> Result<Verify, InvalidValue> {
    match text {
        "file" => Ok(Verify::File),
        "payload" => Ok(Verify::Payload),
        _ => Err(InvalidValue::new(Code::UnknownVerify, "the field `verify` takes file or payload")),
    }
}
