//! Course of a drill: the fault or faults, and the waiting afterwards.

use std::time::Duration;

use anyhow::Context as _;
use client::agreement::Leadership;
use client::{ClientError, FailAction};
use tokio::time::{Instant, sleep, sleep_until};

use super::cluster::{DrillCluster, NamedEndpoint};
use super::messages::report_step;
use super::options::{DrillOptions, FaultKind};
use super::records::Step;

/// Delay beyond the planned end of a fault after which the node ends the fault by itself.
const SPARE: Duration = Duration::from_secs(10);
/// Pause between the recovery of a restarted node and the next restart, as long as the phase counted as
/// during a fault.
const BETWEEN_RESTARTS: Duration = Duration::from_secs(1);

/// The steps done and the problems met.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) steps: Vec<Step>,
    pub(super) problems: Vec<String>,
}

/// Runs the drill as set by the options, and waits for the end of the time after the fault.
///
/// # Errors
/// If a node refuses to fail, or cannot be restored.
pub(super) async fn run(
    options: &DrillOptions,
    cluster: &DrillCluster,
    leadership: Leadership,
) -> anyhow::Result<Course> {
    if options.kind == FaultKind::RollingRestart {
        return rolling_restart(options, cluster, leadership).await;
    }
    let target = cluster.target(&options.target, &leadership)?;
    let mut step = fail(cluster, target, &leadership, options.kind, options.fault_duration).await?;
    if options.kind.has_duration() {
        let end = step.fault + options.fault_duration;
        sleep_until(end).await;
        step.ended = Some(match options.kind {
            // A hanging node resumes by itself.
            FaultKind::Hang => end,
            _ => restore(cluster, target).await?,
        });
    }
    let mut course = Course::default();
    let all_wait = sleep_until(step.fault + options.after);
    if options.kind == FaultKind::Crash && !options.expects_return {
        all_wait.await;
    } else {
        let well = async {
            if options.kind == FaultKind::Crash {
                cluster.wait_unhealthy(step.fault).await;
            }
            cluster.wait_healthy().await
        };
        let ((), well) = tokio::join!(all_wait, well);
        course.record_recovery(&mut step, well);
    }
    course.steps.push(step);
    Ok(course)
}

/// Restarts every node in turn, each once the previous node is healthy again; the leader comes last.
async fn rolling_restart(
    options: &DrillOptions,
    cluster: &DrillCluster,
    mut leadership: Leadership,
) -> anyhow::Result<Course> {
    let mut course = Course::default();
    for (number, node) in cluster.leader_last(&leadership).iter().enumerate() {
        if number > 0 {
            sleep(BETWEEN_RESTARTS).await;
        }
        let mut step = fail(cluster, node, &leadership, options.kind, Duration::ZERO).await?;
        cluster.wait_unhealthy(step.fault).await;
        let well = cluster.wait_healthy().await;
        if let Ok((_, later)) = &well {
            leadership = later.clone();
        }
        course.record_recovery(&mut step, well);
        course.steps.push(step);
        if !course.problems.is_empty() {
            return Ok(course);
        }
    }
    if let Some(last) = course.steps.last() {
        sleep_until(last.fault + options.after).await;
    }
    Ok(course)
}

impl Course {
    fn record_recovery(&mut self, step: &mut Step, well: Result<(Instant, Leadership), String>) {
        match well {
            Ok((at, _)) => step.healthy_at = Some(at),
            Err(problem) => self.problems.push(problem),
        }
    }
}

async fn fail(
    cluster: &DrillCluster,
    node: &NamedEndpoint,
    leadership: &Leadership,
    kind: FaultKind,
    duration: Duration,
) -> anyhow::Result<Step> {
    let role = if node.id == leadership.leader_id { "the leader" } else { "a follower" };
    report_step(&format!("{}: {}, {role}", kind.as_str(), node.id));
    let action = match kind {
        FaultKind::Crash => FailAction::CRASH,
        FaultKind::Pause => FailAction::pause(Some(duration + SPARE)),
        FaultKind::Partition => FailAction::partition(Some(duration + SPARE)),
        FaultKind::Hang => FailAction::hang(duration),
        FaultKind::RollingRestart => FailAction::RESTART,
    };
    let asked = Instant::now();
    let fault = match cluster.client.fail(&node.endpoint, action).await {
        // A fault without delay precedes the answer, and other nodes may have noticed in the meantime.
        Ok(answer) if answer.after_ms == 0 => asked,
        Ok(answer) => Instant::now() + Duration::from_millis(answer.after_ms),
        // The process ended before its answer was sent.
        Err(ClientError::ConnectionLost { .. }) if kind == FaultKind::Crash => asked,
        Err(error) => return Err(error).with_context(|| format!("cannot inject the fault into {}", node.id)),
    };
    Ok(Step {
        node_id: node.id.clone(),
        leader: leadership.leader_id.clone(),
        term: leadership.term,
        fault,
        ended: None,
        healthy_at: None,
    })
}

async fn restore(cluster: &DrillCluster, node: &NamedEndpoint) -> anyhow::Result<Instant> {
    report_step(&format!("restoring {}", node.id));
    let restored = cluster.client.restore(&node.endpoint).await;
    restored.with_context(|| format!("cannot end the fault on {}; it ends by itself soon", node.id))?;
    Ok(Instant::now())
}
