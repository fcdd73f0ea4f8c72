//! Detection of a PNG's end in a stream.

const SIGNATURE_LEN_BYTES: u64 = 8;
const CRC_LEN_BYTES: u64 = 4;

/// Follows the chunks of a PNG (third edition, 5.3) without keeping any of the bytes.
#[derive(Debug)]
pub(super) struct PngEnd {
    /// Length and type of the current chunk, as far as received.
    header: [u8; 8],
    header_len: usize,
    /// Bytes until the next chunk begins.
    to_skip: u64,
    is_last: bool,
}

impl PngEnd {
    /// The state before the first byte.
    pub(super) fn new() -> Self {
        Self { header: [0; 8], header_len: 0, to_skip: SIGNATURE_LEN_BYTES, is_last: false }
    }

    /// Takes the next bytes of the file.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = usize::try_from(self.to_skip).unwrap_or(usize::MAX).min(bytes.len());
            self.to_skip -= skipped as u64;
            bytes = &bytes[skipped..];
            if bytes.is_empty() || self.has_passed() {
                return;
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(self.header.len() - self.header_len));
            self.header[self.header_len..][..taken.len()].copy_from_slice(taken);
            self.header_len += taken.len();
            bytes = rest;
            if self.header_len == self.header.len() {
                let [l0, l1, l2, l3, kind @ ..] = self.header;
                self.header_len = 0;
                self.to_skip = u64::from(u32::from_be_bytes([l0, l1, l2, l3])) + CRC_LEN_BYTES;
                self.is_last = kind == *b"IEND";
            }
        }
    }

    /// True once IEND has passed completely. Bytes after IEND are not part of the image.
    pub(super) fn has_passed(&self) -> bool {
        self.is_last && self.to_skip == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_seen_however_the_file_is_cut() {
        let file = dataset::cover(1).unwrap().to_png();
        let check = |file: &[u8], piece_len: usize, want: bool| {
            let mut end = PngEnd::new();
            file.chunks(piece_len).for_each(|piece| end.pass(piece));
            assert_eq!(end.has_passed(), want, "{} bytes in pieces of {piece_len}", file.len());
        };
        let followed = [&file, &b"IEND and more"[..]].concat();
        for piece_len in [1, 2, 3, 7, 8, 11, 4096, file.len()] {
            check(&file, piece_len, true);
            check(&followed, piece_len, true);
        }
        for len in [0, 1, 8, 12, file.len() / 2, file.len() - 12, file.len() - 5, file.len() - 1] {
            check(&file[..len], 1000, false);
        }
    }
}
