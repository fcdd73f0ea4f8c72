//! Bodies of requests: forms with files, short JSON, content codings.

pub(super) mod encoding;
pub(super) mod json;
pub(super) mod upload;
pub(super) mod upload_request;
