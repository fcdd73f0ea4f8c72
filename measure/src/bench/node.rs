//! Measurement of a node of the release build under load, from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use local_cluster::Process;
use serde_json::Value;

/// Pause between two requests for `/livez`.
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// Time limit of a probe; a longer probe has failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts a node, puts load on the node, and prints a table.
///
/// # Errors
/// If the node or loadgen cannot be started, or a probe fails.
pub(crate) fn run() -> anyhow::Result<()> {
    xtask::cargo(&["build", "--release", "--bin", "server", "--bin", "loadgen"])?;
    let node = BenchNode::start()?;
    println!("{:<44} {:>7} {:>9} {:>9} {:>9} {:>9}", "case", "n", "p50 ms", "p99 ms", "max ms", "req/s");

    let idle = probe_while(node.address, |_| std::thread::sleep(Duration::from_secs(5)))?.1;
    print_probes("/livez, idle", idle);
    for (mode, clients, requests) in [
        ("embed", 1, 200),
        ("embed", 20, 50),
        ("extract", 1, 200),
        ("extract", 20, 50),
        ("roundtrip", 20, 25),
    ] {
        let (report, probes) = probe_while(node.address, |address| load(address, mode, clients, requests))?;
        print_report(&format!("{mode}, {clients} client(s)"), &report?);
        print_probes(&format!("/livez meanwhile ({mode}, {clients})"), probes);
    }
    Ok(())
}

/// A node of the release build, killed when dropped.
pub(super) struct BenchNode {
    _process: Process,
    pub(super) address: SocketAddr,
}

impl BenchNode {
    /// Starts a node on a new directory and waits until it is ready.
    ///
    /// # Errors
    /// If the node cannot be started, ends or does not get ready.
    pub(super) fn start() -> anyhow::Result<Self> {
        // A separate directory, new each time, never the directory of a node in use.
        let data_dir = xtask::target().join("bench-node");
        if data_dir.exists() {
            std::fs::remove_dir_all(&data_dir).context("cannot empty the node's directory")?;
        }
        let mut child = Command::new(binary("server"))
            .args(["--http-port", "0", "--data-dir"])
            .arg(data_dir.join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the node")?;
        let log = BufReader::new(child.stderr.take().context("the node's log is piped")?);
        let mut lines = log.lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| line.split_once("http://")?.1.split_whitespace().next()?.parse().ok());
        // The log is read to its end, so that the node never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.context("the node ended before it listened")?;
        let node = Self { _process: child.into(), address };
        let until = Instant::now() + Duration::from_secs(30);
        while !get(address, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            ensure!(Instant::now() < until, "the node does not get ready");
            std::thread::sleep(PROBE_PAUSE);
        }
        Ok(node)
    }
}

fn binary(name: &str) -> PathBuf {
    xtask::target().join("release").join(name)
}

/// Requests `/livez` repeatedly, each time over a new connection, while `work` runs. Returns the times in
/// milliseconds, in ascending order.
fn probe_while<T>(address: SocketAddr, work: impl FnOnce(SocketAddr) -> T) -> anyhow::Result<(T, Vec<f64>)> {
    let done = Arc::new(AtomicBool::new(false));
    let prober = std::thread::spawn({
        let done = Arc::clone(&done);
        move || -> anyhow::Result<Vec<f64>> {
            let mut times_ms = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let started = Instant::now();
                let answer = get(address, "/livez").context("/livez did not answer")?;
                ensure!(answer.ends_with("ok\n"), "/livez answered {answer}");
                times_ms.push(started.elapsed().as_secs_f64() * 1e3);
                std::thread::sleep(PROBE_PAUSE);
            }
            times_ms.sort_by(f64::total_cmp);
            Ok(times_ms)
        }
    });
    let result = work(address);
    done.store(true, Ordering::Relaxed);
    match prober.join() {
        Ok(times_ms) => Ok((result, times_ms?)),
        Err(_) => bail!("the prober panicked"),
    }
}

fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn load(address: SocketAddr, mode: &str, clients: u32, requests: u32) -> anyhow::Result<Value> {
    let output = Command::new(binary("loadgen"))
        .args(["--mode", mode, "--output", "json", "--server-list", &format!("http://{address}")])
        .args(["--num-clients", &clients.to_string(), "--reqs-per-client", &requests.to_string()])
        .output()
        .context("cannot start loadgen")?;
    ensure!(output.status.success(), "loadgen: {}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).context("loadgen's report is not JSON")
}

fn print_report(case: &str, report: &Value) {
    let latency = |name: &str| report["latency_ms"][name].as_f64().unwrap_or(f64::NAN);
    let (n, rate) =
        (report["succeeded"].as_u64().unwrap_or(0), report["throughput_rps"].as_f64().unwrap_or(f64::NAN));
    println!(
        "{case:<44} {n:>7} {:>9.2} {:>9.2} {:>9.2} {rate:>9.1}",
        latency("p50"),
        latency("p99"),
        latency("max")
    );
}

fn print_probes(case: &str, times_ms: Vec<f64>) {
    let at = |share: f64| {
        times_ms.get(((times_ms.len() as f64 * share) as usize).min(times_ms.len().saturating_sub(1)))
    };
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| at(share).copied().unwrap_or(f64::NAN));
    println!("{case:<44} {:>7} {p50:>9.2} {p99:>9.2} {max:>9.2}", times_ms.len());
}
