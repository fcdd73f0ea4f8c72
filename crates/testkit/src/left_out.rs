//! Tests that a machine cannot run.

/// Tells that a test is left out, since what it takes is missing here.
///
/// # Panics
///
/// If `CI` is `true`: there, nothing may be left out.
pub fn leave_out(takes: &str, missing: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "required in CI: {missing}");
    eprintln!("left out, for it takes {takes}: {missing}");
}
