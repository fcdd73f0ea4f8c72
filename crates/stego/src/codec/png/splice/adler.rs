//! Adler-32 (RFC 1950, section 8.2) over parts.

const MODULUS: u64 = 65_521;

/// The checksum of some bytes, and the number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Adler {
    sum: u32,
    len: u64,
}

impl Adler {
    /// Checksum of no bytes.
    pub(super) const EMPTY: Self = Self { sum: 1, len: 0 };

    /// Computes the checksum of `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut adler = simd_adler32::Adler32::new();
        adler.write(bytes);
        Self { sum: adler.finish(), len: bytes.len() as u64 }
    }

    /// Returns the checksum of these bytes followed by the bytes of `next`. The second sum adds up the first
    /// sum after every byte, so every byte of `next` adds this first sum less the initial value 1.
    pub(super) fn followed_by(self, next: Self) -> Self {
        let (a1, b1) = (u64::from(self.sum & 0xFFFF), u64::from(self.sum >> 16));
        let (a2, b2) = (u64::from(next.sum & 0xFFFF), u64::from(next.sum >> 16));
        let ahead = (a1 + MODULUS - 1) % MODULUS;
        let a = (ahead + a2) % MODULUS;
        let b = (b1 + b2 + next.len % MODULUS * ahead) % MODULUS;
        Self { sum: (b << 16 | a) as u32, len: self.len + next.len }
    }

    /// Reads the sum at the end of a zlib stream over `len` bytes.
    pub(super) fn from_stream(sum: [u8; 4], len: u64) -> Self {
        Self { sum: u32::from_be_bytes(sum), len }
    }

    /// Returns the checksum of the bytes after `head` in these bytes: the inverse of [`Adler::followed_by`].
    /// `None` if `head` is longer.
    pub(super) fn after(self, head: Self) -> Option<Self> {
        let (a, b) = (u64::from(self.sum & 0xFFFF), u64::from(self.sum >> 16));
        let (a1, b1) = (u64::from(head.sum & 0xFFFF), u64::from(head.sum >> 16));
        let len = self.len.checked_sub(head.len)?;
        let ahead = (a1 + MODULUS - 1) % MODULUS;
        let a2 = (a + 2 * MODULUS - ahead) % MODULUS;
        let b2 = (b + 2 * MODULUS - b1 % MODULUS + MODULUS - len % MODULUS * ahead % MODULUS) % MODULUS;
        let after = Self { sum: (b2 << 16 | a2) as u32, len };
        // A sum read from a file may be invalid: each half may reach the modulus.
        debug_assert!(
            a >= MODULUS || b >= MODULUS || head.followed_by(after) == self,
            "the inverse of `followed_by`"
        );
        Some(after)
    }

    /// Returns the form at the end of a zlib stream.
    pub(super) fn to_bytes(self) -> [u8; 4] {
        self.sum.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_put_together_are_the_whole() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for cut in [0, 1, 2, 5551, 65_521, 65_522, 299_999, 300_000] {
            let (head, rest) = bytes.split_at(cut);
            assert_eq!(Adler::of(head).followed_by(Adler::of(rest)), Adler::of(&bytes), "{cut}");
            assert_eq!(Adler::of(&bytes).after(Adler::of(head)), Some(Adler::of(rest)), "{cut}");
        }
        let many = bytes.chunks(777).fold(Adler::EMPTY, |sum, part| sum.followed_by(Adler::of(part)));
        assert_eq!(many, Adler::of(&bytes));
        let all_ones = vec![0xFF; 200_000];
        assert_eq!(
            Adler::of(&all_ones[..70_000]).followed_by(Adler::of(&all_ones[70_000..])),
            Adler::of(&all_ones)
        );
        assert_eq!(
            Adler::of(&all_ones).after(Adler::of(&all_ones[..70_000])),
            Some(Adler::of(&all_ones[70_000..]))
        );
        assert_eq!(Adler::EMPTY.after(Adler::of(&[1])), None);
        // RFC 1950 gives no vector; this one is widely known.
        assert_eq!(Adler::of(b"Wikipedia").to_bytes(), [0x11, 0xE6, 0x03, 0x98]);
    }
}
