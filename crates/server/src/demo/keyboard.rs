//! Commands typed at the terminal of the demo.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::process::getpgrp;
use rustix::termios::{isatty, tcgetpgrp};
use tokio::sync::mpsc;

/// Help text of the commands.
pub(super) const HELP: &str = "Type here: r n1 restarts n1, k n1 kills it (kill -9).";
/// Maximum length of a line in bytes.
const MAX_LINE_BYTES: usize = 4096;
/// Interval of checks for the foreground.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An action on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Restart,
    Kill,
}

/// Parses a line into an action and the name of a node; `None` for an empty line.
///
/// # Errors
/// The help text, for any other line.
pub(super) fn parse(line: &str) -> Result<Option<(Action, &str)>, &'static str> {
    let mut words = line.split_whitespace();
    let (first, second, rest) = (words.next(), words.next(), words.next());
    let action = match (first, second, rest) {
        (None, ..) => return Ok(None),
        (Some("r" | "restart"), Some(_), None) => Action::Restart,
        (Some("k" | "kill"), Some(_), None) => Action::Kill,
        _ => return Err(HELP),
    };
    Ok(second.map(|id| (action, id)))
}

/// Reads lines from standard input on a thread of its own, which blocks. The channel closes at the end of the
/// input.
pub(super) fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        // After a read error the user can still use Ctrl-C.
        let _ = read_lines(&sender);
    });
    receiver
}

fn read_lines(sender: &mpsc::Sender<String>) -> io::Result<()> {
    let stdin = io::stdin();
    let limit = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.subsec_nanos().into() };
    let (mut typed, mut piece) = (Vec::new(), [0; 512]);
    loop {
        // The system stops a background process that reads from its terminal.
        let in_background = isatty(&stdin) && tcgetpgrp(&stdin).is_ok_and(|group| group != getpgrp());
        if in_background {
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        if poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&limit))? == 0 {
            continue;
        }
        let count = rustix::io::read(&stdin, &mut piece)?;
        if count == 0 {
            return Ok(());
        }
        for byte in &piece[..count] {
            if *byte != b'\n' {
                typed.push(*byte);
            } else if sender
                .blocking_send(String::from_utf8_lossy(&std::mem::take(&mut typed)).into())
                .is_err()
            {
                return Ok(());
            }
        }
        typed.truncate(MAX_LINE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_an_action_and_a_node() {
        assert_eq!(parse("r n1"), Ok(Some((Action::Restart, "n1"))));
        assert_eq!(parse("  restart   n2 "), Ok(Some((Action::Restart, "n2"))));
        assert_eq!(parse("k n3"), Ok(Some((Action::Kill, "n3"))));
        assert_eq!(parse(" "), Ok(None));
        for line in ["r", "k", "n1", "r n1 n2", "?"] {
            assert_eq!(parse(line), Err(HELP), "{line:?}");
        }
    }
}
