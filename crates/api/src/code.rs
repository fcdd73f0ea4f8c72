//! Codes of problem documents (RFC 9457): every error of a node's API.
//!
//! `docs/errors.md` explains each code to people. Tests compare the page, the OpenAPI document and the
//! console's table with this list.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Plane of a node (see DESIGN, "Two planes") concerned by a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plane {
    /// Embed, extract and every other call served by one node alone. A node at its limit refuses them to all
    /// clients.
    Data,
    /// Calls decided by a quorum or by the caller's rights. Such a problem says nothing about the node's data
    /// plane.
    Control,
}

/// Retry class of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same request at another node, at once. Nothing was done.
    Elsewhere,
    /// The same request at any node, after the time in `Retry-After`. Nothing was done.
    Later,
    /// The same request with the same `Idempotency-Key`: the first one is in flight, or its outcome is
    /// unknown.
    SameKey,
    /// No retry: the request has to change first.
    Never,
}

impl Retry {
    /// Name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Later => "later",
            Self::SameKey => "same_key",
            Self::Never => "never",
        }
    }

    /// Returns the class of a refusal without a code known to this release, by HTTP status (RFC 9110, 15.6.4;
    /// RFC 6585, 4).
    pub const fn of_status(status: u16) -> Self {
        match status {
            503 => Self::Elsewhere,
            429 => Self::Later,
            _ => Self::Never,
        }
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $plane:ident, $retry:ident, $title:literal;)+) => {
        /// Name of a problem, for programs. The meaning of a code never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// Returns the code of this name; `None` if unknown to this release.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// HTTP status of the answer.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }

            /// Plane concerned by the problem.
            pub const fn plane(self) -> Plane {
                match self {
                    $(Self::$name => Plane::$plane,)+
                }
            }

            /// Retry class.
            pub const fn retry(self) -> Retry {
                match self {
                    $(Self::$name => Retry::$retry,)+
                }
            }

            /// Title of the problem document, the same for every occurrence (RFC 9457, 3.1.3).
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                }
            }
        }
    };
}

codes! {
    NotAnImage = "not_an_image", 415, Data, Never, "Unknown file format";
    UnsupportedImage = "unsupported_image", 415, Data, Never, "Unsupported kind of image";
    TruncatedImage = "truncated_image", 400, Data, Never, "Truncated image";
    DamagedImage = "damaged_image", 400, Data, Never, "Damaged image";
    TooManyPixels = "too_many_pixels", 413, Data, Never, "Too many pixels";
    ImageTooLarge = "image_too_large", 413, Data, Never, "Image too large for the memory limit";
    CapacityExceeded = "capacity_exceeded", 413, Data, Never, "Secret larger than the capacity of the cover";
    CoverTooSmall = "cover_too_small", 413, Data, Never, "Cover too small for a key";
    SecretTooLarge = "secret_too_large", 413, Data, Never, "Secret too large";
    NoPayload = "no_payload", 422, Data, Never, "No payload in the image";
    NoPayloadOrWrongKey = "no_payload_or_wrong_key", 422, Data, Never, "No payload in the image, or another key";
    ImageWasReencoded = "image_was_reencoded", 422, Data, Never, "Payload destroyed by re-encoding";
    DamagedPayload = "damaged_payload", 422, Data, Never, "Damaged payload";
    NotComparable = "not_comparable", 422, Data, Never, "Images of different size or kind";
    UnknownContainerVersion = "unknown_container_version", 422, Data, Never, "Container of a newer release";

    NotMultipart = "not_multipart", 400, Data, Never, "multipart/form-data expected";
    MalformedMultipart = "malformed_multipart", 400, Data, Never, "Malformed multipart body";
    FileMissing = "file_missing", 400, Data, Never, "Missing file";
    FileEmpty = "file_empty", 400, Data, Never, "Empty file";
    UnknownField = "unknown_field", 400, Data, Never, "Unknown form field";
    RepeatedField = "repeated_field", 400, Data, Never, "Repeated form field";
    FieldTooLong = "field_too_long", 400, Data, Never, "Form field too long";
    FieldNotText = "field_not_text", 400, Data, Never, "Form field not in UTF-8";
    BitsOutOfRange = "bits_out_of_range", 400, Data, Never, "Bits per sample out of range";
    UnknownMode = "unknown_mode", 400, Data, Never, "Unknown embedding mode";
    UnknownMetadataPolicy = "unknown_metadata_policy", 400, Data, Never, "Unknown metadata policy";
    InvalidKey = "invalid_key", 400, Data, Never, "Invalid passphrase or key file";
    PlaintextRefused = "plaintext_refused", 403, Data, Never, "Passphrase sent without TLS";
    UnknownVerify = "unknown_verify", 400, Data, Never, "Unknown extent of verification";
    AmplifyOutOfRange = "amplify_out_of_range", 400, Data, Never, "Amplification out of range";
    NotSupportedYet = "not_supported_yet", 400, Data, Never, "Not supported by this release";
    BodyTooLarge = "body_too_large", 413, Data, Never, "Request body too large";
    UploadTooSlow = "upload_too_slow", 408, Data, Never, "Upload too slow";
    UploadBroken = "upload_broken", 400, Data, Elsewhere, "Upload ended early";

    MalformedRequest = "malformed_request", 400, Data, Never, "Malformed request";
    UnknownHost = "unknown_host", 421, Data, Never, "Unknown host";
    NotFound = "not_found", 404, Data, Never, "No such resource";
    MethodNotAllowed = "method_not_allowed", 405, Data, Never, "Method not allowed";
    EncodingNotSupported = "encoding_not_supported", 415, Data, Never, "Content encoding not supported";
    TlsNotSupported = "tls_not_supported", 400, Data, Never, "TLS on a port for plain HTTP";
    HttpVersionNotSupported = "http_version_not_supported", 505, Data, Never, "HTTP version not supported";
    JsonExpected = "json_expected", 415, Data, Never, "application/json expected";
    MalformedJson = "malformed_json", 400, Data, Never, "Malformed JSON";
    InvalidIdempotencyKey = "invalid_idempotency_key", 400, Data, Never, "Invalid idempotency key";

    Overloaded = "overloaded", 503, Data, Elsewhere, "Node overloaded";
    DeadlineExceeded = "deadline_exceeded", 503, Data, Elsewhere, "Deadline exceeded";
    Draining = "draining", 503, Data, Elsewhere, "Node about to stop";
    Paused = "paused", 503, Data, Elsewhere, "Node paused by a fault drill";
    NotReady = "not_ready", 503, Data, Elsewhere, "Node not ready";
    TooManyWatchers = "too_many_watchers", 503, Data, Elsewhere, "Too many event streams";
    Internal = "internal", 500, Data, Never, "Internal error";

    TokenRequired = "token_required", 401, Control, Never, "Admin token required";
    TokenWrong = "token_wrong", 403, Control, Never, "Wrong admin token";
    TooManyGuesses = "too_many_guesses", 429, Control, Later, "Too many wrong admin tokens";
    CrossOrigin = "cross_origin", 403, Control, Never, "Cross-origin request without the admin token";
    InvalidOperator = "invalid_operator", 400, Control, Never, "Invalid name of the operator";

    UnknownSetting = "unknown_setting", 404, Control, Never, "Unknown setting";
    NoSuchSetting = "no_such_setting", 404, Control, Never, "Setting not set";
    InvalidSetting = "invalid_setting", 400, Control, Never, "Invalid value of the setting";
    InvalidPrecondition = "invalid_precondition", 400, Control, Never, "Invalid precondition";
    VersionMismatch = "version_mismatch", 412, Control, Never, "Changed by another request";
    TooManySettings = "too_many_settings", 409, Control, Never, "Too many settings";
    IdempotencyKeyReused = "idempotency_key_reused", 422, Data, Never, "Idempotency key of another request";
    RequestInFlight = "request_in_flight", 409, Data, SameKey, "Request with this idempotency key in flight";
    TooManyKeys = "too_many_keys", 503, Control, Later, "Too many idempotency keys";
    TooManyKeysOfCaller = "too_many_keys_of_caller", 429, Control, Later, "Too many idempotency keys of the caller";
    NoQuorum = "no_quorum", 503, Control, Elsewhere, "No quorum";
    Behind = "behind", 503, Control, Elsewhere, "Node behind the cluster";
    NotJoined = "not_joined", 503, Control, Elsewhere, "Node not in a cluster yet";
    ForeignCluster = "foreign_cluster", 503, Control, Elsewhere, "Node of another cluster";
    StorageFull = "storage_full", 503, Control, Later, "No disk space for changes";
    StorageFailed = "storage_failed", 503, Control, Elsewhere, "Storage of the node failed";
    Stopped = "stopped", 503, Control, Elsewhere, "Control plane of the node stopped";
    OutcomeUnknown = "outcome_unknown", 504, Control, SameKey, "Outcome unknown";

    UnknownNode = "unknown_node", 404, Control, Never, "Unknown node";
    CannotLead = "cannot_lead", 409, Control, Never, "Node unfit to lead";
    NoSuccessor = "no_successor", 409, Control, Never, "No node fit to lead";
    TransferFailed = "transfer_failed", 503, Control, Later, "Leadership not handed over";

    FaultInjectionOff = "fault_injection_off", 403, Control, Never, "Fault drills not enabled";
    InvalidDrill = "invalid_drill", 400, Control, Never, "Invalid fault drill";
    FollowsNoLeader = "follows_no_leader", 409, Control, Never, "No leader to suspect";
}

impl Code {
    /// Value of `type` in the problem document.
    pub fn type_uri(self) -> String {
        format!("urn:steg:problem:{}", self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    /// Fails on a name unknown to this release.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown code `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_titles_are_unique() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let titles: BTreeSet<_> = Code::ALL.iter().map(|code| code.title()).collect();
        assert_eq!((names.len(), titles.len()), (Code::ALL.len(), Code::ALL.len()));
        for &code in Code::ALL {
            assert_eq!(Code::named(code.as_str()), Some(code));
        }
        assert_eq!(Code::named("from_the_future"), None);
    }

    #[test]
    fn what_helps_goes_with_the_status() {
        for &code in Code::ALL {
            let promises_nothing_done = matches!(code.status(), 429 | 503);
            let helps = matches!(code.retry(), Retry::Elsewhere | Retry::Later);
            // A truncated body was not read; the page or proxy that truncated it may send it again.
            let fits = promises_nothing_done == helps || code == Code::UploadBroken;
            assert!(fits, "{code} is {} with status {}", code.retry().as_str(), code.status());
        }
    }
}
