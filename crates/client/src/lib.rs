//! The HTTP client of a cluster: any node serves any request, and this crate finds one that does.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Client, EmbedRequest, ExtractRequest, Upload};
//!
//! let client = Client::builder(["http://127.0.0.1:8081".parse()?, "http://127.0.0.1:8082".parse()?]).build()?;
//! let embedded = client.embed(&EmbedRequest::new(Upload::new("meet me at noon").name("note.txt"))).await?;
//! let found = client.extract(&ExtractRequest::new(Upload::new(embedded.stego_image))).await?;
//! assert_eq!(&found.secret[..], b"meet me at noon");
//! # Ok(())
//! # }
//! ```
//!
//! **Contract.** Requests go to the endpoints in turn, less those that are known to be down or busy while others are
//! there. When an endpoint cannot be reached, cuts the connection, or leaves a request without an answer while
//! another one is up, the next is asked at once; when one answers 429 or 503, it is not asked again by this request
//! before its `Retry-After` has passed. What is too long without an answer is learned from the answers of late, so that a
//! node that hangs holds a request up for little longer than it takes elsewhere. Repeated rounds come at growing, jittered pauses. A request ends
//! within its timeout, attempts and pauses included, and is sent at most `1 + max_retries` times; all requests of a
//! client together are sent again within a budget ([`ClientError::RetryBudget`]). Only calls that are safe to
//! repeat are: writes carry an idempotency key, drills go to one node once, and a call that would do more each time is not
//! sent again once it may have been carried out.
//!
//! **Invariants.** Answers are read up to a limit and never trusted: an answer that is not what the API
//! promises is [`ClientError::BadAnswer`]. Every answer and every error that a node caused says which endpoint
//! it came from and after how many attempts.

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
pub use api::{Code, ProblemDocument, Retry};
pub use builder::{BuildError, ClientBuilder};
pub use calls::Client;
pub use cluster::{
    Actor, Authority, ClusterStatus, Health, LeaderTransfer, Member, Members, NodeStatus, Notice, Role,
    Setting, SettingsPage,
};
pub use cluster_calls::PutOptions;
pub use drills::{DrillAnswer, FailAction};
pub use endpoints::{Endpoint, EndpointError};
pub use error::{BadAnswer, ClientError, ErrorKind, Refusal};
pub use events::Events;
pub use reply::{Reply, Via};
pub use request::{AnswerForm, CapacityRequest, EmbedRequest, ExtractRequest, Upload};
pub use token_choice::find_admin_tokens;
