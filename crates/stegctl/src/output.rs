//! Standard output and standard error.

use std::fmt::Display;
use std::io::Write;

use crate::failure::Failure;
use crate::files;

/// Writes to standard output.
///
/// # Errors
/// If standard output cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    files::write_to_stdout(text.as_bytes()).map_err(|error| Failure::file(&error))
}

/// Writes a line to standard error.
pub(crate) fn say(line: impl Display) {
    // A closed standard error stops no command.
    let _ = writeln!(std::io::stderr(), "{line}");
}
