//! The catalogue: its parts, and the effect of each action.

use std::collections::{BTreeMap, BTreeSet};

use super::announcements::Announcements;
use super::clock::{Clock, Reading};
use super::command::{Action, Command};
use super::outcome::{Outcome, Refusal};
use super::requests::{Requests, Room};
use super::rows::{Row, RowError, Table};
use super::setting::{Setting, SettingKey};
use super::settings::{self, PageBounds, Settings, SettingsPage};
use crate::format::{Activated, Announcement, FormatVersion};
use crate::ids::RaftId;

/// The state agreed on by every node of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    settings: Settings,
    requests: Requests,
    announcements: Announcements,
    clock: Clock,
}

/// Replicated state outside the catalogue, an input of applying a command.
#[derive(Debug)]
pub struct Context<'a> {
    /// Index of the command's entry.
    pub index: u64,
    /// Members of the applied membership: voters of every configuration, and learners.
    pub members: &'a BTreeSet<RaftId>,
    /// Activated version of the formats, which the command may raise.
    pub activated: &'a mut Activated,
}

impl Catalog {
    /// Applies a command. Returns the outcome and the rows to write.
    ///
    /// A command under an already applied key has no effect and gets the outcome of the first. An action
    /// above the activated version changes nothing.
    pub fn apply(&mut self, command: &Command, context: Context<'_>) -> (Outcome, Vec<Row>) {
        let before = context.activated.version;
        let mut rows = Vec::new();
        rows.extend(self.clock.advance(command.stamp.clock_ms));
        if let Some(clock) = self.clock.reading() {
            rows.extend(self.requests.forget_some(clock));
        }
        let request_id = command.request.request_id.clone();
        let done = match &command.action {
            Action::PutSetting { .. } | Action::DeleteSetting { .. } => {
                Ok(self.apply_request(command, &context, &mut rows))
            }
            Action::Tick => check_activated(&command.action, context.activated).map(|()| Outcome::Nothing),
            Action::Announce { .. } | Action::Activate { .. } => {
                self.apply_to_formats(command, context.members, &mut *context.activated, &mut rows)
            }
        };
        debug_assert!(context.activated.version >= before, "the activated version never decreases");
        (done.unwrap_or_else(|refusal| Outcome::Refused { refusal, request_id }), rows)
    }

    /// Applies a client's request, unless its key is known.
    fn apply_request(&mut self, command: &Command, context: &Context<'_>, rows: &mut Vec<Row>) -> Outcome {
        let clock = self.clock.reading();
        if clock.is_none() {
            rows.extend(self.requests.forget_all(command.proposed_at_ms));
        }
        if let Some(outcome) = self.requests.replay(&command.request, clock) {
            return outcome;
        }
        let request_id = command.request.request_id.clone();
        let room = match clock {
            None => self.requests.check_count(),
            Some(_) => self.requests.check_room(&command.request, room(command)),
        };
        if let Err(refusal) = room {
            return Outcome::Refused { refusal, request_id };
        }
        let done = self.carry_out(command, context.index, rows);
        let outcome = done.unwrap_or_else(|refusal| Outcome::Refused { refusal, request_id });
        let (now_ms, owner) = match clock {
            None => (command.proposed_at_ms, None),
            Some(clock) => (clock.now_ms, Some(command.owner())),
        };
        rows.push(self.requests.remember(&command.request, now_ms, owner, outcome.clone()));
        outcome
    }

    /// Changes a setting.
    fn carry_out(&mut self, command: &Command, index: u64, rows: &mut Vec<Row>) -> Result<Outcome, Refusal> {
        let request_id = command.request.request_id.clone();
        let answers_briefly = self.clock.reading().is_some();
        match &command.action {
            Action::PutSetting { key, value, if_version } => {
                let previous_version = self.settings.find(key).map(|setting| setting.version);
                let entry = settings::Put { key, value, if_version: *if_version, index };
                let (setting, row) = self.settings.put(&entry, &command.actor, command.proposed_at_ms)?;
                rows.push(row);
                Ok(match answers_briefly {
                    true => Outcome::changed(key, index, previous_version, request_id),
                    false => Outcome::SettingPut { setting: setting.into(), request_id },
                })
            }
            Action::DeleteSetting { key, if_version } => {
                let (setting, row) = self.settings.delete(key, *if_version)?;
                rows.push(row);
                Ok(match answers_briefly {
                    true => Outcome::changed(key, index, Some(setting.version), request_id),
                    false => Outcome::SettingDeleted { setting: setting.into(), request_id },
                })
            }
            // No change of a setting.
            Action::Announce { .. } | Action::Activate { .. } | Action::Tick => Ok(Outcome::Nothing),
        }
    }

    /// Applies a node's proposal about formats. Not remembered for deduplication: each proposal may be
    /// repeated.
    fn apply_to_formats(
        &mut self,
        command: &Command,
        members: &BTreeSet<RaftId>,
        activated: &mut Activated,
        rows: &mut Vec<Row>,
    ) -> Result<Outcome, Refusal> {
        match &command.action {
            Action::Announce { announcement } => {
                check_activated(&command.action, activated)?;
                rows.extend(self.announcements.announce(announcement, members));
                Ok(Outcome::Announced)
            }
            Action::Activate { version, release, announced } => {
                let raised = Activated { version: *version, release: release.clone() };
                let (outcome, changed) = self.activate(raised, announced, members, activated)?;
                rows.extend(changed);
                if activated.version >= FormatVersion::THIRD && self.clock.reading().is_none() {
                    rows.push(self.start_clock(command.proposed_at_ms));
                }
                Ok(outcome)
            }
            // No proposal about formats.
            Action::PutSetting { .. } | Action::DeleteSetting { .. } | Action::Tick => Ok(Outcome::Nothing),
        }
    }

    /// Starts the clock at the greatest time of a proposal, as far as the state tells.
    fn start_clock(&mut self, proposed_at_ms: u64) -> Row {
        let known = [self.settings.latest_change_ms(), self.requests.latest_proposal_ms(), proposed_at_ms];
        self.clock.start(known.into_iter().max().unwrap_or_default())
    }

    /// Returns the refusal of a command for lack of room in the deduplication table, as far as this state
    /// tells: for the leader, before a proposal.
    pub(crate) fn refuses(&self, command: &Command) -> Option<Refusal> {
        let reading = self.clock.reading()?;
        let is_request = matches!(command.action, Action::PutSetting { .. } | Action::DeleteSetting { .. });
        let clock = Reading { now_ms: reading.now_ms.max(command.stamp.clock_ms), ..reading };
        if !is_request || self.requests.replay(&command.request, Some(clock)).is_some() {
            return None;
        }
        self.requests.check_room_at(&command.request, room(command), clock).err()
    }

    /// Returns the catalogue's clock, in milliseconds; none below version 3.
    pub fn clock_ms(&self) -> Option<u64> {
        self.clock.reading().map(|reading| reading.now_ms)
    }

    /// True if idempotency keys are over that the next commands forget.
    pub(crate) fn has_forgettable_keys(&self) -> bool {
        self.clock.reading().is_some_and(|clock| self.requests.has_forgettable(clock))
    }

    /// Returns the bytes of the remembered requests that count towards the limit.
    pub fn remembered_bytes(&self) -> u64 {
        self.requests.bytes()
    }

    /// Raises the activated version if covered by the announcements of all members. The only action
    /// accepted above the activated version: a node unable to read the action stops there.
    fn activate(
        &mut self,
        raised: Activated,
        announced: &[Announcement],
        members: &BTreeSet<RaftId>,
        activated: &mut Activated,
    ) -> Result<(Outcome, Vec<Row>), Refusal> {
        if raised.version <= activated.version {
            return Ok((Outcome::Activated { version: activated.version }, Vec::new()));
        }
        let nodes = self.announcements.uncovered(announced, members, raised.version);
        if !nodes.is_empty() || members.is_empty() {
            return Err(Refusal::NotCovered { version: raised.version, nodes });
        }
        let announce = |announcement| self.announcements.announce(announcement, members);
        let rows = announced.iter().flat_map(announce).collect();
        *activated = raised;
        Ok((Outcome::Activated { version: activated.version }, rows))
    }

    /// Returns the announcements by node.
    pub fn announcements(&self) -> &BTreeMap<RaftId, Announcement> {
        self.announcements.all()
    }

    /// Returns one setting.
    pub fn setting(&self, key: &SettingKey) -> Option<&Setting> {
        self.settings.find(key)
    }

    /// Returns the settings after this key, or from the first on, within the bounds of a page.
    pub fn settings(&self, after: Option<&SettingKey>, bounds: PageBounds) -> SettingsPage {
        self.settings.page(after, bounds)
    }

    /// Returns the number of requests remembered for deduplication.
    pub fn remembered_requests(&self) -> usize {
        self.requests.len()
    }

    /// Returns every row of the state in the order of a snapshot: by table, then by key.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let requests = self.requests.rows();
        self.settings.rows().chain(requests).chain(self.announcements.rows()).chain(self.clock.rows())
    }

    /// Restores a row from the storage or from a snapshot.
    ///
    /// # Errors
    /// [`RowError`] if the row is damaged or of a version unreadable by this release.
    pub fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        match row.table {
            Table::Settings => self.settings.restore(row),
            Table::Requests => self.requests.restore(row),
            Table::Announcements => self.announcements.restore(row),
            Table::Clock => self.clock.restore(row),
        }
    }
}

fn room(command: &Command) -> Room {
    Room { owner: command.owner(), max_bytes: command.stamp.idempotency_bytes }
}

fn check_activated(action: &Action, activated: &Activated) -> Result<(), Refusal> {
    if action.since() <= activated.version {
        return Ok(());
    }
    Err(Refusal::NotActivated { needed: action.since(), activated: activated.version })
}
