//! Which drill a request asks for: read and checked, nothing done yet.

use std::time::Duration;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::code::Code;
use crate::http::json;
use crate::http::problem::Problem;

/// Longest time for what nobody can end before: a node that hangs cannot be asked to go on.
const MAX_HANG_MS: u64 = 60_000;
/// Longest time for what can be ended at any time.
const MAX_ISOLATION_MS: u64 = 3_600_000;

/// What a drill does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub(in crate::http) enum Fault {
    /// The process ends at once, as with kill -9.
    Crash,
    /// The node answers neither clients nor other nodes, until it is restored or `for_ms` is over.
    Pause,
    /// The node is cut off from the other nodes and goes on serving clients, until it is restored or `for_ms` is over.
    Partition,
    /// The whole process stands still for `for_ms`, as a machine that hangs.
    Hang,
    /// The process stops as on SIGTERM and starts anew with the same id, arguments and environment.
    Restart,
    /// The next write of the log to the disk takes `for_ms` longer.
    StallDisk,
    /// The node suspects the leader that it follows, for no reason.
    FalseAlarm,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::Crash,
        Self::Pause,
        Self::Partition,
        Self::Hang,
        Self::Restart,
        Self::StallDisk,
        Self::FalseAlarm,
    ];

    /// Its name in requests, answers and events.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Hang => "hang",
            Self::Restart => "restart",
            Self::StallDisk => "stall_disk",
            Self::FalseAlarm => "false_alarm",
        }
    }
}

// From a text only: serde takes an object for a variant too.
impl TryFrom<String> for Fault {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("`{}` is none of {names}", name.chars().take(64).collect::<String>())
        })
    }
}

/// Which drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct FailRequest {
    /// What is done to the node.
    pub(super) action: Fault,
    /// For how long, in milliseconds. `hang` and `stall_disk` need it, 1 to 60000; `pause` and `partition` may have it, 1
    /// to 3600000; the others take none.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub(super) for_ms: Option<u64>,
}

/// A drill that can be done.
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
    /// The drill that a body asks for.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<(Fault, Self), Problem> {
        let request: FailRequest = json::parse(headers, body, "{\"action\": …, \"for_ms\": …}")?;
        Ok((request.action, Self::check(request)?))
    }

    fn check(FailRequest { action, for_ms }: FailRequest) -> Result<Self, Problem> {
        let name = action.as_str();
        let within = |max_ms: u64| match for_ms {
            Some(ms) if !(1..=max_ms).contains(&ms) => {
                Err(invalid(format!("for_ms: {ms} is not in 1..={max_ms}, which is what `{name}` takes")))
            }
            ms => Ok(ms.map(Duration::from_millis)),
        };
        let needed = || {
            within(MAX_HANG_MS)?
                .ok_or_else(|| invalid(format!("for_ms: `{name}` needs it, 1 to {MAX_HANG_MS}")))
        };
        let none = |drill| match for_ms {
            None => Ok(drill),
            Some(_) => Err(invalid(format!("for_ms: `{name}` takes none"))),
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
        check(r#"{"action": "crash", "for_ms": 5}"#, Err("for_ms: `crash` takes none"));
        check(r#"{"action": "restart", "for_ms": null}"#, Ok(Drill::Restart));
        check(r#"{"action": "pause"}"#, Ok(Drill::Pause(None)));
        check(r#"{"action": "partition", "for_ms": 1000}"#, Ok(Drill::Partition(Some(second))));
        let long = "for_ms: 3600001 is not in 1..=3600000, which is what `pause` takes";
        check(r#"{"action": "pause", "for_ms": 3600001}"#, Err(long));
        check(r#"{"action": "hang", "for_ms": 1000}"#, Ok(Drill::Hang(second)));
        check(r#"{"action": "hang"}"#, Err("for_ms: `hang` needs it, 1 to 60000"));
        let zero = "for_ms: 0 is not in 1..=60000, which is what `stall_disk` takes";
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
