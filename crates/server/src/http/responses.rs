//! The problems that calls of one kind have in common, for the OpenAPI document.

use utoipa::IntoResponses;

use api::ProblemDocument;

/// What can go wrong with an image that is sent.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(super) enum ImageProblems {
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
        description = "Not an image that is read here",
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
pub(super) enum AccessProblems {
    #[response(
        status = 400,
        description = "Not what this call takes; the detail says what it takes",
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
        description = "The admin token is wrong, or this is switched off",
        content_type = "application/problem+json"
    )]
    Forbidden(ProblemDocument),
    #[response(
        status = 429,
        description = "Too many wrong tokens from this address; see Retry-After",
        content_type = "application/problem+json"
    )]
    Guessing(ProblemDocument),
}

/// Why the cluster did not agree.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(super) enum QuorumProblems {
    #[response(
        status = 503,
        description = "No quorum, or nobody took over; nothing was changed, see Retry-After",
        content_type = "application/problem+json"
    )]
    NoQuorum(ProblemDocument),
    #[response(
        status = 504,
        description = "It may or may not have been done",
        content_type = "application/problem+json"
    )]
    Unknown(ProblemDocument),
}
