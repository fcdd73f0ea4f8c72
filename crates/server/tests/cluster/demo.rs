//! `server demo`: commands at the terminal, and nodes started by hand.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::request::LIMIT;

/// A running demo, killed when dropped.
struct Demo {
    process: Child,
    folder: tempfile::TempDir,
    said: Arc<Mutex<String>>,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Below the ports that the system gives to clients, and apart from those of another test's process.
        let http_port = 10_240 + std::process::id() % 3500 * 6;
        let ports = [http_port, http_port + 3].map(|port| port.to_string());
        let mut process = Command::new(env!("CARGO_BIN_EXE_server"))
            .args(["demo", "--http-port", &ports[0], "--raft-port", &ports[1], "--data-dir"])
            .args([&folder.path().join("data"), Path::new("--log-dir"), folder.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said: Arc<Mutex<String>> = Arc::default();
        let (lines, heard) = (BufReader::new(process.stdout.take().unwrap()).lines(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Self { process, folder, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the demo prints `text` after position `from`; returns everything after the text.
    fn wait_said(&self, from: usize, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let said = self.said();
            if let Some(at) = said[from..].find(text) {
                return said[from + at..].to_owned();
            }
            assert!(Instant::now() < end, "the demo does not say {text:?}:\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types a line; returns the length of the output before.
    fn type_line(&mut self, line: &str) -> usize {
        let before = self.said().len();
        writeln!(self.process.stdin.as_ref().unwrap(), "{line}").unwrap();
        before
    }

    fn pid_file(&self, node: &str) -> PathBuf {
        self.folder.path().join("data").join(format!("{node}.pid"))
    }

    fn pid(&self, node: &str) -> Option<String> {
        Some(std::fs::read_to_string(self.pid_file(node)).ok()?.trim().to_owned())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

fn exists(pid: &str) -> bool {
    Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn nodes_come_back_by_a_key_or_by_hand_and_stop_with_the_demo() {
    let mut demo = Demo::start();
    demo.wait_said(0, "Ctrl-C stops all three.");
    let first = demo.pid("n1").unwrap();

    let from = demo.type_line("k n1");
    demo.wait_said(from, "type: r n1");
    let from = demo.type_line("r n1");
    demo.wait_said(from, "restarting n1");
    assert_ne!(demo.pid("n1").unwrap(), first);
    // One that runs is stopped in order first.
    let running = demo.pid("n3").unwrap();
    let from = demo.type_line("r n3");
    demo.wait_said(from, "restarting n3");
    assert!(!exists(&running));
    let from = demo.type_line("x n3");
    demo.wait_said(from, "r n1 restarts n1");
    let from = demo.type_line("r n4");
    demo.wait_said(from, "n1, n2, n3");

    // As the guide says: killed by hand, and started with the line that the demo prints.
    let from = demo.said().len();
    signal("-KILL", &demo.pid("n2").unwrap());
    demo.wait_said(from, "& echo $! >");
    let told = demo.said();
    let command = told[from..].lines().find(|line| line.contains("--node-id n2")).unwrap().trim().to_owned();
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    demo.wait_said(from, "n2 was started by hand; it stops with the demo");
    let pids: Vec<String> = ["n1", "n2", "n3"].map(|node| demo.pid(node).unwrap()).into();
    assert!(pids.iter().all(|pid| exists(pid)), "{}", demo.said());

    signal("-INT", &demo.process.id().to_string());
    assert!(demo.process.wait().unwrap().success());
    assert!(!pids.iter().any(|pid| exists(pid)), "{}", demo.said());
    assert!(demo.said().contains("stopped"), "{}", demo.said());
}
