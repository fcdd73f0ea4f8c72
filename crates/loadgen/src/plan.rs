//! Number, kind and times of the requests. Pure: the clock is an argument.

use std::time::Duration;

use clap::ValueEnum;
use rand::RngExt as _;
use serde::Serialize;

use crate::secrets::{Purpose, Secrets};

/// Requests per client if neither a number nor a duration is given.
const DEFAULT_REQS_PER_CLIENT: u32 = 200;

/// Kind of the requests of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Hide a new secret; the returned image must carry the secret
    Embed,
    /// Extract a known secret; the returned bytes must be the same
    Extract,
    /// Hide a new secret and extract the same secret, through the servers
    Roundtrip,
    /// Half embeds, 30 % extracts, 20 % roundtrips, in an order given by the seed
    Mixed,
}

impl Mode {
    /// Returns the name on the command line and in reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Extract => "extract",
            Self::Roundtrip => "roundtrip",
            Self::Mixed => "mixed",
        }
    }

    /// Returns the task of the request with the given index.
    pub(crate) fn task(self, index: u64, secrets: &Secrets) -> Task {
        match self {
            Self::Embed => Task::Embed,
            Self::Extract => Task::Extract,
            Self::Roundtrip => Task::Roundtrip,
            Self::Mixed => match secrets.rng(index, Purpose::Task).random_range(0..10) {
                0..5 => Task::Embed,
                5..8 => Task::Extract,
                _ => Task::Roundtrip,
            },
        }
    }

    /// True if some requests need a stego image made beforehand.
    pub(crate) fn needs_images(self) -> bool {
        matches!(self, Self::Extract | Self::Mixed)
    }
}

/// Task of a single request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Embed,
    Extract,
    Roundtrip,
}

/// Rule for the start of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Model {
    /// Each client sends its next request when the last is done.
    Closed,
    /// Requests are due at a constant rate.
    Open { rate: f64, max_in_flight: u32 },
}

/// Number of requests, number of clients, and duration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    pub(crate) model: Model,
    pub(crate) num_clients: u32,
    /// `None` for as many as fit into the duration.
    reqs_per_client: Option<u32>,
    duration: Option<Duration>,
}

impl Plan {
    /// Creates a plan that ends after `reqs_per_client` requests of each client or after `duration`,
    /// whichever is first.
    pub(crate) fn new(
        model: Model,
        num_clients: u32,
        reqs_per_client: Option<u32>,
        duration: Option<Duration>,
    ) -> Self {
        let reqs_per_client = match (reqs_per_client, duration) {
            (None, None) => Some(DEFAULT_REQS_PER_CLIENT),
            (given, _) => given,
        };
        Self { model, num_clients, reqs_per_client, duration }
    }

    /// Creates a plan without an end: requests are sent until the run is told to end.
    pub(crate) fn until_told(model: Model, num_clients: u32) -> Self {
        Self { model, num_clients, reqs_per_client: None, duration: None }
    }

    /// Returns the index, unique in the run, of a client's next request after `sent` requests and `elapsed`
    /// time; `None` if the client is done.
    pub(crate) fn client_request(&self, client: u32, sent: u64, elapsed: Duration) -> Option<u64> {
        debug_assert!(client < self.num_clients, "the indexes of client {client} would be another's");
        let done = self.reqs_per_client.is_some_and(|most| sent >= u64::from(most))
            || self.duration.is_some_and(|duration| elapsed >= duration);
        (!done).then(|| sent * u64::from(self.num_clients) + u64::from(client))
    }

    /// Returns the due time of the request with the given index, relative to the start of the run; `None`
    /// after the last request.
    pub(crate) fn arrival(&self, index: u64, rate: f64) -> Option<Duration> {
        let due = Duration::from_secs_f64(index as f64 / rate);
        let done = self.max_requests().is_some_and(|most| index >= most)
            || self.duration.is_some_and(|duration| due >= duration);
        (!done).then_some(due)
    }

    /// Returns the number of requests of the whole run; `None` if only the time decides.
    pub(crate) fn planned(&self) -> Option<u64> {
        match (self.model, self.duration) {
            (Model::Open { rate, .. }, Some(duration)) => {
                let due = (duration.as_secs_f64() * rate).ceil() as u64;
                Some(self.max_requests().map_or(due, |most| most.min(due)))
            }
            (Model::Closed, Some(_)) if self.reqs_per_client.is_none() => None,
            _ => self.max_requests(),
        }
    }

    /// Returns the completed fraction of a run, 0 to 1.
    pub(crate) fn fraction_done(&self, done: u64, elapsed: Duration) -> f64 {
        let of_requests = self.planned().map_or(0.0, |planned| done as f64 / planned.max(1) as f64);
        let of_time = self.duration.map_or(0.0, |all| elapsed.as_secs_f64() / all.as_secs_f64());
        of_requests.max(of_time).min(1.0)
    }

    fn max_requests(&self) -> Option<u64> {
        self.reqs_per_client.map(|each| u64::from(each) * u64::from(self.num_clients))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn requests_are_numbered_without_gaps_over_all_clients() {
        let plan = plan(&["--num-clients", "3", "--reqs-per-client", "4"]);
        let mut indexes: Vec<_> = (0..3)
            .flat_map(|client| (0..).map_while(move |sent| plan.client_request(client, sent, Duration::MAX)))
            .collect();
        indexes.sort_unstable();
        assert_eq!(indexes, (0..12).collect::<Vec<_>>());
        assert_eq!(plan.planned(), Some(12));
    }

    #[test]
    fn number_and_time_end_a_client_whichever_is_first() {
        let check = |args: &[&str], sent: u64, elapsed_s: u64, more: bool| {
            let next = plan(args).client_request(0, sent, Duration::from_secs(elapsed_s));
            assert_eq!(next.is_some(), more, "{args:?} after {sent} requests and {elapsed_s} s");
        };
        check(&[], 199, 9999, true);
        check(&[], 200, 0, false);
        check(&["--duration", "30s"], 100_000, 29, true);
        check(&["--duration", "30s"], 0, 30, false);
        check(&["--duration", "30s", "--reqs-per-client", "5"], 5, 0, false);
        check(&["--duration", "30s", "--reqs-per-client", "5"], 0, 30, false);
    }

    #[test]
    fn arrivals_are_evenly_spaced() {
        let plan = plan(&["--rate", "40", "--duration", "1s"]);
        assert_eq!(plan.arrival(0, 40.0), Some(Duration::ZERO));
        assert_eq!(plan.arrival(1, 40.0), Some(Duration::from_millis(25)));
        assert_eq!(plan.arrival(39, 40.0), Some(Duration::from_millis(975)));
        assert_eq!(plan.arrival(40, 40.0), None);
    }

    #[test]
    fn the_number_of_requests_is_known_beforehand_where_it_can_be() {
        let check =
            |args: &[&str], expected: Option<u64>| assert_eq!(plan(args).planned(), expected, "{args:?}");
        check(&[], Some(4000));
        check(&["--duration", "30s"], None);
        check(&["--duration", "30s", "--reqs-per-client", "10"], Some(200));
        check(&["--rate", "100"], Some(4000));
        check(&["--rate", "100", "--duration", "30s"], Some(3000));
        check(&["--rate", "100", "--duration", "30s", "--reqs-per-client", "10"], Some(200));
    }

    #[test]
    fn progress_is_that_of_whichever_ends_first() {
        let plan = plan(&["--duration", "10s", "--reqs-per-client", "5", "--num-clients", "2"]);
        assert_eq!(plan.fraction_done(5, Duration::from_secs(1)), 0.5);
        assert_eq!(plan.fraction_done(1, Duration::from_secs(9)), 0.9);
        assert_eq!(plan.fraction_done(1, Duration::from_secs(99)), 1.0);
    }

    #[test]
    fn a_mix_has_its_shares_and_is_the_same_for_the_same_seed() {
        let tasks = |seed| {
            let secrets = Secrets::new(seed, 1);
            (0..10_000).map(|index| Mode::Mixed.task(index, &secrets)).collect::<Vec<_>>()
        };
        let first = tasks(1);
        assert_eq!(first, tasks(1));
        assert_ne!(first, tasks(2));
        for (task, share) in [(Task::Embed, 5_000), (Task::Extract, 3_000), (Task::Roundtrip, 2_000)] {
            let count = first.iter().filter(|&&found| found == task).count();
            assert!(count.abs_diff(share) < 250, "{task:?}: {count}");
        }
    }

    fn plan(args: &[&str]) -> Plan {
        Cli::try_parse_from([&["loadgen"], args].concat()).unwrap().load.plan()
    }
}
