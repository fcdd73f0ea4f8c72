//! Problems common to calls of one kind, for the OpenAPI document.

use utoipa::IntoResponses;

use api::ProblemDocument;

/// Problems with an uploaded image.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum ImageProblems {
    #[response(
        status = 400,
        description = "Malformed request or image",
        content_type = "application/problem+json"
    )]
    Malformed(ProblemDocument),
    #[response(
        status = 408,
        description = "The upload took too long",
        content_type = "application/problem+json"
    )]
    Slow(ProblemDocument),
    #[response(
        status = 413,
        description = "Body, image or secret too large, with the figures",
        content_type = "application/problem+json"
    )]
    TooLarge(ProblemDocument),
    #[response(
        status = 415,
        description = "Unsupported image format or encoding",
        content_type = "application/problem+json"
    )]
    NotAnImage(ProblemDocument),
    #[response(
        status = 503,
        description = "Overload, stop, or work that took too long; see Retry-After",
        content_type = "application/problem+json"
    )]
    Busy(ProblemDocument),
}

/// Refusals of calls that change the cluster.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum AccessProblems {
    #[response(
        status = 400,
        description = "Invalid request; the detail describes the valid form",
        content_type = "application/problem+json"
    )]
    Malformed(ProblemDocument),
    #[response(
        status = 401,
        description = "The admin token is missing",
        content_type = "application/problem+json"
    )]
    NoToken(ProblemDocument),
    #[response(
        status = 403,
        description = "The admin token is wrong, or the call is disabled",
        content_type = "application/problem+json"
    )]
    Forbidden(ProblemDocument),
    #[response(
        status = 429,
        description = "Too many wrong tokens or too many idempotency keys from this address; see Retry-After",
        content_type = "application/problem+json"
    )]
    Guessing(ProblemDocument),
}

/// Failures to reach agreement.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum QuorumProblems {
    #[response(
        status = 503,
        description = "No quorum, or no new leader; nothing was changed, see Retry-After",
        content_type = "application/problem+json"
    )]
    NoQuorum(ProblemDocument),
    #[response(
        status = 504,
        description = "Outcome unknown: the change may or may not have been applied",
        content_type = "application/problem+json"
    )]
    Unknown(ProblemDocument),
}
