//! Starts the log as configured.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::file::{LogFile, LogFileError, Rotation};
use super::layer::LogLayer;
use super::line::Style;
use super::sink::{Sink, Stream};
use super::writer::Log;
use crate::config::{LogConfig, LogFormat};

/// Maximum wait for the file at start. A slower open (a file system that hangs) continues while the node
/// runs.
const OPEN_LIMIT: Duration = Duration::from_secs(2);
/// Maximum wait for the last lines at the end of a process.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// Reason for a process to have no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartLogError {
    /// Another user's file would be written.
    #[error(transparent)]
    Refused(#[from] LogFileError),
    /// The thread or the stream is unavailable.
    #[error("cannot start the log")]
    Unavailable(#[source] io::Error),
}

/// Starts the log of this process and installs it as the global `tracing` subscriber.
///
/// # Errors
/// If the file is refused as a log, or the thread cannot be started. A file that cannot be opened is no
/// error.
pub(crate) fn start(config: &LogConfig) -> Result<Log, StartLogError> {
    let log = if config.file.is_empty() { on_standard_error(config)? } else { in_file(config)? };
    let filter: EnvFilter = config.filter.parse().unwrap_or_default();
    let subscriber =
        tracing_subscriber::registry().with(filter).with(LogLayer::new(log.clone(), log.style()));
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| StartLogError::Unavailable(io::Error::other(error)))?;
    Ok(log)
}

fn on_standard_error(config: &LogConfig) -> Result<Log, StartLogError> {
    let style = style(config, io::stderr().is_terminal());
    let stream = Stream::standard_error().map_err(StartLogError::Unavailable)?;
    Log::start(style, stream, |_| Ok(())).map_err(StartLogError::Unavailable)
}

/// Logs to a file, which the writing thread opens: opening may block too.
fn in_file(config: &LogConfig) -> Result<Log, StartLogError> {
    let rotation = Rotation { max_bytes: config.max_bytes, keep: config.keep };
    let file = LogFile::new(config.file.clone().into(), rotation);
    let (refusal, refused) = sync_channel(1);
    let prepare = move |file: &mut LogFile| match file.open() {
        Err(error) if error.is_refusal() => {
            let _ = refusal.try_send(error);
            Err(io::ErrorKind::InvalidInput.into())
        }
        opened => opened.map_err(Into::into),
    };
    let log = Log::start(style(config, false), file, prepare).map_err(StartLogError::Unavailable)?;
    match refused.recv_timeout(OPEN_LIMIT) {
        Ok(error) => Err(error.into()),
        // Opened; or the open failed and the thread retries; or the open still blocks.
        Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => Ok(log),
    }
}

fn style(config: &LogConfig, colours: bool) -> Style {
    match config.format {
        LogFormat::Text => Style::Text { colours },
        LogFormat::Json => Style::Json,
    }
}

impl Log {
    /// Waits briefly for the last lines. Called before the process ends.
    pub(crate) fn finish(&self) {
        self.flush(FLUSH_LIMIT);
    }
}

/// Output for people on a standard stream, which may be full, closed or blocked: no caller waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Speaker(Option<Log>);

impl Speaker {
    /// Speaks on standard output.
    pub(crate) fn out() -> Self {
        Self::on(Stream::standard_output())
    }

    /// Speaks on standard error.
    pub(crate) fn err() -> Self {
        Self::on(Stream::standard_error())
    }

    fn on(stream: io::Result<Stream>) -> Self {
        let style = Style::Text { colours: false };
        Self(stream.and_then(|stream: Stream| Log::start(style, stream, |_| Ok(()))).ok())
    }

    /// Queues lines of text.
    pub(crate) fn say(&self, text: &str) {
        if let Some(log) = &self.0 {
            log.send(format!("{text}\n"));
        }
    }

    /// Waits briefly until the text is written.
    pub(crate) fn finish(&self) {
        if let Some(log) = &self.0 {
            log.finish();
        }
    }
}

/// Writes to standard error before the process ends. Neither panics nor waits for long.
pub(crate) fn last_words(text: &str) {
    if let Ok(mut stream) = Stream::standard_error() {
        let _ = stream.write_line(format!("{text}\n").as_bytes());
    }
}
