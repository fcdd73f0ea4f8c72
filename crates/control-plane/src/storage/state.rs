//! State machine for openraft: applies entries, builds snapshots and installs snapshots.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};

use super::applied::{Applied, Progress};
use super::disk_space::DiskSpace;
use super::error::StorageError;
use super::files::{SNAPSHOT_DIR, STATE_FILE};
use super::log::DurabilityWatch;
use super::snapshot::{self, Header, SnapshotFile};
use super::state_file::{FileView, StateFile};
use super::view::StateView;
use crate::catalog::{Context, Outcome, Row};
use crate::format::NeedsRelease;
use crate::planted::{Mistake, is_planted};
use crate::types::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::world::files;
use crate::world::{self, Note, task};

/// Maximum number of entries in one transaction.
const MAX_BATCH_ENTRIES: usize = 1024;
/// Extension of a damaged state file.
const DAMAGED: &str = "redb.damaged";

type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFile>;

/// The applied state with the state file and the snapshots. Owned by openraft; [`StateMachine::view`]
/// serves the rest of the node.
pub(crate) struct StateMachine {
    shared: Arc<MachineState>,
    log: DurabilityWatch,
}

struct MachineState {
    view: StateView,
    file: Arc<StateFile>,
    snapshots: PathBuf,
    /// The newest snapshot. Locked for memory operations only.
    current: Mutex<Option<SnapshotFile>>,
    /// Mutual exclusion of building and installing snapshots. Locked during disk work, by threads that may
    /// block.
    publishing: Mutex<()>,
    disk: Arc<DiskSpace>,
    /// Empty snapshot, in place of a snapshot after a failed build.
    empty: SnapshotFile,
}

/// Builder of a snapshot, from the state at the builder's creation.
pub(crate) struct SnapshotBuilder {
    shared: Arc<MachineState>,
    view: Option<io::Result<FileView>>,
}

impl StateMachine {
    /// Opens state and snapshots in a data directory. Blocks while verifying the files. Entries are applied
    /// once durable in `log`. Snapshots are built while `disk` has space for a file.
    ///
    /// A damaged state file is set aside and replaced by an empty file: openraft installs the snapshot and
    /// applies the log.
    ///
    /// # Errors
    /// [`StorageError`] if a file cannot be opened or was written by another release.
    pub(crate) fn open(
        data_dir: &Path,
        log: DurabilityWatch,
        disk: Arc<DiskSpace>,
    ) -> Result<Self, StorageError> {
        let snapshots = data_dir.join(SNAPSHOT_DIR);
        files::create_dir_all(&snapshots).map_err(StorageError::io(&snapshots))?;
        files::sync_folder(data_dir).map_err(StorageError::io(data_dir))?;
        let current = snapshot::find(&snapshots).map_err(StorageError::Snapshot)?;
        let path = data_dir.join(STATE_FILE);
        let (file, applied) = match StateFile::open(&path, &disk) {
            Err(error) if error.is_damage() => {
                let aside = path.with_extension(DAMAGED);
                tracing::error!(error = &error as &dyn std::error::Error, aside = %aside.display(),
                    "state file damaged; set aside, to be rebuilt from snapshot and log");
                files::rename(&path, &aside).map_err(StorageError::io(&path))?;
                StateFile::open(&path, &disk)?
            }
            opened => opened?,
        };
        let file = Arc::new(file);
        let view = StateView::new(applied, file.clone());
        let (current, publishing) = (Mutex::new(current), Mutex::new(()));
        let empty = SnapshotFile::empty(&snapshots).map_err(StorageError::io(&snapshots))?;
        let shared = MachineState { view, file, snapshots, current, publishing, disk, empty };
        Ok(Self { shared: Arc::new(shared), log })
    }

    /// Returns the state for the rest of the node.
    pub(crate) fn view(&self) -> StateView {
        self.shared.view.clone()
    }

    /// Returns the folder for files of a [`super::SnapshotReceiver`].
    #[cfg(test)]
    pub(crate) fn snapshot_dir(&self) -> &Path {
        &self.shared.snapshots
    }

    /// Returns the last entry in the state or in the snapshot.
    pub(super) fn reaches(&self) -> Option<LogId> {
        self.shared.view.last_applied().max(self.snapshot_reaches())
    }

    /// Returns the last entry in the snapshot.
    pub(super) fn snapshot_reaches(&self) -> Option<LogId> {
        self.shared.current().as_ref().and_then(|snapshot| snapshot.meta().last_log_id)
    }

    async fn apply_batch(&mut self, batch: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let (entries, responders): (Vec<Entry>, Vec<Option<ApplyResponder<TypeConfig>>>) =
            batch.into_iter().unzip();
        let Some(last) = entries.last() else { return Ok(()) };
        self.log.reached(last.log_id.index).await?;
        let shared = self.shared.clone();
        let outcomes = blocking(move || shared.apply(&entries)).await?;
        self.shared.view.announce();
        for (responder, outcome) in responders.into_iter().zip(outcomes) {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }
}

impl Drop for StateMachine {
    fn drop(&mut self) {
        // The dropping thread may be async, and closing waits for the disk.
        let file = self.shared.file.clone();
        if let Err(error) = task::detached("state-close", move || file.close()) {
            tracing::warn!(%error, "thread for closing the state file not started");
        }
    }
}

impl MachineState {
    fn current(&self) -> MutexGuard<'_, Option<SnapshotFile>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publishing(&self) -> MutexGuard<'_, ()> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies entries and writes the changed rows. Blocks. Stops at the first entry unreadable by this
    /// release; earlier entries are applied and written.
    fn apply(&self, entries: &[Entry]) -> io::Result<Vec<Outcome>> {
        let mut rows = Vec::new();
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut unreadable = Ok(());
        for entry in entries {
            match self.view.update(|applied| step(applied, entry, &mut rows)) {
                Ok(outcome) => {
                    world::note(Note::Applied {
                        id: &entry.log_id,
                        content: &entry.payload,
                        is_joint: match &entry.payload {
                            EntryPayload::Membership(membership) => {
                                Some(membership.get_joint_config().len() > 1)
                            }
                            EntryPayload::Blank | EntryPayload::Normal(_) => None,
                        },
                    });
                    outcomes.push(outcome);
                }
                Err(StepError::NeedsRelease(needed)) => {
                    unreadable = Err(needed);
                    break;
                }
                Err(StepError::Io(error)) => return Err(error),
            }
        }
        let progress = self.view.with_applied(|applied| applied.progress.clone());
        self.file.write(&rows, &progress)?;
        let readable = unreadable.and_then(|()| progress.activated.check());
        readable.map_err(|needed| {
            self.view.note_needed(&needed);
            io::Error::other(needed)
        })?;
        Ok(outcomes)
    }

    /// Writes and publishes a snapshot, unless a newer snapshot exists. Blocks.
    fn build(&self, view: &FileView) -> io::Result<SnapshotFile> {
        let _publishing = self.publishing();
        let Progress { last_applied, membership, largest_voter_set, activated } = view.progress()?;
        if let Some(current) =
            self.current().clone().filter(|current| current.meta().last_log_id > last_applied)
        {
            return Ok(current);
        }
        let meta = SnapshotMeta { last_log_id: last_applied, last_membership: membership };
        self.file.make_durable()?;
        let header = Header { meta, largest_voter_set, activated };
        let skipped = usize::from(is_planted(Mistake::ShortSnapshot));
        let rows = view.rows()?.skip(skipped);
        let written = snapshot::write(&self.snapshots, &header, rows)?;
        self.publish(&written)
    }

    /// Returns the allocated size of the state file, in bytes.
    fn state_bytes(&self) -> u64 {
        let path = self.snapshots.with_file_name(STATE_FILE);
        files::allocated_bytes(&path).unwrap_or(0)
    }

    fn publish(&self, snapshot: &SnapshotFile) -> io::Result<SnapshotFile> {
        let published = snapshot::publish(&self.snapshots, snapshot)?;
        *self.current() = Some(published.clone());
        Ok(published)
    }

    /// Replaces the state and the current snapshot by the given snapshot. Blocks.
    fn install(&self, meta: &SnapshotMeta, snapshot: &SnapshotFile) -> io::Result<()> {
        let _publishing = self.publishing();
        let mut catalog = crate::catalog::Catalog::default();
        let header = snapshot.rows(|row| Ok(catalog.restore(row)?))?;
        let applied = self.view.with_applied(|applied| applied.progress.clone());
        if header.meta != *meta || header.meta.last_log_id < applied.last_applied {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot differs from its announcement, or is older than the state",
            ));
        }
        debug_assert!(header.activated.version >= applied.activated.version, "no version is taken back");
        // Snapshot first: it is installed again if the state does not become durable.
        self.publish(snapshot)?;
        // Newer than any snapshot still wanted.
        self.disk.snapshot_succeeded();
        let progress = Progress {
            last_applied: header.meta.last_log_id,
            membership: header.meta.last_membership,
            largest_voter_set: header.largest_voter_set.max(applied.largest_voter_set),
            activated: header.activated,
        };
        let index = progress.last_applied.map_or(0, |id| id.index);
        let installed = Applied::new(catalog, progress);
        self.file.replace(&installed)?;
        // The replaced state, which may be large, is freed once readers no longer wait.
        drop(self.view.update(|applied| std::mem::replace(applied, installed)));
        world::note(Note::Installed { index });
        Ok(())
    }
}

/// Failure to apply an entry.
enum StepError {
    /// Entry unreadable by this release.
    NeedsRelease(NeedsRelease),
    Io(io::Error),
}

/// Applies one entry in memory and collects the rows to write.
fn step(applied: &mut Applied, entry: &Entry, rows: &mut Vec<Row>) -> Result<Outcome, StepError> {
    let id = entry.log_id;
    let Applied { catalog, progress, .. } = applied;
    if progress.last_applied.as_ref().is_some_and(|last| id.index <= last.index) {
        return Err(StepError::Io(io::Error::other(format!("entry {id} was applied already"))));
    }
    let term = |id: &LogId| id.leader_id.term;
    debug_assert!(progress.last_applied.is_none_or(|last| term(&last) <= term(&id)), "terms never decrease");
    let outcome = match &entry.payload {
        EntryPayload::Blank => Outcome::Nothing,
        EntryPayload::Membership(membership) => {
            if let [voters] = membership.get_joint_config().as_slice() {
                progress.largest_voter_set = progress.largest_voter_set.max(voters.len());
            }
            progress.membership = StoredMembership::new(Some(id), membership.clone());
            Outcome::Nothing
        }
        EntryPayload::Normal(command) => {
            let command = command.command().map_err(StepError::NeedsRelease)?;
            let members = progress.membership.membership().nodes().map(|(id, _)| *id).collect();
            let activated = &mut progress.activated;
            let context = Context { index: id.index, members: &members, activated };
            let (outcome, changed) = catalog.apply(command, context);
            rows.extend(changed);
            outcome
        }
    };
    progress.last_applied = Some(id);
    applied.note_term();
    Ok(outcome)
}

/// Runs disk work on a thread of the blocking pool.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    task::blocking(work).await?
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let progress = self.shared.view.with_applied(|applied| applied.progress.clone());
        Ok((progress.last_applied, progress.membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut batch = Vec::new();
        while let Some(entry) = entries.next().await {
            batch.push(entry?);
            if batch.len() == MAX_BATCH_ENTRIES {
                self.apply_batch(std::mem::take(&mut batch)).await?;
            }
        }
        self.apply_batch(batch).await
    }

    /// Returns none, unless `force` is set, for lack of space and during the pause after a failed snapshot.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        let shared = self.shared.clone();
        let asked = blocking(move || {
            let may = shared.disk.ask_for_snapshot(shared.state_bytes(), &shared.snapshots);
            Ok((force || may).then(|| shared.file.view()))
        });
        let view = asked.await.ok()??;
        match view {
            Err(error) if !force => {
                self.shared.disk.snapshot_failed(&self.shared.snapshots, &error);
                None
            }
            view => Some(SnapshotBuilder { shared: self.shared.clone(), view: Some(view) }),
        }
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let file = self.shared.file.clone();
        let view = blocking(move || file.view()).await;
        SnapshotBuilder { shared: self.shared.clone(), view: Some(view) }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        let (shared, meta) = (self.shared.clone(), meta.clone());
        blocking(move || shared.install(&meta, &snapshot)).await?;
        self.shared.view.announce();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let current = self.shared.current().clone();
        Ok(current.map(|snapshot| Snapshot { meta: snapshot.meta().clone(), snapshot }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    /// Builds a snapshot once. A failure is recorded and answered with the previous snapshot or with an
    /// empty snapshot, which openraft treats as no progress: an error would end Raft. The view of the state
    /// is dropped in any case.
    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let shared = self.shared.clone();
        let view =
            self.view.take().unwrap_or_else(|| Err(io::Error::other("a snapshot builder builds once")));
        let snapshot = match blocking(move || shared.build(&view?)).await {
            Ok(snapshot) => {
                self.shared.disk.snapshot_succeeded();
                snapshot
            }
            Err(error) => {
                self.shared.disk.snapshot_failed(&self.shared.snapshots, &error);
                let current = self.shared.current().clone();
                current.unwrap_or_else(|| self.shared.empty.clone())
            }
        };
        Ok(Snapshot { meta: snapshot.meta().clone(), snapshot })
    }
}
