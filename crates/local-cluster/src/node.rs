//! A node: program, files, and process while it runs.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::error::LocalClusterError;
use crate::parent;
use crate::process::{End, Process};

/// Bytes read from the end of a log for its last lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// Program and files of a node.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Node id, such as `n1`.
    pub id: String,
    /// The server to run.
    pub program: PathBuf,
    /// Words in front of the program, such as `ip netns exec …`.
    pub prefix: Vec<String>,
    /// Configuration of the cluster.
    pub config: PathBuf,
    /// Data directory.
    pub data_dir: PathBuf,
    /// File of the node's output, shared by all its processes in turn.
    pub log: PathBuf,
    /// File with the process id while the node runs; `None`: no such file.
    pub pid_file: Option<PathBuf>,
    /// Arguments besides configuration, id and data directory.
    pub args: Vec<OsString>,
    /// Working directory; `None`: that of this process.
    pub working_dir: Option<PathBuf>,
    /// Environment variables that are kept from the node.
    pub hidden_variables: Vec<OsString>,
    /// True for a node that ends with this process in any case. Ctrl-C in the terminal then reaches this
    /// process alone, which stops the nodes in order.
    pub stops_with_parent: bool,
}

impl NodeSpec {
    /// Returns the arguments of the program.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--config".into(), self.config.clone().into()];
        arguments.extend(["--node-id".into(), self.id.clone().into()]);
        arguments.extend(["--data-dir".into(), self.data_dir.clone().into()]);
        arguments.extend(self.args.iter().cloned());
        arguments
    }

    fn command(&self, log: &File) -> io::Result<Command> {
        let mut command = prefixed(&self.prefix, &self.program);
        command.args(self.arguments()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        for name in &self.hidden_variables {
            command.env_remove(name);
        }
        if let Some(dir) = &self.working_dir {
            command.current_dir(dir);
        }
        if self.stops_with_parent {
            command.env(parent::VARIABLE, std::process::id().to_string()).process_group(0);
        }
        Ok(command)
    }
}

/// Builds a command that runs `program` behind the words of `prefix`.
pub fn prefixed(prefix: &[String], program: &Path) -> Command {
    let [first, rest @ ..] = prefix else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// A node of a cluster on this machine, running or not; killed when dropped.
#[derive(Debug)]
pub struct LocalNode {
    spec: NodeSpec,
    process: Option<Process>,
    paused: bool,
    /// Length of the log before the latest start.
    log_from: u64,
}

impl LocalNode {
    /// Creates a node that does not run.
    pub fn new(spec: NodeSpec) -> Self {
        Self { spec, process: None, paused: false, log_from: 0 }
    }

    /// Program and files.
    pub fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    /// Program and files, for a change that counts from the next start on.
    pub fn spec_mut(&mut self) -> &mut NodeSpec {
        &mut self.spec
    }

    /// Starts the node; its output is appended to its log.
    ///
    /// # Errors
    /// If the node runs already, or the system refuses the log, the process or the process id file.
    pub fn start(&mut self) -> Result<(), LocalClusterError> {
        let path = &self.spec.log;
        let log = OpenOptions::new().create(true).append(true).open(path);
        let log = log.map_err(|source| LocalClusterError::Log { path: path.clone(), source })?;
        self.start_with_log(&log)
    }

    /// Starts the node with its output to `log`, which the caller has opened at the path of the node's log.
    ///
    /// # Errors
    /// If the node runs already, or the system refuses the process or the process id file.
    pub fn start_with_log(&mut self, log: &File) -> Result<(), LocalClusterError> {
        if self.is_running() {
            return Err(LocalClusterError::AlreadyRunning { id: self.spec.id.clone() });
        }
        self.log_from = log.metadata().map_or(0, |found| found.len());
        self.paused = false;
        let program = || self.spec.program.clone();
        let spawned = self.spec.command(log).and_then(|mut command| Process::spawn(&mut command));
        let process = spawned.map_err(|source| LocalClusterError::Spawn { program: program(), source })?;
        let id = process.id();
        self.process = Some(process);
        if let Some(path) = &self.spec.pid_file {
            fs::write(path, format!("{id}\n"))
                .map_err(|source| LocalClusterError::PidFile { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Takes over the process named by the process id file; false without such a process. The caller must
    /// know that the process belongs to this node: the system may have given the id to another process.
    pub fn adopt(&mut self) -> bool {
        debug_assert!(!self.is_running(), "{} runs already", self.spec.id);
        let text = self.spec.pid_file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let id = text.and_then(|text| text.trim().parse().ok());
        self.process = id.and_then(Process::adopt);
        (self.paused, self.log_from) = (false, 0);
        self.process.is_some()
    }

    /// The process, if started and not taken away since; it may have ended.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// True if the node's process was started and has not ended.
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_running)
    }

    /// True after [`Self::pause`].
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Sends a signal to the process, if there is one.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Stops the process by SIGSTOP, like a machine that hangs; the system still accepts connections for it.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        self.paused = true;
    }

    /// Resumes a paused process (SIGCONT).
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.paused = false;
    }

    /// Kills the process as a power cut would (SIGKILL) and waits for its end; no effect on a node that does
    /// not run.
    pub fn kill(&mut self) {
        // The drop kills a process and waits for its end.
        self.forget();
    }

    /// Returns the end of the process since the last call; `None` while it runs, and without a process.
    ///
    /// # Errors
    /// The error of the system.
    pub fn take_end(&mut self) -> Result<Option<End>, LocalClusterError> {
        let Some(process) = &self.process else { return Ok(None) };
        let ended = process.ended();
        let ended = ended.map_err(|source| LocalClusterError::Wait { id: self.spec.id.clone(), source })?;
        if ended.is_some() {
            self.forget();
        }
        Ok(ended)
    }

    fn forget(&mut self) {
        self.paused = false;
        // The system may reuse the process id.
        if let (Some(_), Some(path)) = (self.process.take(), &self.spec.pid_file) {
            let _ = fs::remove_file(path);
        }
    }

    /// Returns the log since the latest start, without the parts of earlier processes.
    pub fn log_since_start(&self) -> String {
        read_log(&self.spec.log, self.log_from)
    }

    /// Returns the last lines of the log since the latest start.
    pub fn log_tail(&self, lines: usize) -> String {
        let len = fs::metadata(&self.spec.log).map_or(0, |found| found.len());
        let text = read_log(&self.spec.log, self.log_from.max(len.saturating_sub(TAIL_BYTES)));
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for LocalNode {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Reads a log from a position on; the whole log if it is shorter, because it was rotated since. Empty if the
/// file is missing.
pub fn read_log(path: &Path, position: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let start = if file.metadata().is_ok_and(|found| found.len() < position) { 0 } else { position };
        let _ = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use super::*;

    /// Prints its id and an environment variable, and ends at once if the id is `n9`.
    const SCRIPT: &str =
        "#!/bin/sh\necho up $4 of ${STEG_TEST_GROUP:-nobody} $7\n[ $4 = n9 ] && exit 3\nexec sleep 1000\n";

    fn node(folder: &Path, id: &str) -> LocalNode {
        let program = folder.join("server");
        fs::write(&program, SCRIPT).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        LocalNode::new(NodeSpec {
            id: id.to_owned(),
            program,
            prefix: Vec::new(),
            config: folder.join("cluster.yaml"),
            data_dir: folder.join("data"),
            log: folder.join("log"),
            pid_file: Some(folder.join("pid")),
            args: vec!["--join".into()],
            working_dir: None,
            hidden_variables: vec!["STEG_TEST_GROUP".into()],
            stops_with_parent: false,
        })
    }

    fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(value) = condition() {
                return value;
            }
            assert!(Instant::now() < until, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_node_is_started_adopted_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut node = node(folder.path(), "n1");
        assert!(!node.is_running() && !node.adopt());
        node.start().unwrap();
        wait_for(|| (node.log_since_start() == "up n1 of nobody --join\n").then_some(()));
        assert!(matches!(node.start(), Err(LocalClusterError::AlreadyRunning { .. })));
        let id = fs::read_to_string(folder.path().join("pid")).unwrap();
        assert_eq!(id, format!("{}\n", node.process().unwrap().id()));

        let mut other = self::node(folder.path(), "n1");
        assert!(other.adopt() && other.is_running());
        node.pause();
        assert!(node.is_paused() && node.is_running());
        node.kill();
        assert!(!node.is_running() && !node.is_paused() && !other.is_running());
        assert_eq!(other.take_end().unwrap(), Some(End::StatusUnknown));
        assert!(!folder.path().join("pid").exists());
    }

    #[test]
    fn the_log_is_kept_from_start_to_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut node = node(folder.path(), "n9");
        let line = "up n9 of nobody --join\n";
        for starts in 1..=2 {
            node.start().unwrap();
            let end = wait_for(|| node.take_end().unwrap());
            assert_eq!(end.to_string(), "exit status: 3");
            assert_eq!(node.take_end().unwrap(), None, "told once");
            assert_eq!((node.log_since_start().as_str(), node.log_tail(5).as_str()), (line, line.trim_end()));
            assert_eq!(read_log(&node.spec().log, 0), line.repeat(starts));
        }
        fs::write(&node.spec().log, "rotated\n").unwrap();
        assert_eq!(node.log_tail(5), "rotated", "a log shorter than before");
    }

    #[test]
    fn words_stand_before_the_program() {
        let command = prefixed(&["nice".to_owned(), "-n1".to_owned()], Path::new("server"));
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        assert_eq!(words, ["nice", "-n1", "server"]);
    }
}
