//! README and QUICK_START: every block for a shell, in its order, in a network of its own.
//!
//! A comment `<!-- run: COMMAND -->` stands for something that the reader does beside the blocks, such as typing a line at
//! the demo's terminal. What is built is there already: `cargo` is a function of [`PRELUDE`].

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Defines what the commands of the guides need beside the programs.
const PRELUDE: &str = r#"
ip link set lo up
cargo() {
    case "$*" in
        "xtask demo") start_demo ;;
        "xtask test" | "build --release") ;;
        "run --release --bin server -- demo "*) shift 6; target/release/server demo --log-dir "$TMP" "$@" ;;
        "run -p loadgen --release -- "*) shift 5; target/release/loadgen --no-progress "$@" ;;
        *) echo "the test knows no cargo $*" >&2; return 1 ;;
    esac
}
start_demo() {
    rm -f keys; mkfifo keys
    target/release/server demo --log-dir "$TMP" < keys > demo.log & DEMO=$!
    exec 3> keys
    wait_for 'stops all three' demo.log
}
stop_demo() { kill -INT $DEMO; wait $DEMO; }
restart_missing() {
    for node in n1 n2 n3; do
        wait_for '' "data/demo/$node.pid" 5 || echo "r $node" >&3
    done
    until target/release/stegctl status --check > /dev/null; do sleep 0.2; done
}
wait_for() {
    for try in $(seq "${3:-600}"); do
        grep -q "$1" "$2" 2> /dev/null && return
        sleep 0.1
    done
    echo "no '$1' in $2:" >&2; cat "$2" >&2; false
}
trap 'kill $DEMO' EXIT
trap 'echo "failed: $BASH_COMMAND" >&2; exit 1' ERR
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The blocks for a shell, and what the reader does between them.
fn commands(guide: &str) -> String {
    let (mut text, mut in_block) = (String::new(), false);
    for line in guide.lines() {
        match line {
            "```sh" => in_block = true,
            "```" => in_block = false,
            _ if in_block => text += &format!("{line}\n"),
            _ => {
                let command = line.strip_prefix("<!-- run: ").and_then(|rest| rest.strip_suffix(" -->"));
                text += &command.map(|command| format!("{command}\n")).unwrap_or_default();
            }
        }
    }
    text
}

/// Runs the blocks of a guide in a copy of what a clone has.
fn run(name: &str) {
    // Their own network, so that the guides' ports are free; it takes Linux and root.
    if !testkit::Net::available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_server")).parent().unwrap();
    fs::create_dir_all(folder.path().join("target")).unwrap();
    symlink(built, folder.path().join("target/release")).unwrap();
    for file in ["README.md", "config"] {
        symlink(root().join(file), folder.path().join(file)).unwrap();
    }
    let tmp = folder.path().join("tmp");
    fs::create_dir(&tmp).unwrap();
    let commands = commands(&fs::read_to_string(root().join(name)).unwrap());
    // As many clients, but not the minutes that 4,000 requests take without optimization.
    let commands = commands.replace("--reqs-per-client 200", "--reqs-per-client 2");
    let script =
        format!("TMP='{tmp}'\n{PRELUDE}\n{}", commands.replace("/tmp/", "$TMP/"), tmp = tmp.display());
    fs::write(folder.path().join("guide.sh"), &script).unwrap();
    let output = Command::new("unshare")
        .args(["--net", "bash", "guide.sh"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{name}: {}\n{}\n{}\nscript:\n{commands}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
}

#[test]
fn readme_can_be_pasted() {
    run("README.md");
}

#[test]
fn quick_start_can_be_pasted() {
    run("QUICK_START.md");
}
