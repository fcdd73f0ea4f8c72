//! `stegctl completions` and `stegctl man`: output generated from the command line's definition.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::write;
use crate::cli::{Cli, Completions, Manual};
use crate::failure::Failure;
use crate::output::print;

/// Prints the completions of a shell.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn completions(command: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "stegctl", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the manual, or writes its pages into a folder.
///
/// # Errors
/// If standard output or a page cannot be written.
pub(super) fn man(command: &Manual) -> Result<(), Failure> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    match &command.dir {
        Some(dir) => {
            fs::create_dir_all(dir)
                .with_context(|| format!("cannot make the folder {}", dir.display()))
                .map_err(|error| Failure::file(&error))?;
            write_all(&root, dir)
        }
        None => print(&String::from_utf8_lossy(&page(find(&root, &command.command)?).1)),
    }
}

/// Finds the subcommand at the path `names`.
fn find<'a>(root: &'a Command, names: &[String]) -> Result<&'a Command, Failure> {
    names.iter().try_fold(root, |command, name| {
        command.find_subcommand(name).ok_or_else(|| {
            Failure::usage(format!("there is no command `{}`: `stegctl --help` lists them", names.join(" ")))
        })
    })
}

/// Writes all pages. Existing pages are replaced by the pages of this release.
fn write_all(command: &Command, dir: &Path) -> Result<(), Failure> {
    let (name, text) = page(command);
    write(&dir.join(name), &text, true)?;
    command.get_subcommands().try_for_each(|below| write_all(below, dir))
}

/// Returns the file name and text of a page.
fn page(command: &Command) -> (String, Vec<u8>) {
    let man = Man::new(command.clone()).source(concat!("stegctl ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text).expect("memory takes every byte");
    (man.get_filename(), text)
}
