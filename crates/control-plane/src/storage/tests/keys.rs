//! Size of a full deduplication table, in memory and on disk.

use super::*;
use crate::catalog::{Refusal, Source};

/// Limit on the table. A fraction of the default; the proportions are the same.
const LIMIT_BYTES: u64 = 16 << 20;
/// Pages of the state file besides those of the table: free ones, and other tables.
const BESIDES_BYTES: u64 = 4 << 20;
const BATCH: u64 = 512;

/// Returns the resident set of this process; zero on systems without procfs.
fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * rustix::param::page_size() as u64
}

/// Returns a change with the longest answer, of an owner of its own for each sixteenth of the keys.
fn change(index: u64, key: String) -> Entry {
    let EntryPayload::Normal(command) = note(1, index, &"n".repeat(64), "").payload else { unreachable!() };
    let mut command = command.command().unwrap().clone();
    command.request = RequestKey {
        key,
        minted: false,
        fingerprint: "f".repeat(64),
        request_id: "67e55044-10b1-426f-9247-bb680e5fe0c8".to_owned(),
    };
    command.stamp = Stamp { clock_ms: 0, idempotency_bytes: LIMIT_BYTES };
    command.source = Some(Source::of(std::net::Ipv6Addr::from(u128::from(index % 16) << 64).into()));
    let command = StoredCommand::new(command, FormatVersion::THIRD);
    Entry { log_id: log_id(1, index), payload: EntryPayload::Normal(command) }
}

/// Spreads keys over the tables as random keys are.
fn scattered(index: u64) -> u64 {
    index.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Fills the table and compares what it takes with the limit.
async fn fill(key: impl Fn(u64) -> String) {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state_in(dir.path());
    apply(&mut state, [membership(1, 0, [1]), activate(1, 1, 3)]).await;
    let is_full = |state: &StateMachine, index| {
        let EntryPayload::Normal(command) = change(index, key(index)).payload else { unreachable!() };
        let command = command.command().unwrap().clone();
        matches!(state.view().catalog(|catalog| catalog.refuses(&command)), Some(Refusal::TableFull { .. }))
    };
    let mut index = 2;
    while !is_full(&state, index) {
        apply(&mut state, (index..index + BATCH).map(|index| change(index, key(index)))).await;
        index += BATCH;
    }
    build(&mut state).await;
    let files = fs::read_dir(dir.path().join(SNAPSHOT_DIR)).unwrap();
    let snapshot: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let (keys, bytes) =
        state.view().catalog(|catalog| (catalog.remembered_requests(), catalog.remembered_bytes()));
    // A copy shows what the catalogue takes, without the caches of the state file.
    let before = resident_bytes();
    let copy = state.view().catalog(Clone::clone);
    let memory = resident_bytes().saturating_sub(before);
    assert_eq!(copy.remembered_bytes(), bytes);
    let disk = crate::world::files::allocated_bytes(&dir.path().join(STATE_FILE)).unwrap();
    let figures = format!(
        "{keys} keys: {bytes} bytes counted, {memory} in memory, {disk} in the state file, {snapshot} in the snapshot"
    );
    assert!(bytes <= LIMIT_BYTES && bytes > LIMIT_BYTES / 100 * 99, "{figures}");
    assert!(
        memory <= LIMIT_BYTES && snapshot <= LIMIT_BYTES && disk <= LIMIT_BYTES + BESIDES_BYTES,
        "{figures}"
    );
}

#[tokio::test]
async fn a_full_table_of_keys_takes_no_more_than_its_limit() {
    fill(|index| format!("{:016x}-{index:019}", scattered(index))).await;
}

#[tokio::test]
async fn a_full_table_of_short_keys_takes_no_more_than_its_limit() {
    fill(|index| format!("{:x}", scattered(index) >> 40)).await;
}

#[tokio::test]
async fn a_full_table_of_long_keys_takes_no_more_than_its_limit() {
    fill(|index| format!("{:0200x}", scattered(index))).await;
}
