//! Versions of all stored and sent data, and the change from one version to the next in a running cluster.
//!
//! One number counts for all formats. A [`Format`] is the newest form of one kind of data (a command, a
//! row, a header); each form names the version that introduced the form, and the previous form, so that a
//! reader accepts every version from the first to the latest by a chain of [`Format::upgrade`]s. A writer
//! uses the newest form not above the *activated* version of the cluster: replicated state, raised by
//! [`crate::catalog::Action::Activate`] once covered by the announcements of all members. [`next_step`]
//! decides about the proposal of an activation, as a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::RaftId;

/// First release able to read each version, from version 1 on.
const RELEASES: [&str; 3] = ["0.1", "0.2", "0.2"];
/// Maximum length of a release's name.
pub(crate) const MAX_RELEASE_BYTES: usize = 64;

/// A version of the stored and sent formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormatVersion(u32);

impl FormatVersion {
    /// Formats of release 0.1.
    pub const FIRST: Self = Self(1);
    /// Adds announcements, the activated version, and the name of the release required by a newer form.
    pub const SECOND: Self = Self(2);
    /// Adds the catalogue's clock, owners of idempotency keys, and short answers to changes.
    pub const THIRD: Self = Self(3);
    /// Newest version readable by this release.
    pub const LATEST: Self = Self(RELEASES.len() as u32);

    /// Returns the version of this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The version before the first; no form has this version.
    const NONE: Self = Self(0);

    /// True if this release reads the version.
    pub fn is_known(self) -> bool {
        (Self::FIRST..=Self::LATEST).contains(&self)
    }

    /// Returns the first release able to read the version, if known to this release.
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
    /// Version without a form known to this release.
    #[error("version {found}; this release reads versions up to {known}")]
    UnknownVersion {
        /// Version of the form.
        found: FormatVersion,
        /// Newest version of this kind of form.
        known: FormatVersion,
    },
    /// Known version with malformed content.
    #[error("malformed")]
    Malformed(#[source] serde_json::Error),
}

/// Newest form of one kind of stored or sent data.
pub(crate) trait Format: DeserializeOwned {
    /// Version that introduced the form.
    const SINCE: FormatVersion;

    /// Previous form; [`NoForm`] for the first form.
    type Previous: Format;

    /// Converts the previous form to this form.
    fn upgrade(previous: Self::Previous) -> Self;

    /// Reads the form of `version` and upgrades the value step by step.
    ///
    /// # Errors
    /// [`FormatError`] if no form has the version, or if `body` is malformed.
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

/// Predecessor of the first form, without values.
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

/// The version written by the cluster, and the first release able to read the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activated {
    /// Activated version.
    pub version: FormatVersion,
    /// First release able to read the version.
    pub release: String,
}

impl Activated {
    /// Returns the activation of a version known to this release.
    pub(crate) fn of(version: FormatVersion) -> Self {
        debug_assert!(version.is_known(), "version {version} has no release");
        Self { version, release: version.release().unwrap_or_default().to_owned() }
    }

    /// True if the first version is activated, which every release reads and no form names.
    pub(crate) fn is_first(&self) -> bool {
        self.version == FormatVersion::FIRST && Some(self.release.as_str()) == self.version.release()
    }

    /// Refuses a version unreadable by this release.
    ///
    /// # Errors
    /// [`NeedsRelease`] names the required release.
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

/// Stored or committed data readable by a newer release only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} has version {version}, and this release reads versions 1 to {}; release {release} or a newer one is needed",
    FormatVersion::LATEST
)]
pub struct NeedsRelease {
    /// Description of the unreadable data.
    pub what: String,
    /// Version of the data.
    pub version: FormatVersion,
    /// First release able to read the version.
    pub release: String,
}

/// Versions readable by a node, as announced by the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// Raft id of the node.
    pub raft_id: RaftId,
    /// Oldest readable version.
    pub min: FormatVersion,
    /// Newest readable version.
    pub max: FormatVersion,
    /// Release of the node.
    pub release: String,
}

impl Announcement {
    /// Returns the announcement of a node of this release, with the build's name `release`.
    pub(crate) fn of_this_release(raft_id: RaftId, release: &str) -> Self {
        let (min, max) = (FormatVersion::FIRST, FormatVersion::LATEST);
        Self { raft_id, min, max, release: release.to_owned() }
    }

    /// Returns the announcement assumed for a node that makes none, as in release 0.1.
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

/// Returns the members without an announcement that covers `version`.
pub(crate) fn uncovered<'a>(
    members: &BTreeSet<RaftId>,
    announced: impl Fn(&RaftId) -> Option<&'a Announcement>,
    version: FormatVersion,
) -> Vec<RaftId> {
    let covered = |id: &RaftId| announced(id).is_some_and(|announcement| announcement.covers(version));
    members.iter().filter(|id| !covered(id)).copied().collect()
}

/// Knowledge of a leader, the input of [`next_step`].
#[derive(Debug)]
pub(crate) struct FormatFacts<'a> {
    /// Activated version in the applied state.
    pub activated: FormatVersion,
    /// Newest version readable by the leader's release.
    pub latest: FormatVersion,
    /// Names of the configured nodes.
    pub configured: &'a [String],
    /// Names of the members of the effective membership: voters of every configuration, and learners.
    pub members: &'a BTreeMap<RaftId, String>,
    /// True while a joint change of the voters is in progress.
    pub joint: bool,
    /// Replicated announcements.
    pub announced: &'a BTreeMap<RaftId, Announcement>,
    /// Announcements in the latest probe answers of the other nodes, and of this node.
    pub heard: &'a BTreeMap<RaftId, Announcement>,
}

/// Proposal of a leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProposedActivation {
    /// Version to activate.
    pub version: FormatVersion,
    /// Announcements for the activation command.
    pub announced: Vec<Announcement>,
}

/// Returns the leader's next step, if any: the version after the activated version, once covered by every
/// member.
///
/// The latest announcement of a member counts: a replicated announcement does not count after a downgrade
/// of the node's binary. Before version 2 no row can be written, so the announcements from the probes are
/// part of the proposal. While a configured node is not a member yet, no version is activated: the node's
/// release may be older.
pub(crate) fn next_step(view: &FormatFacts<'_>) -> Option<ProposedActivation> {
    let version = FormatVersion(view.activated.0 + 1);
    debug_assert!(view.activated <= view.latest, "a node below the activated version does not run");
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
        return Some(ProposedActivation { version, announced });
    }
    let rows_cover = uncovered(&members, |id| view.announced.get(id), version).is_empty();
    rows_cover.then(|| ProposedActivation { version, announced: Vec::new() })
}

#[cfg(test)]
mod tests;
