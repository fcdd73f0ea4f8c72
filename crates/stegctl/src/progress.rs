//! A progress bar on the terminal during long work.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stego::{Progress, Stage, Watch};

/// Delay of the bar; shorter work shows none.
const SHOWN_AFTER: Duration = Duration::from_millis(500);
const BAR: &str = "{msg:<24} {bar:30} {percent:>3} %";
const SPINNER: &str = "{msg:<24} {spinner}";

/// Purpose of the work, which decides the names of the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Embedding of a secret.
    Embed,
    /// Reading of images.
    Look,
}

/// A progress display fed by its [`Watch`], until dropped.
pub(crate) struct Meter(Option<Arc<Mutex<Shown>>>);

impl Meter {
    /// Starts the measurement; without a display if `quiet` or if standard error is not a terminal.
    pub(crate) fn start(work: Work, quiet: bool) -> Self {
        let shows = !quiet && std::io::stderr().is_terminal();
        Self(
            shows.then(|| Arc::new(Mutex::new(Shown::new(work, ProgressDrawTarget::stderr, Instant::now())))),
        )
    }

    /// Returns the watch to report progress to. The watch never stops the work: Ctrl-C ends the process.
    pub(crate) fn watch(&self) -> Watch {
        let Some(shown) = self.0.clone() else { return Watch::default() };
        Watch::new(move |progress| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).look(progress, Instant::now());
            ControlFlow::Continue(())
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(shown) = &self.0 {
            shown.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

struct Shown {
    work: Work,
    target: fn() -> ProgressDrawTarget,
    started: Instant,
    stage: Option<Stage>,
    bar: Option<ProgressBar>,
}

impl Shown {
    fn new(work: Work, target: fn() -> ProgressDrawTarget, started: Instant) -> Self {
        Self { work, target, started, stage: None, bar: None }
    }

    fn look(&mut self, Progress { stage, done, total }: Progress, now: Instant) {
        if now.duration_since(self.started) < SHOWN_AFTER {
            return;
        }
        let target = self.target;
        let bar = self.bar.get_or_insert_with(|| ProgressBar::with_draw_target(None, target()));
        if self.stage != Some(stage) {
            self.stage = Some(stage);
            bar.set_style(style(if total > 0 { BAR } else { SPINNER }));
            bar.set_message(in_words(self.work, stage));
        }
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constants that are valid")
}

fn in_words(work: Work, stage: Stage) -> &'static str {
    match (stage, work) {
        (Stage::Decode, _) => "decoding the image",
        (Stage::Compress, Work::Embed) => "compressing the secret",
        (Stage::Compress, Work::Look) => "decompressing the secret",
        (Stage::Draw, _) => "drawing the positions",
        (Stage::Choose, _) => "choosing the changes",
        (Stage::Encode, _) => "writing the image",
        (Stage::Read, Work::Embed) => "reading it back",
        (Stage::Read, Work::Look) => "reading the image",
        (Stage::Compare, _) => "comparing the images",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_long_shows_a_bar() {
        let begin = Instant::now();
        let mut shown = Shown::new(Work::Embed, ProgressDrawTarget::hidden, begin);
        let progress = |stage, done, total| Progress { stage, done, total };
        shown.look(progress(Stage::Decode, 10, 100), begin + Duration::from_millis(499));
        assert!(shown.bar.is_none());

        shown.look(progress(Stage::Decode, 60, 100), begin + Duration::from_millis(500));
        let bar = shown.bar.clone().unwrap();
        assert_eq!((bar.position(), bar.length()), (60, Some(100)));
        assert_eq!(bar.message(), "decoding the image");

        shown.look(progress(Stage::Read, 1, 7), begin + Duration::from_millis(600));
        assert_eq!((bar.position(), bar.length()), (1, Some(7)));
        assert_eq!(bar.message(), "reading it back");
        shown.clear();
        assert!(bar.is_finished());
    }

    #[test]
    fn the_templates_are_valid() {
        for template in [BAR, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
