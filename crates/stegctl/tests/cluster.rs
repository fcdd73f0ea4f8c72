//! The commands that ask a cluster, against servers made of prepared answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// Address without a listener: port 1 is reserved, and no service uses it.
const REFUSING: &str = "http://127.0.0.1:1";

/// More than any machine needs for an answer that ends the command.
const LONG: &str = "60s";
/// For commands that try again as long as they may.
const WAITED_OUT: &str = "3s";

/// Gives every request the same answer, on a thread that ends with the test.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(status: u16, body: impl ToString) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kind = if status < 300 { "application/json" } else { "application/problem+json" };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\nretry-after: 3600\r\ncontent-length: {}\r\nconnection: close\r\n\r\n\
             {body}",
            body.len()
        );
        let requests = Arc::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &answer, &seen);
            }
        });
        Self { url, requests }
    }

    fn problem(status: u16, code: &str) -> Self {
        Self::start(status, json!({"status": status, "code": code, "detail": "as it is"}))
    }

    fn last_request(&self) -> String {
        self.requests.lock().unwrap().last().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: &str, requests: &Mutex<Vec<String>>) {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    while !is_whole(&request) {
        let read = stream.read(&mut chunk).unwrap();
        if read == 0 {
            return;
        }
        request.extend_from_slice(&chunk[..read]);
    }
    requests.lock().unwrap().push(String::from_utf8(request).unwrap());
    stream.write_all(answer.as_bytes()).unwrap();
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn stegctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stegctl"))
        .args(args)
        .env_remove("STEG_SERVERS")
        .env_remove("STEG_ADMIN_TOKEN_FILE")
        .env_remove("STEG_DATA_DIR")
        .env("USER", "alice")
        .output()
        .unwrap()
}

/// Runs a command that must succeed, and returns its standard output.
fn done(args: &[&str]) -> String {
    let output = stegctl(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with this status and code, and returns its standard error.
fn refused(args: &[&str], status: i32, code: &str) -> String {
    let output = stegctl(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {error}");
    assert!(error.starts_with(&format!("error[{code}]: ")), "{args:?}: {error}");
    error
}

fn status(quorum: bool, healthy: bool) -> Value {
    json!({
        "cluster_name": "phase1", "cluster_id": "9f3c", "node_id": "n2", "term": 3,
        "leader_id": quorum.then_some("n1"), "quorum": quorum, "voters": ["n1", "n2"], "learners": [],
        "notices": [{"code": "two_voters", "message": "no failure\u{1b}[31m is survived"}],
        "nodes": [
            {"id": "n1", "ip": "10.0.0.1", "http_port": 8081, "raft_port": 5001, "raft_id": "00", "role": "Leader",
             "healthy": true, "voter": true, "cpu_pct": 12.34, "mem_pct": 40.0, "qps_1m": 7.0, "p95_ms": 81.26,
             "last_log_index": 120, "version": "0.1.0", "added_later": 1},
            {"id": "n2", "ip": "10.0.0.2", "http_port": 8082, "raft_port": 5002, "raft_id": null, "role": "Follower",
             "healthy": healthy, "voter": true, "cpu_pct": null, "last_log_index": 117},
        ],
    })
}

fn setting() -> Value {
    json!({
        "key": "bits", "value": 2, "version": 17, "updated_at": "2026-11-24T10:00:00.123Z",
        "updated_by": {"name": "alice", "authority": "loopback", "via": "n2"}, "previous": 1,
    })
}

#[test]
fn a_status_is_an_aligned_table_for_people() {
    let server = Server::start(200, status(true, true));
    // The first server is down: the next one answers.
    let text = done(&["status", "--check", "--server", &format!("{REFUSING},{}", server.url)]);
    let expected = "\
cluster  phase1 (9f3c), seen by n2
leader   n1
term     3
quorum   yes
notice   two_voters: no failure [31m is survived

node  role      health   votes  address        cpu %  memory %  requests/s  p95 ms  behind  version
n1    Leader    healthy  yes    10.0.0.1:8081   12.3      40.0         7.0    81.3       0  0.1.0
n2    Follower  healthy  yes    10.0.0.2:8082      -         -           -       -       3  -
";
    assert_eq!(text, expected);
}

#[test]
fn json_is_what_the_server_said() {
    let server = Server::start(200, status(true, true));
    let text = done(&["status", "--output", "json", "--server", &server.url]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found, status(true, true), "members that this release does not know as well");
}

#[test]
fn a_check_fails_without_a_quorum_and_with_an_ill_node() {
    let ill = Server::start(200, status(true, false));
    assert!(done(&["status", "--server", &ill.url]).contains("NOT HEALTHY"));
    assert!(refused(&["status", "--check", "--server", &ill.url], 10, "not_healthy").contains("n2"));
    let no_quorum = Server::start(200, status(false, false));
    assert!(done(&["status", "--server", &no_quorum.url]).contains("leader   none known\n"));
    refused(&["status", "--check", "--server", &no_quorum.url], 8, "no_quorum");
}

#[test]
fn members_are_listed_with_whom_the_cluster_waits_for() {
    let members = json!({
        "cluster_id": "9f3c", "joint": true, "waiting_for": ["n3"],
        "members": [{"name": "n1", "raft_id": "00000000000000aa", "voter": true}],
    });
    let server = Server::start(200, members);
    let text = done(&["member", "list", "--server", &server.url]);
    assert_eq!(
        text,
        "member  votes  raft id\nn1      yes    00000000000000aa\n\na change of the members is under way\n\n\
         waiting for n3\n"
    );
}

#[test]
fn settings_are_read_and_written() {
    let row = "\
key   value  version  updated at                by     through  before
bits  2           17  2026-11-24T10:00:00.123Z  alice  n2       1
";
    let all = Server::start(200, json!({"settings": [setting()]}));
    assert_eq!(done(&["settings", "list", "--server", &all.url]), row);
    let none = Server::start(200, json!({"settings": []}));
    assert!(done(&["settings", "list", "--server", &none.url]).starts_with("nothing is set"));

    let one = Server::start(200, setting());
    assert_eq!(done(&["settings", "get", "bits", "--server", &one.url]), row);
    let change = json!({"key": "bits", "version": 17, "previous_version": 16, "request_id": "r1"});
    let one = Server::start(200, change);
    let changed = done(&["settings", "set", "bits", "2", "--if-version", "16", "--server", &one.url]);
    assert_eq!(changed, "key   version  version before\nbits       17              16\n");
    let sent = one.last_request();
    assert!(sent.starts_with("PUT /cluster/settings/bits HTTP/1.1\r\n"), "{sent}");
    for expected in
        ["if-match: \"16\"\r\n", "x-steg-operator: alice\r\n", "idempotency-key: ", "{\"value\":2}"]
    {
        assert!(sent.contains(expected), "{expected:?} in {sent}");
    }
    done(&["settings", "set", "note.motd", "-2", "--operator", "bob", "--server", &one.url]);
    let sent = one.last_request();
    assert!(sent.contains("x-steg-operator: bob\r\n") && sent.contains("{\"value\":\"-2\"}"), "{sent}");
    done(&["settings", "delete", "bits", "--server", &one.url]);
    assert!(one.last_request().starts_with("DELETE /cluster/settings/bits HTTP/1.1\r\n"));
}

#[test]
fn leadership_is_handed_over() {
    let transferred = |from: &str| json!({"from": from, "to": "n2", "term": 7});
    let server = Server::start(200, transferred("n1"));
    let text = done(&["leader", "transfer", "n2", "--server", &server.url]);
    assert_eq!(text, "leadership moved from n1 to n2 (term 7)\n");
    let sent = server.last_request();
    assert!(sent.starts_with("POST /cluster/leader-transfers HTTP/1.1\r\n"), "{sent}");
    assert!(sent.ends_with("{\"to\":\"n2\"}"), "{sent}");
    done(&["leader", "transfer", "--server", &server.url]);
    assert!(server.last_request().ends_with("{\"to\":null}"));
    let text = done(&["leader", "transfer", "n2", "--output", "json", "--server", &server.url]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), transferred("n1"));
    // One that leads already is an answer.
    let server = Server::start(200, transferred("n2"));
    assert_eq!(done(&["leader", "transfer", "n2", "--server", &server.url]), "n2 leads already (term 7)\n");
}

#[test]
fn a_token_comes_from_its_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let server = Server::problem(403, "token_wrong");
    let args = ["settings", "set", "bits", "2", "--server", &server.url, "--admin-token-file"];
    let error = refused(&[&args[..], &[path.to_str().unwrap()]].concat(), 9, "token_wrong");
    assert!(!error.contains("s3cret"), "{error}");
    assert!(server.last_request().contains("authorization: Bearer s3cret\r\n"));
    std::fs::write(&path, "two words").unwrap();
    let error = refused(&[&args[..], &[path.to_str().unwrap()]].concat(), 1, "setup");
    assert!(error.contains("token") && !error.contains("two words"), "{error}");
}

#[test]
fn failures_have_a_status_and_a_code_for_scripts() {
    let check = |server: Server, args: &[&str], status: i32, code: &str| {
        let server = ["--server", &server.url, "--timeout", LONG];
        refused(&[args, &server].concat(), status, code)
    };
    refused(&["status", "--server", REFUSING, "--timeout", WAITED_OUT], 7, "connect");
    check(Server::problem(503, "no_quorum"), &["settings", "set", "bits", "2"], 8, "no_quorum");
    // Whoever is asked last refuses connections: what the other one said counts, and it is named.
    for _ in 0..4 {
        let server = Server::problem(503, "no_quorum");
        let servers = format!("{},{REFUSING}", server.url);
        let args = ["settings", "set", "bits", "2", "--server", &servers, "--timeout", WAITED_OUT];
        let error = refused(&args, 8, "no_quorum");
        assert!(error.contains(&format!("{} answered 503", server.url)), "{error}");
    }
    check(Server::problem(404, "no_such_setting"), &["settings", "get", "bits"], 9, "no_such_setting");
    check(Server::problem(412, "version_mismatch"), &["settings", "delete", "bits"], 9, "version_mismatch");
    check(Server::problem(504, "outcome_unknown"), &["settings", "set", "bits", "2"], 11, "outcome_unknown");
    check(Server::start(200, "{"), &["status"], 9, "bad_answer");
    let transfer = ["leader", "transfer", "n2"];
    check(Server::problem(503, "no_quorum"), &transfer, 8, "no_quorum");
    check(Server::problem(404, "unknown_node"), &transfer, 9, "unknown_node");
    check(Server::problem(409, "cannot_lead"), &transfer, 9, "cannot_lead");
    check(Server::problem(409, "no_successor"), &transfer[..2], 9, "no_successor");
    check(Server::problem(503, "transfer_failed"), &transfer, 9, "transfer_failed");
    check(Server::problem(504, "outcome_unknown"), &transfer, 11, "outcome_unknown");
    refused(&[&transfer[..], &["--server", REFUSING, "--timeout", WAITED_OUT]].concat(), 7, "connect");
    let usage = |args: &[&str]| assert_eq!(stegctl(args).status.code(), Some(2), "{args:?}");
    usage(&["status", "--server", "localhost:8081"]);
    usage(&["status", "--server", REFUSING, "--config", "x"]);
    usage(&["settings", "set", "bits"]);
    usage(&["leader"]);
    refused(&["status", "--config", "/nowhere/file"], 1, "setup");
}
