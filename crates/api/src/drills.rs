//! `POST /admin/fail` and `POST /admin/restore`: fault drills.

use serde::{Deserialize, Serialize};

/// Action of the answer and of the event at the end of a drill.
pub const RESTORE: &str = "restore";

/// Fault of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Fault {
    /// The process ends at once, as with kill -9.
    Crash,
    /// The node answers neither clients nor nodes, until restored or until `for_ms` is over.
    Pause,
    /// The node is cut off from all nodes and continues to serve clients, until restored or until `for_ms` is
    /// over.
    Partition,
    /// The whole process is stopped for `for_ms`, like a machine that hangs.
    Hang,
    /// The process stops as on SIGTERM and starts anew with the same id, arguments and environment.
    Restart,
    /// The next write of the log to the disk takes `for_ms` longer.
    StallDisk,
    /// The node suspects its healthy leader.
    FalseAlarm,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::Crash,
        Self::Pause,
        Self::Partition,
        Self::Hang,
        Self::Restart,
        Self::StallDisk,
        Self::FalseAlarm,
    ];

    /// Name on the wire.
    pub const fn as_str(self) -> &'static str {
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

/// Body of `POST /admin/fail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FailRequest {
    /// Fault.
    pub action: Fault,
    /// Duration in milliseconds. Required for `hang` and `stall_disk`, 1 to 60000; optional for `pause` and
    /// `partition`, 1 to 3600000; not allowed for any other fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3_600_000))]
    pub for_ms: Option<u64>,
}

/// Answer of both calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrillAnswer {
    /// The fault requested, or `restore`.
    pub action: String,
    /// Node concerned.
    pub node_id: String,
    /// Time from the answer to the start of the fault, in milliseconds: a node about to stop answers first.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub after_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        for fault in Fault::ALL {
            let text = serde_json::to_string(&fault).unwrap();
            assert_eq!(text, format!("\"{}\"", fault.as_str()));
            assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
        }
        assert!(serde_json::from_str::<Fault>("{\"crash\": null}").is_err());
    }
}
