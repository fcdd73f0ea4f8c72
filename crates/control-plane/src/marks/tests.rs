use super::*;
use crate::storage::tests::log_id;

fn mark(term: u64, voted_for: Option<u64>, committed: Option<(u64, u64)>) -> Mark {
    Mark {
        term,
        voted_for: voted_for.map(RaftId::from),
        committed: committed.map(|(term, index)| log_id(term, index)),
    }
}

#[test]
fn a_mark_only_rises() {
    let check = |first: Mark, second: Mark, expected: Mark| {
        let mut raised = first;
        assert_eq!(raised.raise(&second), first != expected, "{first:?} and {second:?}");
        assert_eq!(raised, expected, "{first:?} and {second:?}");
    };
    let at = Some((3, 7));
    check(mark(3, Some(1), at), mark(4, Some(2), Some((3, 6))), mark(4, Some(2), at));
    check(mark(3, Some(1), at), mark(2, Some(2), Some((3, 8))), mark(3, Some(1), Some((3, 8))));
    // A candidate gives way to the leader elected in the same term.
    check(mark(3, Some(1), at), mark(3, Some(2), at), mark(3, Some(2), at));
    check(mark(3, Some(1), at), mark(3, None, None), mark(3, Some(1), at));
    check(mark(3, Some(1), at), mark(3, Some(1), at), mark(3, Some(1), at));
}

#[test]
fn a_directory_is_behind_if_its_vote_or_its_log_went_back() {
    let held = mark(3, Some(1), Some((3, 7)));
    let check = |term, last: Option<(u64, u64)>, behind| {
        let last = last.map(|(term, index)| log_id(term, index));
        assert_eq!(held.is_ahead_of(term, last), behind, "{term} {last:?}");
    };
    check(3, Some((3, 7)), false);
    check(3, Some((3, 9)), false);
    check(4, Some((4, 8)), false);
    check(2, Some((3, 9)), true);
    check(3, Some((3, 6)), true);
    // The index alone says nothing: an uncommitted tail of an earlier term may be longer.
    check(3, Some((2, 9)), true);
    check(0, None, true);
    assert!(!Mark::default().is_ahead_of(0, None));
}

#[test]
fn the_number_of_marks_is_bounded() {
    let mut marks = Marks::default();
    for id in 1..=2 * MAX_MARKS as u64 {
        marks.raise(RaftId::from(id), &mark(1, None, Some((1, id))));
    }
    assert_eq!(marks.iter().count(), MAX_MARKS);
    assert_eq!(marks.of(RaftId::from(1)), None);
    let last = 2 * MAX_MARKS as u64;
    assert_eq!(marks.of(RaftId::from(last)), Some(mark(1, None, Some((1, last)))));
    assert!(!marks.raise(RaftId::UNKNOWN, &mark(9, None, None)));
}
