//! The key of a command: a passphrase from the terminal or a file, a key file, or both. Never from the
//! command line or the environment, which other programs on the machine can read.

use std::fs::File;
use std::io::{IsTerminal, Read, stderr, stdin};
use std::path::Path;

use anyhow::Context;
use stego::{Salt, SealingKey};
use zeroize::Zeroizing;

use crate::cli::Keys;
use crate::failure::Failure;
use crate::files::{is_standard_stream, shown};
use crate::output::say;

/// Guesses up to which a passphrase counts as weak, as a power of ten. A derivation costs an attacker 64 MiB
/// and a tenth of a second of a core: 10^12 guesses are some 3,000 years of one core, days of a large botnet.
const WEAK_GUESSES_LOG10: f64 = 12.0;
/// Length of the part of a passphrase that is judged, in characters.
const JUDGED_CHARS: usize = 64;

/// Returns the key of an embed, or nothing to hide openly. Without an option the terminal is asked.
///
/// # Errors
/// Without an option and without a terminal, and for a key that cannot be read.
pub(crate) fn for_embed(keys: &Keys, is_open: bool) -> Result<Option<SealingKey>, Failure> {
    if is_open {
        return Ok(None);
    }
    if keys.is_given() {
        return read(keys, Purpose::Embed).map(Some);
    }
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(Failure::usage(
            "a key keeps others from extracting the secret, and none is given: write --passphrase-file FILE or \
             --key-file FILE, or --open to hide without one, so that anyone with the image can extract it",
        ));
    }
    say("With a passphrase only those who know it can extract the secret, or tell that there is one.");
    let passphrase = ask("Passphrase (none: anyone with the image can extract): ")?;
    if passphrase.is_empty() {
        return Ok(None);
    }
    confirm(&passphrase)?;
    let key = key(Some(&passphrase), None)?;
    tell_if_weak(&passphrase);
    Ok(Some(key))
}

/// Returns the key of an extract, if one is given.
///
/// # Errors
/// For a key that cannot be read.
pub(crate) fn for_extract(keys: &Keys) -> Result<Option<SealingKey>, Failure> {
    keys.is_given().then(|| read(keys, Purpose::Extract)).transpose()
}

/// Returns a new salt, by the system's randomness.
///
/// # Errors
/// Without the system's randomness.
pub(crate) fn salt() -> Result<Salt, Failure> {
    let mut salt = Salt([0; Salt::LEN_BYTES]);
    random(&mut salt.0)?;
    Ok(salt)
}

/// Fills `bytes` by the system's randomness.
///
/// # Errors
/// Without the system's randomness.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(bytes)
        .map_err(|error| Failure::file(&anyhow::Error::new(error).context("no randomness from the system")))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Embed,
    Extract,
}

fn read(keys: &Keys, purpose: Purpose) -> Result<SealingKey, Failure> {
    if keys.is_on_command_line() {
        return Err(Failure::usage(
            "a passphrase on the command line can be read by every program of this machine and stays in the shell's \
             history: choose another one, and give it with -p (asks for it) or --passphrase-file FILE",
        ));
    }
    let passphrase = match keys.passphrase_file() {
        Some(path) => Some(passphrase_in(path)?),
        None if keys.asks() => {
            let passphrase = ask("Passphrase: ")?;
            if purpose == Purpose::Embed {
                confirm(&passphrase)?;
            }
            Some(passphrase)
        }
        None => None,
    };
    let key_file =
        keys.key_file().map(|path| content(path, SealingKey::MAX_KEY_FILE_LEN_BYTES)).transpose()?;
    let key =
        key(passphrase.as_ref().map(|text| text.as_str()), key_file.as_ref().map(|bytes| bytes.as_slice()))?;
    // With a key file a weak passphrase alone opens nothing.
    if let (Purpose::Embed, Some(passphrase), None) = (purpose, &passphrase, &key_file) {
        tell_if_weak(passphrase);
    }
    Ok(key)
}

fn key(passphrase: Option<&str>, key_file: Option<&[u8]>) -> Result<SealingKey, Failure> {
    SealingKey::new(passphrase, key_file).map_err(|error| Failure::key(&error))
}

/// Reads a passphrase from a file or standard input, without one final newline.
fn passphrase_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    // One more than allowed shows a text that is too long, after the newline is gone.
    let bytes = content(path, SealingKey::MAX_PASSPHRASE_LEN_BYTES + 2)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::usage(format!("the passphrase in {} is not UTF-8 text", shown(path))))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads a file or standard input, and one byte beyond `max_bytes`. The buffer has room for all of it: one
/// that grows leaves copies behind.
fn content(path: &Path, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(max_bytes + 2));
    let limit = max_bytes as u64 + 1;
    let read = match is_standard_stream(path) {
        true => stdin().lock().take(limit).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("cannot read {}", shown(path))).map_err(|error| Failure::file(&error))?;
    Ok(bytes)
}

/// Asks for a passphrase on the terminal, which does not show it.
fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
        Failure::file(&anyhow::Error::new(error).context(
            "cannot ask for a passphrase on the terminal; --passphrase-file FILE reads it from a file",
        ))
    })
}

/// Asks for a passphrase a second time.
fn confirm(passphrase: &str) -> Result<(), Failure> {
    match *ask("The same again: ")? == passphrase {
        true => Ok(()),
        false => Err(Failure::usage("the two passphrases differ; nothing was written")),
    }
}

/// Tells that a passphrase is easily guessed. It is taken all the same.
fn tell_if_weak(passphrase: &str) {
    if is_weak(passphrase) {
        say(
            "note: this passphrase is weak, and may be guessed by trying; `stegctl passphrase` suggests a strong one",
        );
    }
}

fn is_weak(passphrase: &str) -> bool {
    let judged = Zeroizing::new(passphrase.chars().take(JUDGED_CHARS).collect::<String>());
    zxcvbn::zxcvbn(&judged, &["stego", "stegctl", "stegano"]).guesses_log10() < WEAK_GUESSES_LOG10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passphrases_are_known() {
        for weak in
            ["password", "hunter2", "correct", "qwertyuiop", "12345678901234567890", "stegctl1", "aaaaaaaa"]
        {
            assert!(is_weak(weak), "{weak}");
        }
        for strong in ["lemon tuna rescue orbit flame vessel", "kR7#pQ2!vX9zLm", &"ab cd ef gh".repeat(90)] {
            assert!(!is_weak(strong), "{strong}");
        }
    }
}
