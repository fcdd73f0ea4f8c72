//! Operations of clients, and their linearizability.
//!
//! The version of a setting is the index of the log entry that wrote it, so every read and write names its
//! place in the order. An order by versions is a linearization if it agrees with real time: what ended before
//! another operation began has no greater version. One pass over the operations of a key, sorted by time,
//! checks this.

use std::collections::BTreeMap;
use std::time::Duration;

/// A version and the content of a setting.
pub(crate) type Versioned = (u64, String);

/// An operation on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A write that was acknowledged with this version.
    Wrote(Versioned),
    /// A write with an unknown outcome.
    Attempted(String),
    /// A read, with its result.
    Read(Option<Versioned>),
}

/// An operation with its time; an attempted write never ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timed {
    pub began: Duration,
    pub ended: Duration,
    pub operation: Operation,
}

/// Operations of all clients by key.
#[derive(Default)]
pub(crate) struct History {
    by_key: BTreeMap<String, Vec<Timed>>,
    /// Beginning of every write by content, whether or not the write has ended.
    begun: BTreeMap<String, Duration>,
    pub operations: u64,
    pub unknown: u64,
    /// Repeats long after the key was over, and those of them that were carried out again.
    pub late_repeats: u64,
    pub forgotten: u64,
}

impl History {
    /// Records that a write begins. Every content is written once.
    pub(crate) fn begin(&mut self, content: &str, at: Duration) {
        self.begun.insert(content.to_owned(), at);
    }

    pub(crate) fn record(&mut self, key: &str, began: Duration, ended: Duration, operation: Operation) {
        self.operations += 1;
        self.unknown += u64::from(matches!(operation, Operation::Attempted(_)));
        self.by_key.entry(key.to_owned()).or_default().push(Timed { began, ended, operation });
    }

    /// Checks the operations of every key.
    ///
    /// # Errors
    /// The first contradiction, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.by_key.iter().try_for_each(|(key, operations)| {
            check_key(operations, &self.begun).map_err(|contradiction| format!("{key}: {contradiction}"))
        })
    }
}

fn check_key(operations: &[Timed], begun: &BTreeMap<String, Duration>) -> Result<(), String> {
    check_contents(operations, begun)?;
    let mut by_begin: Vec<&Timed> = operations.iter().collect();
    by_begin.sort_by_key(|timed| timed.began);
    let mut by_end: Vec<&Timed> = operations.iter().filter(|timed| version(timed).is_some()).collect();
    by_end.sort_by_key(|timed| timed.ended);
    let mut ended = by_end.into_iter().peekable();
    // The greatest version known before an operation begins.
    let mut known: Option<&Timed> = None;
    for timed in by_begin {
        while let Some(earlier) = ended.next_if(|earlier| earlier.ended < timed.began) {
            if known.is_none_or(|known| version(known) < version(earlier)) {
                known = Some(earlier);
            }
        }
        let Some(known) = known else { continue };
        let stale = match (&timed.operation, version(timed)) {
            (Operation::Attempted(_), _) => false,
            (Operation::Wrote(_), found) => found <= version(known),
            (Operation::Read(_), found) => found < version(known),
        };
        if stale {
            return Err(format!("{} after {}", words(timed), words(known)));
        }
    }
    Ok(())
}

/// Checks that a version has one content, and every content read was written before the end of the read.
fn check_contents(operations: &[Timed], begun: &BTreeMap<String, Duration>) -> Result<(), String> {
    let mut contents: BTreeMap<u64, &Timed> = BTreeMap::new();
    for timed in operations {
        let Some((version, content)) = versioned(timed) else { continue };
        let other = *contents.entry(*version).or_insert(timed);
        if versioned(other).is_some_and(|(_, other)| other != content) {
            return Err(format!("{} and {}", words(other), words(timed)));
        }
    }
    for timed in operations {
        let Operation::Read(Some((_, content))) = &timed.operation else { continue };
        if begun.get(content).is_none_or(|begun| *begun > timed.ended) {
            return Err(format!("{} though nobody had written it", words(timed)));
        }
    }
    Ok(())
}

fn versioned(timed: &Timed) -> Option<&Versioned> {
    match &timed.operation {
        Operation::Wrote(versioned) | Operation::Read(Some(versioned)) => Some(versioned),
        Operation::Attempted(_) | Operation::Read(None) => None,
    }
}

/// Returns the version of an operation; 0 for a read of a missing setting.
fn version(timed: &Timed) -> Option<u64> {
    match &timed.operation {
        Operation::Read(None) => Some(0),
        _ => versioned(timed).map(|(version, _)| *version),
    }
}

fn words(timed: &Timed) -> String {
    let Timed { began, ended, operation } = timed;
    let what = match operation {
        Operation::Wrote((version, content)) => format!("a write of {content} as version {version}"),
        Operation::Attempted(content) => format!("an attempt to write {content}"),
        Operation::Read(None) => "a read of nothing".to_owned(),
        Operation::Read(Some((version, content))) => format!("a read of {content}, version {version}"),
    };
    format!("{what} ({:.3} to {:.3} s)", began.as_secs_f64(), ended.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(began: u64, ended: u64, operation: Operation) -> Timed {
        Timed { began: Duration::from_secs(began), ended: Duration::from_secs(ended), operation }
    }

    fn check(operations: &[Timed]) -> Result<(), String> {
        let mut begun = BTreeMap::new();
        for timed in operations {
            if let Operation::Attempted(content) | Operation::Wrote((_, content)) = &timed.operation {
                begun.insert(content.clone(), timed.began);
            }
        }
        check_key(operations, &begun)
    }

    fn wrote(version: u64, content: &str) -> Operation {
        Operation::Wrote((version, content.to_owned()))
    }

    fn read(version: u64, content: &str) -> Operation {
        Operation::Read(Some((version, content.to_owned())))
    }

    #[test]
    fn orders_that_agree_with_real_time_pass() {
        let attempt = Operation::Attempted("c".to_owned());
        let operations = [
            timed(0, 1, wrote(5, "a")),
            timed(2, 6, wrote(9, "b")),
            timed(3, 4, read(5, "a")),
            timed(3, 5, read(9, "b")),
            timed(7, 8, attempt),
            timed(9, 10, read(9, "b")),
            timed(11, 12, read(13, "c")),
        ];
        check(&operations).unwrap();
    }

    #[test]
    fn contradictions_are_found() {
        let stale = [timed(0, 1, wrote(5, "a")), timed(2, 3, wrote(9, "b")), timed(4, 5, read(5, "a"))];
        let lost = [timed(0, 1, wrote(5, "a")), timed(2, 3, Operation::Read(None))];
        let doubled = [timed(0, 1, wrote(5, "a")), timed(0, 1, read(5, "b")), timed(0, 1, wrote(6, "b"))];
        let invented = [timed(0, 1, read(5, "a"))];
        let late = [timed(0, 1, read(5, "a")), timed(2, 3, wrote(5, "a"))];
        let backwards = [timed(0, 1, wrote(9, "a")), timed(2, 3, wrote(5, "b"))];
        for operations in [&stale[..], &lost, &doubled, &invented, &late, &backwards] {
            assert!(check(operations).is_err(), "{operations:?}");
        }
    }
}
