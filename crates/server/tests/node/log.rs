//! An unwritable log stops nothing, and no log grows without bound.

use std::fs::{self, File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use testkit::{Node, NodeBuilder, ScratchFs, Signal, wait_for};

use crate::request::{embed, extract, figure};

/// Lines of one kind about one client at once, and a few later ones.
const LINES_OF_A_KIND: usize = 25;
/// Length of a path close to the server's limit.
const LONG_PATH: usize = 60_000;

/// Checks all services of a node with requests that log.
async fn works(node: &mut Node) {
    for _ in 0..30 {
        assert_eq!(node.status("/none"), Some(404));
        assert_eq!(node.status("/livez"), Some(200));
    }
    let path = format!("/{}", "x".repeat(LONG_PATH));
    for _ in 0..3 {
        assert_eq!(node.status(&path), Some(404));
    }
    let image = embed(node, b"a secret", None).await;
    assert_eq!(extract(node, &image).await, b"a secret");
    assert_eq!(node.exited(), None);
}

/// The same for a node with a log known to fail, and its stop.
async fn works_without_a_log(mut node: Node) {
    works(&mut node).await;
    wait_for("the log's failure", || (figure(&node, "log_failed") == 1).then_some(()));
    assert!(figure(&node, "log_dropped_lines_total") > 0);
    assert!(has_notice(&node), "no notice");
    works(&mut node).await;
    node.terminate();
    assert!(node.wait().success());
}

/// True if the status reports the log failure with a remedy.
fn has_notice(node: &Node) -> bool {
    let status =
        node.raw(b"GET /cluster/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let status = String::from_utf8(status).unwrap();
    let status: serde_json::Value = serde_json::from_str(status.split_once("\r\n\r\n").unwrap().1).unwrap();
    let notices = status["notices"].as_array().unwrap();
    notices.iter().any(|notice| {
        notice["code"] == "log_failed" && notice["node"] == "n1" && notice["remedy"].is_string()
    })
}

#[tokio::test]
async fn a_device_that_is_full() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    works_without_a_log(NodeBuilder::new().standard_error(full).start()).await;
}

/// A full pipe.
fn full_pipe(is_blocking: bool) -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, !is_blocking).unwrap();
    (reader, writer)
}

#[tokio::test]
async fn a_pipe_that_nobody_reads() {
    for is_blocking in [true, false] {
        let (_reader, writer) = full_pipe(is_blocking);
        works_without_a_log(NodeBuilder::new().standard_error(writer).start()).await;
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_can_read() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    works_without_a_log(NodeBuilder::new().standard_error(writer).start()).await;
}

#[tokio::test]
async fn a_fifo_that_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Open for both, so that opening does not wait for somebody who reads.
    let mut fifo = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    rustix::io::ioctl_fionbio(&fifo, true).unwrap();
    while fifo.write(&[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&fifo, false).unwrap();
    works_without_a_log(NodeBuilder::new().standard_error(fifo).start()).await;
}

#[tokio::test]
async fn a_pipe_that_is_read_again_tells_what_was_dropped() {
    let (mut reader, writer) = full_pipe(true);
    let mut node = NodeBuilder::new().standard_error(writer).start();
    works(&mut node).await;
    wait_for("the log's failure", || (figure(&node, "log_failed") == 1).then_some(()));
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&read).contains("log lines dropped dropped=") {
        let count = reader.read(&mut piece).unwrap();
        read.extend_from_slice(&piece[..count]);
    }
    wait_for("a log that works", || (figure(&node, "log_failed") == 0).then_some(()));
    assert!(!has_notice(&node), "the notice stays");
}

#[tokio::test]
async fn a_disk_that_is_full() {
    if !ScratchFs::available() {
        return;
    }
    for in_file in [true, false] {
        let disk = ScratchFs::in_memory(256 << 10);
        disk.fill();
        let path = disk.path().join("log");
        let builder = NodeBuilder::new();
        let builder = if in_file { builder.flags(["--log-file", path.to_str().unwrap()]) } else { builder };
        let stderr = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut node = builder.standard_error(stderr).start();
        works(&mut node).await;
        wait_for("the log's failure", || (figure(&node, "log_failed") == 1).then_some(()));
        disk.make_room();
        wait_for("a log that works", || (figure(&node, "log_failed") == 0).then_some(()));
        wait_for("the line about dropped ones", || {
            fs::read_to_string(&path).unwrap().contains("log lines dropped dropped=").then_some(())
        });
        disk.fill();
        works(&mut node).await;
        node.terminate();
        assert!(node.wait().success());
    }
}

#[tokio::test]
async fn a_file_system_that_is_frozen() {
    if !ScratchFs::available() {
        return;
    }
    let disk = ScratchFs::on_device(16 << 20);
    let log = |name: &str| disk.path().join(name).display().to_string();
    let start = |name: &str| {
        let builder = NodeBuilder::new().flags(["--log-file", &log(name)]);
        builder.standard_error(File::create("/dev/null").unwrap()).start()
    };
    let (mut first, mut second) = (start("first"), None);
    let frozen = disk.freeze();
    works(&mut first).await;
    wait_for("the log's failure", || (figure(&first, "log_failed") == 1).then_some(()));
    works(&mut first).await;
    // Its file would have to be made now.
    let second = second.insert(start("second"));
    works(second).await;
    // The stop is in order, though the system keeps the process until its last write has ended.
    first.terminate();
    wait_for("a port that is free", || first.status("/livez").is_none().then_some(()));
    drop(frozen);
    assert!(first.wait().success());
    wait_for("a log that works", || (figure(second, "log_failed") == 0).then_some(()));
    assert!(fs::read_to_string(log("second")).unwrap().contains("listening on http://"));
}

#[tokio::test]
async fn lines_are_bounded_and_throttled() {
    let node = Node::start();
    let path = format!("/{}\u{9b}", "x".repeat(LONG_PATH)).replace('\u{9b}', "%9b");
    for _ in 0..200 {
        assert_eq!(node.status(&path), Some(404));
    }
    let suppressed = wait_for("lines that are suppressed", || {
        Some(figure(&node, "log_suppressed_lines_total")).filter(|count| *count > 100)
    });
    let log = node.log();
    let refused: Vec<_> = log.lines().filter(|line| line.contains("code=\"not_found\"")).collect();
    assert!((1..=LINES_OF_A_KIND).contains(&refused.len()), "{} lines", refused.len());
    assert!(refused.len() + suppressed as usize >= 200, "{suppressed} suppressed");
    for line in refused {
        assert!(line.len() < 1024, "{} bytes: {line}", line.len());
        let path = line.split_once("path=\"").unwrap().1.split_once('"').unwrap().0;
        assert!(path.len() <= 256 && path.ends_with('…'), "{path}");
    }
}

#[tokio::test]
async fn files_are_rotated_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let node = NodeBuilder::new()
        .flags(["--log-file", path.to_str().unwrap()])
        .set("log.max_bytes", 65_536)
        .set("log.keep", 2)
        // Of this level all lines are written.
        .set("log.filter", "debug")
        .standard_error(File::create("/dev/null").unwrap())
        .start();
    wait_for("the second earlier file", || {
        assert_eq!(node.status(&format!("/{}", "x".repeat(300))), Some(404));
        folder.path().join("log.2").exists().then_some(())
    });
    for _ in 0..1000 {
        assert_eq!(node.status(&format!("/{}", "x".repeat(300))), Some(404));
    }
    let size = |name: &str| fs::metadata(folder.path().join(name)).ok().map(|file| file.len());
    // A rotation that is under way has one file less for a moment.
    let sizes = wait_for("all three files", || {
        ["log", "log.1", "log.2"].map(size).into_iter().collect::<Option<Vec<u64>>>()
    });
    assert!(sizes.iter().all(|len| *len <= 65_536), "{sizes:?}");
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 3);
    assert_eq!(figure(&node, "log_failed"), 0);
}

#[tokio::test]
async fn a_signal_has_the_file_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
    let node = NodeBuilder::new()
        .flags(["--log-file", path.to_str().unwrap()])
        .standard_error(File::create("/dev/null").unwrap())
        .start();
    fs::rename(&path, &moved).unwrap();
    node.signal(Signal::HUP);
    wait_for("a new file", || path.exists().then_some(()));
    assert_eq!(node.status("/none"), Some(404));
    wait_for("lines in it", || fs::read_to_string(&path).ok()?.contains("refused").then_some(()));
    // A link that somebody puts there is not followed, and told.
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&victim, &path).unwrap();
    node.signal(Signal::HUP);
    wait_for("the log's failure", || (figure(&node, "log_failed") == 1).then_some(()));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    wait_for("a log that works", || (figure(&node, "log_failed") == 0).then_some(()));
    assert!(path.is_file());
}

#[test]
fn other_peoples_files_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let link = folder.path().join("link");
    symlink(&victim, &link).unwrap();
    let check = |path: &Path, why: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_server"))
            .arg("--log-file")
            .arg(path)
            .current_dir(folder.path())
            .env_remove("CONFIG_PATH")
            .env_remove("NODE_ID")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(why) && error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    };
    check(&link, "is a symbolic link");
    check(folder.path(), "is not a regular file");
    check(Path::new("/dev/full"), "is not a regular file");
    assert!(!folder.path().join("data").exists(), "nothing else was begun");
}
