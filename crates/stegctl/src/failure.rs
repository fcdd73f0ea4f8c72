//! Failures of commands, with a message, the stable code of the library and an exit status for scripts.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use client::{ClientError, Code};
use serde_json::{Value, json};
use stego::{ContainerError, EmbedError, ExtractError, ImageError, Incomparable, KeyError};

use crate::archive::{PackError, RestoreError, UnpackError};
use crate::files::{TooLong, shown};

/// Meanings of the exit statuses.
pub(crate) const STATUSES: [(u8, &str); 13] = [
    (0, "done"),
    (FILE, "a file cannot be read or written"),
    (USAGE, "wrong usage"),
    (NO_IMAGE, "the image is damaged, or of a format that is not supported"),
    (TOO_LARGE, "a file, an image or a secret is too large, or does not fit"),
    (NO_PAYLOAD, "the image carries no payload"),
    (BAD_PAYLOAD, "the payload is damaged, of a newer release or not safe to unpack"),
    (NO_SERVER, "no server answers"),
    (NO_QUORUM, "the cluster has no quorum"),
    (REFUSED, "a server refused the request"),
    (NOT_HEALTHY, "with --check: a configured node is not a healthy voter of the cluster"),
    (UNKNOWN, "the outcome of a change is unknown"),
    (INCOMPARABLE, "the two images cannot be compared"),
];
const FILE: u8 = 1;
const USAGE: u8 = 2;
const NO_IMAGE: u8 = 3;
const TOO_LARGE: u8 = 4;
const NO_PAYLOAD: u8 = 5;
const BAD_PAYLOAD: u8 = 6;
const NO_SERVER: u8 = 7;
const NO_QUORUM: u8 = 8;
const REFUSED: u8 = 9;
const NOT_HEALTHY: u8 = 10;
const UNKNOWN: u8 = 11;
const INCOMPARABLE: u8 = 12;

/// Failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    code: Cow<'static, str>,
    message: String,
    /// The next step, if absent from the message.
    help: Option<&'static str>,
}

impl Failure {
    fn new(status: u8, code: impl Into<Cow<'static, str>>, message: String) -> Self {
        debug_assert!(STATUSES.iter().any(|(known, _)| *known == status), "status {status} has no meaning");
        let code = code.into();
        Self { status, help: help(&code), code, message }
    }

    /// Creates the failure of a file that cannot be read or written.
    pub(crate) fn file(error: &anyhow::Error) -> Self {
        let message = format!("{error:#}");
        if let Some(too_long) = error.downcast_ref::<TooLong>() {
            let failure = Self::new(TOO_LARGE, "file_too_large", message);
            return Self { help: too_long.help, ..failure };
        }
        let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
        Self { help: io.and_then(help_with_io), ..Self::new(FILE, "file", message) }
    }

    /// Creates the failure of incompatible options.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, "usage", message.into())
    }

    /// Creates the failure of a passphrase or key file that is none.
    pub(crate) fn key(error: &KeyError) -> Self {
        Self::new(USAGE, error.code(), in_one_line(error))
    }

    /// Creates the failure of an unusable token, configuration or list of servers.
    pub(crate) fn setup(error: &anyhow::Error) -> Self {
        Self::new(FILE, "setup", format!("{error:#}"))
    }

    /// Creates the failure of `status --check` in a cluster without a quorum.
    pub(crate) fn no_quorum(message: String) -> Self {
        Self::new(NO_QUORUM, Code::NoQuorum.as_str(), message)
    }

    /// Creates the failure of `status --check` in a cluster with unhealthy nodes.
    pub(crate) fn not_healthy(message: String) -> Self {
        Self::new(NOT_HEALTHY, "not_healthy", message)
    }

    /// Converts the error of a call that changes the cluster. If the change may have been made in spite of
    /// the error, the exit status says so, and the message names `look`, the command to find out.
    pub(crate) fn of_change(error: &ClientError, look: &str) -> Self {
        let failure = Self::of_call(error);
        let open = match error.last_attempt() {
            ClientError::ConnectionLost { .. }
            | ClientError::Timeout { .. }
            | ClientError::BadAnswer { .. }
            | ClientError::AnswerTooLarge { .. } => true,
            ClientError::Refused { refusal, .. } => refusal.is_unsettled(),
            _ => false,
        };
        if !open {
            return failure;
        }
        let message = format!(
            "{}; the outcome is unknown: check with `{look}` before repeating the change",
            failure.message
        );
        Self { status: UNKNOWN, message, ..failure }
    }

    /// Converts the error of a call that changes nothing.
    pub(crate) fn of_call(error: &ClientError) -> Self {
        let status = match error.last_attempt() {
            ClientError::Connect { .. }
            | ClientError::ConnectionLost { .. }
            | ClientError::Timeout { .. } => NO_SERVER,
            ClientError::Refused { refusal, .. } => match refusal.known_code() {
                Some(Code::NoQuorum | Code::Behind | Code::NotJoined) => NO_QUORUM,
                _ => REFUSED,
            },
            ClientError::BadAnswer { .. } | ClientError::AnswerTooLarge { .. } => REFUSED,
            _ => FILE,
        };
        Self::new(status, error.kind().as_str().into_owned(), in_one_line(error))
    }

    /// Adds the name of the file concerned, unless named already.
    pub(crate) fn of(mut self, file: &Path) -> Self {
        let file = shown(file);
        if !self.message.contains(file.as_ref()) {
            self.message = format!("{file}: {}", self.message);
        }
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Formats the failure for programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "code": self.code, "detail": self.message, "help": self.help })
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        self.help.map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let status = match error {
            ImageError::TooManyPixels { .. } | ImageError::TooMuchMemory { .. } => TOO_LARGE,
            ImageError::Stopped(_) => FILE,
            ImageError::NotAnImage
            | ImageError::Unsupported { .. }
            | ImageError::Truncated { .. }
            | ImageError::Damaged { .. }
            | ImageError::TextMode { .. }
            | ImageError::DecoderPanicked { .. } => NO_IMAGE,
        };
        Self::new(status, error.code(), in_one_line(&error))
    }
}

impl From<ContainerError> for Failure {
    fn from(error: ContainerError) -> Self {
        let status = match error {
            ContainerError::NoPayload => NO_PAYLOAD,
            ContainerError::SecretTooLarge { .. } => TOO_LARGE,
            ContainerError::Stopped(_) => FILE,
            ContainerError::UnknownVersion { .. }
            | ContainerError::UnknownLayout { .. }
            | ContainerError::Damaged { .. } => BAD_PAYLOAD,
        };
        Self::new(status, error.code(), in_one_line(&error))
    }
}

impl From<ExtractError> for Failure {
    fn from(error: ExtractError) -> Self {
        let (code, message) = (error.code(), in_one_line(&error));
        match error {
            ExtractError::Image(error) => error.into(),
            ExtractError::Container(error) => error.into(),
            ExtractError::NoPayloadOrWrongKey
            | ExtractError::TooFewSamples { .. }
            | ExtractError::LossyFormat { .. }
            | ExtractError::Reencoded { .. } => Self::new(NO_PAYLOAD, code, message),
        }
    }
}

impl From<EmbedError> for Failure {
    fn from(error: EmbedError) -> Self {
        let (code, message) = (error.code(), in_one_line(&error));
        match error {
            EmbedError::Image(error) => error.into(),
            EmbedError::Container(error) => error.into(),
            EmbedError::CapacityExceeded { .. }
            | EmbedError::CoverTooSmall
            | EmbedError::TooFewSamples { .. } => Self::new(TOO_LARGE, code, message),
            EmbedError::NotVerified { .. } | EmbedError::Options(_) | EmbedError::Stopped(_) => {
                Self::new(FILE, code, message)
            }
        }
    }
}

impl From<Incomparable> for Failure {
    fn from(error: Incomparable) -> Self {
        let status = if matches!(error, Incomparable::Stopped(_)) { FILE } else { INCOMPARABLE };
        Self::new(status, error.code(), in_one_line(&error))
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        let message = in_one_line(&error);
        let help = match &error {
            PackError::TooLarge { .. } => {
                return Self::new(TOO_LARGE, Code::SecretTooLarge.as_str(), message);
            }
            PackError::TooMany => {
                let help = Some("embed them in several images, or pack them yourself and embed the archive");
                return Self { help, ..Self::new(TOO_LARGE, Code::SecretTooLarge.as_str(), message) };
            }
            PackError::Read { source, .. } => help_with_io(source),
            PackError::Special { .. } => Some("--skip-special leaves out links and special files"),
            PackError::Name { .. } => Some("rename the file or folder"),
            PackError::SameName { .. } => Some("rename one of them, or embed the folder that both are in"),
            PackError::Output { .. } => Some("write the stego image to another folder"),
            PackError::Changed { .. } => Some("repeat the command once no program writes to the file"),
        };
        Self { help, ..Self::new(FILE, "file", message) }
    }
}

impl From<UnpackError> for Failure {
    fn from(error: UnpackError) -> Self {
        Self::new(BAD_PAYLOAD, error.code(), in_one_line(&error))
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let help = match &error {
            RestoreError::Write { source, .. } => help_with_io(source),
            RestoreError::Exists { .. } | RestoreError::OtherKind { .. } => None,
        };
        Self { help, ..Self::new(FILE, "file", in_one_line(&error)) }
    }
}

/// Returns the next step for an error code; `None` if the message has it, and for the errors of a cluster.
fn help(code: &str) -> Option<&'static str> {
    let Some(code) = Code::named(code) else { return help_with_archive(code) };
    Some(match code {
        Code::NotAnImage => "check the name of the file; the format is detected from its content",
        Code::UnsupportedImage => {
            "a cover: open it in an image program and save it as a PNG; a stego image: get the PNG as it was made"
        }
        Code::TruncatedImage | Code::DamagedImage => {
            "copy or download the file again, as a file and not as a photo"
        }
        Code::TooManyPixels => "--max-pixels raises the limit",
        Code::ImageTooLarge => "--max-image-memory-bytes raises the limit",
        Code::NoPayload => {
            "use the very PNG that was made: an image that was edited, saved anew or sent as a photo has lost its secret; what \
             was hidden with a key needs it: -p, --passphrase-file or --key-file"
        }
        Code::NoPayloadOrWrongKey => {
            "check the passphrase and the key file; if they are right, the image carries nothing, or lost it on the way: use \
             the very PNG that was made"
        }
        Code::InvalidKey => "`stegctl passphrase` suggests a passphrase; a key file has 32 bytes to 16 MiB",
        Code::CoverTooSmall => "use a larger cover",
        Code::UnknownContainerVersion => "update stegctl to the release that made the image, or a newer one",
        Code::DamagedPayload => {
            "get the PNG again as it was made; nothing is given out of one that was changed"
        }
        Code::SecretTooLarge => "--max-secret-bytes raises the limit",
        Code::CapacityExceeded => {
            "use a larger cover, more --bits (up to 4) or a smaller secret; `stegctl capacity` tells what fits"
        }
        Code::Internal => "this is a defect of stegctl: please report it; another cover may work meanwhile",
        Code::Stopped => "repeat the command",
        Code::NotComparable => "compare a cover with the stego image made from it",
        Code::TokenRequired | Code::TokenWrong => {
            "--admin-token-file names the token: admin.token in the data directory of any node, or the file that \
             security.admin_token_file names"
        }
        Code::TooManyGuesses => {
            "wait a moment, and check the token: only a few wrong ones a minute are compared"
        }
        _ => return None,
    })
}

/// Returns the next step for an archive that is not unpacked.
fn help_with_archive(code: &str) -> Option<&'static str> {
    matches!(code, "damaged_archive" | "unsafe_archive").then_some(
        "nothing was written; --no-unpack gives the archive as one file, to be looked at with care",
    )
}

/// Returns the next step for a file with an error of the system.
fn help_with_io(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind;
    Some(match error.kind() {
        ErrorKind::NotFound => "check the name and the current folder",
        ErrorKind::PermissionDenied => "check the permissions, or use another folder",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free disk space, or write to another disk",
        ErrorKind::ReadOnlyFilesystem => "write to another folder",
        ErrorKind::IsADirectory => "name a file",
        ErrorKind::NotADirectory => "check the path: one of its folders is a file",
        ErrorKind::AlreadyExists => "use another file system: this one considers two of the names equal",
        _ => return None,
    })
}

fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line = format!("{line}: {source}");
        cause = source.source();
    }
    line
}
