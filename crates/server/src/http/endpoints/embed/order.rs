//! A parsed embed request: secret, cover and options.

use std::sync::Arc;

use api::Code;
use api::fields;
use stego::{
    BitsPerSample, CheckedPixels, EmbedOptions, FileName, MediaType, MetadataPolicy, Mode, SealingKey,
    Secret, Verify,
};

use crate::budget::CountedBytes;
use crate::control::EmbedDefaults;
use crate::http::answer::problem::Problem;
use crate::http::body::upload::{Form, InvalidValue, KeyParts};

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
    /// Key, until the keys of the image are derived from it.
    pub(super) key: Option<KeyParts>,
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
        let Choices { mode, bits, metadata } = Choices::of(&form, defaults)?;
        let verify = form.text(fields::VERIFY).map_or_else(|| Ok(Verify::default()), parse_verify)?;
        let file = form.take_file("file").ok_or_else(|| {
            Problem::new(
                Code::FileMissing,
                "the field `file` with the secret is missing; with curl: -F file=@secret.pdf",
            )
        })?;
        let cover = form.take_image(fields::COVER)?.map(|cover| cover.bytes);
        let name = file.name.as_deref().and_then(FileName::from_path);
        let key = form.take_key();
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
            key,
            request_id: Arc::clone(request_id),
            as_png,
        })
    }

    /// Length of the secret in bytes.
    pub(super) fn secret_len_bytes(&self) -> u64 {
        self.secret.len() as u64
    }

    /// Leaves the memory of a key's derivation, which has a place of its own, out of an embed's.
    pub(super) fn without_derivation(&self, memory_bytes: u64) -> u64 {
        match self.options.seal {
            Some(_) => memory_bytes.saturating_sub(SealingKey::DERIVE_MEMORY_BYTES),
            None => memory_bytes,
        }
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

/// Options of an embed that the form may leave out.
struct Choices {
    mode: Mode,
    bits: BitsPerSample,
    metadata: MetadataPolicy,
}

impl Choices {
    /// Reads the form. With a key the mode is keyed, a sample carries one bit, and metadata is left out: it
    /// tells more about a cover than a picture without a secret needs to.
    fn of(form: &Form, defaults: EmbedDefaults) -> Result<Self, InvalidValue> {
        let mode = form.text(fields::MODE).map(parse_mode).transpose()?;
        let bits = form.text(fields::BITS).map(parse_bits).transpose()?;
        let metadata = form.text(fields::METADATA).map(parse_metadata).transpose()?;
        if !form.has_key() {
            let mode = mode.unwrap_or_default();
            if mode.is_keyed() {
                let detail = format!("mode {mode} needs a key; send the field `passphrase` or `key_file`");
                return Err(InvalidValue::new(Code::InvalidKey, detail));
            }
            let (bits, metadata) = (bits.unwrap_or(defaults.bits), metadata.unwrap_or(defaults.metadata));
            return Ok(Self { mode, bits, metadata });
        }
        if let Some(mode) = mode.filter(|mode| !mode.is_keyed()) {
            let detail = format!("mode {mode} takes no key: anyone with the image could extract the secret");
            return Err(InvalidValue::new(Code::InvalidKey, detail));
        }
        if bits.is_some_and(|bits| bits != BitsPerSample::ONE) {
            let detail = "with a key the field `bits` takes 1 bit per sample";
            return Err(InvalidValue::new(Code::BitsOutOfRange, detail));
        }
        Ok(Self {
            mode: mode.unwrap_or(Mode::DEFAULT_KEYED),
            bits: BitsPerSample::ONE,
            metadata: metadata.unwrap_or(MetadataPolicy::Strip),
        })
    }
}

/// Returns the options of an embed that the cluster's settings may decide, as text, for the digest of the
/// request: under one idempotency key, an embed with other options is another request.
///
/// # Errors
/// The first field with an invalid value.
pub(super) fn effective_options(form: &Form, defaults: EmbedDefaults) -> Result<String, Problem> {
    let Choices { mode, bits, metadata } = Choices::of(form, defaults)?;
    let metadata = match metadata {
        MetadataPolicy::Strip => "strip",
        _ => "keep",
    };
    let compress = defaults.compress;
    Ok(format!("mode={mode} bits={} compress={compress} metadata={metadata}", bits.as_u8()))
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
            key: None,
            request_id: "r-1".into(),
            as_png,
        }
    }
}

pub(super) fn parse_mode(text: &str) -> Result<Mode, InvalidValue> {
    Mode::named(text).ok_or_else(|| {
        let mode: String = text.chars().take(64).collect();
        let modes = Mode::ALL.map(Mode::as_str).join(", ");
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
