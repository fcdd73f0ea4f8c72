//! The codes of problem documents: all that a node can answer, each with the one status and title that it has.
//!
//! `docs/errors.md`, which every node serves, explains them to people; a test holds it to this list.

use axum::http::StatusCode;

macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// What went wrong, for programs. A code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Code {
            $(#[doc = $title] $name,)+
        }

        impl Code {
            /// Every code.
            pub(super) const ALL: &[Self] = &[$(Self::$name),+];

            /// As it is sent.
            pub(super) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// The status that goes with it.
            pub(super) const fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                }
            }

            /// The code in words, the same for every occurrence.
            pub(super) const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                }
            }
        }
    };
}

codes! {
    NotAnImage = "not_an_image", UNSUPPORTED_MEDIA_TYPE, "This kind of file is not supported";
    UnsupportedImage = "unsupported_image", UNSUPPORTED_MEDIA_TYPE, "This kind of image is not supported";
    TruncatedImage = "truncated_image", BAD_REQUEST, "The image is cut off";
    DamagedImage = "damaged_image", BAD_REQUEST, "The image is damaged";
    TooManyPixels = "too_many_pixels", PAYLOAD_TOO_LARGE, "The image is too large";
    ImageTooLarge = "image_too_large", PAYLOAD_TOO_LARGE, "The image is too large";
    CapacityExceeded = "capacity_exceeded", PAYLOAD_TOO_LARGE, "The secret does not fit into the image";
    SecretTooLarge = "secret_too_large", PAYLOAD_TOO_LARGE, "The secret is too large";
    NoPayload = "no_payload", UNPROCESSABLE_ENTITY, "There is no payload in this image";
    ImageWasReencoded = "image_was_reencoded", UNPROCESSABLE_ENTITY, "The image was saved anew, and its payload is gone";
    DamagedPayload = "damaged_payload", UNPROCESSABLE_ENTITY, "The payload is damaged";
    NotComparable = "not_comparable", UNPROCESSABLE_ENTITY, "The images cannot be compared";
    UnknownContainerVersion = "unknown_container_version", UNPROCESSABLE_ENTITY, "A newer release made this image";

    NotMultipart = "not_multipart", BAD_REQUEST, "The request is malformed";
    MalformedMultipart = "malformed_multipart", BAD_REQUEST, "The request is malformed";
    FileMissing = "file_missing", BAD_REQUEST, "The request is malformed";
    FileEmpty = "file_empty", BAD_REQUEST, "The request is malformed";
    UnknownField = "unknown_field", BAD_REQUEST, "The request is malformed";
    RepeatedField = "repeated_field", BAD_REQUEST, "The request is malformed";
    FieldTooLong = "field_too_long", BAD_REQUEST, "The request is malformed";
    FieldNotText = "field_not_text", BAD_REQUEST, "The request is malformed";
    BitsOutOfRange = "bits_out_of_range", BAD_REQUEST, "The request is malformed";
    UnknownMode = "unknown_mode", BAD_REQUEST, "The request is malformed";
    UnknownMetadataPolicy = "unknown_metadata_policy", BAD_REQUEST, "The request is malformed";
    UnknownVerify = "unknown_verify", BAD_REQUEST, "The request is malformed";
    AmplifyOutOfRange = "amplify_out_of_range", BAD_REQUEST, "The request is malformed";
    NotSupportedYet = "not_supported_yet", BAD_REQUEST, "A later release will do this";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The request's body is too large";
    UploadTooSlow = "upload_too_slow", REQUEST_TIMEOUT, "The upload took too long";
    UploadBroken = "upload_broken", BAD_REQUEST, "The upload ended early";

    MalformedRequest = "malformed_request", BAD_REQUEST, "The request is malformed";
    UnknownHost = "unknown_host", MISDIRECTED_REQUEST, "Unknown host";
    NotFound = "not_found", NOT_FOUND, "There is nothing here";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "This call takes another method";
    EncodingNotSupported = "encoding_not_supported", UNSUPPORTED_MEDIA_TYPE, "The content encoding is not supported";
    TlsNotSupported = "tls_not_supported", BAD_REQUEST, "TLS on a port for plain HTTP";
    HttpVersionNotSupported = "http_version_not_supported", HTTP_VERSION_NOT_SUPPORTED, "The HTTP version is not supported";
    JsonExpected = "json_expected", UNSUPPORTED_MEDIA_TYPE, "This call takes JSON";
    MalformedJson = "malformed_json", BAD_REQUEST, "The request is malformed";
    InvalidIdempotencyKey = "invalid_idempotency_key", BAD_REQUEST, "The request is malformed";

    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "The node cannot take this request now";
    DeadlineExceeded = "deadline_exceeded", SERVICE_UNAVAILABLE, "The work took too long";
    Draining = "draining", SERVICE_UNAVAILABLE, "The node cannot take this request now";
    Paused = "paused", SERVICE_UNAVAILABLE, "The node cannot take this request now";
    NotReady = "not_ready", SERVICE_UNAVAILABLE, "The node cannot take this request now";
    TooManyWatchers = "too_many_watchers", SERVICE_UNAVAILABLE, "The node cannot take this request now";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong in the node";

    TokenRequired = "token_required", UNAUTHORIZED, "Who are you?";
    TokenWrong = "token_wrong", FORBIDDEN, "This is not allowed";
    TooManyGuesses = "too_many_guesses", TOO_MANY_REQUESTS, "Too many wrong tokens";
    CrossOrigin = "cross_origin", FORBIDDEN, "This is not allowed";
    InvalidOperator = "invalid_operator", BAD_REQUEST, "The request is malformed";

    UnknownSetting = "unknown_setting", NOT_FOUND, "There is no such setting";
    NoSuchSetting = "no_such_setting", NOT_FOUND, "This is not set";
    InvalidSetting = "invalid_setting", BAD_REQUEST, "The request is malformed";
    InvalidPrecondition = "invalid_precondition", BAD_REQUEST, "The request is malformed";
    VersionMismatch = "version_mismatch", PRECONDITION_FAILED, "It was changed meanwhile";
    TooManySettings = "too_many_settings", CONFLICT, "There is no room for another setting";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request";
    RequestInFlight = "request_in_flight", CONFLICT, "A request with this idempotency key is under way";
    TooManyKeys = "too_many_keys", SERVICE_UNAVAILABLE, "The cluster cannot take this request now";
    NoQuorum = "no_quorum", SERVICE_UNAVAILABLE, "The cluster cannot agree on this now";
    Behind = "behind", SERVICE_UNAVAILABLE, "The node is behind the cluster";
    NotJoined = "not_joined", SERVICE_UNAVAILABLE, "The cluster cannot agree on this now";
    ForeignCluster = "foreign_cluster", SERVICE_UNAVAILABLE, "The cluster cannot agree on this now";
    StorageFull = "storage_full", SERVICE_UNAVAILABLE, "The cluster cannot agree on this now";
    StorageFailed = "storage_failed", SERVICE_UNAVAILABLE, "The cluster cannot agree on this now";
    Stopped = "stopped", SERVICE_UNAVAILABLE, "The cluster cannot agree on this now";
    OutcomeUnknown = "outcome_unknown", GATEWAY_TIMEOUT, "It may or may not have been done";

    UnknownNode = "unknown_node", NOT_FOUND, "There is no such node";
    CannotLead = "cannot_lead", CONFLICT, "This node cannot lead now";
    NoSuccessor = "no_successor", CONFLICT, "Nobody can take over now";
    TransferFailed = "transfer_failed", SERVICE_UNAVAILABLE, "Leadership was not handed over";

    FaultInjectionOff = "fault_injection_off", FORBIDDEN, "Fault drills are off";
    InvalidDrill = "invalid_drill", BAD_REQUEST, "The request is malformed";
    FollowsNoLeader = "follows_no_leader", CONFLICT, "There is no leader to suspect";
}

impl Code {
    /// The code of an error of a library, which says it as text. One that is not in the list is a defect, and a test has
    /// every error of every library.
    pub(super) fn named(text: &str) -> Self {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).unwrap_or(Self::Internal)
    }
}
