//! A sequence of bits in words, the first bit in the lowest place.

/// Bits of a word.
pub(super) const WORD_LEN: usize = u64::BITS as usize;

/// A sequence of bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// Creates `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(WORD_LEN)], len }
    }

    /// Creates an empty sequence with room for `len` bits.
    pub(super) fn with_capacity(len: usize) -> Self {
        Self { words: Vec::with_capacity(len.div_ceil(WORD_LEN)), len: 0 }
    }

    /// Returns the number of bits that there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.words.capacity() * WORD_LEN
    }

    /// Returns the number of bits.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns a bit; false beyond the end.
    pub(super) fn at(&self, index: usize) -> bool {
        self.words.get(index / WORD_LEN).is_some_and(|word| word >> (index % WORD_LEN) & 1 == 1)
    }

    /// Returns three bits from `index` on, the first in the lowest place.
    pub(super) fn three_at(&self, index: usize) -> u64 {
        let shift = index % WORD_LEN;
        let word = |at: usize| self.words.get(at).copied().unwrap_or_default();
        let first = word(index / WORD_LEN) >> shift;
        let bits = if shift <= WORD_LEN - 3 {
            first
        } else {
            first | word(index / WORD_LEN + 1) << (WORD_LEN - shift)
        };
        bits & 0b111
    }

    /// Sets a bit to 1; nothing happens beyond the end.
    pub(super) fn set(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / WORD_LEN) {
            *word |= 1 << (index % WORD_LEN);
        }
    }

    /// Sets a bit to 0.
    pub(super) fn clear(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / WORD_LEN) {
            *word &= !(1 << (index % WORD_LEN));
        }
    }

    /// Appends the low `count` bits of `bits`, at most 64; the others are 0.
    pub(super) fn push(&mut self, bits: u64, count: usize) {
        debug_assert!(count == WORD_LEN || bits >> count == 0, "only the appended bits are set");
        let fill = self.len % WORD_LEN;
        match self.words.last_mut() {
            Some(last) if fill > 0 => {
                *last |= bits << fill;
                if fill + count > WORD_LEN {
                    self.words.push(bits >> (WORD_LEN - fill));
                }
            }
            _ if count > 0 => self.words.push(bits),
            _ => {}
        }
        self.len += count;
    }

    /// Cuts the sequence to at most `len` bits.
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.words.truncate(len.div_ceil(WORD_LEN));
            self.mask_end();
        }
    }

    /// Replaces each bit by its opposite.
    pub(super) fn invert(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.mask_end();
    }

    /// Returns the words; beyond the end they are 0.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Returns the words.
    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Returns the number of ones.
    pub(super) fn count_ones(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Returns the places of the ones, in ascending order.
    pub(super) fn ones(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest.wrapping_sub(1);
                (bit < WORD_LEN).then_some(at * WORD_LEN + bit)
            })
        })
    }

    fn mask_end(&mut self) {
        let used = self.len % WORD_LEN;
        if let Some(last) = self.words.last_mut().filter(|_| used > 0) {
            *last &= (1 << used) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_appended_in_order() {
        let noise = testkit::noise(1, 5000);
        let mut bits = Bits::default();
        let mut expected = Vec::new();
        for (i, bytes) in noise.chunks_exact(8).enumerate() {
            let count = i % (WORD_LEN + 1);
            let mut word = u64::from_le_bytes(bytes.try_into().unwrap());
            if count < WORD_LEN {
                word &= (1 << count) - 1;
            }
            bits.push(word, count);
            expected.extend((0..count).map(|bit| word >> bit & 1 == 1));
        }
        let check = |bits: &Bits, expected: &[bool]| {
            assert_eq!(bits.len(), expected.len());
            assert_eq!(
                (0..bits.len() + 100).map(|i| bits.at(i)).filter(|&bit| bit).count() as u64,
                bits.count_ones()
            );
            assert!(expected.iter().enumerate().all(|(i, &bit)| bits.at(i) == bit));
        };
        check(&bits, &expected);
        for len in [expected.len() - 1, 129, 128, 127, 64, 1, 0] {
            bits.truncate(len);
            check(&bits, &expected[..len]);
            bits.invert();
            check(&bits, &expected[..len].iter().map(|bit| !bit).collect::<Vec<_>>());
            bits.invert();
        }
    }
}
