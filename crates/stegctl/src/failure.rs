//! What went wrong, in words, with the stable code of the library and an exit status for scripts.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use stego::{ContainerError, EmbedError, ExtractError, ImageError};

use crate::files::TooLong;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    code: &'static str,
    message: String,
}

impl Failure {
    /// A file that cannot be read or written.
    pub(crate) fn file(error: &anyhow::Error) -> Self {
        let message = format!("{error:#}");
        if error.is::<TooLong>() {
            return Self { status: 4, code: "file_too_large", message };
        }
        Self { status: 1, code: "file", message }
    }

    /// The same failure, told of the file it concerns.
    pub(crate) fn of(mut self, file: &std::path::Path) -> Self {
        self.message = format!("{}: {}", file.display(), self.message);
        self
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
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
            ImageError::NotAnImage
            | ImageError::Unsupported { .. }
            | ImageError::Truncated { .. }
            | ImageError::Damaged { .. } => 3,
        };
        Self { status, code: error.code(), message: in_one_line(&error) }
    }
}

impl From<ContainerError> for Failure {
    fn from(error: ContainerError) -> Self {
        let status = match error {
            ContainerError::NoPayload => 5,
            ContainerError::SecretTooLarge { .. } => 4,
            ContainerError::UnknownVersion { .. }
            | ContainerError::UnknownLayout { .. }
            | ContainerError::Damaged { .. } => 6,
        };
        Self { status, code: error.code(), message: in_one_line(&error) }
    }
}

impl From<ExtractError> for Failure {
    fn from(error: ExtractError) -> Self {
        let (code, message) = (error.code(), in_one_line(&error));
        match error {
            ExtractError::Image(error) => error.into(),
            ExtractError::Container(error) => error.into(),
            ExtractError::Reencoded { .. } => Self { status: 5, code, message },
        }
    }
}

impl From<EmbedError> for Failure {
    fn from(error: EmbedError) -> Self {
        let (code, message) = (error.code(), in_one_line(&error));
        match error {
            EmbedError::Container(error) => error.into(),
            EmbedError::CapacityExceeded { .. } | EmbedError::CoverTooSmall => {
                Self { status: 4, code, message }
            }
            EmbedError::NotVerified { .. } => Self { status: 1, code, message },
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
