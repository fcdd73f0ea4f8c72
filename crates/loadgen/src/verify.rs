//! Checks of answers, and the threads that run them.
//!
//! Checking is processor work. The checks run on a separate pool, as large as the machine and at a lower
//! priority, so that neither the connections nor a node on the same machine wait for a check. The queue is
//! bounded by the number of requests in flight.

use std::borrow::Cow;
use std::error::Error;

use anyhow::Context as _;
use clap::ValueEnum;
use client::EmbedAnswer;
use serde::Serialize;
use tokio::sync::oneshot;

/// Reason for a failed request: a kind to count by, and a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Cow<'static, str>,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind: Cow::Borrowed(kind), text: text.into() }
    }
}

impl From<client::ClientError> for Failure {
    fn from(error: client::ClientError) -> Self {
        Self { kind: Cow::Owned(error.kind().as_str().into_owned()), text: with_causes(&error) }
    }
}

/// Formats an error and its causes on a single line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The threads that check answers.
#[derive(Debug)]
pub(crate) struct Verifier {
    pool: rayon::ThreadPool,
}

impl Verifier {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|index| format!("verify-{index}"))
            .start_handler(|_| lower_priority())
            // The message is on stderr already; the request that waits for the check fails.
            .panic_handler(|_| {})
            .build()
            .context("cannot start the threads that verify answers")?;
        Ok(Self { pool })
    }

    /// Runs `job` on the pool.
    ///
    /// # Errors
    /// The failure of the job, or that it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        // After Ctrl-C the receiver may be gone, and the result is discarded.
        self.pool.spawn(move || drop(sender.send(job())));
        receiver.await.unwrap_or_else(|_| {
            Err(Failure::new("verify_panicked", "the check of an answer panicked; its message is on stderr"))
        })
    }
}

/// Lowers the priority of the thread. Only on Linux a priority belongs to a thread instead of the process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        const NICE: i32 = 10;
        // Without the lower priority the checks compete with other threads: slower, not wrong.
        let _ = rustix::process::nice(NICE);
    }
}

/// Depth to which images are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verify {
    /// Every pixel and every checksum of each image
    Full,
    /// The payload of each image, and the presence of the end of its file
    Payload,
    /// The payload of each image, and every pixel of each 20th image
    Sample,
}

/// Interval, in requests, of the images verified in full by [`Verify::Sample`].
const SAMPLE_EVERY: u64 = 20;

/// Part of an image that is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The whole image.
    Whole,
    /// The rows with the payload, which are covered by its digest, and the end of the file.
    Payload,
}

impl Verify {
    /// Returns the part to verify of the image of request `index`: the same for the same index.
    pub(crate) fn depth(self, index: u64) -> Depth {
        match self {
            Self::Full => Depth::Whole,
            Self::Sample if index.is_multiple_of(SAMPLE_EVERY) => Depth::Whole,
            Self::Sample | Self::Payload => Depth::Payload,
        }
    }
}

/// Checks that the image is a valid PNG to the given depth, and carries exactly the given secret.
///
/// # Errors
/// The failure, with a kind to count by.
pub(crate) fn check_embedded(answer: &EmbedAnswer, secret: &[u8], depth: Depth) -> Result<(), Failure> {
    let extract = match depth {
        Depth::Whole => stego::examine,
        Depth::Payload => stego::extract,
    };
    let extracted = extract(&answer.stego_image, &stego::Limits::default()).map_err(|error| {
        let kind = match &error {
            stego::ExtractError::Image(_)
            | stego::ExtractError::LossyFormat { .. }
            | stego::ExtractError::Reencoded { .. } => "invalid_png",
            stego::ExtractError::Container(_)
            | stego::ExtractError::NoPayloadOrWrongKey
            | stego::ExtractError::TooFewSamples { .. } => "wrong_bytes",
        };
        Failure::new(kind, format!("the image from {}: {}", answer.via.endpoint, with_causes(&error)))
    })?;
    if answer.secret_size_bytes != secret.len() as u64 {
        let text = format!(
            "{} reports a secret of {} bytes instead of {}",
            answer.via.endpoint,
            answer.secret_size_bytes,
            secret.len()
        );
        return Err(Failure::new("bad_answer", text));
    }
    // A note means a file cut off or damaged below the rows with the payload, which is a failure as well.
    if let Some(note) = extracted.notes.first() {
        return Err(Failure::new("invalid_png", note.to_string()));
    }
    check_same(&extracted.secret, secret, &answer.via)
}

/// Checks that the bytes are exactly the given secret.
///
/// # Errors
/// The failure, with the position of the first difference.
pub(crate) fn check_same(found: &[u8], secret: &[u8], via: &client::Via) -> Result<(), Failure> {
    if found == secret {
        return Ok(());
    }
    let differs_at = found.iter().zip(secret).take_while(|(found, hidden)| found == hidden).count();
    let text = format!(
        "secret from {} differs: {} bytes instead of {}, first difference at byte {differs_at}",
        via.endpoint,
        found.len(),
        secret.len()
    );
    Err(Failure::new("wrong_bytes", text))
}

#[cfg(test)]
mod tests {
    use client::CoverInfo;
    use stego::{Channels, Cover, EmbedOptions, Limits, Secret};

    use super::*;

    const SECRET: &[u8] = b"meet me at noon";

    #[test]
    fn only_the_whole_image_with_the_same_secret_passes() {
        let check = |png: &[u8], secret: &[u8], expected: Result<(), &str>| {
            let answer = answer(png, secret.len());
            let found = check_embedded(&answer, secret, Depth::Whole);
            assert_eq!(found.as_ref().map_err(|failure| &*failure.kind).copied(), expected, "{found:?}");
            let of_payload = check_embedded(&answer, secret, Depth::Payload);
            assert!(of_payload.is_ok() || found.is_err(), "{of_payload:?}");
        };
        let png = stego_image();
        check(&png, SECRET, Ok(()));
        check(&png, b"meet me at nine", Err("wrong_bytes"));
        check(&png, b"meet me", Err("wrong_bytes"));
        check(&png[..png.len() - 20], SECRET, Err("invalid_png"));
        check(b"<html>", SECRET, Err("invalid_png"));
        let mut damaged = png.clone();
        damaged[png.len() / 2] ^= 1;
        check(&damaged, SECRET, Err("invalid_png"));
    }

    #[test]
    fn the_payload_and_the_end_of_the_file_are_verified_at_any_depth() {
        let check = |png: &[u8], secret: &[u8], expected: Result<(), &str>| {
            let found = check_embedded(&answer(png, secret.len()), secret, Depth::Payload);
            assert_eq!(found.as_ref().map_err(|failure| &*failure.kind).copied(), expected, "{found:?}");
        };
        let png = stego_image();
        check(&png, SECRET, Ok(()));
        check(&png, b"meet me at nine", Err("wrong_bytes"));
        check(&png[..png.len() - 20], SECRET, Err("invalid_png"));
        check(b"<html>", SECRET, Err("invalid_png"));
    }

    #[test]
    fn one_image_in_twenty_is_verified_in_full() {
        let whole = |verify: Verify| (0..400).filter(|&index| verify.depth(index) == Depth::Whole).count();
        assert_eq!((whole(Verify::Full), whole(Verify::Sample), whole(Verify::Payload)), (400, 20, 0));
    }

    #[test]
    fn an_image_without_a_secret_carries_the_wrong_bytes() {
        let plain = cover().to_png();
        let failure = check_embedded(&answer(&plain, SECRET.len()), SECRET, Depth::Payload).unwrap_err();
        assert_eq!(failure.kind, "wrong_bytes");
    }

    #[test]
    fn the_size_that_the_answer_names_is_checked() {
        let failure =
            check_embedded(&answer(&stego_image(), SECRET.len() + 1), SECRET, Depth::Payload).unwrap_err();
        assert_eq!(failure.kind, "bad_answer");
    }

    #[test]
    fn a_difference_is_located() {
        let failure = check_same(b"abXd", b"abcd", &via()).unwrap_err();
        assert!(failure.text.ends_with("first difference at byte 2"), "{}", failure.text);
    }

    #[tokio::test]
    async fn a_check_that_panics_fails_its_request_only() {
        let verifier = Verifier::new().unwrap();
        let failure = verifier.run(|| -> Result<(), Failure> { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(failure.kind, "verify_panicked");
        assert_eq!(verifier.run(|| Ok(7)).await, Ok(7));
    }

    fn stego_image() -> Vec<u8> {
        let options = EmbedOptions::default();
        stego::embed(&cover(), &Secret::new(SECRET), &options, &Limits::default()).unwrap().into_vec()
    }

    fn cover() -> Cover {
        let samples = (0..40 * 40 * 3_u32).map(|number| (number * number % 251) as u8).collect();
        Cover::from_samples(40, 40, Channels::Rgb, samples).unwrap()
    }

    fn answer(png: &[u8], secret_size_bytes: usize) -> EmbedAnswer {
        EmbedAnswer {
            via: via(),
            request_id: "r1".into(),
            stego_image: bytes::Bytes::copy_from_slice(png),
            cover: CoverInfo {
                width: 40,
                height: 40,
                channels: 3,
                bit_depth: 8,
                bits: 1,
                capacity_bytes: 500,
            },
            secret_size_bytes: secret_size_bytes as u64,
            payload_size_bytes: 100,
            notes: Vec::new(),
            mark_id: None,
        }
    }

    fn via() -> client::Via {
        client::Via::direct("http://a".parse().unwrap())
    }
}
