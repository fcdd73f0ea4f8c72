//! The writing thread of the log, the bounded queue to it, and the count of lost lines.
//!
//! A logging thread puts a line into the queue and continues: when the queue is full, the line is dropped and
//! counted. Only the writer's thread touches the file or stream, which may be full, gone or blocked forever.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tracing::Level;

use super::line::{self, Fields, Head, Style};
use super::sink::Sink;
use super::throttle::Throttle;

/// Length of the queue in lines: with [`line::MAX_LINE_BYTES`], 4 MiB.
const QUEUE_LINES: usize = 1024;
/// Interval of retries on a failed log, and of reports about dropped lines.
const RETRY: Duration = Duration::from_secs(1);
/// Duration after which a write counts as blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(2);
/// Interval of attempts to enter a full queue.
const POLL: Duration = Duration::from_millis(5);
/// Target of the writer's own lines.
const TARGET: &str = "server::log";

/// A node's log. Cheap to clone; no method waits for the file, except [`Log::flush`].
#[derive(Clone)]
pub(crate) struct Log {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

enum Message {
    Line(String),
    /// Answered once all earlier lines are written or dropped.
    Flush(SyncSender<()>),
    /// Wakes the writer to check [`Shared`].
    Wake,
}

struct Shared {
    style: Style,
    name: String,
    is_file: bool,
    origin: Instant,
    throttle: Mutex<Throttle>,
    dropped: AtomicU64,
    suppressed: AtomicU64,
    reopen: AtomicBool,
    /// Start of the write in progress, in milliseconds since `origin`; 0 without one.
    busy_since_ms: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// A fault of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFailure {
    /// Path of the file, or name of the stream.
    pub(crate) name: String,
    /// The system's error.
    pub(crate) error: String,
    /// Lines dropped since the start.
    pub(crate) dropped: u64,
    /// True for a file, false for a stream.
    pub(crate) is_file: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Log").field(&self.shared.name).finish()
    }
}

impl Log {
    /// Starts the writing thread, which runs `prepare` on the sink before anything else.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start<S: Sink + 'static>(
        style: Style,
        mut sink: S,
        prepare: impl FnOnce(&mut S) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE_LINES);
        let shared = Arc::new(Shared {
            style,
            name: sink.name(),
            is_file: S::IS_FILE,
            origin: Instant::now(),
            throttle: Mutex::default(),
            dropped: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            busy_since_ms: AtomicU64::new(0),
            failure: Mutex::new(None),
        });
        let log = Self { queue, shared: Arc::clone(&shared) };
        let run = move || {
            let _ended = Ended(Arc::clone(&shared));
            let prepared = shared.watched(|| prepare(&mut sink));
            let mut writer = Writer { sink, shared, told: 0, broken: false, reopens: false, retry_at: None };
            if let Err(error) = prepared {
                writer.note(&error);
            }
            writer.run(&waiting);
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(run)?;
        Ok(log)
    }

    /// Queues a line, newline included; drops the line if the queue is full.
    pub(super) fn send(&self, line: String) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Admits or suppresses a line. Returns the number of lines of this kind about this subject suppressed
    /// since the last one; `None` to suppress this line.
    pub(super) fn admit(&self, kind: u64, subject: u64) -> Option<u64> {
        let now = self.shared.origin.elapsed();
        // A panic may be logged by the thread that holds this lock.
        let admitted = match self.shared.throttle.try_lock() {
            Ok(mut throttle) => throttle.admit(kind, subject, now),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().admit(kind, subject, now),
            Err(TryLockError::WouldBlock) => Some(0),
        };
        if admitted.is_none() {
            self.shared.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Writes a line without `tracing`, for callers that cannot use it.
    pub(super) fn say(&self, level: Level, fields: &Fields) {
        self.send(line::line(self.shared.style, &Head { level, target: TARGET }, fields, &[]));
    }

    /// Form of the lines.
    pub(super) fn style(&self) -> Style {
        self.shared.style
    }

    /// Requests that the file is reopened (SIGHUP) after a move.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Relaxed);
        // A full queue wakes the writer as well.
        let _ = self.queue.try_send(Message::Wake);
    }

    /// Waits until all earlier lines are written or dropped, at most for `limit`. Returns false on timeout.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
            message = back;
        }
        written.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }

    /// Number of lines lost because they could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Number of lines suppressed by the throttle.
    pub(crate) fn suppressed(&self) -> u64 {
        self.shared.suppressed.load(Ordering::Relaxed)
    }

    /// The current fault, if any.
    pub(crate) fn failure(&self) -> Option<LogFailure> {
        let error = self.shared.blocked().or_else(|| self.shared.failure().clone())?;
        let Shared { name, is_file, .. } = &*self.shared;
        Some(LogFailure { name: name.clone(), error, dropped: self.dropped(), is_file: *is_file })
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Runs work that may block, and records its start for other threads.
    fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        self.busy_since_ms.store(self.now_ms(), Ordering::Relaxed);
        let done = work();
        self.busy_since_ms.store(0, Ordering::Relaxed);
        done
    }

    fn blocked(&self) -> Option<String> {
        let since = self.busy_since_ms.load(Ordering::Relaxed);
        let blocked_ms = self.now_ms().saturating_sub(since);
        let blocks = since > 0 && blocked_ms >= BLOCKED_AFTER.as_millis() as u64;
        blocks.then(|| format!("a write is blocked for {} s", blocked_ms / 1000))
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records the end of the thread, which ends by a defect or after the last handle.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        *self.0.failure() = Some("its thread has ended".to_owned());
        self.0.busy_since_ms.store(0, Ordering::Relaxed);
    }
}

struct Writer<S> {
    sink: S,
    shared: Arc<Shared>,
    /// Number of dropped lines already reported.
    told: u64,
    /// True if the latest write failed: lines are dropped until the next attempt.
    broken: bool,
    /// True while a reopen is pending.
    reopens: bool,
    /// Time of the next check; set while a fault persists.
    retry_at: Option<Instant>,
}

impl<S: Sink> Writer<S> {
    fn run(mut self, waiting: &Receiver<Message>) {
        loop {
            let message = match self.retry_at {
                None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => waiting.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            self.look_after();
            match message {
                Ok(Message::Line(line)) => self.write(&line),
                Ok(Message::Flush(done)) => {
                    self.tell_dropped();
                    // The caller may have given up.
                    let _ = done.try_send(());
                }
                Ok(Message::Wake) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Performs due work besides writing lines.
    fn look_after(&mut self) {
        self.reopens |= self.shared.reopen.swap(false, Ordering::Relaxed);
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        let was_waiting = self.retry_at.take().is_some();
        if self.reopens {
            self.reopen();
        }
        if was_waiting {
            self.broken = false;
            self.tell_dropped();
        }
        // The queue was full: reported once the load is lower.
        if self.retry_at.is_none() && self.shared.dropped.load(Ordering::Relaxed) != self.told {
            self.retry_at = Some(Instant::now() + RETRY);
        }
    }

    fn reopen(&mut self) {
        match self.shared.watched(|| self.sink.reopen()) {
            Ok(()) => {
                self.reopens = false;
                self.broken = false;
                self.worked();
            }
            // The file opened before stays in use.
            Err(error) => self.note(&error),
        }
    }

    fn write(&mut self, line: &str) {
        let written = if self.broken { false } else { self.attempt(line) };
        if !written {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reports dropped lines in one line.
    fn tell_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        debug_assert!(self.told <= dropped, "no more lines are reported than were dropped");
        if dropped == self.told || self.broken {
            return;
        }
        let mut fields = Fields::of_event(self.shared.style);
        fields.text("message", "log lines dropped");
        fields.plain("dropped", dropped - self.told);
        if let Some(failure) = self.shared.failure().as_deref() {
            fields.text("failure", failure);
        }
        let head = Head { level: Level::WARN, target: TARGET };
        if self.attempt(&line::line(self.shared.style, &head, &fields, &[])) {
            self.told = dropped;
        }
    }

    /// Writes a line. Returns true on success.
    fn attempt(&mut self, line: &str) -> bool {
        let written = self.shared.watched(|| self.sink.write_line(line.as_bytes()));
        match &written {
            Ok(()) => self.worked(),
            Err(error) => {
                self.broken = true;
                self.note(error);
            }
        }
        written.is_ok()
    }

    fn worked(&self) {
        // A pending reopen that keeps failing is still a fault.
        if !self.reopens {
            let complaint = self.sink.complaint();
            *self.shared.failure() = complaint;
        }
    }

    fn note(&mut self, error: &io::Error) {
        *self.shared.failure() = Some(error.to_string());
        self.retry_at = Some(Instant::now() + RETRY);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use testkit::wait_for;

    use super::*;

    /// A wait that suffices on any healthy machine.
    const SOON: Duration = Duration::from_secs(60);

    /// A sink that handles each line by the test's function.
    struct Scripted<F>(F);

    impl<F: FnMut(&str) -> io::Result<()> + Send> Sink for Scripted<F> {
        fn name(&self) -> String {
            "a test".to_owned()
        }

        fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
            (self.0)(std::str::from_utf8(line).unwrap())
        }
    }

    fn log(write: impl FnMut(&str) -> io::Result<()> + Send + 'static) -> Log {
        Log::start(Style::Text { colours: false }, Scripted(write), |_| Ok(())).unwrap()
    }

    #[test]
    fn lines_are_written_in_order() {
        let (lines, written) = mpsc::channel();
        let log = log(move |line| lines.send(line.to_owned()).map_err(io::Error::other));
        for i in 0..100 {
            log.send(format!("{i}\n"));
        }
        assert!(log.flush(SOON));
        let expected: Vec<_> = (0..100).map(|i| format!("{i}\n")).collect();
        assert_eq!(written.try_iter().collect::<Vec<_>>(), expected);
        assert_eq!((log.dropped(), log.failure()), (0, None));
    }

    #[test]
    fn a_log_that_fails_drops_lines_and_tells_how_many() {
        let lines = Arc::new(Mutex::new((true, Vec::new())));
        let state = Arc::clone(&lines);
        let log = log(move |line| {
            let mut state = state.lock().unwrap();
            if state.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.1.push(line.to_owned());
            Ok(())
        });
        for _ in 0..50 {
            log.send("lost\n".to_owned());
        }
        assert!(log.flush(SOON));
        assert_eq!(log.dropped(), 50);
        let failure = log.failure().unwrap();
        assert_eq!((failure.name.as_str(), failure.dropped), ("a test", 50));
        assert!(failure.error.contains("no storage space"), "{}", failure.error);
        lines.lock().unwrap().0 = false;
        // The writer retries without further log calls.
        wait_for("a log that works", || log.failure().is_none().then_some(()));
        log.send("kept\n".to_owned());
        assert!(log.flush(SOON));
        let lines = lines.lock().unwrap().1.clone();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("WARN server::log: log lines dropped dropped=50 failure="), "{}", lines[0]);
        assert_eq!(lines[1], "kept\n");
    }

    #[test]
    fn a_log_that_blocks_blocks_nobody() {
        let (release, blocked) = mpsc::channel::<()>();
        let (lines, written) = mpsc::channel();
        let log = log(move |line| {
            // Blocks until the sender is dropped.
            let _ = blocked.recv();
            lines.send(line.to_owned()).map_err(io::Error::other)
        });
        let lines = 3 * QUEUE_LINES;
        for _ in 0..lines {
            log.send("line\n".to_owned());
        }
        assert!(!log.flush(Duration::from_millis(20)), "the queue is full, and nobody waits for ever");
        let dropped = usize::try_from(log.dropped()).unwrap();
        assert!((lines - QUEUE_LINES - 1..lines).contains(&dropped), "{dropped} dropped");
        let failure = wait_for("a log that is known to be blocked", || log.failure());
        assert!(failure.error.starts_with("a write is blocked for "), "{}", failure.error);
        drop(release);
        wait_for("a log that works", || log.failure().is_none().then_some(()));
        let mut received = Vec::new();
        // One line counts the dropped ones as soon as the log works again, before or after the queued ones.
        wait_for("every queued line, and the count of dropped ones", || {
            received.extend(written.try_iter());
            let queued = received.iter().filter(|line| *line == "line\n").count();
            let is_counted = received.iter().any(|line| line.contains(&format!("dropped={dropped}")));
            (is_counted && queued >= lines - dropped).then_some(())
        });
        assert_eq!(received.iter().filter(|line| *line == "line\n").count(), lines - dropped);
    }

    #[test]
    fn a_log_that_cannot_be_prepared_is_a_failure_and_no_end() {
        let (lines, written) = mpsc::channel();
        let sink = Scripted(move |line: &str| lines.send(line.to_owned()).map_err(io::Error::other));
        let prepare = |_: &mut _| Err(io::ErrorKind::ReadOnlyFilesystem.into());
        let log = Log::start(Style::Text { colours: false }, sink, prepare).unwrap();
        wait_for("the failure", || log.failure());
        wait_for("its end", || {
            log.send("line\n".to_owned());
            written.try_iter().any(|line| line == "line\n").then_some(())
        });
        assert_eq!(log.failure(), None);
    }
}
