//! Sequence of a whole drill, from the check of the nodes to the report.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use client::agreement::Leadership;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::cluster::DrillCluster;
use super::course;
use super::messages::report_step;
use super::options::DrillOptions;
use super::records::Records;
use super::report::DrillReport;
use super::statuses::Statuses;
use super::watch::Watch;
use super::writer::{self, DrillWriter};
use crate::request::Requester;
use crate::run::{Run, connect, drive};

/// Runs the drill and returns the report. If `stop` completes first, the fault is ended and the drill
/// aborted.
///
/// # Errors
/// If the nodes are unhealthy beforehand or do not permit drills, if a node does not fail as requested, or
/// after `stop`.
pub async fn run(mut options: DrillOptions, stop: impl Future<Output = ()>) -> anyhow::Result<DrillReport> {
    options.choose_token().await?;
    let cluster = DrillCluster::find(&options).await?;
    let leadership = cluster.check_healthy().await?;
    cluster.check_drills_allowed().await?;
    cluster.target(&options.target, &leadership)?;
    report_step(&format!(
        "all {} nodes healthy; leader {}, term {}",
        cluster.nodes.len(),
        leadership.leader_id,
        leadership.term
    ));
    let report = tokio::select! {
        report = execute(&options, &cluster, leadership) => report,
        () = stop => {
            abort(&options, &cluster).await;
            bail!("interrupted; every node was asked to end the drill")
        }
    };
    if report.is_err() {
        abort(&options, &cluster).await;
    }
    report
}

/// Ends the fault of an unfinished drill, and deletes the setting written by the drill.
async fn abort(options: &DrillOptions, cluster: &DrillCluster) {
    cluster.restore_all().await;
    if let Ok(client) = writer::connect(options) {
        writer::clean_up(&client).await;
    }
}

async fn execute(
    options: &DrillOptions,
    cluster: &DrillCluster,
    leadership: Leadership,
) -> anyhow::Result<DrillReport> {
    let watch = Watch::begin(cluster).await?;
    let statuses = Statuses::watch(cluster);
    let settings = &options.settings;
    let requester = Requester::prepare(settings, connect(settings)?).await?;
    let run = Arc::new(Run::sampled(settings, requester));
    let writer = DrillWriter::begin(options)?;
    let started = Instant::now();
    let load = AbortOnDropHandle::new(tokio::spawn({
        let run = Arc::clone(&run);
        async move { drive(&run).await }
    }));
    report_step(&format!("load for {} before the fault", humantime::format_duration(options.before)));
    sleep(options.before).await;
    let mut course = course::run(options, cluster, leadership).await?;
    report_step("ending the load");
    run.ending.cancel();
    load.await.context("the load failed")??;
    let (writes, writes_ended, read_back) = writer.finish().await?;
    let final_leader = cluster.final_leader().await;
    course.problems.extend(statuses.contradictions());
    let records = Records {
        node_ids: cluster.nodes.iter().map(|node| node.id.clone()).collect(),
        started,
        steps: std::mem::take(&mut course.steps),
        seen: watch.seen(),
        samples: run.take_samples(),
        writes,
        writes_ended,
        read_back,
        final_leader,
        problems: course.problems,
    };
    Ok(run.with_stats(|stats| DrillReport::new(options, records, stats)))
}
