//! Reasons why a form is not received.

use api::{Code, fields};

use super::super::encoding::Encoded;
use crate::budget::Exhausted;

/// Maximum length of a text field.
pub(super) const MAX_TEXT_LEN_BYTES: usize = 1024;
/// Maximum length of consecutive chunks outside of a form's fields: boundaries, part headers, and the
/// beginning of a field in the same chunk. hyper delivers several hundred KiB at a time and the parser polls
/// twice before parsing, so honest forms reach more than 1 MiB. The bound exists because the parser scans its
/// whole buffer again with each chunk.
pub(super) const MAX_STRUCTURE_BYTES: usize = 4 << 20;

/// A text field with an unsupported value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct InvalidValue {
    /// Code of the problem.
    pub code: Code,
    /// Description of the accepted values.
    pub detail: String,
}

impl InvalidValue {
    /// Describes an invalid value.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// Reason why a form was not received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// A body or part with a content coding.
    #[error(transparent)]
    Encoded(#[from] Encoded),
    /// A field reserved for a later release.
    #[error("{}", not_yet(.name))]
    NotYet {
        /// The field's name.
        name: &'static str,
    },
    /// A body that is not multipart/form-data.
    #[error(
        "the body must be multipart/form-data with a boundary; Content-Type is {found}; with curl: -F \
         file=@secret.pdf"
    )]
    NotMultipart {
        /// Value of Content-Type.
        found: String,
    },
    /// The body ends before the form does.
    #[error(
        "the form has no end: the body is truncated, or its boundary differs from the one in Content-Type"
    )]
    CutOff,
    /// The body breaks the rules of multipart/form-data (RFC 7578).
    #[error("the multipart body is malformed: {0}")]
    Malformed(multer::Error),
    /// A text field with an unsupported value.
    #[error(transparent)]
    InvalidValue(#[from] InvalidValue),
    /// A field unknown to the call.
    #[error("unknown field `{name}`; fields of this call: {known}")]
    UnknownField {
        /// The field's name.
        name: String,
        /// Names of the accepted fields.
        known: String,
    },
    /// A field given twice.
    #[error("the field `{name}` is given twice")]
    RepeatedField {
        /// The field's name.
        name: &'static str,
    },
    /// An empty image.
    #[error("the file in the field `{name}` is empty")]
    EmptyFile {
        /// The field's name.
        name: &'static str,
    },
    /// A text over the limit.
    #[error("the field `{name}` is longer than {MAX_TEXT_LEN_BYTES} bytes")]
    FieldTooLong {
        /// The field's name.
        name: &'static str,
    },
    /// Part headers or a preamble over the limit.
    #[error("the multipart body has more than {MAX_STRUCTURE_BYTES} bytes outside of its fields")]
    EndlessStructure,
    /// A passphrase or key file of a length outside the bounds.
    #[error(transparent)]
    Key(#[from] stego::KeyError),
    /// A key file over the limit.
    #[error("the key file is longer than {max_bytes} bytes")]
    KeyFileTooLong {
        /// The limit.
        max_bytes: usize,
    },
    /// A key over a connection that others can read.
    #[error(
        "the field `{name}` arrived over plain HTTP, readable by every machine on the way; nothing was done; the \
         passphrase or key file counts as disclosed: choose another one, and send it over https (security.tls_cert)"
    )]
    Plaintext {
        /// The field's name.
        name: &'static str,
    },
    /// A text in another encoding than UTF-8.
    #[error("the field `{name}` is not UTF-8 text")]
    NotText {
        /// The field's name.
        name: &'static str,
    },
    /// A body over the limit.
    #[error("the body has {needed_bytes} bytes or more; at most {max_bytes} are allowed here")]
    BodyTooLarge {
        /// Announced length, or the bytes received before reading stopped.
        needed_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The memory shared by all uploads is exhausted.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Bytes arrive too slowly, or not at all.
    #[error(
        "the body arrives below the minimum rate (limits.min_transfer_bytes_per_s) or stalled (limits.idle_timeout_ms)"
    )]
    Stalled,
    /// The body missed the request's deadline.
    #[error("the body did not arrive within limits.request_timeout_ms")]
    TooSlow,
    /// The connection broke.
    #[error("the body ended early")]
    Broken(#[source] axum::Error),
}

impl UploadError {
    /// True if the client may still be sending.
    pub(super) fn leaves_a_sender(&self) -> bool {
        !matches!(self, Self::Stalled | Self::TooSlow | Self::Broken(_))
    }
}

/// Error text of a field that is not served, with the field that is.
fn not_yet(name: &str) -> String {
    let instead = if name == fields::PASSWORD { "; the field for it is `passphrase`" } else { "" };
    format!("the field `{name}` is not supported by this release, and nothing was done{instead}")
}

/// Unwraps the [`UploadError`] that the parser returns inside its own error.
pub(super) fn from_multer(error: multer::Error) -> UploadError {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<UploadError>() {
            Ok(ours) => *ours,
            Err(other) => UploadError::Malformed(multer::Error::StreamReadFailed(other)),
        },
        multer::Error::IncompleteStream
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteFieldData { .. } => UploadError::CutOff,
        other => UploadError::Malformed(other),
    }
}
