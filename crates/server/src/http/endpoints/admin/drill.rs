//! The drill of a request: parsed and checked, not yet executed.

use std::time::Duration;

use api::Code;
use api::drills::{FailRequest, Fault};
use axum::http::HeaderMap;

use crate::http::answer::problem::Problem;
use crate::http::body::json;

/// Maximum duration of a drill without an early end: a hanging node answers no request.
const MAX_HANG_MS: u64 = 60_000;
/// Maximum duration of a drill with an early end.
const MAX_ISOLATION_MS: u64 = 3_600_000;

/// A valid drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drill {
    Crash,
    Pause(Option<Duration>),
    Partition(Option<Duration>),
    Hang(Duration),
    Restart,
    StallDisk(Duration),
    FalseAlarm,
}

impl Drill {
    /// Parses and checks the drill in a request body.
    ///
    /// # Errors
    /// A problem document if the body is not such a JSON object, or `for_ms` is missing, not allowed or out
    /// of range.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<(Fault, Self), Problem> {
        let request: FailRequest = json::parse(headers, body, "{\"action\": …, \"for_ms\": …}")?;
        Ok((request.action, Self::check(request)?))
    }

    fn check(FailRequest { action, for_ms }: FailRequest) -> Result<Self, Problem> {
        let name = action.as_str();
        let within = |max_ms: u64| match for_ms {
            Some(ms) if !(1..=max_ms).contains(&ms) => {
                Err(invalid(format!("for_ms: {ms} is out of range for `{name}`: 1 to {max_ms}")))
            }
            ms => Ok(ms.map(Duration::from_millis)),
        };
        let needed = || {
            within(MAX_HANG_MS)?
                .ok_or_else(|| invalid(format!("for_ms: required for `{name}`, 1 to {MAX_HANG_MS}")))
        };
        let none = |drill| match for_ms {
            None => Ok(drill),
            Some(_) => Err(invalid(format!("for_ms: not allowed for `{name}`"))),
        };
        match action {
            Fault::Crash => none(Self::Crash),
            Fault::Restart => none(Self::Restart),
            Fault::FalseAlarm => none(Self::FalseAlarm),
            Fault::Pause => within(MAX_ISOLATION_MS).map(Self::Pause),
            Fault::Partition => within(MAX_ISOLATION_MS).map(Self::Partition),
            Fault::Hang => needed().map(Self::Hang),
            Fault::StallDisk => needed().map(Self::StallDisk),
        }
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidDrill, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_takes_its_own_times() {
        let check = |json: &str, expected: Result<Drill, &str>| {
            let request = serde_json::from_str(json).unwrap();
            let found = Drill::check(request);
            let found = found.as_ref().map_err(|problem| problem.detail());
            assert_eq!(found.copied(), expected, "{json}");
        };
        let second = Duration::from_secs(1);
        check(r#"{"action": "crash"}"#, Ok(Drill::Crash));
        check(r#"{"action": "crash", "for_ms": 5}"#, Err("for_ms: not allowed for `crash`"));
        check(r#"{"action": "restart", "for_ms": null}"#, Ok(Drill::Restart));
        check(r#"{"action": "pause"}"#, Ok(Drill::Pause(None)));
        check(r#"{"action": "partition", "for_ms": 1000}"#, Ok(Drill::Partition(Some(second))));
        let long = "for_ms: 3600001 is out of range for `pause`: 1 to 3600000";
        check(r#"{"action": "pause", "for_ms": 3600001}"#, Err(long));
        check(r#"{"action": "hang", "for_ms": 1000}"#, Ok(Drill::Hang(second)));
        check(r#"{"action": "hang"}"#, Err("for_ms: required for `hang`, 1 to 60000"));
        let zero = "for_ms: 0 is out of range for `stall_disk`: 1 to 60000";
        check(r#"{"action": "stall_disk", "for_ms": 0}"#, Err(zero));
        check(r#"{"action": "false_alarm"}"#, Ok(Drill::FalseAlarm));
    }

    #[test]
    fn the_name_is_the_one_that_is_sent() {
        for name in ["crash", "pause", "partition", "hang", "restart", "stall_disk", "false_alarm"] {
            let fault: Fault = serde_json::from_value(name.into()).unwrap();
            assert_eq!(fault.as_str(), name);
        }
    }
}
