//! External programs that read and write images: Pillow, ImageMagick, pngcheck.
//!
//! Where `CI` is set all of the programs must be installed; elsewhere missing programs are passed over.
//! `STEG_PYTHON` names a Python with Pillow, numpy and the modules of other scripts, `python3` otherwise.

mod readers;

use std::process::{Command, Output};

pub use readers::OutsideReaders;

/// Runs a program and returns its output; `None` where the program is neither installed nor required.
///
/// # Panics
///
/// If the program fails, or is missing where `CI` is set.
pub fn run_outside(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) => Some(printed(command, &output)),
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("passed over: {command:?}: {error}");
            None
        }
        Err(error) => panic!("{command:?}: {error}; it must be installed where CI is set"),
    }
}

/// Runs a script, given as text, in a Python with Pillow and numpy; `None` where neither installed nor
/// required.
///
/// # Panics
///
/// If the script fails, or such a Python is missing where `CI` is set.
pub fn run_pillow<'a>(script: &str, arguments: impl IntoIterator<Item = &'a str>) -> Option<String> {
    run_python("PIL, numpy", script, arguments)
}

/// Runs a script, given as text, in a Python with `modules`, separated by commas; `None` where neither
/// installed nor required.
///
/// # Panics
///
/// If the script fails, or such a Python is missing where `CI` is set.
pub fn run_python<'a>(
    modules: &str,
    script: &str,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let python = std::env::var("STEG_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if std::env::var_os("CI").is_none() {
        let has_modules = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
        if !has_modules.is_ok_and(|output| output.status.success()) {
            eprintln!("passed over: {python} lacks one of {modules}");
            return None;
        }
    }
    run_outside(Command::new(&python).args(["-c", script]).args(arguments))
}

fn printed(command: &Command, output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}: {}: {out}{err}", command.get_program(), output.status);
    assert!(err.is_empty(), "{:?} complains: {err}", command.get_program());
    out.into_owned()
}
