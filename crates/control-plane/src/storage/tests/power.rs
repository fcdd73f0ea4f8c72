//! Power loss at every sync: everything reported durable is found afterwards.

use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};

use super::disk::{Disk, Survivors};
use super::*;

/// Work reported as done before the power loss.
#[derive(Default)]
struct Done {
    reported_vote: Option<Vote>,
    reported: Vec<Entry>,
    asked_vote: Option<Vote>,
    asked: Vec<Entry>,
}

/// Returns a disk with an empty log. The creation of a log is not under test here: a new file is renamed
/// once complete.
async fn empty() -> Disk {
    let disk = Disk::default();
    LogStore::with_backend(disk.clone()).unwrap().close().await;
    disk
}

/// Saves votes and appends entries, up to the first failure.
async fn work(disk: &Disk) -> Done {
    let mut done = Done::default();
    let Ok(mut log) = LogStore::with_backend(disk.clone()) else { return done };
    for term in 1..=6u64 {
        done.asked_vote = Some(vote(term));
        if log.save_vote(&vote(term)).await.is_err() {
            break;
        }
        done.reported_vote = Some(vote(term));
        // The call does not wait for the disk: the vote may be lost, but not if an entry of the term is
        // there.
        if log.save_vote(&confirmed(term)).await.is_err() {
            break;
        }
        let start = done.asked.len() as u64;
        let text = "x".repeat(700 * term as usize);
        let batch: Vec<_> = (start..start + term).map(|index| note(term, index, "n", &text)).collect();
        done.asked.extend(batch.clone());
        if log.blocking_append(batch).await.is_err() {
            break;
        }
        done.reported = done.asked.clone();
        log.save_committed(done.reported.last().map(|entry| entry.log_id)).await.ok();
    }
    log.close().await;
    done
}

/// Compares the log after the power loss with the reported work; an error describes the difference.
async fn verify(done: &Done, disk: Disk) -> Result<(), String> {
    let mut log = LogStore::with_backend(disk).map_err(|error| in_full(&error))?;
    let vote = log.read_vote().await.unwrap();
    let found = entries(&log).await;
    let given_to = |vote: Option<Vote>| vote.map(|vote| vote.leader_id);
    if ![done.reported_vote, done.asked_vote].map(given_to).contains(&given_to(vote)) {
        return Err(format!("the vote is {vote:?}, reported was {:?}", done.reported_vote));
    }
    let term = found.last().map_or(0, |entry| entry.log_id.leader_id.term);
    if vote.is_some_and(|vote| vote < confirmed(term)) {
        return Err(format!("the vote is {vote:?}, and there are entries of term {term}"));
    }
    if !found.starts_with(&done.reported) || !done.asked.starts_with(&found) {
        return Err(format!("{} entries, {} were reported", found.len(), done.reported.len()));
    }
    let next = found.len() as u64;
    log.blocking_append([blank(9, next)]).await.map_err(|error| error.to_string())?;
    log.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_reported_is_lost() {
    let empty = empty().await;
    let disk = empty.after_power_loss(Survivors::None);
    let done = work(&disk).await;
    assert_eq!(done.reported.len(), 21);
    let syncs = disk.syncs();
    assert!(syncs > 24, "two for each of twelve commits, and some for opening: {syncs}");
    for sync in 0..=syncs {
        let disk = empty.failing_at(sync);
        let done = work(&disk).await;
        let random = (0..4).map(|variant| Survivors::Random(sync as u64 * 16 + variant));
        for survivors in std::iter::once(Survivors::None).chain(random) {
            let verdict = verify(&done, disk.after_power_loss(survivors)).await;
            assert_eq!(verdict, Ok(()), "power lost at sync {sync} of {syncs}, {survivors:?}");
        }
    }
}

/// Checks that the test above detects a disk that loses synced writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_disk_is_found_out() {
    let disk = empty().await.lying();
    let done = work(&disk).await;
    assert_eq!(done.reported.len(), 21);
    assert!(verify(&done, disk.after_power_loss(Survivors::None)).await.is_err());
}
