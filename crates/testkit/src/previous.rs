//! The server of the previous release, for tests of upgrades.

use std::path::PathBuf;

use crate::left_out::leave_out;

/// Path of the previous release's server. Empty where the clone lacks the commit that it is built from.
const VARIABLE: &str = "STEG_PREVIOUS_SERVER";

/// The server of the previous release, or none where this clone cannot have it or nobody built it: then the
/// test is left out, and says so.
///
/// # Panics
///
/// If `CI` is `true` and nobody built it, or if nothing is at the path.
pub fn previous_server() -> Option<PathBuf> {
    let takes = "a server of the previous release";
    let Some(path) = std::env::var_os(VARIABLE) else {
        leave_out(
            takes,
            &format!("{VARIABLE} is not set; .ci/previous-server builds one and prints its path"),
        );
        return None;
    };
    if path.is_empty() {
        eprintln!("left out, for it takes {takes}: this clone lacks the commit that it is built from");
        return None;
    }
    let path = PathBuf::from(path);
    assert!(path.is_file(), "{VARIABLE}: {} is no file", path.display());
    Some(path)
}
