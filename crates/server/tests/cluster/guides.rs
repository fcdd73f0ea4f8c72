//! README, QUICK_START and the guide for three devices: every shell block, in order, in a separate network
//! namespace. The three devices are three addresses and one clone.
//!
//! Comments in the guides mark special cases: `<!-- run: COMMAND -->` stands for an action of the reader
//! outside of the blocks, such as typing a line at the demo's terminal; a block after `<!-- not run -->` is
//! left out, after `<!-- unchecked -->` may fail, after `<!-- any verdict -->` may report a failed drill, and
//! after `<!-- background -->` continues in the background. All binaries are built beforehand: `cargo` is a
//! function of [`PRELUDE`].

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Definitions for the commands of the guides.
const PRELUDE: &str = r#"
ip link set lo up
cargo() {
    case "$*" in
        "xtask demo") start_demo ;;
        "xtask test" | "xtask console" | "build --release" | "build --release --bin "*) ;;
        "run --release --bin server -- demo "*) shift 6; target/release/server demo --log-dir "$TMP" "$@" ;;
        "run -p loadgen --release -- drill "*) shift 5; target/release/loadgen "$@" ;;
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
on_each_device() {
    for last in 2 3 4; do ip address add 172.20.10.$last/32 dev lo; done
}
settle() { until target/release/stegctl status --check --config config/cluster.yaml > status.txt 2>&1; do sleep 0.2; done; }
wait_gone() { while kill -0 "$(cat "$1")" 2> /dev/null; do sleep 0.1; done; }
scp() { test -s "$1"; }
watch() { bash -c "$3"; }
export -f cargo
# Whatever was started ends with this.
trap 'kill $DEMO $(cat data/*.pid) $! 2> /dev/null' EXIT
trap 'echo "failed: $BASH_COMMAND" >&2; exit 1' ERR
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Returns the shell blocks and the reader's actions between blocks.
fn commands(guide: &str) -> String {
    let (mut text, mut in_block, mut comment) = (String::new(), false, "");
    for line in guide.lines() {
        if let Some(found) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            match found.strip_prefix("run: ") {
                Some(command) => text += &format!("{command}\n"),
                None => comment = found,
            }
        } else if line == "```sh" {
            in_block = true;
        } else if line == "```" {
            (in_block, comment) = (false, "");
        } else if in_block {
            text += &match comment {
                "" => format!("{line}\n"),
                "not run" => String::new(),
                "unchecked" => format!("{{ {line}\n}} || true\n"),
                // A drill may end with 1 on a machine that is busy with other tests.
                "any verdict" => format!("{{ {line}\n}} || [ $? = 1 ]\n"),
                "background" => format!("{line} &\n"),
                other => panic!("an unknown comment: {other}"),
            };
        }
    }
    text
}

/// Runs the blocks of guides in order, in a copy of a clone's files.
fn run(names: &[&str]) {
    // Their own network, so that the guides' ports are free; it takes Linux and root.
    if !testkit::Net::available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_server")).parent().unwrap();
    fs::create_dir_all(folder.path().join("target")).unwrap();
    symlink(built, folder.path().join("target/release")).unwrap();
    let tmp = folder.path().join("tmp");
    fs::create_dir(&tmp).unwrap();
    symlink(root().join("README.md"), folder.path().join("README.md")).unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::copy(root().join("config/cluster.yaml"), folder.path().join("config/cluster.yaml")).unwrap();
    let restart = fs::read_to_string(root().join("RESTART_CLUSTER.sh")).unwrap();
    let restart = restart.replace("log=/tmp/", &format!("log={}/", tmp.display()));
    let script = folder.path().join("RESTART_CLUSTER.sh");
    fs::write(&script, restart).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let guides = names.iter().map(|name| commands(&fs::read_to_string(root().join(name)).unwrap()));
    let commands: String = guides.collect();
    // As many clients, but not the minutes that 4,000 requests take without optimization.
    let commands = commands.replace("--reqs-per-client 200", "--reqs-per-client 2");
    let script =
        format!("TMP='{tmp}'\n{PRELUDE}\n{}", commands.replace("/tmp/", "$TMP/"), tmp = tmp.display());
    fs::write(folder.path().join("guide.sh"), &script).unwrap();
    let output = Command::new("unshare")
        .args(["--net", "bash", "guide.sh"])
        .current_dir(folder.path())
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{names:?}: {}\n{}\n{}\nscript:\n{commands}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
}

#[test]
fn readme_can_be_pasted() {
    run(&["README.md"]);
}

#[test]
fn quick_start_can_be_pasted() {
    run(&["QUICK_START.md"]);
}

#[test]
fn the_guide_for_three_devices_can_be_pasted() {
    run(&["DEPLOYMENT_GUIDE_v2.md", "docs/operations.md"]);
}
