//! Requests per second of an embedding node, beside nginx sending a file of the same size, measured by the
//! same client.
//!
//! nginx runs in each of its usual settings and is represented by the best result. Rounds alternate, so that
//! other load on the machine affects both servers.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use stego::{EmbedOptions, Limits, MetadataPolicy, PreparedCover, Secret, Watch, embed};

use super::node::BenchNode;

const ROUNDS: usize = 3;
const SECONDS: u32 = 5;
const CONNECTIONS: u32 = 16;
const SECRET_LEN_BYTES: usize = 10 << 10;
const NGINX_SETTINGS: [(&str, &str); 2] =
    [("sendfile", "sendfile on; tcp_nopush on;"), ("buffers", "sendfile off; output_buffers 2 1m;")];

/// Measures and prints tables.
///
/// # Errors
/// If a server cannot be started, or a measurement fails.
pub(super) fn run() -> anyhow::Result<()> {
    for tool in [["nginx", "-v"], ["wrk", "-v"]] {
        let works =
            Command::new(tool[0]).arg(tool[1]).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        ensure!(works, "this needs {0}; on Debian: apt-get install {0}", tool[0]);
    }
    xtask::cargo(&["build", "--release", "--bin", "server"])?;
    let folder = xtask::target().join("bench-web");
    std::fs::create_dir_all(&folder).context("cannot make the folder")?;
    let folder = folder.canonicalize()?;
    write_files(&folder)?;
    let nginx: Vec<Nginx> = NGINX_SETTINGS
        .iter()
        .map(|setting| Nginx::start(&folder, *setting))
        .collect::<anyhow::Result<_>>()?;
    let node = BenchNode::start()?;

    println!("{:<16} {:<24} {:>6} {:>10} {:>10} {:>10}", "answer", "who", "n", "req/s", "worst", "ratio");
    for (answer, file, accept) in
        [("PNG", "stego.png", "image/png"), ("JSON", "answer.json", "application/json")]
    {
        let script = folder.join(format!("{answer}.lua"));
        std::fs::write(&script, lua(&folder, accept))?;
        let mut rates = vec![Vec::new(); nginx.len() + 1];
        for _ in 0..ROUNDS {
            rates[0].push(wrk(&format!("http://{}/api/embed", node.address), Some(&script))?);
            for (nginx, rates) in nginx.iter().zip(&mut rates[1..]) {
                rates.push(wrk(&format!("http://{}/{file}", nginx.address), None)?);
            }
        }
        let best = rates[1..].iter().map(|rates| median(rates)).fold(0.0, f64::max);
        let names = std::iter::once("a node, POST /api/embed").chain(nginx.iter().map(|nginx| nginx.name));
        for (name, rates) in names.zip(&rates) {
            let worst = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let (median, n) = (median(rates), rates.len());
            println!("{answer:<16} {name:<24} {n:>6} {median:>10.0} {worst:>10.0} {:>10.2}", median / best);
        }
    }
    Ok(())
}

/// Writes the files served by nginx, as long as the answers of a node, and the body of a request.
fn write_files(folder: &Path) -> anyhow::Result<()> {
    let secret = testkit::noise(1, SECRET_LEN_BYTES);
    let cover = dataset::cover(0).context("there is a default cover")?;
    let prepared = PreparedCover::new(cover, MetadataPolicy::Keep, &Watch::default())?;
    let image = embed(&prepared, &Secret::new(&secret), &EmbedOptions::default(), &Limits::default())?;
    let png = image.to_vec();
    // The JSON around the base64 of an answer takes about 700 bytes.
    let json = vec![b'A'; png.len().div_ceil(3) * 4 + 700];
    let mut body =
        b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"s.bin\"\r\n\r\n".to_vec();
    body.extend_from_slice(&secret);
    body.extend_from_slice(b"\r\n--b--\r\n");
    for (name, bytes) in [("stego.png", &png), ("answer.json", &json), ("body", &body)] {
        std::fs::write(folder.join(name), bytes).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// Writes the request script for wrk.
fn lua(folder: &Path, accept: &str) -> String {
    let mut script = String::new();
    let _ = writeln!(script, "local file = io.open({:?}, 'rb')", folder.join("body").to_string_lossy());
    script.push_str("wrk.method = 'POST'\nwrk.body = file:read('*a')\nfile:close()\n");
    script.push_str("wrk.headers['Content-Type'] = 'multipart/form-data; boundary=b'\n");
    let _ = writeln!(script, "wrk.headers['Accept'] = '{accept}'");
    script
}

/// Runs wrk and returns the requests per second.
fn wrk(url: &str, script: Option<&Path>) -> anyhow::Result<f64> {
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", &format!("{SECONDS}s")]);
    if let Some(script) = script {
        command.arg("-s").arg(script);
    }
    let output = command.arg(url).output().context("cannot start wrk")?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !told.contains("Non-2xx"), "{url}: {told}");
    let rate = told.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).with_context(|| format!("wrk gives no rate: {told}"))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Nginx {
    name: &'static str,
    process: Child,
    address: SocketAddr,
}

impl Nginx {
    fn start(files: &Path, (name, settings): (&'static str, &str)) -> anyhow::Result<Self> {
        let name = if name == "sendfile" { "nginx, sendfile on" } else { "nginx, output_buffers" };
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr())?;
        let folder = files.join(name.replace([' ', ','], "-"));
        std::fs::create_dir_all(folder.join("logs"))?;
        let configuration: PathBuf = folder.join("nginx.conf");
        let text = format!(
            "user root;\ndaemon off;\nworker_processes auto;\npid {0}/pid;\nerror_log stderr;\nevents {{ worker_connections 256; }}\n\
             http {{\n access_log off;\n {settings}\n keepalive_requests 1000000;\n client_body_temp_path {0}/b;\n \
             proxy_temp_path {0}/p;\n fastcgi_temp_path {0}/f;\n uwsgi_temp_path {0}/u;\n scgi_temp_path {0}/s;\n \
             server {{ listen {address}; root {1}; }}\n}}\n",
            folder.display(),
            files.display()
        );
        std::fs::write(&configuration, text)?;
        let process = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&configuration)
            .args(["-e", "stderr"])
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start nginx")?;
        let nginx = Self { name, process, address };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            ensure!(Instant::now() < until, "nginx does not listen on {address}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    /// The workers of nginx end together with the main process after SIGTERM, but not after SIGKILL.
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}
