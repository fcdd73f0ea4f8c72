//! A node as a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use local_cluster::{End, Process, Signal, peak_resident_bytes, prefixed, resident_bytes};
use tempfile::TempDir;

use crate::addresses::Addresses;
use crate::server_program::{LISTENING, server_binary, settings_in_environment, under_limit_on_files};
use crate::wait::{DEADLINE, wait_for};

/// Configuration of a single node on free ports of loopback.
const CONFIGURATION: &str = "\
cluster_name: test
nodes:
  - { id: n1, ip: 127.0.0.1, http_port: 0, raft_port: 0 }
security: { loopback: trusted }
";

/// A builder of nodes.
#[derive(Debug)]
pub struct NodeBuilder {
    args: Vec<String>,
    standard_error: Option<Stdio>,
    prefix: Vec<String>,
}

/// A running node, killed when dropped.
#[derive(Debug)]
pub struct Node {
    process: Process,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    /// Folder of the configuration and the data.
    _folder: TempDir,
    /// Reserved address, for a node whose log is not readable.
    _addresses: Option<Addresses>,
}

impl NodeBuilder {
    /// Creates a builder for a node on any free port of loopback, alone in its configuration, with a data
    /// directory of its own. The binary is the server built by cargo beside the running test.
    pub fn new() -> Self {
        Self { args: Vec::new(), standard_error: None, prefix: Vec::new() }
    }

    /// Adds `--set key=value`.
    pub fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.args.extend(["--set".into(), format!("{key}={value}")]);
        self
    }

    /// Adds a flag (and its value, if any).
    pub fn flags<const N: usize>(mut self, flags: [&str; N]) -> Self {
        self.args.extend(flags.map(str::to_owned));
        self
    }

    /// Redirects the node's standard error to `to`; [`Node::log`] is then unavailable.
    pub fn standard_error(mut self, to: impl Into<Stdio>) -> Self {
        self.standard_error = Some(to.into());
        self
    }

    /// Limits the node's open files, without the right to raise the limit.
    pub fn max_open_files(mut self, limit: usize) -> Self {
        self.prefix = under_limit_on_files(limit);
        self
    }

    /// Starts the node and waits until ready.
    ///
    /// # Panics
    ///
    /// If there is no server binary, or if the node does not start; the log is in the message.
    pub fn start(self) -> Node {
        install_tls_provider();
        let folder = tempfile::tempdir().expect("a folder for a node");
        let config = folder.path().join("node.yaml");
        fs::write(&config, CONFIGURATION).expect("the configuration can be written");
        // Without a log to read the port from, the address is chosen in advance.
        let addresses = self.standard_error.is_some().then(|| Addresses::reserve(1));
        let mut command = prefixed(&self.prefix, &server_binary());
        for name in settings_in_environment() {
            command.env_remove(name);
        }
        if let Some(address) = addresses.as_ref().map(|addresses| addresses.nodes()[0].http()) {
            command.args([
                "--bind-ip",
                &address.ip().to_string(),
                "--http-port",
                &address.port().to_string(),
            ]);
        }
        let mut child = command
            .env("STEG_DATA_DIR", folder.path().join("data"))
            .arg("--config")
            .arg(config)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.standard_error.unwrap_or_else(Stdio::piped))
            .spawn()
            .expect("the server binary can be started");
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stream) = child.stderr.take() {
            collect_log(stream, Arc::clone(&log));
        }
        let process = Process::from(child);
        let address = addresses.as_ref().map(|addresses| addresses.nodes()[0].http());
        let address = address.unwrap_or_else(|| {
            wait_for("a node that listens", || {
                let text = read(&log);
                assert!(process.is_running(), "the node ended: {text}");
                address_in(&text)
            })
        });
        let node = Node { process, address, log, _folder: folder, _addresses: addresses };
        wait_for("a node that is ready", || {
            let ended = node.exited();
            assert!(ended.is_none(), "the node ended: {ended:?} {}", node.log());
            (node.status("/readyz") == Some(200)).then_some(())
        });
        node
    }
}

impl Default for NodeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// Starts a node with the default configuration and waits until ready.
    pub fn start() -> Self {
        NodeBuilder::new().start()
    }

    /// Returns the socket address of the HTTP API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL of the HTTP API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Returns the resident set of the process in bytes, on systems with procfs.
    pub fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(self.process.id())
    }

    /// Returns the peak resident set of the process in bytes, on systems with procfs.
    pub fn peak_resident_bytes(&self) -> Option<u64> {
        peak_resident_bytes(self.process.id())
    }

    /// Sends raw bytes over a new connection and reads the answer to its end.
    ///
    /// # Errors
    ///
    /// If the node cannot be reached, or does not end its answer within a minute.
    pub fn raw(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    /// Status code of `GET path`, if answered.
    pub fn status(&self, path: &str) -> Option<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = self.raw(request.as_bytes()).ok()?;
        String::from_utf8_lossy(answer.get(..12)?).split(' ').nth(1)?.parse().ok()
    }

    /// Requests an orderly stop (SIGTERM), as an operator would.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal to the process.
    pub fn signal(&self, which: Signal) {
        self.process.signal(which);
    }

    /// Process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the exit status of the process, once ended.
    pub fn exited(&self) -> Option<ExitStatus> {
        exit_status(&self.process)
    }

    /// Waits for the process to end.
    pub fn wait(self) -> ExitStatus {
        wait_for("the end of a node", || self.exited())
    }
}

/// Returns the exit status of a child, once ended.
pub(crate) fn exit_status(process: &Process) -> Option<ExitStatus> {
    match process.ended().expect("a child can be waited for")? {
        End::Exited(status) => Some(status),
        End::StatusUnknown => None,
    }
}

fn collect_log(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}

fn read(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Installs the cryptography of TLS, which any HTTP client of a test needs from the first on.
pub(crate) fn install_tls_provider() {
    // Fails if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Parses the address in the log line of a listening node.
pub(crate) fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, after) = log.split_once(LISTENING)?.1.split_once("://")?;
    after.split_whitespace().next()?.parse().ok()
}
