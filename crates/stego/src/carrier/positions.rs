//! Positions of a sealed container: drawn from key streams, each sample at most once.
//!
//! Defined in `docs/format.md`, section "Carrier `scattered`", which also says why the drawing is sound.

use super::bits::{Bits, WORD_LEN};
use super::stream::Words;
use crate::watch::{Stage, Stopped, Watch};

/// Most eligible samples of an image, so that a word of 32 bits draws any of them.
pub(super) const MAX_ELIGIBLE: usize = u32::MAX as usize;

/// SHA-256 of `stego sealed v1 public positions`.
pub(super) const PUBLIC_KEY: [u8; 32] = [
    0x35, 0x31, 0x31, 0xa7, 0xf3, 0x8f, 0x5f, 0xb1, 0x5f, 0x9b, 0x07, 0x93, 0x02, 0xf8, 0x96, 0xf7, 0x92,
    0x26, 0x76, 0x78, 0x6c, 0x40, 0x3e, 0x80, 0x03, 0x71, 0xad, 0x5d, 0x6f, 0x52, 0xbb, 0xb8,
];

/// Draws positions of an image with a given number of eligible samples.
pub(super) struct Drawing {
    eligible: u32,
    /// The positions given so far.
    given: Bits,
}

impl Drawing {
    /// Begins with no position given, for `eligible` samples, at most [`MAX_ELIGIBLE`].
    pub(super) fn new(eligible: usize) -> Self {
        let eligible = u32::try_from(eligible).expect("no more than 2^32 − 1 samples are eligible");
        Self { eligible, given: Bits::zeros(eligible as usize) }
    }

    /// Returns the number of eligible samples.
    pub(super) fn eligible(&self) -> usize {
        self.eligible as usize
    }

    /// Draws `count` positions, in the order drawn. No more than are left are asked for.
    pub(super) fn share(&mut self, words: &mut Words, count: usize) -> Vec<u32> {
        let lottery = Lottery::of(self.eligible);
        let mut positions = Vec::with_capacity(count);
        while positions.len() < count {
            let Some(position) = lottery.position(words.next()) else { continue };
            if !self.given.at(position as usize) {
                self.given.set(position as usize);
                positions.push(position);
            }
        }
        positions
    }

    /// Draws the set of `count` positions that carry a body; `shares` are the positions given before.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub(super) fn set(
        mut self,
        words: &mut Words,
        count: usize,
        shares: [&[u32]; 2],
        watch: &Watch,
    ) -> Result<Bits, Stopped> {
        let left = self.eligible as usize - shares.iter().map(|share| share.len()).sum::<usize>();
        debug_assert!(count <= left, "the body fits");
        let others = left.saturating_sub(count);
        if count <= others {
            self.mark(words, count, watch)?;
            let given = shares.iter().copied().flatten();
            given.for_each(|&position| self.given.clear(position as usize));
        } else {
            self.mark(words, others, watch)?;
            self.given.invert();
        }
        debug_assert_eq!(self.given.count_ones(), count as u64, "a position for each bit");
        Ok(self.given)
    }

    /// Marks `count` further positions as given. Without branches on what is drawn, which no processor could
    /// predict.
    fn mark(&mut self, words: &mut Words, count: usize, watch: &Watch) -> Result<(), Stopped> {
        let lottery = Lottery::of(self.eligible);
        let mut left = count;
        while left > 0 {
            watch.check(Stage::Draw, (count - left) as u64, count as u64)?;
            let window = words.window();
            // No more words than positions are wanted: all of them are used.
            let used = window.len().min(left);
            let given = self.given.words_mut();
            let new = window.iter().take(used).map(|&word| {
                let (position, fair) = lottery.draw(u32::from_le_bytes(word));
                given.get_mut(position as usize / WORD_LEN).map_or(0, |slot| {
                    let bit = u64::from(fair) << (position as usize % WORD_LEN);
                    let is_new = bit & !*slot != 0;
                    *slot |= bit;
                    usize::from(is_new)
                })
            });
            left -= new.sum::<usize>();
            words.advance(used);
        }
        Ok(())
    }
}

/// A fair choice among `eligible` positions by a random word (Lemire 2019, section 4).
#[derive(Clone, Copy)]
struct Lottery {
    eligible: u32,
    /// Products below this remainder would favour some positions.
    unfair_below: u32,
}

impl Lottery {
    fn of(eligible: u32) -> Self {
        // 2^32 mod n = (2^32 − n) mod n.
        Self { eligible, unfair_below: eligible.wrapping_neg().checked_rem(eligible).unwrap_or_default() }
    }

    /// Returns the position of a word, and true if the word counts.
    fn draw(self, word: u32) -> (u32, bool) {
        let product = u64::from(word) * u64::from(self.eligible);
        let (position, remainder) = ((product >> 32) as u32, product & u64::from(u32::MAX));
        (position, remainder >= u64::from(self.unfair_below))
    }

    fn position(self, word: u32) -> Option<u32> {
        let (position, fair) = self.draw(word);
        fair.then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_public_key_is_the_digest_of_its_name() {
        assert_eq!(PUBLIC_KEY, <[u8; 32]>::from(Sha256::digest(b"stego sealed v1 public positions")));
    }

    /// The drawing of `docs/format.md` with a list of what was given, in place of marks.
    fn drawn(eligible: u64, words: &mut Words, count: usize, given: &mut Vec<u32>) {
        let wanted = given.len() + count;
        while given.len() < wanted {
            let product = u64::from(words.next()) * eligible;
            let position = (product >> 32) as u32;
            if product % (1 << 32) >= (1 << 32) % eligible && !given.contains(&position) {
                given.push(position);
            }
        }
    }

    #[test]
    fn sets_are_what_the_definition_gives() {
        for (eligible, first, second, count) in [
            (1000, 50, 60, 100),
            (1000, 50, 60, 700),
            (1000, 0, 0, 1000),
            (1000, 400, 600, 0),
            (77, 7, 7, 31),
            (77, 7, 7, 32),
        ] {
            let key = [count as u8; 32];
            let mut drawing = Drawing::new(eligible);
            let a = drawing.share(&mut Words::new(&key, b"a"), first);
            let b = drawing.share(&mut Words::new(&key, b"b"), second);
            let mut given = Vec::new();
            drawn(eligible as u64, &mut Words::new(&key, b"a"), first, &mut given);
            drawn(eligible as u64, &mut Words::new(&key, b"b"), second, &mut given);
            assert_eq!([&a[..], &b[..]].concat(), given);

            let set = drawing.set(&mut Words::new(&key, b"c"), count, [&a, &b], &Watch::default()).unwrap();
            let (shares, left) = (given.len(), eligible - given.len());
            drawn(eligible as u64, &mut Words::new(&key, b"c"), count.min(left - count), &mut given);
            let carries = |position: u32| match given.iter().position(|&given| given == position) {
                Some(i) => i >= shares && count <= left - count,
                None => count > left - count,
            };
            assert!((0..eligible as u32).all(|position| set.at(position as usize) == carries(position)));
            assert_eq!(set.count_ones(), count as u64);
        }
    }

    /// Words that would favour a position give none: each position has the same number of words.
    #[test]
    fn every_position_is_as_likely() {
        // With 2^31 + 1 positions there are 2 words for some, and 1 for most; only one of them counts.
        let lottery = Lottery::of((1 << 31) + 1);
        assert_eq!(lottery.unfair_below, (1 << 31) - 1);
        assert_eq!(Lottery::of(1 << 20).unfair_below, 0);
        assert_eq!(Lottery::of(3).unfair_below, 1);
        assert_eq!(Lottery::of(3).position(0), None);
        assert_eq!(Lottery::of(3).position(u32::MAX), Some(2));
        assert_eq!(Lottery::of(0).position(1), Some(0));
    }
}
