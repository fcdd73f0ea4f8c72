//! Values of the enumerated form fields, for answers and the OpenAPI document.

use utoipa::ToSchema;

/// Treatment of the metadata in a cover's file: `keep` (the default, unless the cluster's settings say
/// otherwise) or `strip`. Colour definitions stay in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) enum Metadata {
    /// Kept.
    Keep,
    /// Removed, except for what defines the colours.
    Strip,
}

/// Extent of the check of a PNG cover whose compressed pixels are kept: `file` (the default; all of the file)
/// or `payload` (the rows that carry the secret). A cover that fails the check is encoded anew, or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) enum Verify {
    /// The whole file.
    File,
    /// The rows that carry the secret.
    Payload,
}

/// Bytes of a file, unencoded.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) struct Binary(Vec<u8>);
