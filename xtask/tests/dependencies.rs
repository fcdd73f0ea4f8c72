//! Dependencies point down only, and some crates stay clear of some others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Crates of the workspace that each crate may use, besides `testkit` and `dataset` in its tests. A crate
/// that is missing here has no place in the architecture yet: give it one, and say so in ARCHITECTURE.md.
const ALLOWED: [(&str, &[&str]); 16] = [
    ("api", &[]),
    ("zlib", &[]),
    ("stego", &["zlib"]),
    ("dataset", &["stego"]),
    ("client", &["api"]),
    ("control-plane", &["api"]),
    ("local-cluster", &["api"]),
    ("simulation", &["api", "control-plane"]),
    ("console", &[]),
    (
        "server",
        &["api", "client", "console", "control-plane", "dataset", "loadgen", "local-cluster", "stego"],
    ),
    ("loadgen", &["client", "local-cluster", "stego"]),
    ("stegctl", &["client", "dataset", "stego"]),
    ("testkit", &["api", "client", "dataset", "local-cluster", "stego"]),
    ("xtask", &[]),
    ("measure", &["dataset", "local-cluster", "stego", "testkit", "xtask"]),
    ("fuzz-targets", &["control-plane", "server", "stego", "testkit"]),
];

/// Crates that must not be anywhere below another: `stego` does no I/O and knows no async; a node has one
/// world.
const NEVER_BELOW: [(&str, &[&str]); 3] = [
    // No binary holds the simulated world.
    ("server", &["simulation", "rand_pcg"]),
    ("stego", &["tokio", "futures-util", "rand", "reqwest", "hyper"]),
    ("dataset", &["tokio", "futures-util", "rand", "reqwest", "hyper"]),
];

fn metadata(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn names<'a>(list: &'a Value, wanted: impl Fn(&Value) -> bool + 'a) -> impl Iterator<Item = &'a str> {
    list.as_array()
        .unwrap()
        .iter()
        .filter(move |item| wanted(item))
        .map(|item| item["name"].as_str().unwrap())
}

#[test]
fn dependencies_point_down_only() {
    let metadata = metadata(&["--no-deps"]);
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} has no place in the architecture"));
        for dependency in names(&package["dependencies"], |dependency| dependency["path"].is_string()) {
            let only_in_tests =
                names(&package["dependencies"], |d| d["kind"] == "dev").any(|n| n == dependency);
            let is_of_tests = only_in_tests && ["testkit", "dataset"].contains(&dependency);
            let fine = may.contains(&dependency) || is_of_tests;
            assert!(fine, "{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn the_library_stays_clear_of_the_outside() {
    for (name, never) in NEVER_BELOW {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "-p",
                name,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let below = String::from_utf8(output.stdout).unwrap();
        for line in below.lines() {
            let dependency = line.split(' ').next().unwrap_or_default();
            assert!(!never.contains(&dependency), "{name} depends on {dependency}");
        }
    }
}

/// Its interface still moves between pre-releases: one crate adapts to it, on one exact version.
#[test]
fn only_the_control_plane_names_openraft() {
    let metadata = metadata(&["--no-deps"]);
    let mut users = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["name"].as_str().unwrap().starts_with("openraft") {
                users.push((package["name"].as_str().unwrap(), dependency["req"].as_str().unwrap()));
            }
        }
    }
    assert_eq!(users, [("control-plane", "=0.10.0-alpha.37")]);
}
