//! The condition `log_failed` of the status.

use control_plane::status::Condition;

use super::writer::{Log, LogFailure};

/// Code of the condition.
const LOG_FAILED: &str = api::notices::LOG_FAILED;

impl Log {
    /// Returns the condition of node `node`'s log, if the log has failed.
    pub(crate) fn condition(&self, node: &str) -> Option<Condition> {
        self.failure().map(|failure| condition(&failure, node))
    }
}

fn condition(failure: &LogFailure, node: &str) -> Condition {
    let LogFailure { name, error, dropped, is_file } = failure;
    let remedy = if *is_file {
        format!(
            "free or repair {name} (log.file); the node continues without a log and resumes writing by itself"
        )
    } else {
        format!(
            "resume reading the {name} of {node}, or restart the node with a log file (log.file, --log-file); it \
             continues without a log meanwhile"
        )
    };
    Condition {
        code: LOG_FAILED,
        node: Some(node.to_owned()),
        message: format!(
            "writing the log of {node} ({name}) fails: {error}; {dropped} lines dropped since the start of the node"
        ),
        remedy: Some(remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_error_and_remedy_are_named() {
        let check = |name: &str, is_file, remedy: &str| {
            let failure =
                LogFailure { name: name.into(), error: "no space left".into(), dropped: 7, is_file };
            let Condition { code, node, message, remedy: found } = condition(&failure, "n2");
            assert_eq!((code, node.as_deref()), ("log_failed", Some("n2")));
            for part in [name, "n2", "no space left", "7 lines"] {
                assert!(message.contains(part), "{message}");
            }
            assert!(found.as_deref().is_some_and(|found| found.contains(remedy)), "{found:?}");
        };
        check("/var/log/n2.log", true, "free or repair /var/log/n2.log");
        check("standard error", false, "--log-file");
    }
}
