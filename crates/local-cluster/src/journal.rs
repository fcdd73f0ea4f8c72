//! Acknowledged writes, compared with what a node shows later. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Acknowledged write of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Key of the setting.
    pub setting: String,
    /// Version made by the write.
    pub version: u64,
    /// Value written.
    pub value: Value,
}

/// State of a setting after an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The setting is as the write left it.
    Unchanged,
    /// The setting has a later version: a later write was applied.
    Overwritten,
}

/// Loss of an acknowledged write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LostWrite {
    /// The setting is not set.
    #[error(
        "an acknowledged write is lost: {setting} version {version} was acknowledged, the setting is not set"
    )]
    Absent {
        /// Key of the setting.
        setting: String,
        /// Acknowledged version.
        version: u64,
    },
    /// The setting has an earlier version.
    #[error("an acknowledged write is lost: {setting} version {version} was acknowledged, {found} is there")]
    Older {
        /// Key of the setting.
        setting: String,
        /// Acknowledged version.
        version: u64,
        /// Version found.
        found: u64,
    },
    /// The version has another value.
    #[error("an acknowledged write is lost: {setting} version {version} has another value")]
    OtherValue {
        /// Key of the setting.
        setting: String,
        /// Acknowledged version.
        version: u64,
    },
}

impl Acknowledged {
    /// Compares the write with version and value of the setting as found later; `None` for a setting that is
    /// not set. A later version is valid: a write without an answer may have been applied, and other clients
    /// may write.
    ///
    /// # Errors
    /// The kind of loss.
    pub fn compare(&self, found: Option<(u64, &Value)>) -> Result<Kept, LostWrite> {
        let (setting, version) = (self.setting.clone(), self.version);
        match found {
            None => Err(LostWrite::Absent { setting, version }),
            Some((found, _)) if found < version => Err(LostWrite::Older { setting, version, found }),
            Some((found, _)) if found > version => Ok(Kept::Overwritten),
            Some((_, value)) if *value != self.value => Err(LostWrite::OtherValue { setting, version }),
            Some(_) => Ok(Kept::Unchanged),
        }
    }
}

/// Returns the versions of settings that more than one acknowledged write made, as text.
pub fn repeated_versions<'a>(writes: impl IntoIterator<Item = &'a Acknowledged>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut repeated = Vec::new();
    for Acknowledged { setting, version, .. } in writes {
        if !seen.insert((setting, version)) {
            repeated.push(format!("two writes made version {version} of {setting}"));
        }
    }
    repeated
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(setting: &str, version: u64) -> Acknowledged {
        Acknowledged { setting: setting.to_owned(), version, value: json!("a") }
    }

    #[test]
    fn a_lost_write_is_told_from_an_overwritten_one() {
        let check = |found: Option<(u64, Value)>, expected: Result<Kept, &str>| {
            let found = found.as_ref().map(|(version, value)| (*version, value));
            let compared = write("note.x", 7).compare(found).map_err(|lost| lost.to_string());
            let expected = expected.map_err(|text| format!("an acknowledged write is lost: {text}"));
            assert_eq!(compared, expected);
        };
        check(Some((7, json!("a"))), Ok(Kept::Unchanged));
        check(Some((8, json!("b"))), Ok(Kept::Overwritten));
        check(Some((6, json!("a"))), Err("note.x version 7 was acknowledged, 6 is there"));
        check(Some((7, json!("b"))), Err("note.x version 7 has another value"));
        check(None, Err("note.x version 7 was acknowledged, the setting is not set"));
    }

    #[test]
    fn a_version_is_made_once() {
        let fine = [write("note.x", 1), write("note.x", 2), write("note.y", 1)];
        assert!(repeated_versions(&fine).is_empty());
        let repeated = repeated_versions(fine.iter().chain([&write("note.x", 2)]));
        assert_eq!(repeated, ["two writes made version 2 of note.x"]);
    }
}
