//! Names of the headers that are this API's own.

/// Time that the caller waits for the answer, in milliseconds: a call that needs a quorum is decided, one way or the other,
/// within this time, so that its outcome is known to the caller.
pub const TIMEOUT_MS: &str = "x-steg-timeout-ms";
