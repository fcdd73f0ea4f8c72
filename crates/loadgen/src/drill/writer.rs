//! Writer of a cluster setting every 10 ms, independent of earlier answers, with a check of the last write.

use std::time::Duration;

use anyhow::Context as _;
use client::{Client, Code, PutOptions};
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::messages::report_step;
use super::options::DrillOptions;
use super::records::{KEY, ReadBack, Write};

/// Interval between two writes.
pub(super) const EVERY: Duration = Duration::from_millis(10);
/// Most writes in flight: a cluster without a leader is not flooded, and the backlog is worked off as soon as
/// a leader is elected.
const MAX_UNDER_WAY: usize = 32;
/// More retries than fit into the timeout of a write, so that the timeout decides and an election is waited
/// out.
const MAX_RETRIES: u32 = 1000;

/// The writer, which ends when the value is dropped.
#[derive(Debug)]
pub(super) struct DrillWriter {
    client: Client,
    stop: CancellationToken,
    task: JoinHandle<Vec<Write>>,
}

impl DrillWriter {
    /// Starts to write.
    ///
    /// # Errors
    /// If the client cannot be built.
    pub(super) fn begin(options: &DrillOptions) -> anyhow::Result<Self> {
        let client = connect(options)?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(write_all(client.clone(), stop.clone()));
        Ok(Self { client, stop, task })
    }

    /// Stops sending, waits for the writes in flight, and returns all writes, the time of the stop and the
    /// setting as read back.
    ///
    /// # Errors
    /// If the writer's task failed.
    pub(super) async fn finish(mut self) -> anyhow::Result<(Vec<Write>, Instant, ReadBack)> {
        self.stop.cancel();
        let ended = Instant::now();
        let writes = (&mut self.task).await.context("the writer failed")?;
        let read_back = match self.client.setting(KEY).await {
            Ok(setting) => ReadBack::Found { version: setting.version, value: setting.value },
            Err(error) => ReadBack::Failed(error.to_string()),
        };
        clean_up(&self.client).await;
        Ok((writes, ended, read_back))
    }
}

/// Builds the client for the writes.
///
/// # Errors
/// If the client cannot be built.
pub(super) fn connect(options: &DrillOptions) -> anyhow::Result<Client> {
    let settings = &options.settings;
    let mut builder = settings.client()?.request_timeout(settings.request_timeout).max_retries(MAX_RETRIES);
    if let Some(token) = &options.admin_token {
        builder = builder.admin_token(token.clone());
    }
    Ok(builder.build()?)
}

/// Deletes the setting written by the drill.
pub(super) async fn clean_up(client: &Client) {
    match client.delete_setting(KEY, &as_drill()).await {
        Err(error) if error.kind().as_str() != Code::NoSuchSetting.as_str() => {
            report_step(&format!(
                "the setting {KEY} stays: {error}; `stegctl settings delete {KEY}` deletes it"
            ));
        }
        _ => {}
    }
}

fn as_drill() -> PutOptions {
    PutOptions { operator: Some("drill".to_owned()), ..PutOptions::default() }
}

impl Drop for DrillWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write_all(client: Client, stop: CancellationToken) -> Vec<Write> {
    let drill = rand::random::<u64>();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    let mut writes = Vec::new();
    let mut number = 0_u64;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        while let Some(Ok(write)) = under_way.try_join_next() {
            writes.push(write);
        }
        if under_way.len() < MAX_UNDER_WAY {
            number += 1;
            debug_assert!(writes.len() as u64 + under_way.len() as u64 + 1 == number, "a write is missing");
            under_way.spawn(write(client.clone(), format!("write {number} of drill {drill:016x}")));
        }
    }
    while let Some(Ok(write)) = under_way.join_next().await {
        writes.push(write);
    }
    writes
}

async fn write(client: Client, value: String) -> Write {
    let value = Value::from(value);
    let sent = Instant::now();
    let written = client.put_setting(KEY, &value, &as_drill()).await;
    let version = written.ok().map(|setting| setting.version);
    Write { sent, answered: Instant::now(), value, version }
}
