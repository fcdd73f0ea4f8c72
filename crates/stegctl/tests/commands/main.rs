//! The commands as a shell sees them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archives;
mod comparing;
mod hostile;
mod images;
mod keyed;
mod manual;
mod several;
mod slips;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Runs a command. An embed without a key is an open one: no terminal answers the question.
pub(crate) fn stegctl(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let is_answered = |arg: &&&str| arg.contains("--key-file") || arg.contains("--pass") || **arg == "--open";
    let is_open =
        args.first() == Some(&"embed") && args.len() > 1 && !args.iter().any(|arg| is_answered(&arg));
    let args: Vec<&str> = args.iter().copied().chain(is_open.then_some("--open")).collect();
    run(folder, &args, input)
}

/// Runs a command exactly as given.
pub(crate) fn run(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_stegctl"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes the pipe.
    let _ = process.stdin.take().unwrap().write_all(input);
    process.wait_with_output().unwrap()
}

/// Runs a command that must succeed, and returns its standard output.
pub(crate) fn done(folder: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let output = stegctl(folder, args, input);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a command that must fail with this status and code, and leave standard output empty.
pub(crate) fn refused(folder: &Path, args: &[&str], status: i32, code: &str) -> String {
    let output = stegctl(folder, args, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {error}");
    assert!(error.starts_with(&format!("error[{code}]: ")), "{args:?}: {error}");
    assert_eq!(output.stdout, b"", "{args:?}");
    error
}

/// A folder with a small cover in it.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let samples = testkit::noise(1, 300 * 200 * 3);
    let cover = stego::Cover::from_samples(300, 200, stego::Channels::Rgb, samples).unwrap();
    std::fs::write(folder.path().join("cover.png"), cover.to_png()).unwrap();
    folder
}

/// Runs a command that must succeed with --json, and returns what it said.
pub(crate) fn told(folder: &Path, args: &[&str]) -> Value {
    serde_json::from_slice(&done(folder, args, b"")).unwrap()
}

/// Hides a secret of this type, as another program might have.
pub(crate) fn hide(secret: &[u8], name: &str, media_type: &str, image: &Path) {
    let side: u32 = if secret.len() > 50_000 { 1000 } else { 200 };
    let samples = testkit::noise(7, side as usize * side as usize * 3);
    let cover = stego::Cover::from_samples(side, side, stego::Channels::Rgb, samples).unwrap();
    let secret = stego::Secret {
        bytes: secret,
        name: stego::FileName::from_path(name),
        media_type: stego::MediaType::parse(media_type),
        mark: None,
    };
    let options = stego::EmbedOptions::default().with_bits(stego::BitsPerSample::new(4).unwrap());
    let embedded = stego::embed(&cover, &secret, &options, &stego::Limits::default()).unwrap();
    std::fs::write(image, embedded.to_vec()).unwrap();
}

/// Everything below a folder, sorted, with what files hold.
pub(crate) fn tree(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if path.symlink_metadata().unwrap().is_dir() {
                found.push((name, None));
                folders.push(path);
            } else {
                found.push((name, std::fs::read(&path).ok()));
            }
        }
    }
    found.sort();
    found
}
