//! Clusters of real nodes, each a process of its own, for tests with faults.
//!
//! Nodes are counted from 0 and called n1, n2, …: node 0 is n1. `mod.rs` has the actions on nodes, `watch.rs`
//! the observations.

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

use local_cluster::Signal;
use tempfile::TempDir;

pub use api::status::{ClusterStatus as Status, Health, NodeStatus, Notice, Role};
pub use builder::ClusterBuilder;
pub use member::Member;

use crate::addresses::{Addresses, NodeAddress};
use crate::netns::Net;
use crate::node::{address_in, exit_status};
use crate::stranger::{Heard, send_as_stranger};
use crate::wall_clock::WallClock;

/// Time limit for a node to listen: a start includes reading the data, and the machine may be busy.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Time limit for a node to stop: `limits.drain_timeout_ms` and a margin for the disk.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Time limit for a node to close a stranger's connection.
const STRANGER_LIMIT: Duration = Duration::from_secs(30);

/// A cluster of real nodes. Dropping a cluster kills every process and removes everything on disk, unless the
/// test has failed: then the files stay, and standard error names their folder.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: processes before the namespaces of the nodes.
    members: Vec<Member>,
    home: Home,
    clocks: Vec<WallClock>,
    name: String,
    by_name: bool,
    admin_token: String,
    program: PathBuf,
    folder: Option<TempDir>,
}

/// The network of the nodes.
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
    /// Starts every stopped node, all at the same time, and waits until each listens.
    ///
    /// # Panics
    ///
    /// If a node does not listen; all logs are in the message.
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
    /// If the node runs already, or does not listen; all logs are in the message.
    pub fn start(&mut self, i: usize) {
        self.spawn(i);
        self.wait_until_listening(i);
    }

    /// Starts node `i` without waiting, for a node expected to refuse the start ([`Cluster::wait_exit`]).
    ///
    /// # Panics
    ///
    /// If the node runs already.
    pub fn spawn(&mut self, i: usize) {
        let member = &mut self.members[i];
        assert!(!member.is_running(), "{} runs already", member.id);
        member.node.start().unwrap_or_else(|error| panic!("{} does not start: {error:?}", member.id));
    }

    /// Waits until node `i` ends by itself, and returns the exit status.
    ///
    /// # Panics
    ///
    /// If the node was not started or does not end; all logs are in the message.
    pub fn wait_exit(&self, i: usize) -> ExitStatus {
        let process = self.members[i].node.process().expect("a node that was started");
        self.wait_until(&format!("{} to end", self.members[i].id), STOP_LIMIT, |_| exit_status(process))
    }

    /// Sets the wall clock of node `i`, running or not, to a deviation such as `+2d` or `-1y`.
    ///
    /// # Panics
    ///
    /// If the cluster was built without [`ClusterBuilder::with_wall_clocks`].
    pub fn set_wall_clock(&self, i: usize, deviation: &str) {
        self.clocks.get(i).expect("a cluster with wall clocks").set(deviation);
    }

    /// Kills node `i` as a power cut would (SIGKILL), if running.
    pub fn kill(&mut self, i: usize) {
        self.members[i].node.kill();
    }

    /// Sends SIGKILL to node `i` without waiting for its end, and returns the time just before. For
    /// measurements: a later [`Cluster::kill`] waits.
    ///
    /// # Panics
    ///
    /// If the node does not run.
    pub fn send_kill(&self, i: usize) -> Instant {
        let member = &self.members[i];
        assert!(member.is_running(), "{} does not run", member.id);
        let sent = Instant::now();
        member.node.signal(Signal::KILL);
        sent
    }

    /// Spawns a thread to wait for the end of node `i`'s process and return the time. After SIGKILL the end
    /// can take longer, on a busy machine, than the election of a new leader.
    ///
    /// # Panics
    ///
    /// If the node was not started.
    pub fn watch_end(&self, i: usize) -> JoinHandle<Instant> {
        self.members[i].node.process().expect("a node that was started").watch_end()
    }

    /// Kills every node; all signals are sent before the first wait.
    pub fn kill_all(&mut self) {
        for member in &self.members {
            member.node.signal(Signal::KILL);
        }
        for i in 0..self.len() {
            self.kill(i);
        }
    }

    /// Stops node `i` as an operator would (SIGTERM) and waits for its end.
    ///
    /// # Panics
    ///
    /// If the node was not started or does not end in time; all logs are in the message.
    pub fn terminate(&mut self, i: usize) -> ExitStatus {
        self.resume(i);
        self.members[i].node.signal(Signal::TERM);
        let status = self.wait_exit(i);
        self.members[i].node.kill();
        status
    }

    /// Stops node `i` by SIGSTOP, like a machine that hangs; the system still accepts connections for the
    /// node.
    ///
    /// # Panics
    ///
    /// If the node does not run.
    pub fn pause(&mut self, i: usize) {
        let member = &mut self.members[i];
        assert!(member.is_running(), "{} does not run", member.id);
        member.node.pause();
    }

    /// Resumes a paused node (SIGCONT).
    pub fn resume(&mut self, i: usize) {
        self.members[i].node.resume();
    }

    /// Kills node `i` and starts it again on the same data.
    ///
    /// # Panics
    ///
    /// If the node does not start; all logs are in the message.
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
        if member.data_dir().exists() {
            fs::remove_dir_all(member.data_dir()).expect("data of a test can be deleted");
        }
    }

    /// Moves the data directory of node `i` to `to`. The node keeps its configured path, see
    /// [`Cluster::set_data_dir`].
    ///
    /// # Panics
    ///
    /// If the node runs, or if `to` exists.
    pub fn move_data(&mut self, i: usize, to: &Path) {
        let member = self.stopped(i);
        assert!(!to.exists(), "{} is there already", to.display());
        fs::rename(member.data_dir(), to).expect("data can be moved within a file system");
    }

    /// Sets the data directory of node `i` from its next start on.
    ///
    /// # Panics
    ///
    /// If the node runs.
    pub fn set_data_dir(&mut self, i: usize, path: &Path) {
        path.clone_into(&mut self.stopped(i).node.spec_mut().data_dir);
    }

    /// Replaces the arguments of node `i` besides its configuration, name and data directory: flags and
    /// `--set`s.
    pub fn set_args(&mut self, i: usize, args: &[&str]) {
        self.members[i].node.spec_mut().args = args.iter().map(Into::into).collect();
    }

    /// Has node `i` run `program` from its next start on; none: the cluster's.
    ///
    /// # Panics
    ///
    /// If the node runs.
    pub fn set_program(&mut self, i: usize, program: Option<&Path>) {
        let program = program.unwrap_or(&self.program).to_owned();
        self.stopped(i).node.spec_mut().program = program;
    }

    /// Gives every node another address and writes it into all configurations, as if the whole cluster had
    /// moved to another network.
    ///
    /// # Panics
    ///
    /// If a node runs, or if the nodes are in namespaces.
    pub fn readdress(&mut self) {
        for i in 0..self.len() {
            self.stopped(i);
        }
        let Home::Loopback(addresses) = &mut self.home else {
            panic!("nodes in namespaces keep their addresses");
        };
        // Reserved before the old addresses are released, so that all are new.
        *addresses = Addresses::reserve(self.members.len());
        for (member, address) in self.members.iter_mut().zip(addresses.nodes()) {
            member.address = *address;
        }
        self.write_configs();
    }

    /// Returns the network between nodes in namespaces.
    ///
    /// # Panics
    ///
    /// If the nodes are not in namespaces.
    pub fn net(&self) -> &Net {
        match &self.home {
            Home::Namespaces(net) => net,
            Home::Loopback(_) => panic!("made without in_namespaces()"),
        }
    }

    /// Sends bytes to the Raft port of node `i`, as a peer without the cluster key.
    ///
    /// # Errors
    ///
    /// If no connection can be made.
    pub fn send_as_stranger(&self, i: usize, bytes: &[u8]) -> std::io::Result<Heard> {
        send_as_stranger(self.raft_address(i), bytes, STRANGER_LIMIT)
    }

    /// Returns the number of nodes.
    #[expect(clippy::len_without_is_empty, reason = "no cluster is empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns node `i` with its paths.
    pub fn node(&self, i: usize) -> &Member {
        &self.members[i]
    }

    /// Returns the id of node `i`, such as `n1`.
    pub fn id(&self, i: usize) -> &str {
        &self.members[i].id
    }

    /// Returns the index of the node with this id.
    pub fn index(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    /// Process id of node `i`, while running.
    pub fn process_id(&self, i: usize) -> Option<u32> {
        let process = self.members[i].node.process();
        process.filter(|process| process.is_running()).map(|process| process.id())
    }

    /// Returns the resident set of node `i` in bytes, while running and on systems with procfs.
    pub fn resident_bytes(&self, i: usize) -> Option<u64> {
        local_cluster::resident_bytes(self.process_id(i)?)
    }

    /// Returns the number of open file descriptors of node `i`, while running and on systems with procfs.
    pub fn open_files(&self, i: usize) -> Option<usize> {
        local_cluster::open_files(self.process_id(i)?)
    }

    /// Returns the socket address of node `i`'s HTTP API.
    pub fn address(&self, i: usize) -> SocketAddr {
        self.members[i].address.http()
    }

    /// Returns the socket address of node `i`'s Raft port.
    pub fn raft_address(&self, i: usize) -> SocketAddr {
        self.members[i].address.raft()
    }

    /// Returns the base URL of node `i`.
    pub fn url(&self, i: usize) -> String {
        format!("http://{}", self.address(i))
    }

    /// Returns the base URL of every node.
    pub fn urls(&self) -> Vec<String> {
        (0..self.len()).map(|i| self.url(i)).collect()
    }

    /// Returns the admin token, required of operators.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Returns a folder for the test's own files, removed with the cluster.
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
        let process = member.node.process().expect("it was started");
        self.wait_until(&format!("{} to listen", member.id), START_LIMIT, |cluster| {
            let ended = exit_status(process);
            let address = address_in(&member.node.log_since_start());
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
