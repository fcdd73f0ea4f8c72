//! `stegctl passphrase`.

use bip39::Language;
use zeroize::Zeroizing;

use crate::cli::Passphrase;
use crate::failure::Failure;
use crate::key::random;
use crate::output::{print, say};

/// Bits of entropy of one word out of 2,048.
const BITS_PER_WORD: u32 = 11;

/// Suggests a passphrase: words that are equally likely and independent.
pub(super) fn run(command: &Passphrase) -> Result<(), Failure> {
    let words = Language::English.word_list();
    debug_assert_eq!(words.len(), 1 << BITS_PER_WORD, "every word has the same number of values");
    let count = usize::from(command.words);
    let mut bytes = Zeroizing::new(vec![0; 2 * count]);
    random(&mut bytes)?;
    // No word is longer than eight letters: a text that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(9 * count + 1));
    for (i, pair) in bytes.chunks_exact(2).enumerate() {
        if i > 0 {
            line.push(' ');
        }
        let value = usize::from(u16::from_be_bytes([pair[0], pair[1]]));
        line.push_str(words[value % words.len()]);
    }
    line.push('\n');
    print(&line)?;
    if !command.quiet {
        let bits = BITS_PER_WORD * u32::from(command.words);
        say(format!("{count} words out of {}: {bits} bits of entropy", words.len()));
    }
    Ok(())
}
