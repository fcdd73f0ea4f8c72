//! Configuration of a cluster before its start.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use local_cluster::{ConfiguredNode, configuration};

use super::member::{Member, write_private};
use super::{Cluster, Home};
use crate::addresses::{Addresses, MAX_NODES};
use crate::netns::Net;
use crate::node::install_tls_provider;
use crate::server_program::{server_binary, under_limit_on_files};
use crate::wall_clock::WallClock;

/// Default number of nodes of a cluster.
const NODES: usize = 3;
/// Length of the admin token of a test cluster.
const ADMIN_TOKEN_BYTES: usize = 16;
/// Length of a cluster's key in bytes.
const KEY_BYTES: usize = 32;
/// The file with the admin token, in the cluster's folder.
const TOKEN_FILE: &str = "admin.token";

/// A builder of clusters.
#[derive(Debug)]
pub struct ClusterBuilder {
    nodes: usize,
    name: String,
    in_namespaces: bool,
    by_name: bool,
    args: Vec<String>,
    args_of_one: BTreeMap<usize, Vec<String>>,
    program: Option<PathBuf>,
    under: Option<PathBuf>,
    max_open_files: Option<usize>,
    sets_wall_clocks: bool,
}

impl ClusterBuilder {
    /// Creates a builder for three nodes on loopback, called n1, n2, n3, with the default configuration.
    pub fn new() -> Self {
        Self {
            nodes: NODES,
            name: "test".to_owned(),
            in_namespaces: false,
            by_name: false,
            args: Vec::new(),
            args_of_one: BTreeMap::new(),
            program: None,
            under: None,
            max_open_files: None,
            sets_wall_clocks: false,
        }
    }

    /// Sets the number of nodes.
    pub fn nodes(mut self, count: usize) -> Self {
        assert!((1..=MAX_NODES).contains(&count), "a cluster of a test has 1 to {MAX_NODES} nodes");
        self.nodes = count;
        self
    }

    /// Sets `cluster_name`.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Adds `--set key=value` to every node.
    pub fn set(mut self, key: &str, value: impl Display) -> Self {
        self.args.extend(["--set".to_owned(), format!("{key}={value}")]);
        self
    }

    /// Adds `--set key=value` to node `i`, counted from 0.
    pub fn set_on(mut self, i: usize, key: &str, value: impl Display) -> Self {
        self.args_of_one.entry(i).or_default().extend(["--set".to_owned(), format!("{key}={value}")]);
        self
    }

    /// Adds a flag (and its value, if any) to every node.
    pub fn flags<const N: usize>(mut self, flags: [&str; N]) -> Self {
        self.args.extend(flags.map(str::to_owned));
        self
    }

    /// Adds a flag (and its value, if any) to node `i`, counted from 0.
    pub fn flags_on<const N: usize>(mut self, i: usize, flags: [&str; N]) -> Self {
        self.args_of_one.entry(i).or_default().extend(flags.map(str::to_owned));
        self
    }

    /// Places each node in a network namespace of its own, so that links can be cut ([`Cluster::net`]).
    /// Requires [`Net::available`].
    pub fn in_namespaces(mut self) -> Self {
        self.in_namespaces = true;
        self
    }

    /// Configures host names in place of addresses: `n1.test` and so on. [`Net::know_names`] gives the names
    /// to hosts.
    pub fn by_name(mut self) -> Self {
        self.by_name = true;
        self
    }

    /// Runs `program` in place of the server built by cargo beside the test.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Keeps the cluster's files below `folder` in place of the system's folder for temporary files. The
    /// latter may lie in memory, and the cost of a flush depends on the place.
    pub fn under(mut self, folder: impl Into<PathBuf>) -> Self {
        self.under = Some(folder.into());
        self
    }

    /// Limits the open files of every node, without the right to raise the limit.
    pub fn max_open_files(mut self, limit: usize) -> Self {
        self.max_open_files = Some(limit);
        self
    }

    /// Gives each node a wall clock of its own, for [`Cluster::set_wall_clock`]. See
    /// [`crate::can_set_wall_clocks`].
    pub fn with_wall_clocks(mut self) -> Self {
        self.sets_wall_clocks = true;
        self
    }

    /// Writes everything a cluster needs to disk, without starting a node.
    ///
    /// # Panics
    ///
    /// If there is no server binary, or no addresses are free.
    pub fn build(self) -> Cluster {
        install_tls_provider();
        let program = self.program.unwrap_or_else(server_binary);
        let under = self.under.unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("cluster-").tempdir_in(under);
        let folder = folder.expect("a folder for a cluster");
        let home = if self.in_namespaces {
            Home::Namespaces(Net::new(self.nodes))
        } else {
            Home::Loopback(Addresses::reserve(self.nodes))
        };
        let clock = |i: usize| WallClock::new(&folder.path().join(format!("n{}.clock", i + 1)));
        let clocks: Vec<WallClock> = (0..self.nodes).filter(|_| self.sets_wall_clocks).map(clock).collect();
        let members = home.addresses().into_iter().enumerate().map(|(i, address)| {
            let id = format!("n{}", i + 1);
            let folder = folder.path().join(&id);
            let mut args = self.args.clone();
            args.extend(self.args_of_one.get(&i).into_iter().flatten().cloned());
            let mut prefix = home.prefix(i);
            prefix.extend(self.max_open_files.into_iter().flat_map(under_limit_on_files));
            prefix.extend(clocks.get(i).into_iter().flat_map(WallClock::prefix));
            Member::new(id, address, folder, &program, prefix, args)
        });
        let members: Vec<Member> = members.collect();
        let (key, admin_token) = (random_hex(KEY_BYTES), random_hex(ADMIN_TOKEN_BYTES));
        for member in &members {
            member.write_key(&key);
        }
        write_private(&folder.path().join(TOKEN_FILE), &admin_token);
        let cluster = Cluster {
            members,
            home,
            clocks,
            name: self.name,
            by_name: self.by_name,
            admin_token,
            program,
            folder: Some(folder),
        };
        cluster.write_configs();
        cluster
    }

    /// Builds the cluster, starts every node at the same time and waits until all listen.
    ///
    /// # Panics
    ///
    /// If there is no server binary, or if a node does not start.
    pub fn start(self) -> Cluster {
        let mut cluster = self.build();
        cluster.start_all();
        cluster
    }
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// Writes every node's configuration, with the current addresses.
    pub(super) fn write_configs(&self) {
        let host = |member: &Member| match self.by_name {
            true => format!("{}.test", member.id),
            false => member.address.ip.to_string(),
        };
        let nodes = self.members.iter().map(|member| ConfiguredNode {
            id: member.id.clone(),
            host: host(member),
            http_port: member.address.http_port,
            raft_port: member.address.raft_port,
        });
        let token = self.folder().join(TOKEN_FILE);
        let security = format!("{{ admin_token_file: \"{}\", loopback: trusted }}", token.display());
        let text = configuration(&self.name, nodes, &security);
        for member in &self.members {
            fs::write(member.config_path(), &text).expect("the configuration can be written");
        }
    }
}

fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).expect("random bytes");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
