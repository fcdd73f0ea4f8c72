//! Versions of everything that is stored or sent, and the change from one version to the next in a running
//! cluster.
//!
//! One number counts for all formats. A [`Format`] is the newest form of one kind of thing (a command, a row,
//! a header); each form names the version that introduced it and the form before it, so that a reader takes
//! every version from the first to its own by a chain of [`Format::upgrade`]s. A writer writes the newest
//! form that is not above the version which the cluster has *activated*: replicated state, raised by
//! [`crate::catalog::Action::Activate`] once the announcements of all members cover it. [`next_step`] decides
//! when to propose that; it is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::RaftId;

/// First release that reads each version, from version 1 on.
const RELEASES: [&str; 2] = ["0.1", "0.2"];
/// Length of a release's name, at most.
pub(crate) const MAX_RELEASE_BYTES: usize = 64;

/// A version of the stored and sent formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormatVersion(u32);

impl FormatVersion {
    /// Formats of release 0.1.
    pub const FIRST: Self = Self(1);
    /// Adds announcements, the activated version, and the name of the release that a newer form needs.
    pub const SECOND: Self = Self(2);
    /// Newest version that this release reads.
    pub const LATEST: Self = Self(RELEASES.len() as u32);

    /// The version of this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The version before any form: no form has it.
    const NONE: Self = Self(0);

    /// True if this release reads the version.
    pub fn is_known(self) -> bool {
        (Self::FIRST..=Self::LATEST).contains(&self)
    }

    /// First release that reads the version, if this release knows it.
    pub(crate) fn release(self) -> Option<&'static str> {
        let index = usize::try_from(self.0).ok()?.checked_sub(1)?;
        RELEASES.get(index).copied()
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Failure to read a form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    /// No form that this release reads has the version.
    #[error("version {found}; this release reads versions up to {known}")]
    UnknownVersion {
        /// Version of the form.
        found: FormatVersion,
        /// Newest version of this kind of form.
        known: FormatVersion,
    },
    /// The version is known, and the form is another one.
    #[error("malformed")]
    Malformed(#[source] serde_json::Error),
}

/// The newest form of one kind of stored or sent thing.
pub(crate) trait Format: DeserializeOwned {
    /// Version that introduced the form.
    const SINCE: FormatVersion;

    /// Form before it; [`NoForm`] for the first one.
    type Previous: Format;

    /// The same in this form.
    fn upgrade(previous: Self::Previous) -> Self;

    /// Reads the form of `version`, and upgrades it step by step.
    ///
    /// # Errors
    /// [`FormatError`] if no form has the version, or if `body` is not in that form.
    fn read(version: FormatVersion, body: Value) -> Result<Self, FormatError> {
        if version == Self::SINCE {
            return serde_json::from_value(body).map_err(FormatError::Malformed);
        }
        let unknown = FormatError::UnknownVersion { found: version, known: Self::SINCE };
        if version > Self::SINCE {
            return Err(unknown);
        }
        match Self::Previous::read(version, body) {
            Ok(previous) => Ok(Self::upgrade(previous)),
            Err(FormatError::UnknownVersion { .. }) => Err(unknown),
            Err(malformed) => Err(malformed),
        }
    }
}

/// The form before the first one. There is none.
#[derive(Deserialize)]
pub(crate) enum NoForm {}

impl Format for NoForm {
    const SINCE: FormatVersion = FormatVersion::NONE;
    type Previous = Self;

    fn upgrade(previous: Self) -> Self {
        previous
    }

    fn read(found: FormatVersion, _: Value) -> Result<Self, FormatError> {
        Err(FormatError::UnknownVersion { found, known: Self::SINCE })
    }
}

/// The version that the cluster writes, and the first release that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activated {
    /// The version.
    pub version: FormatVersion,
    /// First release that reads it.
    pub release: String,
}

impl Activated {
    /// A version that this release knows.
    pub(crate) fn of(version: FormatVersion) -> Self {
        Self { version, release: version.release().unwrap_or_default().to_owned() }
    }

    /// True for what every release reads, and no form names.
    pub(crate) fn is_first(&self) -> bool {
        self.version == FormatVersion::FIRST && Some(self.release.as_str()) == self.version.release()
    }

    /// Refuses a version that this release does not read.
    ///
    /// # Errors
    /// [`NeedsRelease`] names the release that reads it.
    pub(crate) fn check(&self) -> Result<(), NeedsRelease> {
        if self.version.is_known() {
            return Ok(());
        }
        let what = "the format that the cluster has activated".to_owned();
        Err(NeedsRelease { what, version: self.version, release: self.release.clone() })
    }
}

impl Default for Activated {
    fn default() -> Self {
        Self::of(FormatVersion::FIRST)
    }
}

/// Something stored or committed that only a newer release reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} has version {version}, and this release reads versions 1 to {}; release {release} or a newer one is needed",
    FormatVersion::LATEST
)]
pub struct NeedsRelease {
    /// The unreadable thing.
    pub what: String,
    /// Its version.
    pub version: FormatVersion,
    /// First release that reads it.
    pub release: String,
}

/// Versions that a node reads, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// The node.
    pub raft_id: RaftId,
    /// Oldest version that it reads.
    pub min: FormatVersion,
    /// Newest version that it reads.
    pub max: FormatVersion,
    /// Its release.
    pub release: String,
}

impl Announcement {
    /// Announcement of a node of this release, whose build calls itself `release`.
    pub(crate) fn of_this_release(raft_id: RaftId, release: &str) -> Self {
        let (min, max) = (FormatVersion::FIRST, FormatVersion::LATEST);
        Self { raft_id, min, max, release: release.to_owned() }
    }

    /// Announcement of a node that makes none: release 0.1 did not.
    pub(crate) fn of_the_first_release(raft_id: RaftId, release: &str) -> Self {
        let (min, max) = (FormatVersion::FIRST, FormatVersion::FIRST);
        Self { raft_id, min, max, release: release.to_owned() }
    }

    /// True if the node reads the version.
    pub fn covers(&self, version: FormatVersion) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

impl Format for Announcement {
    const SINCE: FormatVersion = FormatVersion::SECOND;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

/// Members that no announcement shows to read `version`.
pub(crate) fn uncovered<'a>(
    members: &BTreeSet<RaftId>,
    announced: impl Fn(&RaftId) -> Option<&'a Announcement>,
    version: FormatVersion,
) -> Vec<RaftId> {
    let covered = |id: &RaftId| announced(id).is_some_and(|announcement| announcement.covers(version));
    members.iter().filter(|id| !covered(id)).copied().collect()
}

/// Knowledge of a leader from which the next version follows.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// Activated version in the applied state.
    pub activated: FormatVersion,
    /// Newest version that the leader's release reads.
    pub latest: FormatVersion,
    /// Names of the configured nodes.
    pub configured: &'a [String],
    /// Names of the members of the effective membership: voters of every configuration, and learners.
    pub members: &'a BTreeMap<RaftId, String>,
    /// True while a joint change of the voters is under way.
    pub joint: bool,
    /// Replicated announcements.
    pub announced: &'a BTreeMap<RaftId, Announcement>,
    /// Announcements in the reports of nodes that answered their latest probes, and of this node.
    pub heard: &'a BTreeMap<RaftId, Announcement>,
}

/// Proposal of a leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Version to activate.
    pub version: FormatVersion,
    /// Announcements that go with it.
    pub announced: Vec<Announcement>,
}

/// The leader's next step, if there is one: the version after the activated one, once every member covers it.
///
/// Members are taken at their latest word: a replicated announcement does not count where the node's binary
/// went back since. Before version 2 no row can be written, so the announcements heard on the probes go along
/// with the proposal. While a configured node is no member yet, nothing is activated: its release may be
/// older.
pub(crate) fn next_step(view: &View<'_>) -> Option<Step> {
    let version = FormatVersion(view.activated.0 + 1);
    let is_member = |name: &String| view.members.values().any(|member| member == name);
    if view.joint || !view.configured.iter().all(is_member) || version > view.latest {
        return None;
    }
    let members: BTreeSet<RaftId> = view.members.keys().copied().collect();
    if !uncovered(&members, |id| view.heard.get(id), version).is_empty() {
        return None;
    }
    if view.activated == FormatVersion::FIRST {
        let announced = members.iter().filter_map(|id| view.heard.get(id)).cloned().collect();
        return Some(Step { version, announced });
    }
    let rows_cover = uncovered(&members, |id| view.announced.get(id), version).is_empty();
    rows_cover.then(|| Step { version, announced: Vec::new() })
}

#[cfg(test)]
mod tests;
