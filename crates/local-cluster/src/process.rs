//! Processes: children and processes that were started by hand.

use std::fmt;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, test_kill_process, waitid};

/// A running process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Child(Mutex<Child>),
    /// Started by another process.
    Adopted(Pid),
}

/// End of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A child has ended with this status.
    Exited(ExitStatus),
    /// A process that is no child has ended: the system gives the status to its parent only.
    StatusUnknown,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => status.fmt(f),
            Self::StatusUnknown => f.write_str("status unknown"),
        }
    }
}

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// The error of the system.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        Ok(command.spawn()?.into())
    }

    /// Takes over a process with a foreign parent; `None` without a process of this id. The caller must know
    /// that the system has not given the id to another process.
    pub fn adopt(id: u32) -> Option<Self> {
        let id = pid(id).filter(|id| test_kill_process(*id).is_ok())?;
        Some(Self { kind: Kind::Adopted(id) })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        match &self.kind {
            Kind::Child(child) => lock(child).id(),
            Kind::Adopted(id) => id.as_raw_nonzero().get().unsigned_abs(),
        }
    }

    /// Returns the end of the process; `None` while it runs.
    ///
    /// # Errors
    /// The error of the system.
    pub fn ended(&self) -> io::Result<Option<End>> {
        match &self.kind {
            Kind::Child(child) => Ok(lock(child).try_wait()?.map(End::Exited)),
            Kind::Adopted(id) => Ok(test_kill_process(*id).err().map(|_| End::StatusUnknown)),
        }
    }

    /// True until the process has ended.
    pub fn is_running(&self) -> bool {
        matches!(self.ended(), Ok(None))
    }

    /// Sends a signal, except to an ended process. A child not yet waited for keeps its id.
    pub fn signal(&self, signal: Signal) {
        match &self.kind {
            Kind::Child(child) => {
                let mut child = lock(child);
                if let (Ok(None), Some(id)) = (child.try_wait(), pid(child.id())) {
                    let _ = kill_process(id, signal);
                }
            }
            Kind::Adopted(id) => {
                let _ = kill_process(*id, signal);
            }
        }
    }

    /// Spawns a thread that waits for the end of a child and returns its time; the child is left to be waited
    /// for. After SIGKILL the end can take longer, on a busy machine, than the election of a new leader.
    pub fn watch_end(&self) -> JoinHandle<Instant> {
        let id = pid(self.id());
        std::thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // Any other error: another thread has waited for the process, so it has ended.
            while let Some(Err(Errno::INTR)) = id.map(|id| waitid(WaitId::Pid(id), options)) {}
            Instant::now()
        })
    }
}

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self { kind: Kind::Child(Mutex::new(child)) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        match &self.kind {
            Kind::Child(child) => {
                let mut child = lock(child);
                let _ = child.kill();
                let _ = child.wait();
            }
            Kind::Adopted(id) => {
                let _ = kill_process(*id, Signal::KILL);
            }
        }
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().filter(|id| *id > 0).and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use super::*;

    fn sleeper() -> Process {
        Process::spawn(Command::new("sleep").arg("1000").stdin(Stdio::null())).unwrap()
    }

    fn wait_for_end(process: &Process) -> End {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(end) = process.ended().unwrap() {
                return end;
            }
            assert!(Instant::now() < until, "process {} does not end", process.id());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_end_of_a_process_is_seen_and_left_to_others() {
        let process = sleeper();
        let end = process.watch_end();
        assert!(process.is_running() && !end.is_finished());
        let killed = Instant::now();
        process.signal(Signal::KILL);
        assert!(end.join().unwrap() >= killed);
        assert!(matches!(wait_for_end(&process), End::Exited(status) if !status.success()));
        process.watch_end().join().unwrap();
    }

    #[test]
    fn no_process_outlives_its_value() {
        let process = sleeper();
        let id = pid(process.id()).unwrap();
        // A stopped process is killed, too.
        process.signal(Signal::STOP);
        assert!(process.is_running());
        drop(process);
        assert!(test_kill_process(id).is_err(), "it was killed and waited for");
    }

    #[test]
    fn a_process_of_another_parent_is_adopted() {
        let child = sleeper();
        let adopted = Process::adopt(child.id()).unwrap();
        assert_eq!((adopted.id(), adopted.ended().unwrap()), (child.id(), None));
        drop(adopted);
        assert!(matches!(wait_for_end(&child), End::Exited(_)), "killed by the drop");
        let adopted = Process { kind: Kind::Adopted(pid(child.id()).unwrap()) };
        assert_eq!(adopted.ended().unwrap(), Some(End::StatusUnknown));
        assert!(Process::adopt(0).is_none() && Process::adopt(u32::MAX).is_none());
    }
}
