//! Initial corpus of the fuzz targets: messages between nodes.

use api::status::Role;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use serde::Serialize;

use crate::catalog::Outcome;
use crate::format::{Announcement, FormatVersion};
use crate::ids::{ClusterId, RaftId};
use crate::marks::{Mark, Marks, OwnMark};
use crate::message::{
    Call, Envelope, Probe, ProbeAnswer, Refused, Reply, Report, SnapshotOffer, SnapshotReply,
};
use crate::status::NodeFigures;
use crate::storage::fuzzing::golden_entries;
use crate::types::{LogId, SnapshotMeta, StoredMembership, Vote};

/// Returns bodies of frames, one of nearly every kind.
pub(super) fn messages() -> Vec<Vec<u8>> {
    let entries = golden_entries();
    let last: Option<LogId> = entries.last().map(|entry| entry.log_id);
    let vote = Vote::new_committed(3, RaftId::from(1));
    let meta = SnapshotMeta { last_log_id: last, last_membership: StoredMembership::default() };
    let mut bodies: Vec<Vec<u8>> = [
        Call::Append(AppendEntriesRequest { vote, prev_log_id: None, entries, leader_commit: last }),
        Call::Vote(VoteRequest::new(vote, last)),
        Call::PreVote(VoteRequest::new(vote, last)),
        Call::TransferLeader(TransferLeaderRequest::new(vote, RaftId::from(2), last)),
        Call::ReadIndex { timeout_ms: 5000 },
        Call::Join { name: "n2".to_owned(), announcement: Some(announcement()) },
        Call::HandOver { to: Some("n3".to_owned()), timeout_ms: 5000 },
    ]
    .map(envelope)
    .into();
    bodies.push(envelope(SnapshotOffer { vote, meta, bytes: 1588 }));
    bodies.extend(
        [
            Reply::Append(AppendEntriesResponse::Success),
            Reply::Append(AppendEntriesResponse::HigherVote(vote)),
            Reply::Vote(VoteResponse::new(vote, last, true)),
            Reply::ReadIndex { index: 17 },
            Reply::Outcome(Box::new(Outcome::Nothing)),
            Reply::Joined,
            Reply::OutcomeUnknown,
            Reply::Refused(Refused::NotLeader { leader: Some("n1".to_owned()) }),
            Reply::Refused(Refused::WrongNode { meant: RaftId::from(1), actual: RaftId::from(2) }),
        ]
        .map(|reply| encode(&reply)),
    );
    bodies.push(encode(&SnapshotReply::Refused(Refused::NoQuorum("two of three are down".to_owned()))));
    bodies.push(encode(&Probe { seq: 7, from: RaftId::from(1), cluster: Some(cluster()) }));
    bodies.push(encode(&ProbeAnswer { seq: 7, late_ms: 20, stall_ms: 150, report: report() }));
    bodies
}

fn envelope(body: impl Serialize) -> Vec<u8> {
    let (version, to) = (FormatVersion::LATEST, Some(RaftId::from(2)));
    encode(&Envelope { version, cluster: cluster(), from: RaftId::from(1), to, body })
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("messages have text keys only")
}

fn announcement() -> Announcement {
    Announcement::of_this_release(RaftId::from(2), "0.2.0")
}

/// Returns a constant cluster id.
fn cluster() -> ClusterId {
    serde_json::from_str("\"67e55044-10b1-426f-9247-bb680e5fe0c8\"").expect("an id of a cluster")
}

fn mark() -> Mark {
    Mark { term: 3, voted_for: Some(RaftId::from(1)), committed: None }
}

fn marks() -> Marks {
    let mut marks = Marks::default();
    marks.raise(RaftId::from(1), &mark());
    marks
}

fn report() -> Report {
    Report {
        raft_id: RaftId::from(2),
        cluster_id: Some(cluster()),
        largest_voter_set: 3,
        role: Role::Follower,
        voter: true,
        lists_sender: true,
        term: 3,
        leader: Some("n1".to_owned()),
        last_log_id: None,
        applied_index: Some(17),
        config_hash: "00ff".to_owned(),
        version: "0.1.0".to_owned(),
        stuck_ms: 0,
        committed_index: Some(17),
        storage_failure: Some("No space left on device".to_owned()),
        storage_remedy: None,
        storage_full: None,
        snapshot_trouble: None,
        clock_ms: 1_764_000_000_000,
        announcement: Some(announcement()),
        needs_release: None,
        mark: Some(OwnMark { boot: 5, mark: mark(), last: None }),
        marks: Some(marks()),
        reverted: false,
        diverged: None,
        figures: NodeFigures {
            cpu_pct: 12.5,
            mem_pct: 40.25,
            p50_ms: Some(1.5),
            requests_total: Some(99),
            ..NodeFigures::default()
        },
    }
}
