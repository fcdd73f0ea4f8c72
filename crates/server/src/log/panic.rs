//! The panic hook, which writes panics to the log.
//!
//! A panic inside a panic hook ends the process. So the hook bypasses spans and subscribers, which may be the
//! origin of the panic, waits for no lock, and touches neither file nor stream: it queues a line. The handler
//! that catches the panic logs the request it ends.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::PanicHookInfo;

use tracing::Level;

use super::line::Fields;
use super::writer::Log;

/// Installs a hook that logs each panic of this process, throttled by location.
pub(crate) fn log_panics(log: Log) {
    std::panic::set_hook(Box::new(move |panic| say(&log, panic)));
    stego::silence_decoder_panics();
}

fn say(log: &Log, panic: &PanicHookInfo<'_>) {
    let mut place = DefaultHasher::new();
    panic.location().map(|location| (location.file(), location.line())).hash(&mut place);
    let Some(suppressed) = log.admit(place.finish(), 0) else { return };
    let mut fields = Fields::of_event(log.style());
    fields.text("message", "panicked, which is a defect");
    if let Some(name) = std::thread::current().name() {
        fields.text("thread", name);
    }
    if let Some(location) = panic.location() {
        fields.shown("location", format_args!("{location}"));
    }
    let payload = panic.payload();
    let text =
        payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    if let Some(text) = text {
        fields.text("panic", text);
    }
    if suppressed > 0 {
        fields.plain("suppressed", suppressed);
    }
    log.say(Level::ERROR, &fields);
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::line::Style;
    use super::super::sink::Sink;
    use super::*;

    struct Lines(mpsc::Sender<String>);

    impl Sink for Lines {
        fn name(&self) -> String {
            "a test".to_owned()
        }

        fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
            self.0.send(String::from_utf8_lossy(line).into_owned()).map_err(io::Error::other)
        }
    }

    #[test]
    fn panics_are_bounded_lines() {
        let (lines, written) = mpsc::channel();
        let log = Log::start(Style::Text { colours: false }, Lines(lines), |_| Ok(())).unwrap();
        let before = std::panic::take_hook();
        log_panics(log.clone());
        for i in 0..100 {
            let body = move || panic!("number {i}\n{}", "x".repeat(60_000));
            let thread = std::thread::Builder::new().name("doomed".to_owned()).spawn(body);
            assert!(thread.unwrap().join().is_err());
        }
        std::panic::set_hook(before);
        assert!(log.flush(Duration::from_secs(60)));
        let written: Vec<_> = written.try_iter().filter(|line| line.contains("doomed")).collect();
        assert!((1..50).contains(&written.len()), "{} lines", written.len());
        for line in written {
            assert!(
                line.contains("ERROR server::log: panicked, which is a defect thread=\"doomed\" location=")
            );
            assert!(
                line.contains("panic.rs:") && line.contains("panic=\"number ") && line.len() < 1024,
                "{line}"
            );
        }
    }
}
