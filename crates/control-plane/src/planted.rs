//! Mistakes that a simulation has to find, in builds with the feature `planted` only.

/// A mistake in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A vote is given without being durable.
    VoteNotDurable,
    /// A repeated request is carried out again.
    NoDeduplication,
    /// A linearizable read asks no quorum.
    NoReadIndex,
    /// A snapshot lacks a row.
    ShortSnapshot,
    /// The log is cut below entries that are still needed.
    LogCutTooFar,
    /// The joint change of an earlier leader is left half done.
    JointChangeLeft,
    /// A node without evidence against its leader answers requests for votes.
    NoGate,
    /// The lease is given up on whoever leads, not on the suspected leader alone.
    LeaseOfAnyLeader,
    /// A member counts as caught up whatever its log.
    LearnerCounted,
    /// Evidence that an earlier leader is dead counts against the present one.
    StaleEvidence,
    /// A leader stamps commands by its wall clock.
    WallClockStamp,
    /// Nobody compares data directories with what was remembered of them.
    MarksIgnored,
}

impl Mistake {
    /// Every mistake.
    pub const ALL: [Self; 12] = [
        Self::VoteNotDurable,
        Self::NoDeduplication,
        Self::NoReadIndex,
        Self::ShortSnapshot,
        Self::LogCutTooFar,
        Self::JointChangeLeft,
        Self::NoGate,
        Self::LeaseOfAnyLeader,
        Self::LearnerCounted,
        Self::StaleEvidence,
        Self::WallClockStamp,
        Self::MarksIgnored,
    ];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// Plants a mistake into every node on the thread, or none.
#[cfg(feature = "planted")]
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// True if the mistake is planted. Constant without the feature.
#[cfg(feature = "planted")]
pub(crate) fn is_planted(mistake: Mistake) -> bool {
    PLANTED.get() == Some(mistake)
}

/// True if the mistake is planted. Constant without the feature.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is_planted(_: Mistake) -> bool {
    false
}
