//! Parser of server-sent events (HTML standard, 9.2.6), limited to the features used by nodes. Pure, and
//! bounded: a peer cannot fill the memory with an endless event.

use std::collections::VecDeque;

use crate::error::BadAnswer;

/// Longest event, in bytes.
const MAX_EVENT_LEN_BYTES: usize = 64 * 1024;

/// A single event: its name, `message` by default, and its data, lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) event: String,
    pub(crate) data: String,
}

/// Incremental parser from bytes to events.
#[derive(Debug, Default)]
pub(crate) struct EventLines {
    /// The line that is still incomplete.
    line: Vec<u8>,
    event: String,
    data: String,
    frames: VecDeque<Frame>,
}

impl EventLines {
    /// Adds received bytes.
    ///
    /// # Errors
    /// [`BadAnswer::EventTooLong`]; the stream is unusable afterwards.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(byte);
            }
            if self.line.len() + self.event.len() + self.data.len() > MAX_EVENT_LEN_BYTES {
                return Err(BadAnswer::EventTooLong { limit_bytes: MAX_EVENT_LEN_BYTES });
            }
        }
        Ok(())
    }

    /// Returns the next complete event.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // The id is repeated in the data; a comment has no field name, and `retry` is for browsers.
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let (event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if data.pop().is_none() {
            return;
        }
        let event = if event.is_empty() { "message".to_owned() } else { event };
        self.frames.push_back(Frame { event, data });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let text = "retry: 5\r\n: a comment\r\n\r\nid: 1\nevent: role\ndata: {\"a\":\ndata:  é}\n\ndata:x\n\nevent: none\n\n";
        let expected = [("role", "{\"a\":\n é}"), ("message", "x")];
        for size in [1, 2, 3, 7, 1000] {
            let mut lines = EventLines::default();
            for piece in text.as_bytes().chunks(size) {
                lines.feed(piece).unwrap();
            }
            let frames: Vec<_> = std::iter::from_fn(|| lines.next()).collect();
            let found: Vec<_> =
                frames.iter().map(|frame| (frame.event.as_str(), frame.data.as_str())).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut lines = EventLines::default();
        let endless = (0..1000).map(|_| lines.feed(&[b'x'; 100])).find(Result::is_err);
        assert!(matches!(endless, Some(Err(BadAnswer::EventTooLong { .. }))));
        let mut lines = EventLines::default();
        let endless = (0..1000)
            .map(|_| lines.feed(&[b"data: ", &[b'x'; 100][..], b"\n"].concat()))
            .find(Result::is_err);
        assert!(endless.is_some());
    }
}
