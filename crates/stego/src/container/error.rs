//! Versions of containers, and reasons for a failed read.

use crate::watch::Stopped;

/// Version of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerVersion {
    /// The earlier system.
    Legacy,
    /// Version 2, open layout.
    V2,
    /// Version 1, sealed layout.
    SealedV1,
}

impl std::fmt::Display for ContainerVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Legacy => "the earlier system's",
            Self::V2 => "version 2",
            Self::SealedV1 => "sealed, version 1",
        })
    }
}

/// Reasons for which a container is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// Neither magic is there.
    #[error("the image carries no payload")]
    NoPayload,
    /// Written by a newer release.
    #[error(
        "the payload is in container version {found}; this release reads version 2 and the earlier system's"
    )]
    UnknownVersion {
        /// The version byte found.
        found: u8,
    },
    /// Written by a newer release, with an unknown element inside version 2.
    #[error("the payload uses a container layout ({layout:#04x}) that this release does not know")]
    UnknownLayout {
        /// The layout byte found.
        layout: u8,
    },
    /// Some bits differ from the embedded bits.
    #[error("the payload is damaged: {what}")]
    Damaged {
        /// The check that failed.
        what: &'static str,
    },
    /// The secret is, or inflates to, more than the reader's limit.
    #[error("the secret takes {needed_bytes} bytes; at most {max_bytes} are allowed here")]
    SecretTooLarge {
        /// The secret's length in bytes, or the length of the part read.
        needed_bytes: u64,
        /// The limit in bytes.
        max_bytes: u64,
    },
    /// The work was ended from outside.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl ContainerError {
    /// Returns a stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPayload => "no_payload",
            Self::UnknownVersion { .. } | Self::UnknownLayout { .. } => "unknown_container_version",
            Self::Damaged { .. } => "damaged_payload",
            Self::SecretTooLarge { .. } => "secret_too_large",
            Self::Stopped(_) => Stopped::CODE,
        }
    }
}
