//! Destinations of lines: files, and streams that may block.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::line::MAX_LINE_BYTES;

/// Time until a line is dropped because the stream is blocked.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before retrying a stream that reports readiness and does not accept bytes.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// A destination of lines. Only the writer's thread uses it, so it may block.
pub(super) trait Sink: Send {
    /// True for a file, false for a stream.
    const IS_FILE: bool = false;

    /// Name for people.
    fn name(&self) -> String;

    /// Writes a line.
    ///
    /// # Errors
    /// If the line was not written completely.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()>;

    /// Reopens the file, if there is one.
    ///
    /// # Errors
    /// The failure to open. A file opened before stays in use.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Returns a fault that does not prevent writing, if any.
    fn complaint(&self) -> Option<String> {
        None
    }
}

/// Writes lines such that a truncated line does not run into the next one.
#[derive(Debug, Default)]
pub(super) struct LineWriter {
    in_a_line: bool,
}

impl LineWriter {
    /// Writes a line by `write`, which may accept only a part.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) fn write(
        &mut self,
        line: &[u8],
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        if self.in_a_line {
            write_all(b"\n", &mut write, |_| ())?;
            self.in_a_line = false;
        }
        write_all(line, &mut write, |_| self.in_a_line = true)?;
        self.in_a_line = false;
        Ok(())
    }
}

fn write_all(
    mut rest: &[u8],
    write: &mut impl FnMut(&[u8]) -> io::Result<usize>,
    mut written: impl FnMut(usize),
) -> io::Result<()> {
    while !rest.is_empty() {
        match write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                written(count);
                rest = &rest[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Standard output or standard error. A pipe without a reader is detected before a write blocks.
pub(super) struct Stream {
    name: &'static str,
    file: File,
    lines: LineWriter,
}

impl Stream {
    /// The standard error of this process, without the lock that a blocked thread could hold.
    ///
    /// # Errors
    /// If the descriptor cannot be duplicated.
    pub(super) fn standard_error() -> io::Result<Self> {
        Ok(Self::new("standard error", io::stderr().as_fd().try_clone_to_owned()?))
    }

    /// The standard output of this process, likewise.
    ///
    /// # Errors
    /// If the descriptor cannot be duplicated.
    pub(super) fn standard_output() -> io::Result<Self> {
        Ok(Self::new("standard output", io::stdout().as_fd().try_clone_to_owned()?))
    }

    fn new(name: &'static str, descriptor: OwnedFd) -> Self {
        Self { name, file: descriptor.into(), lines: LineWriter::default() }
    }
}

impl Sink for Stream {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut file = &self.file;
        // At most the size that a pipe takes atomically once ready, so that the write does not block.
        self.lines
            .write(line, |rest| write_until(&mut file, &rest[..rest.len().min(MAX_LINE_BYTES)], deadline))
    }
}

fn write_until(file: &mut &File, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut wanted = [PollFd::new(file, PollFlags::OUT)];
        let limit = Timespec::try_from(left).map_err(io::Error::other)?;
        if poll(&mut wanted, Some(&limit))? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "blocked, nobody reads it"));
        }
        match file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(AGAIN_AFTER);
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_line_that_was_cut_off_does_not_run_into_the_next_one() {
        let (mut written, mut room) = (Vec::new(), 4);
        let mut lines = LineWriter::default();
        let mut write = |line: &str, more: usize| {
            room += more;
            lines.write(line.as_bytes(), |bytes| {
                let count = bytes.len().min(room).min(2);
                if count == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                room -= count;
                written.extend_from_slice(&bytes[..count]);
                Ok(count)
            })
        };
        assert!(write("first\n", 0).is_err());
        assert!(write("second\n", 0).is_err());
        assert!(write("third\n", 100).is_ok());
        assert!(write("fourth\n", 0).is_ok());
        assert_eq!(String::from_utf8(written).unwrap(), "firs\nthird\nfourth\n");
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_block() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut stream = Stream::new("a pipe", writer.into());
        let line = [b'x'; MAX_LINE_BYTES];
        let lines = (0..1000).take_while(|_| stream.write_line(&line).is_ok()).count();
        assert!((1..1000).contains(&lines), "{lines} lines of {} bytes fit into a pipe", line.len());
        let mut read = vec![0; lines * line.len()];
        reader.read_exact(&mut read).unwrap();
        stream.write_line(b"later\n").unwrap();
        drop(reader);
        assert_eq!(stream.write_line(b"x\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
