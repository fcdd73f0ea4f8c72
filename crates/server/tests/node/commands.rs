//! The command line of the `server` binary.

use std::process::{Command, Output};

use testkit::{Node, wait_for};

fn server(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_server"))
        .args(args)
        .env_remove("CONFIG_PATH")
        .env_remove("NODE_ID")
        .output()
        .unwrap()
}

#[test]
fn check_config_prints_what_would_be_used() {
    let output = server(&["check-config", "--set", "limits.pixel_queue=7"]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("pixel_queue: 7"), "{printed}");

    let again = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(again.path(), &printed).unwrap();
    let output = server(&["check-config", "--config", again.path().to_str().unwrap()]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), printed);
}

#[test]
fn check_config_names_the_first_error() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "limits: { pixel_qeue: 3 }\n").unwrap();
    let output = server(&["check-config", "--config", config.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("limits.pixel_qeue") && error.contains(config.path().to_str().unwrap()),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn check_health_tells_the_state_of_a_running_node() {
    let node = Node::start();
    let port = node.address().port().to_string();
    let ask = |more: &[&str]| {
        let output = server(&[&["--http-port", &port], more, &["check-health"]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    // Until it leads, it is healthy without a quorum.
    let state = wait_for("a healthy node that leads", || match ask(&["--single"]) {
        (Some(0), state, _) => Some(state),
        _ => None,
    });
    let healthy = format!("healthy: n1 at {}, role Leader, leader n1, quorum true\n", node.url());
    assert!(state.starts_with(&healthy) && state.contains("\nconsole: http://"), "{state}");
    let port_of_none = server(&["--http-port", "1", "check-health"]);
    let error = String::from_utf8_lossy(&port_of_none.stderr).into_owned();
    assert_eq!(port_of_none.status.code(), Some(1), "{error}");
    assert!(error.starts_with("error: ") && error.contains("127.0.0.1:1"), "{error}");
    assert!(port_of_none.stdout.is_empty());
}

#[test]
fn a_node_of_several_must_be_named() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/local.yaml");
    let output = server(&["--config", config]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--node-id") && error.contains("n1, n2, n3"), "{error}");
}

/// TEST-NET-1 (RFC 5737): never an address of any machine.
#[test]
fn an_address_of_another_machine_is_told_from_a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let output = server(&["--bind-ip", "192.0.2.7", "--http-port", "0", "--data-dir", data]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("192.0.2.7 is not an address of this machine"), "{error}");
    assert!(
        error.contains("`ip`") && error.contains("--bind-ip") && !error.contains("another program"),
        "{error}"
    );
}
