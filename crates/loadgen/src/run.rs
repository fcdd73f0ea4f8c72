//! A run: the start of requests, the clients, and the end.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context as _;
use client::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::plan::{Model, Plan};
use crate::probe;
use crate::progress;
use crate::report::RunReport;
use crate::request::{Done, Requester};
use crate::settings::Settings;
use crate::stats::Stats;

/// Most samples kept: a minute at the highest rate of a single machine, in 48 MB.
const MAX_SAMPLES: usize = 1_000_000;

/// Puts the load on the nodes and returns the report.
///
/// # Errors
/// If no node can be reached, or the images to extract from cannot be made.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<RunReport> {
    probe::reach_nodes(&settings).await?;
    let requester = Requester::prepare(&settings, connect(&settings)?).await?;
    let run = Arc::new(Run::new(&settings, requester));

    let stopper = tokio::spawn(stop_at_ctrl_c(run.stop.clone()));
    let shown = settings.progress.then(|| tokio::spawn(progress::show(Arc::clone(&run))));
    drive(&run).await?;
    let interrupted = run.stop.is_cancelled();
    stopper.abort();
    run.stop.cancel();
    if let Some(shown) = shown {
        shown.await.context("the progress display failed")?;
    }
    let counts = run.lock();
    Ok(RunReport::new(&settings, &counts.stats, counts.last_answer - run.start, interrupted))
}

/// Sends requests until the plan is done or the run is told to end, and waits for the requests in flight.
///
/// # Errors
/// If a request's task failed.
pub(crate) async fn drive(run: &Arc<Run>) -> anyhow::Result<()> {
    match run.plan.model {
        Model::Closed => closed(run).await,
        Model::Open { rate, max_in_flight } => open(run, rate, max_in_flight).await,
    }
}

/// Builds the client of a run.
///
/// # Errors
/// If the client cannot be built.
pub(crate) fn connect(settings: &Settings) -> anyhow::Result<Client> {
    let client =
        settings.client()?.request_timeout(settings.request_timeout).max_retries(settings.max_retries);
    Ok(client.build()?)
}

/// State shared by the tasks of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) start: Instant,
    /// Cancelled by Ctrl-C, and at the end of the run.
    pub(crate) stop: CancellationToken,
    /// Cancelled when no further requests are to begin; the requests in flight are waited for.
    pub(crate) ending: CancellationToken,
    requester: Arc<Requester>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    stats: Stats,
    last_answer: Instant,
    /// A sample of every completed request, if requested.
    samples: Option<Vec<Sample>>,
}

/// Start, end and success of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) begun: Instant,
    pub(crate) answered: Instant,
    pub(crate) latency: Duration,
    pub(crate) succeeded: bool,
}

impl Run {
    fn new(settings: &Settings, requester: Arc<Requester>) -> Self {
        let (start, stop) = (Instant::now(), CancellationToken::new());
        let stats = Stats::new(&settings.servers);
        Self {
            plan: settings.plan,
            start,
            ending: stop.child_token(),
            stop,
            requester,
            counts: Mutex::new(Counts { stats, last_answer: start, samples: None }),
        }
    }

    /// Creates a run that keeps a sample of every request, for [`Self::take_samples`].
    pub(crate) fn sampled(settings: &Settings, requester: Arc<Requester>) -> Self {
        let run = Self::new(settings, requester);
        run.lock().samples = Some(Vec::new());
        run
    }

    /// Takes the samples so far, [`MAX_SAMPLES`] at most; later requests are only counted.
    pub(crate) fn take_samples(&self) -> Vec<Sample> {
        self.lock().samples.take().unwrap_or_default()
    }

    /// Calls `look` with the counts.
    pub(crate) fn with_stats<T>(&self, look: impl FnOnce(&Stats) -> T) -> T {
        look(&self.lock().stats)
    }

    /// Performs a request and counts the result, unless the run is stopped first.
    async fn perform(&self, index: u64, due: Instant) {
        if let Some(done) = self.stop.run_until_cancelled(self.requester.perform(index, due)).await {
            self.record(done);
        }
    }

    fn record(&self, done: Done) {
        let mut counts = self.lock();
        counts.last_answer = counts.last_answer.max(done.answered);
        if let Some(samples) = counts.samples.as_mut().filter(|samples| samples.len() < MAX_SAMPLES) {
            let Done { begun, answered, latency, .. } = done;
            samples.push(Sample { begun, answered, latency, succeeded: done.result.is_ok() });
        }
        counts.stats.record(done);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("counting does not panic")
    }
}

/// Runs the closed model: each client sends its next request when the last is answered and verified.
async fn closed(run: &Arc<Run>) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for client in 0..run.plan.num_clients {
        let run = Arc::clone(run);
        clients.spawn(async move {
            let next = |sent| run.plan.client_request(client, sent, run.start.elapsed());
            let mut sent = 0;
            while let (Some(index), false) = (next(sent), run.ending.is_cancelled()) {
                run.perform(index, Instant::now()).await;
                sent += 1;
            }
        });
    }
    finish(clients).await
}

/// Runs the open model: requests are sent when due. The latency of a request sent late by this machine starts
/// at the due time.
async fn open(run: &Arc<Run>, rate: f64, max_in_flight: u32) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(max_in_flight as usize));
    let mut requests = JoinSet::new();
    let mut index = 0;
    while let Some(after) = run.plan.arrival(index, rate) {
        let due = run.start + after;
        if run.ending.run_until_cancelled(sleep_until(due)).await.is_none() {
            break;
        }
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let run = Arc::clone(run);
                requests.spawn(async move {
                    run.perform(index, due).await;
                    drop(place);
                });
            }
            Err(_) => run.record(Done::not_sent(max_in_flight)),
        }
        while let Some(ended) = requests.try_join_next() {
            ended.context("a request failed inside the load generator")?;
        }
        index += 1;
    }
    finish(requests).await
}

async fn finish(mut tasks: JoinSet<()>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("a request failed inside the load generator")?;
    }
    Ok(())
}

async fn stop_at_ctrl_c(stop: CancellationToken) {
    // Without a handler the signal ends the process by default.
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[tokio::test]
    async fn each_client_sends_its_requests() {
        let run =
            run(&["--num-clients", "3", "--reqs-per-client", "4", "--max-retries", "0"], REFUSING).await;
        closed(&run).await.unwrap();
        run.with_stats(|stats| {
            assert_eq!(stats.total(), 12);
            assert_eq!(stats.errors["connect"].count, 12);
            assert_eq!(stats.per_node.values().map(|node| node.failed).sum::<u64>(), 12);
        });
    }

    #[tokio::test]
    async fn a_request_is_as_late_as_it_was_due() {
        let run = run(&["--max-retries", "0"], REFUSING).await;
        let late = Duration::from_secs(2);
        let done = run.requester.perform(0, Instant::now() - late).await;
        assert!(done.latency >= late, "{done:?}");
        assert_eq!(done.node.unwrap().as_str(), REFUSING);
    }

    #[tokio::test]
    async fn arrivals_beyond_the_bound_are_not_sent_and_a_stop_ends_the_rest() {
        // Connections are accepted by the system and never answered.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", silent.local_addr().unwrap());
        let args =
            ["--rate", "1000", "--max-in-flight", "2", "--num-clients", "1", "--reqs-per-client", "10"];
        let run = run(&[&args[..], &["--request-timeout-ms", "3600000"]].concat(), &server).await;
        let arrivals = tokio::spawn({
            let run = Arc::clone(&run);
            async move { open(&run, 1000.0, 2).await }
        });
        while run.with_stats(|stats| stats.failed) < 8 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        run.stop.cancel();
        arrivals.await.unwrap().unwrap();
        run.with_stats(|stats| {
            assert_eq!(stats.total(), 8, "the two that were cut off are not counted");
            assert_eq!(stats.errors["not_sent"].count, 8);
        });
    }

    /// An address without a listener: port 1 is reserved, and no service uses it.
    const REFUSING: &str = "http://127.0.0.1:1";

    async fn run(args: &[&str], server: &str) -> Arc<Run> {
        let args = [&["loadgen", "--server-list", server], args].concat();
        let settings = Settings::resolve(&Cli::try_parse_from(args).unwrap().load).unwrap();
        let client = connect(&settings).unwrap();
        let requester = Requester::prepare(&settings, client).await.unwrap();
        Arc::new(Run::new(&settings, requester))
    }
}
