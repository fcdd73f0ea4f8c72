use std::path::PathBuf;

use super::*;

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("cluster.yaml");
    std::fs::write(&path, text).unwrap();
    (dir, Sources { file: Some(path), ..Sources::default() })
}

fn error_of(text: &str) -> String {
    let (_dir, sources) = file(text);
    load(&sources).unwrap_err().to_string()
}

#[test]
fn nothing_configured_is_one_node_on_loopback() {
    let config = load(&Sources::default()).unwrap();
    assert_eq!(config, Config::default());
    let node = config.node(None).unwrap();
    assert_eq!((node.id.as_str(), node.ip.to_string().as_str(), node.http_port), ("n1", "127.0.0.1", 8081));
}

#[test]
fn the_files_of_the_repository_are_valid() {
    for name in ["cluster.yaml", "local.yaml"] {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config")).join(name);
        let config = load(&Sources { file: Some(path), ..Sources::default() }).unwrap();
        assert_eq!(config.nodes.len(), 3, "{name}");
        assert_eq!(config.node(Some("n2")).unwrap().http_port, 8082, "{name}");
    }
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let (_dir, mut sources) = file("limits: { pixel_queue: 1, max_connections: 10 }\n");
    assert_eq!(load(&sources).unwrap().limits.pixel_queue, 1);
    sources.env =
        vec![("STEG__LIMITS__PIXEL_QUEUE".into(), "2".into()), ("STEG_PHOTOS".into(), "/somewhere".into())];
    assert_eq!(load(&sources).unwrap().limits.pixel_queue, 2);
    sources.set = vec!["limits.pixel_queue=3".into(), "cluster_name=true story".into()];
    let config = load(&sources).unwrap();
    assert_eq!(config.limits.pixel_queue, 3);
    assert_eq!(config.limits.max_connections, 10);
    assert_eq!(config.limits.max_body_bytes, LimitsConfig::default().max_body_bytes);
    assert_eq!(config.cluster_name, "true story");
}

#[test]
fn errors_name_the_key() {
    let check = |text: &str, wanted: &[&str]| {
        let error = error_of(text);
        for part in wanted {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    };
    check("limts: {}", &["limts", "unknown field", "limits"]);
    check("limits: { pixel_qeue: 3 }", &["limits.pixel_qeue", "unknown field", "pixel_queue"]);
    check("limits: { pixel_queue: many }", &["limits.pixel_queue"]);
    check("nodes: [{ id: n1, ip: 300.0.0.1, http_port: 1, raft_port: 2 }]", &["nodes[0].ip"]);
    check("nodes: [{ id: n1, ip: 10.0.0.1, http_port: 1 }]", &["nodes[0]", "raft_port"]);
    check("nodes: [{ id: n1, ip: 10.0.0.1, http_port: 70000, raft_port: 1 }]", &["nodes[0].http_port"]);
    check("stego: { lsb_per_channel: 5 }", &["stego.lsb_per_channel", "1 to 4"]);
    check("log: { format: xml }", &["log.format", "json"]);
    check("log: { filter: 'a=b=c' }", &["log.filter"]);
    check("log: { max_bytes: 1000 }", &["log.max_bytes", "at least 65536"]);
    check("log: { keep: 1000 }", &["log.keep", "at most 100"]);
    check("limits: { max_connections: 0 }", &["limits.max_connections"]);
    check("limits: { pixel_queue: 9223372036854775807 }", &["limits.pixel_queue", "at most"]);
    check("limits: { pixel_memory_bytes: 1000000 }", &["limits.pixel_memory_bytes", "67108864"]);
    check("limits: { max_body_bytes: 1000000000 }", &["limits.transfer_memory_bytes"]);
    check("election: { heartbeat_ms: 300 }", &["election.heartbeat_ms", "10 to 250"]);
    check("election: { timeout_min_ms: 200 }", &["election.timeout_min_ms", "three heartbeats"]);
    check("election: { timeout_max_ms: 500 }", &["election.timeout_max_ms", "timeout_min_ms"]);
    check("election: { probe_interval_ms: 1000 }", &["election.probe_interval_ms", "10 to 150"]);
    check("election: { probe_failures: 1 }", &["election.probe_failures", "2 to 100"]);
    check("election: { bootstrap: always }", &["election.bootstrap"]);
    check("storage: { snapshot_every: 1 }", &["storage.snapshot_every", "at least 10"]);
    check("security: { loopback: maybe }", &["security.loopback", "trusted"]);
    check("security: { hosts: ['a b'] }", &["security.hosts", "`a b`", "host name"]);
    check("security: { hosts: ['https://a'] }", &["security.hosts", "`https://a`"]);
    check("storage: { max_log_bytes: 1000 }", &["storage.max_log_bytes", "at least 1048576"]);
    check("gui: { status_poll_ms: 5000 }", &["gui.status_poll_ms", "50 to 2000"]);
    check("- just\n- a list", &["mapping"]);
    check("a: [1", &["YAML"]);
    let twice = "nodes: [{ id: a, ip: 10.0.0.1, http_port: 1, raft_port: 2 }, \
                 { id: b, ip: 10.0.0.1, http_port: 3, raft_port: 1 }]";
    check(twice, &["nodes[1].raft_port", "10.0.0.1:1", "twice"]);
}

#[test]
fn a_node_is_named_where_there_are_several() {
    let two = "nodes: [{ id: a, ip: 10.0.0.1, http_port: 1, raft_port: 2 }, \
               { id: b, ip: 10.0.0.2, http_port: 1, raft_port: 2 }]";
    let (_dir, sources) = file(two);
    let config = load(&sources).unwrap();
    assert!(config.node(None).unwrap_err().to_string().contains("a, b"));
    assert!(config.node(Some("c")).unwrap_err().to_string().contains("`c`"));
    assert_eq!(config.node(Some("b")).unwrap().id, "b");
}

#[test]
fn hosts_are_a_list_or_a_text_with_commas() {
    let check = |text: &str, set: &[&str], expected: &[&str]| {
        let (_dir, mut sources) = file(text);
        sources.set = set.iter().map(|&set| set.to_owned()).collect();
        let hosts = load(&sources).unwrap().security.hosts;
        assert_eq!(hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text} {set:?}");
    };
    check("security: { hosts: [Stego.Example.com, '::1'] }", &[], &["stego.example.com", "::1"]);
    check("security: { hosts: stego.example.com }", &[], &["stego.example.com"]);
    check("", &["security.hosts=a.example, 10.0.0.1"], &["a.example", "10.0.0.1"]);
    check("", &["security.hosts="], &[]);
}

#[test]
fn a_set_that_sets_nothing_is_refused() {
    for given in ["limits.pixel_queue", "cluster_name.x=1"] {
        let sources = Sources { set: vec!["cluster_name=c".into(), given.into()], ..Sources::default() };
        let error = load(&sources).unwrap_err().to_string();
        assert!(error.contains(given), "{error}");
    }
}

#[test]
fn every_key_is_documented_with_its_default() {
    let page = include_str!("../../../../docs/configuration.md");
    let tree = serde_json::to_value(Config::default()).unwrap();
    for (section, keys) in tree.as_object().unwrap() {
        let Some(keys) = keys.as_object() else { continue };
        for (key, default) in keys {
            let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let row = format!("| `{section}.{key}` | `{text}` |");
            assert!(page.contains(&row), "docs/configuration.md has no row `{row}`");
        }
    }
}
