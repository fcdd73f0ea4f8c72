//! Several nodes, each a process of its own, that a test may treat badly.
//!
//! Nodes are counted from 0 and called n1, n2, …: node 0 is n1. `mod.rs` is what is done to nodes, `watch.rs` what is seen
//! of them.

mod builder;
mod member;
#[cfg(test)]
mod tests;
mod watch;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

pub use api::status::{ClusterStatus as Status, Health, NodeStatus, Notice, Role};
pub use builder::ClusterBuilder;
pub use member::Member;

use crate::addresses::{Addresses, NodeAddress};
use crate::netns::Net;
use crate::node::address_in;
use crate::process::{self, Process};
use crate::stranger::{Heard, send_as_stranger};

/// How long a node may take until it listens: it reads its data first, and the machine may be busy.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a node may take to stop: `limits.drain_timeout_ms` and something for the disk.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How long a node may take to cut off a stranger.
const STRANGER_LIMIT: Duration = Duration::from_secs(30);

/// A cluster of real nodes. When dropped, every process is killed and everything on disk is removed, unless the test has
/// failed: then the files stay, and standard error says where.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: processes before the namespaces they run in.
    members: Vec<Member>,
    home: Home,
    name: String,
    by_name: bool,
    admin_token: String,
    program: PathBuf,
    folder: Option<TempDir>,
}

/// Where the nodes live.
#[derive(Debug)]
enum Home {
    Loopback(Addresses),
    Namespaces(Net),
}

impl Home {
    fn addresses(&self) -> Vec<NodeAddress> {
        match self {
            Self::Loopback(addresses) => addresses.nodes().to_vec(),
            Self::Namespaces(net) => net.addresses(),
        }
    }

    fn prefix(&self, i: usize) -> Vec<String> {
        match self {
            Self::Loopback(_) => Vec::new(),
            Self::Namespaces(net) => net.prefix(i),
        }
    }
}

impl Cluster {
    /// Starts every node that does not run, all at the same time, and waits until each listens.
    ///
    /// # Panics
    ///
    /// If one does not; all logs are in the message.
    pub fn start_all(&mut self) {
        let down: Vec<usize> = (0..self.len()).filter(|&i| !self.members[i].is_running()).collect();
        for &i in &down {
            self.spawn(i);
        }
        for &i in &down {
            self.wait_until_listening(i);
        }
    }

    /// Starts node `i` and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it runs already, or if it does not get there; all logs are in the message.
    pub fn start(&mut self, i: usize) {
        self.spawn(i);
        self.wait_until_listening(i);
    }

    /// Starts node `i` and does not wait, for one that is meant to refuse ([`Cluster::wait_exit`]).
    ///
    /// # Panics
    ///
    /// If it runs already.
    pub fn spawn(&mut self, i: usize) {
        let member = &mut self.members[i];
        assert!(!member.is_running(), "{} runs already", member.id);
        member.paused = false;
        let program = member.program.as_ref().unwrap_or(&self.program);
        member.process = Some(Process::start(member.command(program), &member.log_path()));
    }

    /// Waits until node `i` ends by itself, and tells how.
    ///
    /// # Panics
    ///
    /// If it was not started or does not end; all logs are in the message.
    pub fn wait_exit(&self, i: usize) -> ExitStatus {
        let process = self.members[i].process.as_ref().expect("a node that was started");
        self.wait_until(&format!("{} to end", self.members[i].id), STOP_LIMIT, |_| process.exited())
    }

    /// Kills node `i` as a power cut would (SIGKILL), if it runs.
    pub fn kill(&mut self, i: usize) {
        // Killed and waited for by its drop.
        self.members[i].process = None;
        self.members[i].paused = false;
    }

    /// Sends SIGKILL to node `i` and does not wait for its end, which takes a while; gives the moment just before. Made for
    /// clocks: [`Cluster::kill`] afterwards waits.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn send_kill(&self, i: usize) -> Instant {
        let member = &self.members[i];
        let process = member.process.as_ref().filter(|_| member.is_running());
        let process = process.unwrap_or_else(|| panic!("{} does not run", member.id));
        let sent = Instant::now();
        process.signal(Signal::KILL);
        sent
    }

    /// A thread that waits for the end of node `i`'s process and gives the moment. After SIGKILL that takes the system a
    /// while, on a busy machine longer than others need to elect a leader.
    ///
    /// # Panics
    ///
    /// If it was not started.
    pub fn watch_end(&self, i: usize) -> JoinHandle<Instant> {
        self.members[i].process.as_ref().expect("a node that was started").watch_end()
    }

    /// Kills every node, the signals sent before any is waited for.
    pub fn kill_all(&mut self) {
        for process in self.members.iter().filter_map(|member| member.process.as_ref()) {
            process.signal(Signal::KILL);
        }
        for i in 0..self.len() {
            self.kill(i);
        }
    }

    /// Stops node `i` as an operator would (SIGTERM) and waits for its end.
    ///
    /// # Panics
    ///
    /// If it was not started or does not end in time; all logs are in the message.
    pub fn terminate(&mut self, i: usize) -> ExitStatus {
        self.resume(i);
        let process = self.members[i].process.as_ref().expect("a node that was started");
        process.signal(Signal::TERM);
        let status = self.wait_exit(i);
        self.members[i].process = None;
        status
    }

    /// Stops node `i` in its tracks (SIGSTOP), as a machine that hangs; the system still takes connections for it.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn pause(&mut self, i: usize) {
        let member = &mut self.members[i];
        assert!(member.is_running(), "{} does not run", member.id);
        member.process.as_ref().expect("it runs").signal(Signal::STOP);
        member.paused = true;
    }

    /// Lets a paused node go on (SIGCONT).
    pub fn resume(&mut self, i: usize) {
        let member = &mut self.members[i];
        if let Some(process) = &member.process {
            process.signal(Signal::CONT);
        }
        member.paused = false;
    }

    /// Kills node `i` and starts it again on the same data.
    ///
    /// # Panics
    ///
    /// If it does not start; all logs are in the message.
    pub fn restart(&mut self, i: usize) {
        self.kill(i);
        self.start(i);
    }

    /// Deletes the data directory of node `i`.
    ///
    /// # Panics
    ///
    /// If the node runs.
    pub fn wipe(&mut self, i: usize) {
        let member = self.stopped(i);
        if member.data.exists() {
            fs::remove_dir_all(&member.data).expect("data of a test can be deleted");
        }
    }

    /// Moves the data directory of node `i` to `to`. The node goes on looking where it was, see
    /// [`Cluster::set_data_dir`].
    ///
    /// # Panics
    ///
    /// If the node runs, or if something is at `to`.
    pub fn move_data(&mut self, i: usize, to: &Path) {
        let member = self.stopped(i);
        assert!(!to.exists(), "{} is there already", to.display());
        fs::rename(&member.data, to).expect("data can be moved within a file system");
    }

    /// Has node `i` keep its data in `path` from its next start on.
    ///
    /// # Panics
    ///
    /// If the node runs.
    pub fn set_data_dir(&mut self, i: usize, path: &Path) {
        path.clone_into(&mut self.stopped(i).data);
    }

    /// Replaces what node `i` is started with, besides its configuration, name and data directory: flags and `--set`s.
    pub fn set_args(&mut self, i: usize, args: &[&str]) {
        self.members[i].args = args.iter().map(|&arg| arg.to_owned()).collect();
    }

    /// Has node `i` run `program` from its next start on; none: the cluster's.
    ///
    /// # Panics
    ///
    /// If the node runs.
    pub fn set_program(&mut self, i: usize, program: Option<&Path>) {
        self.stopped(i).program = program.map(Path::to_owned);
    }

    /// Gives every node another address and writes it into all configurations, as if the whole cluster had moved to
    /// another network.
    ///
    /// # Panics
    ///
    /// If a node runs, or if the nodes live in namespaces.
    pub fn readdress(&mut self) {
        for i in 0..self.len() {
            self.stopped(i);
        }
        let Home::Loopback(addresses) = &mut self.home else {
            panic!("nodes in namespaces keep their addresses");
        };
        // Reserved before the old ones are given up, so that all are new.
        *addresses = Addresses::reserve(self.members.len());
        for (member, address) in self.members.iter_mut().zip(addresses.nodes()) {
            member.address = *address;
        }
        self.write_configs();
    }

    /// The network between nodes in namespaces.
    ///
    /// # Panics
    ///
    /// If they are not.
    pub fn net(&self) -> &Net {
        match &self.home {
            Home::Namespaces(net) => net,
            Home::Loopback(_) => panic!("made without in_namespaces()"),
        }
    }

    /// Sends bytes to the Raft port of node `i` as somebody who does not belong to the cluster.
    ///
    /// # Errors
    ///
    /// If there is no connection.
    pub fn send_as_stranger(&self, i: usize, bytes: &[u8]) -> std::io::Result<Heard> {
        send_as_stranger(self.raft_address(i), bytes, STRANGER_LIMIT)
    }

    /// How many nodes there are.
    #[expect(clippy::len_without_is_empty, reason = "no cluster is empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Node `i` with its paths.
    pub fn node(&self, i: usize) -> &Member {
        &self.members[i]
    }

    /// The name of node `i`, such as `n1`.
    pub fn id(&self, i: usize) -> &str {
        &self.members[i].id
    }

    /// Which node has this name.
    pub fn index(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    /// The id of node `i`'s process, while it runs.
    pub fn process_id(&self, i: usize) -> Option<u32> {
        let process = self.members[i].process.as_ref();
        process.filter(|process| process.exited().is_none()).map(Process::id)
    }

    /// Resident set of node `i` in bytes, while it runs and where the system tells.
    pub fn resident_bytes(&self, i: usize) -> Option<u64> {
        process::resident_bytes(self.process_id(i)?)
    }

    /// Open file descriptors of node `i`, while it runs and where the system tells.
    pub fn open_files(&self, i: usize) -> Option<usize> {
        process::open_files(self.process_id(i)?)
    }

    /// Where the HTTP API of node `i` is.
    pub fn address(&self, i: usize) -> SocketAddr {
        self.members[i].address.http()
    }

    /// Where other nodes find node `i`.
    pub fn raft_address(&self, i: usize) -> SocketAddr {
        self.members[i].address.raft()
    }

    /// `http://` and where node `i` listens.
    pub fn url(&self, i: usize) -> String {
        format!("http://{}", self.address(i))
    }

    /// Every node's URL.
    pub fn urls(&self) -> Vec<String> {
        (0..self.len()).map(|i| self.url(i)).collect()
    }

    /// What operators show that do not come from loopback.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// A folder for the test's own files, which lives as long as the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("there until dropped").path()
    }

    fn stopped(&mut self, i: usize) -> &mut Member {
        let member = &mut self.members[i];
        assert!(!member.is_running(), "{} runs", member.id);
        member
    }

    fn wait_until_listening(&self, i: usize) {
        let member = &self.members[i];
        let process = member.process.as_ref().expect("it was started");
        self.wait_until(&format!("{} to listen", member.id), START_LIMIT, |cluster| {
            let ended = process.exited();
            let address = address_in(&process.log());
            assert!(ended.is_none(), "{} ended: {ended:?}\n{}", member.id, cluster.report());
            address
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_all();
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the files of the cluster are kept in {}", folder.keep().display());
        }
    }
}
