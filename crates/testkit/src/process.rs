//! A server as a process of its own, with its log in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Log message of a reachable node.
pub(crate) const LISTENING: &str = "listening on http://";
/// Prefix of the server's environment variables, besides the three others below.
const OUR_VARIABLES: &str = "STEG";
/// Variables that would choose another node or another network.
const OTHER_VARIABLES: [&str; 2] = ["CONFIG_PATH", "NODE_ID"];

/// Returns the path of the server built by cargo beside the running test.
///
/// # Panics
///
/// If there is no such binary.
pub(crate) fn server_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile_folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let program = profile_folder.join("server");
    assert!(
        program.is_file(),
        "{} is not there; run `cargo build --bin server` or test the whole workspace",
        program.display()
    );
    program
}

/// Builds a command without the environment's settings for servers. `prefix` is put in front, such as `ip
/// netns exec …`.
pub(crate) fn command(prefix: &[String], program: &Path) -> Command {
    let mut command = match prefix {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        let ours =
            name.to_str().is_some_and(|n| n.starts_with(OUR_VARIABLES) || OTHER_VARIABLES.contains(&n));
        if ours {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Returns a command prefix that sets a limit on open files, without the right to raise it.
pub(crate) fn under_limit_on_files(limit: usize) -> Vec<String> {
    ["sh".to_owned(), "-c".to_owned(), format!("ulimit -n {limit} && exec \"$0\" \"$@\"")].to_vec()
}

/// Sends a signal to a child not yet waited for, so that its id is still its own.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id is positive");
    // An ended process needs no signal.
    let _ = kill_process(id, signal);
}

/// A running process, killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Mutex<Child>,
    log: PathBuf,
    /// Start of this process's part of the log.
    log_from: u64,
}

impl Process {
    /// Starts `command` with its output appended to the file `log`.
    ///
    /// # Panics
    ///
    /// If the command cannot be started.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(log).expect("the log can be written");
        let log_from = file.metadata().expect("the log is a file").len();
        let same = file.try_clone().expect("a file can be opened twice");
        let child = command.stdout(same).stderr(file).spawn().expect("the server can be started");
        Self { child: Mutex::new(child), log: log.to_owned(), log_from }
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child().id()
    }

    /// Returns the exit status, once ended.
    pub(crate) fn exited(&self) -> Option<ExitStatus> {
        self.child().try_wait().expect("a child can be waited for")
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, which: Signal) {
        let mut child = self.child();
        if child.try_wait().ok().flatten().is_none() {
            signal(&child, which);
        }
    }

    /// Spawns a thread to wait for the end of the process and return the time; the process is left to be
    /// waited for.
    pub(crate) fn watch_end(&self) -> JoinHandle<Instant> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process id is positive");
        std::thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // Any other error: another thread has waited for the process, so it has ended.
            while let Err(Errno::INTR) = waitid(WaitId::Pid(id), options) {}
            Instant::now()
        })
    }

    /// Returns the log of this process so far, without the parts of earlier processes in the same file.
    pub(crate) fn log(&self) -> String {
        read_from(&self.log, self.log_from)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Returns the resident set of a process in bytes (proc(5), `VmRSS`); `None` without procfs.
pub(crate) fn resident_bytes(id: u32) -> Option<u64> {
    memory_bytes(id, "VmRSS:")
}

/// Returns the peak resident set of a process in bytes (proc(5), `VmHWM`); `None` without procfs.
pub(crate) fn peak_resident_bytes(id: u32) -> Option<u64> {
    memory_bytes(id, "VmHWM:")
}

fn memory_bytes(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// Returns the number of open file descriptors of a process; `None` without procfs.
pub(crate) fn open_files(id: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count())
}

/// Reads a log from a position on; empty if the file is missing.
pub(crate) fn read_from(path: &Path, position: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.seek(SeekFrom::Start(position)).and_then(|_| file.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait_for;

    fn shell(script: &str) -> Command {
        let mut shell = command(&[], Path::new("sh"));
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_log_is_kept_from_process_to_process() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        for (word, whole) in [("one", "one\n"), ("two", "one\ntwo\n")] {
            let process = Process::start(shell(&format!("echo {word}")), &log);
            assert!(wait_for("its end", || process.exited()).success());
            assert_eq!(process.log(), format!("{word}\n"));
            assert_eq!(read_from(&log, 0), whole);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_process_uses_is_told() {
        let me = std::process::id();
        let before = open_files(me).unwrap();
        let files: Vec<File> = (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(open_files(me).unwrap() >= before + 10, "other tests may have closed some meanwhile");
        drop(files);
        assert!(resident_bytes(me).unwrap() > 1 << 20);
        assert!(peak_resident_bytes(me).unwrap() > 1 << 20);
        assert_eq!((resident_bytes(u32::MAX), open_files(u32::MAX)), (None, None));
    }

    #[test]
    fn the_end_of_a_process_is_seen_and_left_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(shell("exec sleep 1000"), &folder.path().join("log"));
        let end = process.watch_end();
        assert!(process.exited().is_none() && !end.is_finished());
        let killed = Instant::now();
        process.signal(Signal::KILL);
        assert!(end.join().unwrap() >= killed);
        assert!(process.exited().is_some(), "its status can still be had");
        process.watch_end().join().unwrap();
    }

    #[test]
    fn no_process_outlives_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(shell("echo up; exec sleep 1000"), &folder.path().join("log"));
        wait_for("a process that runs", || process.log().contains("up").then_some(()));
        let id = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
        // A stopped process is killed, too.
        process.signal(Signal::STOP);
        assert!(process.exited().is_none());
        drop(process);
        assert!(rustix::process::test_kill_process(id).is_err(), "it was killed and waited for");
    }
}
