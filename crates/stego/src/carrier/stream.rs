//! Key streams of ChaCha20 (RFC 8439), as random words and bits.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use zeroize::Zeroizing;

/// Bytes of the stream held at once: enough for the cipher's widest SIMD, and in the first-level cache.
const WINDOW_LEN_BYTES: usize = 16 << 10;
const WORDS: usize = WINDOW_LEN_BYTES / 4;

/// Longest name in bytes: the nonce.
const NONCE_LEN_BYTES: usize = 12;

/// Returns the cipher whose key stream is stream(key, name) of `docs/format.md`.
fn cipher(key: &[u8; 32], name: &[u8]) -> ChaCha20 {
    debug_assert!(name.len() <= NONCE_LEN_BYTES, "a name fits into the nonce");
    let mut nonce = [0; NONCE_LEN_BYTES];
    nonce.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    ChaCha20::new(&(*key).into(), &nonce.into())
}

/// Random words, least significant byte first.
pub(super) struct Words {
    cipher: ChaCha20,
    window: Zeroizing<Vec<u8>>,
    next: usize,
}

impl Words {
    /// Begins stream(key, name).
    pub(super) fn new(key: &[u8; 32], name: &[u8]) -> Self {
        Self { cipher: cipher(key, name), window: Zeroizing::new(vec![0; WINDOW_LEN_BYTES]), next: WORDS }
    }

    /// Returns the next word.
    pub(super) fn next(&mut self) -> u32 {
        let word = self.window().first().copied();
        self.next += 1;
        u32::from_le_bytes(word.expect("a window is not empty"))
    }

    /// Returns the bytes of the next words, at least one; [`Words::advance`] tells how many were used.
    pub(super) fn window(&mut self) -> &[[u8; 4]] {
        if self.next >= WORDS {
            self.window.fill(0);
            self.cipher.apply_keystream(&mut self.window);
            self.next = 0;
        }
        self.window.as_chunks().0.get(self.next..).unwrap_or_default()
    }

    /// Passes over the first `count` words of the window.
    pub(super) fn advance(&mut self, count: usize) {
        debug_assert!(self.next + count <= WORDS, "only words of the window are used");
        self.next += count;
    }
}

/// A random bit for each sample.
pub(super) struct RandomBits {
    cipher: ChaCha20,
    window: Zeroizing<Vec<u8>>,
    /// The number of the window held; `None` before the first.
    held: Option<usize>,
}

impl RandomBits {
    /// Opens stream(key, name).
    pub(super) fn new(key: &[u8; 32], name: &[u8]) -> Self {
        Self { cipher: cipher(key, name), window: Zeroizing::new(vec![0; WINDOW_LEN_BYTES]), held: None }
    }

    /// Returns bit `index`, from the least significant of the first byte on. Cheapest in ascending order.
    pub(super) fn at(&mut self, index: usize) -> bool {
        self.word(index / 64) >> (index % 64) & 1 == 1
    }

    /// Returns bits 64 · `index` to 64 · `index` + 63, the first in the lowest place.
    pub(super) fn word(&mut self, index: usize) -> u64 {
        let window = index / (WINDOW_LEN_BYTES / 8);
        if self.held != Some(window) {
            self.window.fill(0);
            self.cipher.seek(window as u64 * WINDOW_LEN_BYTES as u64);
            self.cipher.apply_keystream(&mut self.window);
            self.held = Some(window);
        }
        let words = self.window.as_chunks::<8>().0;
        words.get(index % (WINDOW_LEN_BYTES / 8)).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, appendix A.1, test vectors 1 and 2: key and nonce of zeros, the first two blocks.
    #[test]
    fn words_and_bits_are_the_published_key_stream() {
        let first = [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90];
        let second = [0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a];
        let mut words = Words::new(&[0; 32], b"");
        let found: Vec<u8> = (0..32).flat_map(|_| words.next().to_le_bytes()).collect();
        assert_eq!(found[..8], first);
        assert_eq!(found[64..72], second);
        let mut bits = RandomBits::new(&[0; 32], b"");
        for block in [1, 0, 5000, 1, 0] {
            let byte = |bits: &mut RandomBits, i: usize| {
                (0..8).fold(0, |byte, bit| byte | u8::from(bits.at(8 * i + bit)) << bit)
            };
            let found: Vec<u8> = (0..8).map(|i| byte(&mut bits, 64 * block + i)).collect();
            match block {
                0 => assert_eq!(found, first),
                1 => assert_eq!(found, second),
                _ => assert_ne!(found, first),
            }
        }
        let (mut words, mut bits) = (Words::new(&[7; 32], b"a name"), RandomBits::new(&[7; 32], b"a name"));
        for i in 0..10 * WORDS {
            let word = words.next();
            assert!((0..32).all(|bit| bits.at(32 * i + bit) == (word >> bit & 1 == 1)));
        }
    }
}
