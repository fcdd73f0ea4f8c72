//! Messages about the progress of a drill.

use std::io::Write as _;

/// Reports the current step on stderr.
pub(super) fn report_step(text: &str) {
    // A closed stderr does not stop the drill.
    let _ = writeln!(std::io::stderr().lock(), "drill: {text}");
}
