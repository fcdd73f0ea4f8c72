//! Typed requests, and the plain call built from each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use api::fields;
use bytes::Bytes;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::admin_token::AdminToken;
use crate::choice::Need;

/// A file to send.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    bytes: Bytes,
    name: Option<String>,
    media_type: Option<String>,
}

impl Upload {
    /// Creates a file without a name or a type.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), name: None, media_type: None }
    }

    /// Sets the name of the file.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the file's media type, such as `text/plain`.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    fn part(&self) -> Result<Part, reqwest::Error> {
        let part = Part::stream_with_length(self.bytes.clone(), self.bytes.len() as u64);
        let part = match &self.name {
            // Control characters would end the header line that carries the name.
            Some(name) => part.file_name(name.replace(char::is_control, "_")),
            None => part,
        };
        match &self.media_type {
            Some(media_type) => part.mime_str(media_type),
            None => Ok(part),
        }
    }
}

/// The key of a secret: a passphrase, a key file, or both. Overwritten when dropped, and absent from `Debug`;
/// the copies in the buffers of a request are not overwritten.
#[derive(Clone, Default)]
pub struct Key(Arc<KeyParts>);

#[derive(Default)]
struct KeyParts {
    passphrase: Option<Zeroizing<String>>,
    key_file: Option<Zeroizing<Vec<u8>>>,
}

impl Key {
    /// Creates a key; none at all without either.
    pub fn new(passphrase: Option<String>, key_file: Option<Vec<u8>>) -> Self {
        Self(Arc::new(KeyParts {
            passphrase: passphrase.map(Zeroizing::new),
            key_file: key_file.map(Zeroizing::new),
        }))
    }

    fn is_given(&self) -> bool {
        self.0.passphrase.is_some() || self.0.key_file.is_some()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Form in which an answer carries its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerForm {
    /// The file as the body and the metadata in headers: the smallest answer.
    #[default]
    Binary,
    /// JSON with the file in base64.
    Json,
}

/// Request to hide a secret in an image.
#[derive(Debug, Clone, Default)]
pub struct EmbedRequest {
    secret: Upload,
    cover: Option<Upload>,
    bits: Option<u8>,
    mode: Option<String>,
    key: Key,
    form: AnswerForm,
    idempotency_key: Option<String>,
}

impl EmbedRequest {
    /// Creates a request to hide `secret` in the node's default cover with the node's settings.
    pub fn new(secret: Upload) -> Self {
        Self { secret, ..Self::default() }
    }

    /// Sets the cover image.
    pub fn cover(mut self, cover: Upload) -> Self {
        self.cover = Some(cover);
        self
    }

    /// Sets the number of low bits used in each sample, 1 to 4.
    pub fn bits(mut self, bits: u8) -> Self {
        self.bits = Some(bits);
        self
    }

    /// Sets the mode in which the bits are spread, such as `sequential`.
    pub fn mode(mut self, mode: impl Into<String>) -> Self {
        self.mode = Some(mode.into());
        self
    }

    /// Sets the key. Nothing is sent to a node over plain HTTP, unless it is on this machine.
    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Sets the form of the answer.
    pub fn answer(mut self, form: AnswerForm) -> Self {
        self.form = form;
        self
    }

    /// Sets the idempotency key: a repeated request under the same key gets the same answer from any node.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    pub(crate) fn call(&self) -> Call {
        let mut call = Call::work(Work::Embed, "/api/embed", accept(self.form, "image/png"))
            .key(&self.key)
            .file(fields::FILE, &self.secret);
        if let Some(key) = &self.idempotency_key {
            call = call.idempotency_key(key.clone());
        }
        if let Some(cover) = &self.cover {
            call = call.file(fields::COVER, cover);
        }
        if let Some(bits) = self.bits {
            call = call.text(fields::BITS, bits.to_string());
        }
        if let Some(mode) = &self.mode {
            call = call.text(fields::MODE, mode.clone());
        }
        call
    }
}

/// Request to find the secret in a stego image.
#[derive(Debug, Clone)]
pub struct ExtractRequest {
    image: Upload,
    key: Key,
    form: AnswerForm,
}

impl ExtractRequest {
    /// Creates a request to search `image`.
    pub fn new(image: Upload) -> Self {
        Self { image, key: Key::default(), form: AnswerForm::default() }
    }

    /// Sets the key. Nothing is sent to a node over plain HTTP, unless it is on this machine.
    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Sets the form of the answer.
    pub fn answer(mut self, form: AnswerForm) -> Self {
        self.form = form;
        self
    }

    pub(crate) fn call(&self) -> Call {
        Call::work(Work::Extract, "/api/extract", accept(self.form, "application/octet-stream"))
            .key(&self.key)
            .file(fields::FILE, &self.image)
    }
}

/// Request for the capacity of an image.
#[derive(Debug, Clone)]
pub struct CapacityRequest {
    image: Upload,
}

impl CapacityRequest {
    /// Creates a request about `image`.
    pub fn new(image: Upload) -> Self {
        Self { image }
    }

    pub(crate) fn call(&self) -> Call {
        Call::work(Work::Capacity, "/api/capacity", JSON).file(fields::FILE, &self.image)
    }
}

pub(crate) const JSON: &str = "application/json";
/// Header with the idempotency key, which makes a request safe to repeat.
const IDEMPOTENCY_KEY: &str = api::headers::IDEMPOTENCY_KEY;

fn accept(form: AnswerForm, binary: &'static str) -> &'static str {
    match form {
        AnswerForm::Binary => binary,
        AnswerForm::Json => JSON,
    }
}

/// Kinds of work for which the answer time is learned separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Embed,
    Extract,
    Capacity,
    /// Reads and writes that need a quorum.
    Agree,
}

impl Work {
    /// Number of kinds.
    pub(crate) const COUNT: usize = 4;

    /// Returns the shortest time before an attempt is given up. A pause of this machine or of the network is
    /// no evidence of a hanging node, nor is an election, during which nodes hold requests.
    pub(crate) fn least_patience(self) -> Duration {
        match self {
            Self::Embed | Self::Extract | Self::Capacity => Duration::from_millis(200),
            Self::Agree => Duration::from_millis(500),
        }
    }
}

/// A request as a value that can be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The content type requested, and the only content type accepted.
    pub(crate) accept: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// True if the admin token is sent with the call.
    pub(crate) is_admin: bool,
    /// A token sent in place of the client's admin token.
    pub(crate) token: Option<AdminToken>,
    /// True if the call must not be repeated once a node may have carried it out.
    pub(crate) not_twice: bool,
    /// The kind of work; `None` for a call whose answer time is not learned.
    pub(crate) work: Option<Work>,
    /// The requirement on the endpoint.
    pub(crate) need: Need,
    /// The key, sent before the files.
    key: Key,
    fields: Vec<(&'static str, Field)>,
    json: Option<Value>,
}

#[derive(Debug, Clone)]
enum Field {
    File(Upload),
    Text(String),
}

/// The body of a call.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    None,
    Form(Form),
    Json(&'a Value),
}

impl Call {
    pub(crate) fn get(path: impl Into<String>, accept: &'static str) -> Self {
        Self::new(Method::GET, path.into(), accept)
    }

    fn work(work: Work, path: &str, accept: &'static str) -> Self {
        Self { work: Some(work), ..Self::new(Method::POST, path.into(), accept) }
    }

    /// Creates a call that changes the cluster.
    pub(crate) fn admin(method: Method, path: impl Into<String>) -> Self {
        Self { is_admin: true, ..Self::new(method, path.into(), JSON) }
    }

    fn new(method: Method, path: String, accept: &'static str) -> Self {
        let (headers, fields) = (Vec::new(), Vec::new());
        Self {
            method,
            path,
            accept,
            headers,
            is_admin: false,
            token: None,
            not_twice: false,
            work: None,
            need: Need::Node,
            key: Key::default(),
            fields,
            json: None,
        }
    }

    /// Marks the call as answered only with a quorum.
    pub(crate) fn agreed(self) -> Self {
        Self { need: Need::Quorum, work: Some(Work::Agree), ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn token(self, token: Option<AdminToken>) -> Self {
        Self { token, ..self }
    }

    pub(crate) fn idempotency_key(self, key: String) -> Self {
        self.header(IDEMPOTENCY_KEY, key)
    }

    /// Marks the call as unsafe to repeat, because every repetition has a further effect.
    pub(crate) fn not_twice(self) -> Self {
        Self { not_twice: true, ..self }
    }

    pub(crate) fn has_idempotency_key(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == IDEMPOTENCY_KEY)
    }

    pub(crate) fn json(mut self, value: Value) -> Self {
        self.json = Some(value);
        self
    }

    fn key(self, key: &Key) -> Self {
        Self { key: key.clone(), ..self }
    }

    /// True if a key is sent with the call.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_given()
    }

    fn file(mut self, name: &'static str, upload: &Upload) -> Self {
        self.fields.push((name, Field::File(upload.clone())));
        self
    }

    fn text(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, Field::Text(value)));
        self
    }

    /// Returns the total size of the files in the call.
    pub(crate) fn files_len_bytes(&self) -> u64 {
        let len = |(_, field): &(&str, Field)| match field {
            Field::File(upload) => upload.bytes.len() as u64,
            Field::Text(_) => 0,
        };
        self.fields.iter().map(len).sum()
    }

    /// Builds the body. Files are shared, not copied.
    ///
    /// # Errors
    /// If a file's media type is invalid.
    pub(crate) fn body(&self) -> Result<Body<'_>, reqwest::Error> {
        if let Some(value) = &self.json {
            return Ok(Body::Json(value));
        }
        if self.fields.is_empty() {
            return Ok(Body::None);
        }
        let mut form = Form::new();
        if let Some(passphrase) = &self.key.0.passphrase {
            form = form.text(fields::PASSPHRASE, String::clone(passphrase));
        }
        if let Some(key_file) = &self.key.0.key_file {
            form = form.part(fields::KEY_FILE, Part::bytes(key_file.to_vec()).file_name("key"));
        }
        for (name, field) in &self.fields {
            form = match field {
                Field::File(upload) => form.part(*name, upload.part()?),
                Field::Text(value) => form.text(*name, value.clone()),
            };
        }
        Ok(Body::Form(form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_answer_decides_what_is_accepted() {
        let check = |call: Call, expected| assert_eq!(call.accept, expected);
        let upload = || Upload::new("x");
        check(EmbedRequest::new(upload()).call(), "image/png");
        check(EmbedRequest::new(upload()).answer(AnswerForm::Json).call(), "application/json");
        check(ExtractRequest::new(upload()).call(), "application/octet-stream");
        check(ExtractRequest::new(upload()).answer(AnswerForm::Json).call(), "application/json");
    }

    #[test]
    fn a_media_type_that_is_none_is_an_error() {
        let request = EmbedRequest::new(Upload::new("x").media_type("no type"));
        assert!(request.call().body().is_err());
    }

    #[test]
    fn a_key_does_not_show() {
        let key = Key::new(Some("correct horse".to_owned()), Some(b"battery".to_vec()));
        let call = EmbedRequest::new(Upload::new("x")).key(key.clone()).call();
        let shown = format!("{key:?} {call:?}");
        assert!(call.has_key() && !shown.contains("horse") && !shown.contains("98, 97"), "{shown}");
        assert!(!EmbedRequest::new(Upload::new("x")).call().has_key());
    }

    #[test]
    fn a_call_without_fields_has_no_body() {
        assert!(matches!(Call::get("/livez", JSON).body().unwrap(), Body::None));
    }
}
