//! Raw deflate (RFC 1951) in pieces.

use flate2::{Compress, Compression, FlushCompress, Status};

/// A zlib header without a preset dictionary: 32 KiB window, fastest (RFC 1950, 2.2).
pub(super) const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];
/// Deflate's longest stored block.
const MAX_STORED_LEN: usize = 65_535;

/// Writes stored blocks with `bytes`, none of them the last block of a stream.
pub(super) fn store(bytes: &[u8], file: &mut Vec<u8>) {
    for block in bytes.chunks(MAX_STORED_LEN) {
        let len = block.len() as u16;
        file.push(0);
        file.extend_from_slice(&len.to_le_bytes());
        file.extend_from_slice(&(!len).to_le_bytes());
        file.extend_from_slice(block);
    }
}

/// A deflater of data arriving bit by bit.
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new(level: Compression) -> Self {
        Self(Compress::new(level, false))
    }

    /// Takes `bytes`; completed output goes to `out`.
    pub(super) fn add(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.run(bytes, FlushCompress::None, out);
    }

    /// Ends the stream of the taken bytes: by the last block, or by a full flush (on a byte, with no later
    /// reference to earlier data).
    pub(super) fn finish(&mut self, is_last: bool, out: &mut Vec<u8>) {
        self.run(&[], if is_last { FlushCompress::Finish } else { FlushCompress::Full }, out);
    }

    fn run(&mut self, mut bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        loop {
            out.reserve(bytes.len() + 512);
            let before = self.0.total_in();
            let status = self.0.compress_vec(bytes, out, flush).expect("deflate takes any bytes");
            bytes = &bytes[(self.0.total_in() - before) as usize..];
            // What is flushed is out once there is room left behind it.
            let is_out = bytes.is_empty() && out.len() < out.capacity();
            if status == Status::StreamEnd || (is_out && !matches!(flush, FlushCompress::Finish)) {
                return;
            }
        }
    }
}
