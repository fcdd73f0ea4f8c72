//! Probes: the state of every peer is requested at each interval, on a connection for probes only. Answers
//! come from memory, so that a full disk or a busy log does not look like a dead node.
//!
//! A probe leaves every interval, even if the previous probe is unanswered; all nodes send at the same
//! moments of the wall clock, so that the voters lose the same probes and suspect a leader at about the same
//! time. A lost connection is dialled again at once: a refused attempt distinguishes a dead process from a
//! lost connection.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::events::EventKind;
use tracing::{debug, error, info, warn};

use crate::detector::Answer;
use crate::events::Events;
use crate::marks::{Mark, Marks, OwnMark};
use crate::message::{Call, Envelope, Probe, ProbeAnswer, Reply, Report};
use crate::network::{CallError, Channel, Delivery, FrameReceiver, FrameSender, Links, Purpose};
use crate::observer::Observer;
use crate::peers::{ClockOffset, FailedProbes, ProbeFailure};
use crate::planted::{Mistake, is_planted};
use crate::raft::slot::RaftSlot;
use crate::signals::Signals;
use crate::suspicion::Suspicion;
use crate::tasks::election::{Elections, Followed};
use crate::timing::{HEALTHY_WITHIN, MAX_SILENCE, REDIAL_AFTER, STUCK_AFTER};
use crate::types::LogId;
use crate::world::clock;
use crate::world::task::Spawner;

/// Limit on immediate redials between two probes, after connections that ended before the handshake: a dying
/// process may close its port a moment after its connections.
const REDIALS: u32 = 8;
/// Failed probes of a leader that are logged singly; later failures are logged ever less often, so that
/// an absent node does not fill the log.
const LOGGED_ONE_BY_ONE: u64 = 100;

/// Probes of one peer, and the actions on their results.
pub(crate) struct Probing {
    pub observer: Arc<Observer>,
    pub raft: Arc<RaftSlot>,
    pub suspicion: Arc<Suspicion>,
    pub elections: Arc<Elections>,
    pub links: Links,
    pub events: Arc<Events>,
    pub signals: Arc<Signals>,
    /// Runtime of Raft, for evidence against the leader and for calls.
    pub runtime: Spawner,
}

/// Probes one peer until the node stops.
pub(crate) async fn run(parts: Arc<Probing>, peer: String) {
    let signals = Arc::clone(&parts.signals);
    let (link, now) = (Link::Down, clock::now());
    let mut prober = Prober {
        link,
        redials: 0,
        last_answer: now,
        judged_at: now,
        latest: None,
        marks: Marks::default(),
        parts,
        peer,
    };
    let probing = async {
        let mut due = next_tick(prober.interval());
        loop {
            let suspect_at = prober.suspect_at();
            // A node that was stopped counts how late it is, and reads what has arrived, before it judges.
            tokio::select! {
                biased;
                () = clock::sleep_until(due) => {
                    prober.tick(due).await;
                    due = next_tick(prober.interval());
                }
                event = prober.link.next() => prober.handle(event),
                () = until(suspect_at) => prober.judge(),
            }
        }
    };
    signals.unless_stopped(probing).await;
}

/// Measures by how much the thread of the probes runs late, until the node stops.
pub(crate) async fn measure_lateness(parts: Arc<Probing>) {
    let interval = parts.observer.options().timing.probe_interval;
    let signals = Arc::clone(&parts.signals);
    let measuring = async {
        let (mut due, mut waited) = (next_tick(interval), clock::run_delay());
        loop {
            clock::sleep_until(due).await;
            let (now, waits) = (clock::now(), clock::run_delay());
            let late = now.saturating_duration_since(due).max(waits.saturating_sub(waited));
            (due, waited) = (next_tick(interval), waits);
            parts.suspicion.detector().ran_late(late, due);
        }
    };
    signals.unless_stopped(measuring).await;
}

/// Waits until `deadline`, for ever without one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => clock::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Returns the next multiple of the interval on the wall clock.
fn next_tick(interval: Duration) -> Instant {
    let since_epoch = clock::unix_time().as_nanos();
    let interval = interval.as_nanos().max(1);
    clock::now() + Duration::from_nanos((interval - since_epoch % interval) as u64)
}

struct Prober {
    parts: Arc<Probing>,
    peer: String,
    link: Link,
    /// Connections redialled since the last probe.
    redials: u32,
    last_answer: Instant,
    /// Time of the latest judgement.
    judged_at: Instant,
    /// Number and departure time of the latest probe.
    latest: Option<(u64, Instant)>,
    /// Marks known when the latest probe left.
    marks: Marks,
}

/// Connection to the peer.
enum Link {
    Down,
    Dialling(Pin<Box<dyn Future<Output = Result<Channel, CallError>> + Send>>),
    Up(Box<(FrameSender, FrameReceiver)>),
}

/// Event on a [`Link`].
enum LinkEvent {
    Dialled(Box<Result<Channel, CallError>>),
    Answered(Box<ProbeAnswer>),
    Ended(String),
}

impl Link {
    /// Returns the next event. Cancel-safe.
    async fn next(&mut self) -> LinkEvent {
        match self {
            Self::Down => std::future::pending().await,
            Self::Dialling(dialling) => LinkEvent::Dialled(Box::new(dialling.await)),
            Self::Up(halves) => match halves.1.recv::<ProbeAnswer>().await {
                Ok(answer) => LinkEvent::Answered(Box::new(answer)),
                Err(error) => LinkEvent::Ended(crate::error_chain::text_with_sources(&error)),
            },
        }
    }
}

impl Prober {
    fn interval(&self) -> Duration {
        self.parts.observer.options().timing.probe_interval
    }

    /// Sends a probe, and counts the previous probe as missed if unanswered.
    async fn tick(&mut self, due: Instant) {
        let now = clock::now();
        let tick = self.parts.suspicion.detector().tick(&self.peer, due, now);
        self.redials = 0;
        // Without a connection, the failed attempt to connect was counted already.
        if tick.missed && !matches!(self.link, Link::Down) {
            let reason = format!("no answer within {} ms", self.interval().as_millis());
            self.failed(&ProbeFailure { reason, refused: false, port_closed: false });
        }
        if tick.doubtful {
            self.parts.ask_once_more(&self.peer);
        }
        // As long as the silence lasts, evidence is renewed.
        let silent = self.parts.suspicion.detector().suspect_at(&self.peer, now);
        if silent.is_some_and(|suspect_at| suspect_at <= now) {
            self.judge();
        }
        let silent = now.saturating_duration_since(self.last_answer) > HEALTHY_WITHIN;
        if silent && matches!(self.link, Link::Up(..)) {
            debug!(peer = self.peer, "probes unanswered; connection replaced");
            self.link = Link::Down;
        }
        match &mut self.link {
            Link::Down => self.dial(Duration::ZERO),
            Link::Dialling(_) => {}
            Link::Up(halves) => {
                let identity = self.parts.observer.identity();
                let probe = Probe { seq: tick.seq, from: identity.raft_id, cluster: identity.cluster_id };
                // A probe fits into the socket's buffer; a probe that does not leave ends the connection.
                self.latest = Some((tick.seq, now));
                self.marks = self.parts.raft.node().map(|node| node.directories.marks()).unwrap_or_default();
                let sent = clock::timeout(
                    self.parts.observer.options().timing.probe_interval,
                    halves.0.send(&probe),
                );
                if !matches!(sent.await, Ok(Ok(()))) {
                    self.link = Link::Down;
                }
            }
        }
    }

    /// Returns the time at which the silence of the peer becomes evidence; none once that was judged.
    fn suspect_at(&self) -> Option<Instant> {
        let suspect_at = self.parts.suspicion.detector().suspect_at(&self.peer, clock::now());
        suspect_at.filter(|at| *at > self.judged_at)
    }

    fn judge(&mut self) {
        self.judged_at = clock::now();
        self.parts.elections.judge(&self.peer, &self.parts.runtime);
    }

    fn handle(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Dialled(dialled) => match *dialled {
                Ok(channel) => self.connected(channel),
                Err(error) => self.not_connected(&error),
            },
            LinkEvent::Answered(answer) => self.heard(*answer),
            LinkEvent::Ended(reason) => {
                debug!(peer = self.peer, reason, "connection for probes ended");
                self.dial(Duration::ZERO);
            }
        }
    }

    /// Dials the peer after a pause.
    fn dial(&mut self, after: Duration) {
        let (links, peer) = (self.parts.links.clone(), self.peer.clone());
        self.link = Link::Dialling(Box::pin(async move {
            if !after.is_zero() {
                clock::sleep(after).await;
            }
            links.dial(&peer, Purpose::Probe, clock::now() + HEALTHY_WITHIN).await
        }));
    }

    fn connected(&mut self, channel: Channel) {
        self.last_answer = clock::now();
        self.parts.suspicion.detector().connected(&self.peer, self.last_answer);
        self.link = Link::Up(Box::new(channel.split()));
        // Calls find open connections.
        let (links, peer) = (self.parts.links.clone(), self.peer.clone());
        self.parts.runtime.spawn(async move { links.warm_up(&peer).await });
    }

    fn not_connected(&mut self, error: &CallError) {
        if error.ended_before_authentication() && self.redials < REDIALS {
            self.redials += 1;
            return self.dial(REDIAL_AFTER);
        }
        let port_closed = error.is_port_closed();
        if port_closed {
            self.parts.suspicion.detector().refused(&self.peer);
            self.parts.elections.judge(&self.peer, &self.parts.runtime);
        } else {
            self.parts.suspicion.detector().not_refused(&self.peer);
        }
        let refused = matches!(error, CallError::Refused { .. });
        self.failed(&ProbeFailure {
            reason: crate::error_chain::text_with_sources(error),
            refused,
            port_closed,
        });
        self.link = Link::Down;
    }

    fn heard(&mut self, answer: ProbeAnswer) {
        let now = clock::now();
        self.last_answer = now;
        let stuck = Duration::from_millis(answer.report.stuck_ms);
        let (lateness, stall) =
            (Duration::from_millis(answer.late_ms), Duration::from_millis(answer.stall_ms));
        let facts = Answer { seq: answer.seq, stuck, lateness, stall };
        self.parts.suspicion.detector().answered(&self.peer, facts, now);
        self.parts.suspicion.campaigns().answer(answer.report.raft_id);
        let clock = self.clock(&answer, now);
        let is_latest = self.latest.is_some_and(|(seq, _)| seq == answer.seq);
        self.parts.compare_marks(&self.peer, &answer.report, is_latest.then_some(&self.marks));
        self.parts.heard(&self.peer, answer.report, clock);
        if stuck >= STUCK_AFTER {
            self.parts.elections.judge(&self.peer, &self.parts.runtime);
        }
    }

    /// Returns the offset of the peer's clock if the answer is to the latest probe, the only probe with a
    /// known departure time.
    fn clock(&self, answer: &ProbeAnswer, now: Instant) -> Option<ClockOffset> {
        let (seq, sent_at) = self.latest?;
        let theirs = answer.report.clock_ms;
        if answer.seq != seq || theirs == 0 {
            return None;
        }
        let error_ms = now.saturating_duration_since(sent_at).as_millis() as u64;
        let ms = i64::try_from(i128::from(theirs) - i128::from((self.parts.observer.options().clock_ms)()))
            .ok()?;
        Some(ClockOffset { ms, error_ms })
    }

    /// Records and logs a failed probe.
    fn failed(&self, failure: &ProbeFailure) {
        let (parts, name) = (&self.parts, self.peer.as_str());
        let FailedProbes { count, is_newly_away } =
            parts.observer.peers().failed(name, failure, clock::now());
        let failure = &failure.reason;
        if is_newly_away {
            parts.events.publish(EventKind::Peer {
                peer: name.to_owned(),
                healthy: false,
                failed_probes: count,
            });
            parts.signals.wake();
        }
        let is_rare = count.is_power_of_two();
        if parts.voted_leader().as_deref() == Some(name) {
            if count <= LOGGED_ONE_BY_ONE || is_rare {
                warn!(peer = name, count, failure, "failed to reach leader");
            }
        } else if is_newly_away {
            warn!(peer = name, count, failure, "failed to reach peer");
        } else if is_rare {
            debug!(peer = name, count, failure, "failed to reach peer");
        }
    }
}

impl Probing {
    /// Asks the followed leader on a connection for calls, in the background: any answer is a sign of life. A
    /// lost packet holds back what follows on its own connection only.
    fn ask_once_more(self: &Arc<Self>, peer: &str) {
        let followed = self.elections.followed().filter(|followed| followed.name == peer);
        let Some(followed) = followed.filter(|_| self.suspicion.begin_to_ask()) else { return };
        let parts = Arc::clone(self);
        self.runtime.spawn(async move {
            if parts.answers(&followed).await {
                parts.suspicion.detector().lives(&followed.name, clock::now());
                parts.suspicion.campaigns().answer(followed.id);
            }
            parts.suspicion.end_asking();
        });
    }

    /// True if the followed leader answers a call, whatever the answer.
    async fn answers(&self, followed: &Followed) -> bool {
        let identity = self.observer.identity();
        let Some(cluster) = identity.cluster_id else { return false };
        let (version, from, to) = (self.raft.activated(), identity.raft_id, Some(followed.id));
        let envelope = Envelope { version, cluster, from, to, body: Call::ReadIndex { timeout_ms: 1 } };
        let deadline = clock::now() + MAX_SILENCE;
        let asked = self.links.call::<_, Reply>(&followed.name, &envelope, Delivery::AtLeastOnce, deadline);
        asked.await.is_ok()
    }

    /// Compares the local directory with the mark that the peer remembers, and the peer's directory with the
    /// marks `held` when the probe left: other nodes may have told of a later one since. Keeps what the peer
    /// tells.
    fn compare_marks(&self, name: &str, report: &Report, held: Option<&Marks>) {
        let Some(node) = self.raft.node() else { return };
        if is_planted(Mistake::MarksIgnored) {
            return node.verification.heard(name);
        }
        let me = self.observer.identity().raft_id;
        if let Some(remembered) = report.marks.as_ref().and_then(|marks| marks.of(me)) {
            let own = node.log.own_mark();
            if own.is_behind(&remembered) {
                let reason = went_back(name, &own, &remembered);
                error!(peer = name, reason, "data directory went back in time; taken out of the cluster");
                let (slot, dir) = (Arc::clone(&self.raft), self.observer.data_dir().to_owned());
                self.runtime.spawn(async move { slot.revert(&node, &dir, reason) });
                return;
            }
        }
        if let Some(own) = &report.mark {
            let is_news = held
                .and_then(|held| held.of(report.raft_id))
                .is_some_and(|held| node.directories.judge(report.raft_id, own, &held));
            if is_news {
                error!(peer = name, "data directory of a peer went back in time; the peer no longer counts");
                self.signals.wake();
            }
            node.log.raise_marks(&[(report.raft_id, own.mark)]);
        }
        if let Some(marks) = &report.marks {
            node.log.raise_marks(marks.iter().filter(|(id, _)| *id != me));
            node.verification.heard(name);
        }
    }

    /// Records the report of a peer, and logs a change.
    fn heard(&self, name: &str, report: Report, clock: Option<ClockOffset>) {
        let now = clock::now();
        let same_config = report.config_hash == self.observer.options().config_hash;
        let committed = self.observer.committed_index(&self.observer.observe());
        let before = self.observer.peers().answered(name, report, committed, clock, now);
        if before.away || !before.is_healthy(now) {
            info!(peer = name, "peer answers");
            self.events.publish(EventKind::Peer {
                peer: name.to_owned(),
                healthy: true,
                failed_probes: before.failed_probes,
            });
            self.signals.wake();
        }
        let same_before =
            before.recent_report(now).map(|report| report.config_hash == self.observer.options().config_hash);
        if same_before != Some(same_config) && !(same_before.is_none() && same_config) {
            if same_config {
                info!(peer = name, "configuration of peer matches again");
            } else {
                warn!(peer = name, "peer has another configuration");
            }
            self.events.publish(EventKind::Config { peer: name.to_owned(), same: same_config });
        }
    }

    /// Returns the leader according to the vote, even after a silence.
    fn voted_leader(&self) -> Option<String> {
        let node = self.raft.node()?;
        let leader = node.voted_leader()?;
        self.observer.observe().name_of(leader)
    }
}

/// Describes what a directory has lost, as a peer remembers.
fn went_back(peer: &str, own: &OwnMark, remembered: &Mark) -> String {
    let id = |id: Option<LogId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    format!(
        "the data directory went back in time: {peer} remembers a vote in term {} and the committed entry {}; here are term \
         {} and the last entry {}",
        remembered.term,
        id(remembered.committed),
        own.mark.term,
        id(own.last)
    )
}
