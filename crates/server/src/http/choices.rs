//! Values of the fields that take one of a few words, for answers and the OpenAPI document.

use utoipa::ToSchema;

/// Treatment of the metadata in a cover's file: `keep` (where the cluster's settings do not say otherwise) or `strip`. What
/// defines the colours stays in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(super) enum Metadata {
    /// Kept.
    Keep,
    /// Left out, except for what defines the colours.
    Strip,
}

/// Extent of the check of a PNG cover whose compressed pixels are kept: `file` (the default; all of it) or `payload` (the rows
/// that carry the secret). A cover that does not stand the check is encoded anew, or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(super) enum Verify {
    /// All of it.
    File,
    /// The rows that carry the secret.
    Payload,
}

/// Bytes of a file as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(super) struct Binary(Vec<u8>);
