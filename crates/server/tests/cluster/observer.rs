//! Observer of the leader according to every node, which records every inconsistent answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::{Cluster, Health, Role, Status};
use tokio::task::JoinSet;

use crate::request::LIMIT;

/// Interval between two requests to a node.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Time limit of an answer; then the node is asked again.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Time without a change after which elections are over: longer than a follower waits for a leader.
const QUIET: Duration = Duration::from_millis(2200);

/// Watch over a cluster until dropped.
pub(crate) struct Observer {
    seen: Arc<Mutex<Seen>>,
    _askers: JoinSet<()>,
}

/// Statements of the nodes about themselves.
struct Seen {
    /// Nodes that ever called themselves the leader, by term.
    leaders: BTreeMap<u64, BTreeSet<String>>,
    /// Latest answer of each node: the term, and true for a leader.
    latest: Vec<Option<(u64, bool)>>,
    /// Highest term named by each node.
    terms: Vec<u64>,
    changed_at: Instant,
    /// Decreases of a term.
    backwards: Vec<String>,
    /// Contradictions within documents.
    contradictions: BTreeSet<String>,
}

impl Observer {
    /// Starts the watch, in a test with more than one thread.
    pub(crate) fn watch(cluster: &Cluster) -> Self {
        let term = |i| cluster.status(i).map_or(0, |status| status.term);
        let seen = Arc::new(Mutex::new(Seen::new((0..cluster.len()).map(term).collect())));
        let mut askers = JoinSet::new();
        for i in 0..cluster.len() {
            let (url, seen) = (format!("{}/cluster/status", cluster.url(i)), Arc::clone(&seen));
            askers.spawn(async move { ask(i, &url, &seen).await });
        }
        Self { seen, _askers: askers }
    }

    /// Returns the highest term named by any node.
    pub(crate) fn term(&self) -> u64 {
        self.seen.lock().unwrap().term()
    }

    /// Waits for a leader and for a quiet period from now on. Returns the leader and the term.
    pub(crate) fn settled(&self, cluster: &Cluster) -> (usize, u64) {
        let now = Instant::now();
        cluster.wait_until("an end of elections", LIMIT, |_| {
            let seen = self.seen.lock().unwrap();
            if seen.changed_at.max(now).elapsed() < QUIET {
                return None;
            }
            let leads = |(i, latest): (usize, &Option<(u64, bool)>)| match latest {
                Some((term, true)) => Some((*term, i)),
                _ => None,
            };
            let (term, leader) = seen.latest.iter().enumerate().filter_map(leads).max()?;
            Some((leader, term))
        })
    }

    /// Checks that no term had two leaders or decreased, that no document contradicted itself, and that at
    /// most `changes` terms began since `from`.
    pub(crate) fn check(&self, cluster: &Cluster, from: u64, changes: u64) {
        let seen = self.seen.lock().unwrap();
        assert!(!seen.leaders.is_empty(), "nobody was seen to lead");
        assert_eq!(seen.violations(), [""; 0], "{}", cluster.report());
        let to = seen.term();
        assert!(to <= from + changes, "from term {from} to term {to}\n{}", cluster.report());
    }
}

impl Seen {
    fn new(terms: Vec<u64>) -> Self {
        let (leaders, latest, backwards) = (BTreeMap::new(), vec![None; terms.len()], Vec::new());
        Self {
            leaders,
            latest,
            terms,
            changed_at: Instant::now(),
            backwards,
            contradictions: BTreeSet::new(),
        }
    }

    fn violations(&self) -> Vec<String> {
        let two = self.leaders.iter().filter(|(_, leaders)| leaders.len() > 1);
        let two = two.map(|(term, leaders)| format!("term {term} had the leaders {leaders:?}"));
        two.chain(self.backwards.iter().cloned()).chain(self.contradictions.iter().cloned()).collect()
    }

    fn term(&self) -> u64 {
        self.terms.iter().copied().max().unwrap_or(0)
    }

    fn note(&mut self, i: usize, status: Option<&Status>) {
        let contradictions = status.map(Status::contradictions).unwrap_or_default();
        self.contradictions.extend(contradictions.into_iter().map(|found| format!("node {i}: {found}")));
        let latest = status.map(|status| {
            let id = status.node_id.as_str();
            let leads = status.role(id) == Role::Leader && status.leader_id.as_deref() == Some(id);
            if leads {
                self.leaders.entry(status.term).or_default().insert(id.to_owned());
            }
            (status.term, leads)
        });
        // A node that has just been started and has not opened its storage yet names term 0.
        if let Some((term, _)) = latest.filter(|(term, _)| *term > 0) {
            if term < self.terms[i] {
                self.backwards.push(format!("node {i} went back from term {} to {term}", self.terms[i]));
            }
            self.terms[i] = self.terms[i].max(term);
        }
        if self.latest[i] != latest {
            self.latest[i] = latest;
            self.changed_at = Instant::now();
        }
    }
}

async fn ask(i: usize, url: &str, seen: &Mutex<Seen>) {
    let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).build().unwrap();
    let mut pace = tokio::time::interval(ASK_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let status = match client.get(url).send().await {
            Ok(answer) => answer.json::<Status>().await.ok(),
            Err(_) => None,
        };
        seen.lock().unwrap().note(i, status.as_ref());
    }
}

#[test]
fn what_must_not_be_is_noticed() {
    let leads = |id: &str, term| {
        let (role, health) = (Role::Leader, Health::Ok);
        let node =
            testkit::NodeStatus { id: id.to_owned(), role, health, healthy: true, ..Default::default() };
        let (node_id, leader_id) = (id.to_owned(), Some(id.to_owned()));
        Status { node_id, leader_id, term, nodes: vec![node], ..Default::default() }
    };
    let check = |statuses: &[(usize, Status)], expected: &[&str]| {
        let mut seen = Seen::new(vec![1, 1]);
        statuses.iter().for_each(|(i, status)| seen.note(*i, Some(status)));
        assert_eq!(seen.violations(), expected);
    };
    check(&[(0, leads("n1", 2)), (1, leads("n2", 3)), (0, leads("n1", 2))], &[]);
    check(&[(0, leads("n1", 2)), (1, leads("n2", 2))], &["term 2 had the leaders {\"n1\", \"n2\"}"]);
    check(&[(0, leads("n1", 4)), (0, leads("n1", 3))], &["node 0 went back from term 4 to 3"]);
    let other = Status { leader_id: Some("n2".to_owned()), ..leads("n1", 4) };
    check(&[(1, other)], &["node 1: n1 has the role Leader, leader_id is Some(\"n2\")"]);
}
