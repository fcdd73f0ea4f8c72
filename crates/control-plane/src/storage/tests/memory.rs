//! Cache of entries in memory: content and limit.

use super::super::memory::Memory;
use super::*;

const ENTRY_BYTES: usize = 100;

fn append(memory: &mut Memory, entries: Vec<Entry>, write: u64) {
    let entries: Vec<_> = entries.into_iter().map(|entry| (entry, ENTRY_BYTES)).collect();
    memory.check_append(&entries).unwrap();
    memory.append(entries, write);
}

/// Returns the indexes of a range to read from the disk and from memory.
fn plan(memory: &Memory, range: std::ops::Range<u64>) -> (Vec<u64>, Vec<u64>) {
    let plan = memory.plan(range);
    (plan.on_disk.collect(), plan.cached.iter().map(|entry| entry.log_id.index).collect())
}

#[test]
fn only_durable_entries_are_forgotten() {
    let mut memory = Memory::default();
    append(&mut memory, blanks(1, 0..5), 1);
    append(&mut memory, blanks(1, 5..10), 2);
    memory.evict(0, 0);
    assert_eq!(memory.cached_bytes(), 10 * ENTRY_BYTES, "nothing is durable yet");
    memory.evict(1, 7 * ENTRY_BYTES);
    assert_eq!(plan(&memory, 0..20), (vec![0, 1, 2], (3..10).collect()));
    memory.evict(1, 0);
    assert_eq!(plan(&memory, 3..7), (vec![3, 4], vec![5, 6]));
    assert_eq!(plan(&memory, 6..8), (vec![], vec![6, 7]));
    assert_eq!(plan(&memory, 1..3), (vec![1, 2], vec![]));
    memory.evict(2, 0);
    assert_eq!(memory.cached_bytes(), 0);
    assert_eq!(plan(&memory, 8..u64::MAX), (vec![8, 9], vec![]));
}

#[test]
fn truncation_and_purge_keep_the_bounds() {
    let mut memory = Memory::default();
    append(&mut memory, blanks(1, 0..10), 1);
    memory.evict(1, 5 * ENTRY_BYTES);
    assert_eq!(memory.truncate(Some(log_id(1, 6)), 0), 7);
    assert_eq!(plan(&memory, 0..20), ((0..5).collect(), vec![5, 6]));
    assert_eq!(memory.truncate(Some(log_id(1, 2)), 0), 3);
    append(&mut memory, blanks(2, 3..5), 2);
    assert_eq!(plan(&memory, 0..20), (vec![0, 1, 2], vec![3, 4]));
    memory.purge(log_id(1, 1));
    assert_eq!(plan(&memory, 0..20), (vec![2], vec![3, 4]));
    memory.purge(log_id(3, 8));
    assert_eq!(plan(&memory, 0..20), (vec![], vec![]));
    assert_eq!((memory.last, memory.cached_bytes()), (Some(log_id(3, 8)), 0));
    append(&mut memory, blanks(3, 9..10), 3);
    assert_eq!(memory.truncate(Some(log_id(3, 8)), 0), 9);
    assert_eq!(memory.last, Some(log_id(3, 8)));
}
