use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const HOUR_MS: u64 = 60 * 60 * 1000;

fn command(key: &str, fingerprint: &str, at_ms: u64, action: Action) -> Command {
    Command {
        request: RequestKey {
            key: key.to_owned(),
            minted: false,
            fingerprint: fingerprint.to_owned(),
            request_id: format!("id of {key}"),
        },
        proposed_at_ms: at_ms,
        actor: Actor {
            name: Some("alice".to_owned()),
            authority: Authority::AdminToken,
            via: "n2".to_owned(),
        },
        action,
    }
}

fn put(key: &str, value: serde_json::Value) -> Action {
    let key: SettingKey = key.parse().unwrap();
    let value = SettingValue::from_json(&key, &value).unwrap();
    Action::PutSetting { key, value, if_version: None }
}

fn delete(key: &str) -> Action {
    Action::DeleteSetting { key: key.parse().unwrap(), if_version: None }
}

fn refusal(outcome: &Outcome) -> Option<&Refusal> {
    match outcome {
        Outcome::Refused { refusal, .. } => Some(refusal),
        _ => None,
    }
}

/// Applies rows as the storage does: the latest of each key stays.
fn stored(rows: impl IntoIterator<Item = Row>) -> Catalog {
    let mut latest = std::collections::BTreeMap::new();
    for row in rows {
        latest.insert((row.table, row.key.clone()), row);
    }
    let mut catalog = Catalog::default();
    for row in latest.values() {
        catalog.restore(row).unwrap();
    }
    catalog
}

/// The text of a golden file; with `UPDATE_GOLDEN` set it is written first.
fn golden(name: &str, actual: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn a_setting_remembers_who_when_and_what_it_was() {
    let mut catalog = Catalog::default();
    catalog.apply(&command("a", "1", 10, put("bits", json!(2))), 5);
    let (outcome, _) = catalog.apply(&command("b", "2", 20, put("bits", json!(3))), 9);
    let Outcome::SettingPut { setting, request_id } = outcome else { panic!("{outcome:?}") };
    assert_eq!((setting.version, setting.updated_at_ms, request_id.as_str()), (9, 20, "id of b"));
    assert_eq!((setting.value, setting.previous), (SettingValue::Number(3), Some(SettingValue::Number(2))));
    assert_eq!(setting.updated_by.name.as_deref(), Some("alice"));
    let (outcome, _) = catalog.apply(&command("c", "3", 30, delete("bits")), 10);
    assert!(matches!(outcome, Outcome::SettingDeleted { setting, .. } if setting.version == 9));
    assert_eq!(catalog.setting(&SettingKey::Bits), None);
    let (outcome, _) = catalog.apply(&command("d", "4", 40, delete("bits")), 11);
    assert!(matches!(refusal(&outcome), Some(Refusal::NoSuchSetting { .. })));
}

#[test]
fn a_repeated_command_does_nothing_and_has_the_first_outcome() {
    let mut catalog = Catalog::default();
    let (first, _) = catalog.apply(&command("a", "1", 10, put("bits", json!(2))), 5);
    catalog.apply(&command("b", "2", 20, put("bits", json!(3))), 6);
    let before = catalog.clone();
    let (again, rows) = catalog.apply(&command("a", "1", 30, put("bits", json!(2))), 7);
    assert_eq!((again, rows, &catalog), (first, Vec::new(), &before));
    let (other, _) = catalog.apply(&command("a", "another", 30, put("bits", json!(1))), 8);
    assert_eq!((refusal(&other), catalog), (Some(&Refusal::KeyReused), before));
}

#[test]
fn keys_are_forgotten_after_a_day_and_minted_ones_after_minutes() {
    let mut catalog = Catalog::default();
    let mut minted = command("minted", "1", 0, put("note.a", json!("x")));
    minted.request.minted = true;
    catalog.apply(&minted, 1);
    catalog.apply(&command("client", "2", 0, put("note.b", json!("x"))), 2);
    let mut left_at = |at_ms: u64| {
        let (_, rows) = catalog.apply(&command(&format!("at {at_ms}"), "3", at_ms, delete("note.c")), 3);
        assert_eq!(stored(catalog.rows()), catalog);
        rows.iter().filter(|row| row.value.is_none()).count()
    };
    assert_eq!(left_at(KEEP_MINTED_KEYS_MS - 1), 0);
    assert_eq!(left_at(KEEP_MINTED_KEYS_MS), 1);
    assert_eq!(left_at(24 * HOUR_MS - 1), 0);
    assert_eq!(left_at(24 * HOUR_MS), 1);
}

#[test]
fn a_version_guards_against_changes_that_the_caller_has_not_seen() {
    let mut catalog = Catalog::default();
    let guarded = |if_version| Action::PutSetting {
        key: SettingKey::Compress,
        value: SettingValue::Flag(true),
        if_version: Some(if_version),
    };
    let (outcome, _) = catalog.apply(&command("a", "1", 0, guarded(3)), 4);
    assert_eq!(refusal(&outcome), Some(&Refusal::VersionMismatch { expected: 3, actual: 0 }));
    let (outcome, _) = catalog.apply(&command("b", "1", 0, guarded(0)), 5);
    assert_eq!(refusal(&outcome), None);
    let (outcome, _) = catalog.apply(&command("c", "1", 0, guarded(0)), 6);
    assert_eq!(refusal(&outcome), Some(&Refusal::VersionMismatch { expected: 0, actual: 5 }));
    let (outcome, _) = catalog.apply(&command("d", "1", 0, guarded(5)), 7);
    assert_eq!(refusal(&outcome), None);
}

#[test]
fn settings_have_a_bound() {
    let mut catalog = Catalog::default();
    for n in 0..=MAX_SETTINGS {
        let (outcome, _) =
            catalog.apply(&command(&n.to_string(), "1", 0, put(&format!("note.{n}"), json!(""))), 1);
        let full = Refusal::TooManySettings { max: MAX_SETTINGS as u64 };
        assert_eq!(refusal(&outcome), (n == MAX_SETTINGS).then_some(&full), "{n}");
    }
}

#[test]
fn keys_and_values_are_checked_at_the_edge() {
    for key in ["bits", "compress", "metadata", "note.a", "note.on-call_2.0"] {
        assert_eq!(key.parse::<SettingKey>().unwrap().to_string(), key);
    }
    for key in ["", "Bits", "note.", "note.A", "note.a b", &format!("note.{}", "x".repeat(65)), "leader"] {
        assert!(key.parse::<SettingKey>().is_err(), "{key}");
    }
    let check = |key: &str, value, fits| {
        let key = key.parse().unwrap();
        assert_eq!(SettingValue::from_json(&key, &value).is_ok(), fits, "{key} {value}");
    };
    check("bits", json!(4), true);
    check("compress", json!(false), true);
    check("metadata", json!("strip"), true);
    check("note.a", json!("keep"), true);
    for (key, value) in [
        ("bits", json!(0)),
        ("bits", json!(5)),
        ("bits", json!("1")),
        ("compress", json!("true")),
        ("metadata", json!("some")),
        ("note.a", json!(1)),
        ("note.a", json!("x".repeat(MAX_NOTE_BYTES + 1))),
    ] {
        check(key, value, false);
    }
}

#[test]
fn commands_look_as_they_always_did() {
    let guarded = Action::DeleteSetting { key: "note.on-call".parse().unwrap(), if_version: Some(17) };
    let mut minted = command("b", "f2", 1_700_000_000_001, guarded);
    minted.request.minted = true;
    minted.actor = Actor { name: None, authority: Authority::Loopback, via: "n1".to_owned() };
    let commands = [command("a", "f1", 1_700_000_000_000, put("metadata", json!("strip"))), minted];
    let text = serde_json::to_string_pretty(&commands).unwrap() + "\n";
    let golden = golden("commands-v1.json", &text);
    assert_eq!(text, golden);
    assert_eq!(serde_json::from_str::<Vec<Command>>(&golden).unwrap(), commands);
}

#[test]
fn rows_look_as_they_always_did() {
    let mut catalog = Catalog::default();
    catalog.apply(&command("a", "f1", 1_700_000_000_000, put("compress", json!(false))), 3);
    catalog.apply(&command("b", "f2", 1_700_000_000_001, put("note.on-call", json!("Zoë, 24h"))), 4);
    catalog.apply(&command("c", "f3", 1_700_000_000_002, delete("bits")), 5);
    let rows: Vec<Row> = catalog.rows().collect();
    let text = serde_json::to_string_pretty(&rows).unwrap() + "\n";
    let golden = golden("rows-v1.json", &text);
    assert_eq!(text, golden);
    assert_eq!(stored(serde_json::from_str::<Vec<Row>>(&golden).unwrap()), catalog);
}

#[test]
fn unknown_versions_are_refused_with_both_versions() {
    let newer = json!({"v": 2, "body": {}});
    let error = serde_json::from_value::<Command>(newer).unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains("version 1"), "{error}");
    let row = Row {
        table: Table::Settings,
        key: "bits".to_owned(),
        value: Some(json!({"v": 9, "row": {}}).to_string()),
    };
    let error = Catalog::default().restore(&row).unwrap_err().to_string();
    assert!(error.contains("version 9") && error.contains("version 1"), "{error}");
    let unknown = json!({"v": 1, "body": {"request": {"key": "a", "minted": false, "fingerprint": "", "request_id": ""},
        "proposed_at_ms": 0, "actor": {"authority": "loopback", "via": "n1"}, "action": {"action": "explode"}}});
    assert!(serde_json::from_value::<Command>(unknown).is_err());
}

fn any_action() -> impl Strategy<Value = Action> {
    let key = prop_oneof![Just("bits"), Just("note.a"), Just("note.b")];
    let version = proptest::option::of(0..6u64);
    (key, 1..=4u8, version, any::<bool>()).prop_map(|(key, number, if_version, deletes)| {
        let key: SettingKey = key.parse().unwrap();
        if deletes {
            return Action::DeleteSetting { key, if_version };
        }
        let value = if key == SettingKey::Bits {
            SettingValue::Number(number)
        } else {
            SettingValue::Text("x".repeat(number.into()))
        };
        Action::PutSetting { key, value, if_version }
    })
}

proptest! {
    /// The rows that are written are the whole state: a node that restarts, or gets a snapshot, goes on like the others.
    #[test]
    fn rows_are_the_whole_state(
        steps in proptest::collection::vec((any_action(), 0..5u8, 0..30 * HOUR_MS), 1..40),
        cut in 0..40usize,
    ) {
        let mut catalog = Catalog::default();
        let mut written = Vec::new();
        let mut restarted = None;
        for (index, (action, key, at_ms)) in steps.into_iter().enumerate() {
            if index == cut {
                restarted = Some(stored(written.clone()));
            }
            let command = command(&key.to_string(), &format!("{action:?}"), at_ms, action);
            let (outcome, rows) = catalog.apply(&command, index as u64 + 1);
            if let Some(restarted) = &mut restarted {
                prop_assert_eq!((&outcome, &rows), (&restarted.apply(&command, index as u64 + 1).0, &rows));
            }
            written.extend(rows);
        }
        prop_assert_eq!(stored(written), catalog.clone());
        prop_assert_eq!(stored(catalog.rows()), catalog.clone());
        if let Some(restarted) = restarted {
            prop_assert_eq!(restarted, catalog);
        }
    }
}
