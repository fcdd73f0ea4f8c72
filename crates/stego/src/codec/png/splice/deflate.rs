//! Raw deflate (RFC 1951) in pieces.

use flate2::{Compress, Compression, FlushCompress, Status};

/// Deflates what comes bit by bit.
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new(level: Compression) -> Self {
        Self(Compress::new(level, false))
    }

    /// Takes `bytes`; what is ready goes to `out`.
    pub(super) fn add(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.run(bytes, FlushCompress::None, out);
    }

    /// Ends with all that was taken: the last block, or a full flush (on a byte, nothing later refers to what came before).
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
