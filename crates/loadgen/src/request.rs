//! A single request: sending, latency of the answers, and verification.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use client::{
    AnswerForm, Client, ClientError, EmbedAnswer, EmbedRequest, Endpoint, ExtractRequest, Reply, Upload,
};
use tokio::time::Instant;

use crate::plan::{Mode, Task};
use crate::secrets::{Purpose, Secrets};
use crate::settings::Settings;
use crate::verify::{Depth, Failure, Verifier, Verify, check_embedded, check_same};

/// Number of stego images made before a run that extracts.
const PREPARED_IMAGES: u64 = 4;
/// Largest secret made on the calling thread, in well under half a millisecond.
const SMALL_SECRET_LEN_BYTES: usize = 256 * 1024;

/// Performer of requests.
#[derive(Debug)]
pub(crate) struct Requester {
    client: Client,
    verifier: Verifier,
    mode: Mode,
    secrets: Secrets,
    cover: Option<Upload>,
    bits: Option<u8>,
    answer: AnswerForm,
    verify: Verify,
    prepared: Vec<Prepared>,
}

/// A stego image and the secret hidden in it.
#[derive(Debug, Clone)]
struct Prepared {
    image: Bytes,
    secret: Bytes,
}

/// A completed request.
#[derive(Debug)]
pub(crate) struct Done {
    /// The node that answered or failed last; `None` if no node was asked.
    pub(crate) node: Option<Endpoint>,
    /// The nodes that caused a retry, an entry for each retry.
    pub(crate) retried: Vec<Endpoint>,
    /// Total size of the answers.
    pub(crate) answer_bytes: u64,
    /// Time from the due time to the last answer, less the time spent here in between.
    pub(crate) latency: Duration,
    /// Time that the request spent in this process: making its secret, waiting for a processor, verifying its
    /// answers.
    pub(crate) spent_here: Duration,
    /// The due time of the request.
    pub(crate) begun: Instant,
    /// The time at which the last answer had arrived.
    pub(crate) answered: Instant,
    pub(crate) result: Result<(), Failure>,
}

impl Done {
    /// Creates the result of an arrival beyond the limit of requests in flight.
    pub(crate) fn not_sent(max_in_flight: u32) -> Self {
        let text = format!("not sent: {max_in_flight} requests in flight when due (limit --max-in-flight)");
        Self::at(Instant::now(), Err(Failure::new("not_sent", text)))
    }

    fn at(answered: Instant, result: Result<(), Failure>) -> Self {
        let retried = Vec::new();
        Self {
            node: None,
            retried,
            answer_bytes: 0,
            latency: Duration::ZERO,
            spent_here: Duration::ZERO,
            begun: answered,
            answered,
            result,
        }
    }

    /// Waits for an answer and records its path, size and time.
    async fn call<A>(
        &mut self,
        call: impl Future<Output = Result<Reply<A>, ClientError>>,
    ) -> Result<Reply<A>, Failure> {
        let sent = Instant::now();
        let result = call.await;
        self.answered = Instant::now();
        self.latency += self.answered - sent;
        let via = match &result {
            Ok(reply) => Some(reply.via()),
            Err(error) => error.via(),
        };
        if let Some(via) = via {
            self.node = Some(via.endpoint.clone());
            self.retried.extend_from_slice(&via.retried);
        }
        let reply = result?;
        self.answer_bytes += reply.body_len_bytes() as u64;
        Ok(reply)
    }
}

impl Requester {
    /// Creates the verifier, and embeds the images from which later requests extract.
    ///
    /// # Errors
    /// If the verifier cannot be started, or an image cannot be made.
    pub(crate) async fn prepare(settings: &Settings, client: Client) -> anyhow::Result<Arc<Self>> {
        let mut requester = Self {
            client,
            verifier: Verifier::new()?,
            mode: settings.mode,
            secrets: settings.secrets,
            cover: settings.cover.clone(),
            bits: settings.bits,
            answer: settings.answer,
            verify: settings.verify,
            prepared: Vec::new(),
        };
        if settings.mode.needs_images() {
            for index in 0..PREPARED_IMAGES {
                let made = requester.prepare_image(index).await;
                requester.prepared.push(made.map_err(|failure| {
                    anyhow!("cannot make the images to extract from ({}): {}", failure.kind, failure.text)
                })?);
            }
        }
        Ok(Arc::new(requester))
    }

    async fn prepare_image(&self, index: u64) -> Result<Prepared, Failure> {
        let secret = self.secret(index, Purpose::Prepared).await?;
        let reply = self.client.fetch_embed(&self.embed_request(index, &secret)).await?;
        let image = self.read_and_check(reply, secret.clone(), Depth::Whole).await?;
        Ok(Prepared { image, secret })
    }

    /// Performs the request with the given index, which was due at `due`.
    pub(crate) async fn perform(&self, index: u64, due: Instant) -> Done {
        let now = Instant::now();
        let mut done = Done::at(now, Ok(()));
        done.latency = now - due;
        done.begun = due;
        done.result = match self.mode.task(index, &self.secrets) {
            Task::Embed => self.embed(index, &mut done).await,
            Task::Extract => {
                debug_assert!(!self.prepared.is_empty(), "made by `prepare` for every mode that extracts");
                let prepared = &self.prepared[index as usize % self.prepared.len()];
                self.extract(prepared.clone(), &mut done).await
            }
            Task::Roundtrip => self.roundtrip(index, &mut done).await,
        };
        let waited = done.latency.saturating_sub(now - due);
        done.spent_here = now.elapsed().saturating_sub(waited);
        done
    }

    async fn embed(&self, index: u64, done: &mut Done) -> Result<(), Failure> {
        let secret = self.secret(index, Purpose::Secret).await?;
        let reply = done.call(self.client.fetch_embed(&self.embed_request(index, &secret))).await?;
        self.read_and_check(reply, secret, self.verify.depth(index)).await.map(drop)
    }

    async fn extract(&self, hidden: Prepared, done: &mut Done) -> Result<(), Failure> {
        let image = Upload::new(hidden.image).name("stego.png").media_type("image/png");
        let request = ExtractRequest::new(image).answer(self.answer);
        let reply = done.call(self.client.fetch_extract(&request)).await?;
        let check = move || {
            let answer = reply.read()?;
            check_same(&answer.secret, &hidden.secret, &answer.via)
        };
        self.verifier.run(check).await
    }

    /// Embeds and extracts. The correctness of the image shows in the secret extracted by the second node.
    async fn roundtrip(&self, index: u64, done: &mut Done) -> Result<(), Failure> {
        let secret = self.secret(index, Purpose::Secret).await?;
        let reply = done.call(self.client.fetch_embed(&self.embed_request(index, &secret))).await?;
        let image = self.verifier.run(move || Ok(reply.read()?.stego_image)).await?;
        self.extract(Prepared { image, secret }, done).await
    }

    fn embed_request(&self, index: u64, secret: &Bytes) -> EmbedRequest {
        let upload = Upload::new(secret.clone())
            .name(format!("secret-{index}.bin"))
            .media_type("application/octet-stream");
        let mut request = EmbedRequest::new(upload).mode("sequential").answer(self.answer);
        if let Some(cover) = &self.cover {
            request = request.cover(cover.clone());
        }
        if let Some(bits) = self.bits {
            request = request.bits(bits);
        }
        request
    }

    async fn read_and_check(
        &self,
        reply: Reply<EmbedAnswer>,
        secret: Bytes,
        depth: Depth,
    ) -> Result<Bytes, Failure> {
        let check = move || {
            let answer = reply.read()?;
            check_embedded(&answer, &secret, depth)?;
            Ok(answer.stego_image)
        };
        self.verifier.run(check).await
    }

    async fn secret(&self, index: u64, purpose: Purpose) -> Result<Bytes, Failure> {
        let secrets = self.secrets;
        if secrets.len_bytes() <= SMALL_SECRET_LEN_BYTES {
            return Ok(secrets.secret(index, purpose));
        }
        self.verifier.run(move || Ok(secrets.secret(index, purpose))).await
    }
}
