//! HTTP client of a cluster. Any node can serve any request; the client finds a node that does.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Client, EmbedRequest, ExtractRequest, Upload};
//!
//! let nodes = ["http://127.0.0.1:8081".parse()?, "http://127.0.0.1:8082".parse()?];
//! let client = Client::builder(nodes).build()?;
//! let embedded = client.embed(&EmbedRequest::new(Upload::new("meet me at noon").name("note.txt"))).await?;
//! let found = client.extract(&ExtractRequest::new(Upload::new(embedded.stego_image))).await?;
//! assert_eq!(&found.secret[..], b"meet me at noon");
//! # Ok(())
//! # }
//! ```
//!
//! **Contract.** Requests start at the endpoints in turn and skip endpoints known to be down or busy while
//! alternatives exist. After a failed or cut connection, or a missing answer while another endpoint is up,
//! the next endpoint is asked at once; an endpoint that answers 429 or 503 is not asked again by the same
//! request before its `Retry-After` has passed. The time limit of an attempt is learned from recent answers,
//! so that a hanging node delays a request by little more than the usual answer time. Repeated rounds are
//! separated by growing, jittered pauses. A request ends within its timeout, attempts and pauses included,
//! and is sent at most `1 + max_retries` times; all requests of a client share a retry budget
//! ([`ClientError::RetryBudget`]). Only calls that are safe to repeat are retried: writes carry an
//! idempotency key, a drill goes to a single node once, and a call with a cumulative effect is not sent again
//! once a node may have carried out the first attempt.
//!
//! **Invariants.** Answers are read up to a limit and never trusted: an answer that breaks the API contract
//! is [`ClientError::BadAnswer`]. Every answer, and every error caused by a node, names the endpoint and the
//! number of attempts.

#![warn(clippy::missing_errors_doc, unnameable_types)]

mod admin_token;
mod answer;
mod builder;
mod calls;
mod choice;
mod cluster;
mod cluster_calls;
mod drills;
mod endpoints;
mod error;
mod event_lines;
mod events;
mod health;
mod patience;
mod reply;
mod request;
mod retry_budget;
mod send;
#[cfg(test)]
mod test_server;
mod token_choice;

pub use admin_token::{AdminToken, AdminTokenError};
pub use answer::{
    CapacityAnswer, CoverInfo, DatasetAnswer, EmbedAnswer, ExtractAnswer, HealthAnswer, ModeCapacity,
};
pub use api::events::{Event, EventKind};
pub use api::status::agreement;
pub use api::{Code, ProblemDocument, Retry};
pub use builder::{BuildError, ClientBuilder};
pub use calls::Client;
pub use cluster::{
    Actor, Authority, Change, ClusterStatus, Health, LeaderTransfer, Member, Members, NodeStatus, Notice,
    Role, Setting, SettingsPage,
};
pub use cluster_calls::PutOptions;
pub use drills::{DrillAnswer, FailAction};
pub use endpoints::{Endpoint, EndpointError};
pub use error::{BadAnswer, ClientError, ErrorKind, Refusal};
pub use events::Events;
pub use reply::{Reply, Via};
pub use request::{AnswerForm, CapacityRequest, EmbedRequest, ExtractRequest, Key, Upload};
pub use token_choice::find_admin_tokens;
