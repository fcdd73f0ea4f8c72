//! A node as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a condition may take to come true. Only a broken node takes this long, so it can be generous.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);
/// What a node logs once it can be reached.
const LISTENING: &str = "listening on http://";

/// Waits until `condition` gives a value.
///
/// # Panics
///
/// If it does not within a minute; `what` is what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// How to start a node.
#[derive(Debug)]
pub struct NodeBuilder {
    program: PathBuf,
    args: Vec<String>,
}

/// A running node, killed when dropped.
#[derive(Debug)]
pub struct Node {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl NodeBuilder {
    /// A node on any free port of loopback, without a configuration file. The binary is the one that cargo built
    /// beside the test that runs.
    ///
    /// # Panics
    ///
    /// If there is no such binary.
    pub fn new() -> Self {
        let test = std::env::current_exe().expect("a test knows its own path");
        let profile_folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
        let program = profile_folder.join("server");
        assert!(
            program.is_file(),
            "{} is not there; run `cargo build --bin server` or test the whole workspace",
            program.display()
        );
        Self { program, args: vec!["--http-port".into(), "0".into()] }
    }

    /// Adds `--set key=value`.
    pub fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.args.extend(["--set".into(), format!("{key}={value}")]);
        self
    }

    /// Starts the node and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not start; its log is in the message.
    pub fn start(self) -> Node {
        let mut process = Command::new(&self.program)
            .args(&self.args)
            .env_remove("CONFIG_PATH")
            .env_remove("NODE_ID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server binary can be started");
        let log = Arc::new(Mutex::new(String::new()));
        collect_log(process.stderr.take().expect("standard error is piped"), Arc::clone(&log));
        let address = wait_for("a node that listens", || {
            let text = read(&log);
            assert!(process.try_wait().ok().flatten().is_none(), "the node ended: {text}");
            address_in(&text)
        });
        let node = Node { process, address, log };
        wait_for("a node that is ready", || (node.status("/readyz") == Some(200)).then_some(()));
        node
    }
}

impl Default for NodeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// A node with the default configuration, ready.
    pub fn start() -> Self {
        NodeBuilder::new().start()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Resident set of the process in bytes (proc(5), `VmRSS`), where the system tells.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
    }

    /// Sends bytes as they are over a connection of their own and reads the answer to its end.
    pub fn raw(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    /// The status of `GET path`, if there was an answer.
    pub fn status(&self, path: &str) -> Option<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
        let answer = self.raw(request.as_bytes()).ok()?;
        String::from_utf8_lossy(answer.get(..12)?).split(' ').nth(1)?.parse().ok()
    }

    /// Asks it to stop as an operator would.
    pub fn terminate(&self) {
        let id =
            i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process id is positive");
        // A node that is gone already has stopped as well.
        let _ = kill_process(id, Signal::TERM);
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        wait_for("the end of a node", || self.process.try_wait().ok().flatten())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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

fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, after) = log.split_once(LISTENING)?;
    after.split_whitespace().next()?.parse().ok()
}
