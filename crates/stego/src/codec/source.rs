//! A file in memory as read by decoders: watched, so that work can be ended between two reads.

use std::io::{BufRead, Error, Read, Result, Seek, SeekFrom};

use crate::watch::{Stage, Stopped, Watch};

/// Bytes handed out at once. Compressed data grows a thousandfold at most, so a decoder comes back for more
/// within milliseconds even from a bomb.
const WINDOW_LEN_BYTES: usize = 16 << 10;

/// Reads from a slice and asks the watch at each window.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a [u8],
    position: usize,
    /// The end of the last granted window.
    granted: usize,
    watch: &'a Watch,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a [u8], watch: &'a Watch) -> Self {
        Self { file, position: 0, granted: 0, watch }
    }

    /// Returns the number of bytes from the start of the file to the next read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Returns the bytes that may be read without a further check.
    fn window(&mut self) -> std::result::Result<&'a [u8], Stopped> {
        if self.position >= self.granted {
            self.watch.check(Stage::Decode, self.position as u64, self.file.len() as u64)?;
            self.granted = self.position.saturating_add(WINDOW_LEN_BYTES);
        }
        let end = self.granted.min(self.file.len());
        Ok(self.file.get(self.position..end).unwrap_or_default())
    }
}

impl Read for Source<'_> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let window = self.window().map_err(Error::other)?;
        let len = window.len().min(buffer.len());
        buffer[..len].copy_from_slice(&window[..len]);
        self.position += len;
        Ok(len)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        self.window().map_err(Error::other)
    }

    fn consume(&mut self, len: usize) {
        self.position = self.position.saturating_add(len).min(self.file.len());
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => usize::try_from(at).ok(),
            SeekFrom::End(by) => {
                isize::try_from(by).ok().and_then(|by| self.file.len().checked_add_signed(by))
            }
            SeekFrom::Current(by) => {
                isize::try_from(by).ok().and_then(|by| self.position.checked_add_signed(by))
            }
        };
        let outside = || Error::new(std::io::ErrorKind::InvalidInput, "an offset outside of the file");
        self.position = to.ok_or_else(outside)?;
        // Going back and forth is progress as well: a file may send its decoder round in circles.
        self.granted = self.granted.min(self.position.saturating_add(WINDOW_LEN_BYTES));
        Ok(self.position as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    #[test]
    fn a_source_reads_as_a_cursor_does() {
        let file: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
        let watch = Watch::default();
        let mut source = Source::new(&file, &watch);
        let mut cursor = std::io::Cursor::new(&file);
        for (seek, len) in [
            (SeekFrom::Start(0), 5),
            (SeekFrom::Current(40_000), 30_000),
            (SeekFrom::Current(-50_000), 20_000),
            (SeekFrom::End(-10), 10),
            (SeekFrom::Start(200_000), 0),
            (SeekFrom::Start(99_999), 1),
        ] {
            assert_eq!(source.seek(seek).unwrap(), cursor.seek(seek).unwrap());
            let (mut ours, mut theirs) = (vec![0; len], vec![0; len]);
            source.read_exact(&mut ours).unwrap();
            cursor.read_exact(&mut theirs).unwrap();
            assert_eq!(ours, theirs, "{seek:?}");
        }
        assert!(source.seek(SeekFrom::Current(-200_000)).is_err());
        assert_eq!(source.read(&mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn a_stop_reaches_the_reader() {
        let file = vec![0; 3 * WINDOW_LEN_BYTES];
        let watch = Watch::new(|progress| {
            if progress.done >= WINDOW_LEN_BYTES as u64 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let mut source = Source::new(&file, &watch);
        let mut read = Vec::new();
        assert!(source.read_to_end(&mut read).is_err());
        assert!(read.len() <= WINDOW_LEN_BYTES);
    }
}
