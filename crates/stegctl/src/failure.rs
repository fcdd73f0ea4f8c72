//! What went wrong, in words, with the stable code of the library and an exit status for scripts.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use client::ClientError;
use stego::{ContainerError, EmbedError, ExtractError, ImageError};

use crate::files::TooLong;

/// The exit status for a cluster that cannot write.
const NO_QUORUM: u8 = 8;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    code: Cow<'static, str>,
    message: String,
}

impl Failure {
    /// A file that cannot be read or written.
    pub(crate) fn file(error: &anyhow::Error) -> Self {
        let message = format!("{error:#}");
        if error.is::<TooLong>() {
            return Self { status: 4, code: "file_too_large".into(), message };
        }
        Self { status: 1, code: "file".into(), message }
    }

    /// A token, a configuration or a list of servers that cannot be used.
    pub(crate) fn setup(error: &anyhow::Error) -> Self {
        Self { status: 1, code: "setup".into(), message: format!("{error:#}") }
    }

    /// `status --check` in a cluster that cannot write.
    pub(crate) fn no_quorum(message: String) -> Self {
        Self { status: NO_QUORUM, code: "no_quorum".into(), message }
    }

    /// `status --check` in a cluster with nodes that are not well.
    pub(crate) fn not_healthy(message: String) -> Self {
        Self { status: 10, code: "not_healthy".into(), message }
    }

    /// A call that changes the cluster: when the way to the server broke, it may have been carried out, which `look`
    /// would show.
    pub(crate) fn of_change(error: &ClientError, look: &str) -> Self {
        let failure = Self::of_call(error);
        let open = match error.last_attempt() {
            ClientError::ConnectionLost { .. }
            | ClientError::Timeout { .. }
            | ClientError::BadAnswer { .. }
            | ClientError::AnswerTooLarge { .. } => true,
            ClientError::Refused { refusal, .. } => {
                matches!(refusal.code(), Some("outcome_unknown" | "request_in_flight"))
            }
            _ => false,
        };
        if !open {
            return failure;
        }
        let message = format!(
            "{}; the change may have been made: look with `{look}` before doing it again",
            failure.message
        );
        Self { status: 11, message, ..failure }
    }

    /// A call that changes nothing.
    pub(crate) fn of_call(error: &ClientError) -> Self {
        let status = match error.last_attempt() {
            ClientError::Connect { .. }
            | ClientError::ConnectionLost { .. }
            | ClientError::Timeout { .. } => 7,
            ClientError::Refused { refusal, .. } => match refusal.code() {
                Some("no_quorum" | "not_joined") => NO_QUORUM,
                _ => 9,
            },
            ClientError::BadAnswer { .. } | ClientError::AnswerTooLarge { .. } => 9,
            _ => 1,
        };
        Self { status, code: error.kind().as_str().into_owned().into(), message: in_one_line(error) }
    }

    /// The same failure, told of the file it concerns.
    pub(crate) fn of(mut self, file: &std::path::Path) -> Self {
        self.message = format!("{}: {}", file.display(), self.message);
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let status = match error {
            ImageError::TooManyPixels { .. } | ImageError::TooMuchMemory { .. } => 4,
            ImageError::Stopped(_) => 1,
            ImageError::NotAnImage
            | ImageError::Unsupported { .. }
            | ImageError::Truncated { .. }
            | ImageError::Damaged { .. } => 3,
        };
        Self { status, code: error.code().into(), message: in_one_line(&error) }
    }
}

impl From<ContainerError> for Failure {
    fn from(error: ContainerError) -> Self {
        let status = match error {
            ContainerError::NoPayload => 5,
            ContainerError::SecretTooLarge { .. } => 4,
            ContainerError::Stopped(_) => 1,
            ContainerError::UnknownVersion { .. }
            | ContainerError::UnknownLayout { .. }
            | ContainerError::Damaged { .. } => 6,
        };
        Self { status, code: error.code().into(), message: in_one_line(&error) }
    }
}

impl From<ExtractError> for Failure {
    fn from(error: ExtractError) -> Self {
        let (code, message) = (error.code().into(), in_one_line(&error));
        match error {
            ExtractError::Image(error) => error.into(),
            ExtractError::Container(error) => error.into(),
            ExtractError::Reencoded { .. } => Self { status: 5, code, message },
        }
    }
}

impl From<EmbedError> for Failure {
    fn from(error: EmbedError) -> Self {
        let (code, message) = (error.code().into(), in_one_line(&error));
        match error {
            EmbedError::Container(error) => error.into(),
            EmbedError::CapacityExceeded { .. } | EmbedError::CoverTooSmall => {
                Self { status: 4, code, message }
            }
            EmbedError::NotVerified { .. } | EmbedError::Stopped(_) => Self { status: 1, code, message },
        }
    }
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
