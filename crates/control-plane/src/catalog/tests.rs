use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::{Activated, Announcement, FormatVersion};
use crate::ids::RaftId;

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
        stamp: Stamp::default(),
        source: None,
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

/// Returns a command stamped by the catalogue's clock.
fn stamped(key: &str, clock_ms: u64, action: Action) -> Command {
    let stamp = Stamp { clock_ms, ..Stamp::default() };
    Command { stamp, ..command(key, &format!("{action:?}"), 0, action) }
}

fn refusal(outcome: &Outcome) -> Option<&Refusal> {
    match outcome {
        Outcome::Refused { refusal, .. } => Some(refusal),
        _ => None,
    }
}

trait ApplyAt {
    fn apply_at(&mut self, command: &Command, index: u64) -> (Outcome, Vec<Row>);
    fn apply_in_v3(&mut self, command: &Command, index: u64) -> (Outcome, Vec<Row>);
}

impl ApplyAt for Catalog {
    /// Applies a command in a cluster without an activated version.
    fn apply_at(&mut self, command: &Command, index: u64) -> (Outcome, Vec<Row>) {
        let (members, mut activated) = (BTreeSet::new(), Activated::default());
        self.apply(command, Context { index, members: &members, activated: &mut activated })
    }

    /// Applies a command in a cluster that has activated version 3.
    fn apply_in_v3(&mut self, command: &Command, index: u64) -> (Outcome, Vec<Row>) {
        let (members, mut activated) = (BTreeSet::new(), Activated::of(FormatVersion::THIRD));
        self.apply(command, Context { index, members: &members, activated: &mut activated })
    }
}

/// Restores rows as the storage does: the latest row of each key stays.
fn stored(rows: impl IntoIterator<Item = Row>) -> Catalog {
    let mut latest = BTreeMap::new();
    for row in rows {
        latest.insert((row.table, row.key.clone()), row);
    }
    let mut catalog = Catalog::default();
    for row in latest.values() {
        catalog.restore(row).unwrap();
    }
    catalog
}

/// Returns the text of a golden file; with `UPDATE_GOLDEN` set, writes the file first.
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
    catalog.apply_at(&command("a", "1", 10, put("bits", json!(2))), 5);
    let (outcome, _) = catalog.apply_at(&command("b", "2", 20, put("bits", json!(3))), 9);
    let Outcome::SettingPut { setting, request_id } = outcome else { panic!("{outcome:?}") };
    assert_eq!((setting.version, setting.updated_at_ms, request_id.as_str()), (9, 20, "id of b"));
    assert_eq!((setting.value, setting.previous), (SettingValue::Number(3), Some(SettingValue::Number(2))));
    assert_eq!(setting.updated_by.name.as_deref(), Some("alice"));
    let (outcome, _) = catalog.apply_at(&command("c", "3", 30, delete("bits")), 10);
    assert!(matches!(outcome, Outcome::SettingDeleted { setting, .. } if setting.version == 9));
    assert_eq!(catalog.setting(&SettingKey::Bits), None);
    let (outcome, _) = catalog.apply_at(&command("d", "4", 40, delete("bits")), 11);
    assert!(matches!(refusal(&outcome), Some(Refusal::NoSuchSetting { .. })));
}

#[test]
fn a_repeated_command_does_nothing_and_has_the_first_outcome() {
    let mut catalog = Catalog::default();
    let (first, _) = catalog.apply_at(&command("a", "1", 10, put("bits", json!(2))), 5);
    catalog.apply_at(&command("b", "2", 20, put("bits", json!(3))), 6);
    let before = catalog.clone();
    let (again, rows) = catalog.apply_at(&command("a", "1", 30, put("bits", json!(2))), 7);
    assert_eq!((again, rows, &catalog), (first, Vec::new(), &before));
    let (other, _) = catalog.apply_at(&command("a", "another", 30, put("bits", json!(1))), 8);
    assert_eq!((refusal(&other), catalog), (Some(&Refusal::KeyReused), before));
}

#[test]
fn keys_are_forgotten_after_a_day_and_minted_ones_after_minutes() {
    let mut catalog = Catalog::default();
    let mut minted = command("minted", "1", 0, put("note.a", json!("x")));
    minted.request.minted = true;
    catalog.apply_at(&minted, 1);
    catalog.apply_at(&command("client", "2", 0, put("note.b", json!("x"))), 2);
    let mut left_at = |at_ms: u64| {
        let (_, rows) = catalog.apply_at(&command(&format!("at {at_ms}"), "3", at_ms, delete("note.c")), 3);
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
    let (outcome, _) = catalog.apply_at(&command("a", "1", 0, guarded(3)), 4);
    assert_eq!(refusal(&outcome), Some(&Refusal::VersionMismatch { expected: 3, actual: 0 }));
    let (outcome, _) = catalog.apply_at(&command("b", "1", 0, guarded(0)), 5);
    assert_eq!(refusal(&outcome), None);
    let (outcome, _) = catalog.apply_at(&command("c", "1", 0, guarded(0)), 6);
    assert_eq!(refusal(&outcome), Some(&Refusal::VersionMismatch { expected: 0, actual: 5 }));
    let (outcome, _) = catalog.apply_at(&command("d", "1", 0, guarded(5)), 7);
    assert_eq!(refusal(&outcome), None);
}

#[test]
fn settings_have_a_bound() {
    let mut catalog = Catalog::default();
    for n in 0..=MAX_SETTINGS {
        let (outcome, _) =
            catalog.apply_at(&command(&n.to_string(), "1", 0, put(&format!("note.{n}"), json!(""))), 1);
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
    catalog.apply_at(&command("a", "f1", 1_700_000_000_000, put("compress", json!(false))), 3);
    catalog.apply_at(&command("b", "f2", 1_700_000_000_001, put("note.on-call", json!("Zoë, 24h"))), 4);
    catalog.apply_at(&command("c", "f3", 1_700_000_000_002, delete("bits")), 5);
    let rows: Vec<Row> = catalog.rows().collect();
    let text = serde_json::to_string_pretty(&rows).unwrap() + "\n";
    let golden = golden("rows-v1.json", &text);
    assert_eq!(text, golden);
    assert_eq!(stored(serde_json::from_str::<Vec<Row>>(&golden).unwrap()), catalog);
}

#[test]
fn commands_and_rows_of_version_2_look_as_they_always_did() {
    let announce = Action::Announce { announcement: announcement(3, 2) };
    let commands = [put("metadata", json!("strip")), announce.clone(), activate(2, &[(1, 2), (2, 2)])];
    let commands = commands.map(|action| {
        StoredCommand::new(command("a", "f1", 1_700_000_000_000, action), FormatVersion::SECOND)
    });
    let text = serde_json::to_string_pretty(&commands).unwrap() + "\n";
    let golden_text = golden("commands-v2.json", &text);
    assert_eq!(text, golden_text);
    assert_eq!(serde_json::from_str::<Vec<StoredCommand>>(&golden_text).unwrap(), commands);

    let (mut catalog, members) = (Catalog::default(), BTreeSet::from([RaftId::from(3)]));
    let mut activated = Activated::of(FormatVersion::SECOND);
    let context = Context { index: 7, members: &members, activated: &mut activated };
    catalog.apply(&command("a", "f1", 1_700_000_000_000, announce), context);
    let rows: Vec<Row> = catalog.rows().collect();
    let text = serde_json::to_string_pretty(&rows).unwrap() + "\n";
    let golden_text = golden("rows-v2.json", &text);
    assert_eq!(text, golden_text);
    assert_eq!(stored(serde_json::from_str::<Vec<Row>>(&golden_text).unwrap()), catalog);
}

#[test]
fn unknown_versions_are_refused_with_both_versions() {
    for version in [0, 4] {
        let newer = json!({"v": version, "body": {}});
        let error = serde_json::from_value::<StoredCommand>(newer).unwrap_err().to_string();
        let versions = format!("a command of version {version}; this release reads versions 1 to 3");
        assert_eq!(error, versions);
    }
    let row = Row {
        table: Table::Settings,
        key: "bits".to_owned(),
        value: Some(json!({"v": 9, "row": {}}).to_string()),
    };
    let error = Catalog::default().restore(&row).unwrap_err().to_string();
    assert!(error.contains("version 9") && error.contains("versions up to 1"), "{error}");
    let unknown = json!({"v": 1, "body": {"request": {"key": "a", "minted": false, "fingerprint": "", "request_id": ""},
        "proposed_at_ms": 0, "actor": {"authority": "loopback", "via": "n1"}, "action": {"action": "explode"}}});
    assert!(serde_json::from_value::<StoredCommand>(unknown).is_err());
}

fn announcement(id: u64, max: u32) -> Announcement {
    let (min, max) = (FormatVersion::FIRST, FormatVersion::new(max));
    Announcement { raft_id: RaftId::from(id), min, max, release: format!("0.{max}") }
}

fn activate(version: u32, announced: &[(u64, u32)]) -> Action {
    let announced = announced.iter().map(|(id, max)| announcement(*id, *max)).collect();
    Action::Activate { version: FormatVersion::new(version), release: format!("0.{version}"), announced }
}

/// Applies actions one after the other, each with the members at the time. Returns the outcomes as text,
/// the activated version afterwards, and the remaining announcements.
fn with_members(steps: &[(Action, &[u64])]) -> (Vec<String>, Activated, Vec<u64>) {
    let (mut catalog, mut activated) = (Catalog::default(), Activated::default());
    let mut written = Vec::new();
    let mut outcomes = Vec::new();
    for (index, (action, members)) in (1..).zip(steps) {
        let members = members.iter().copied().map(RaftId::from).collect();
        let command = command(&index.to_string(), "1", 0, action.clone());
        let context = Context { index, members: &members, activated: &mut activated };
        let (outcome, rows) = catalog.apply(&command, context);
        outcomes.push(match outcome {
            Outcome::Refused { refusal, .. } => refusal.to_string(),
            Outcome::Activated { version } => format!("version {version}"),
            outcome => format!("{outcome:?}"),
        });
        written.extend(rows);
    }
    assert_eq!(stored(written), catalog, "the rows are the whole state");
    assert_eq!(stored(catalog.rows()), catalog);
    let left = (0..20).filter(|id| catalog.announcements().contains_key(&RaftId::from(*id))).collect();
    (outcomes, activated, left)
}

#[test]
fn a_version_is_activated_only_if_the_announcements_of_all_members_cover_it() {
    let check = |steps: &[(Action, &[u64])], outcomes: &[&str], version: u32, left: &[u64]| {
        let (told, activated, announced) = with_members(steps);
        assert_eq!(told, outcomes, "{steps:?}");
        assert_eq!((activated.version.number(), activated.release), (version, format!("0.{version}")));
        assert_eq!(announced, left, "{steps:?}");
    };
    let all = [(1, 2), (2, 2), (3, 2)];
    check(&[(activate(2, &all), &[1, 2, 3])], &["version 2"], 2, &[1, 2, 3]);
    let missing = "format version 2 is not covered by the announcements of [0000000000000003]";
    check(&[(activate(2, &all[..2]), &[1, 2, 3])], &[missing], 1, &[]);
    check(&[(activate(2, &[(1, 2), (2, 2), (3, 1)]), &[1, 2, 3])], &[missing], 1, &[]);
    check(
        &[(activate(2, &[]), &[])],
        &["format version 2 is not covered by the announcements of []"],
        1,
        &[],
    );
    // From version 2 on, the rows count; an announcement replaces the one before it.
    let announce = |id, max| Action::Announce { announcement: announcement(id, max) };
    check(
        &[
            (activate(2, &all), &[1, 2, 3]),
            (announce(1, 3), &[1, 2, 3]),
            (announce(2, 3), &[1, 2, 3]),
            (activate(3, &[]), &[1, 2, 3]),
            (announce(3, 3), &[1, 2, 3]),
            (announce(1, 2), &[1, 2, 3]),
            (activate(3, &[]), &[1, 2, 3]),
            (announce(1, 3), &[1, 2, 3]),
            (activate(3, &[]), &[1, 2, 3]),
            (activate(2, &[]), &[1, 2, 3]),
        ],
        &[
            "version 2",
            "Announced",
            "Announced",
            "format version 3 is not covered by the announcements of [0000000000000003]",
            "Announced",
            "Announced",
            "format version 3 is not covered by the announcements of [0000000000000001]",
            "Announced",
            "version 3",
            "version 3",
        ],
        3,
        &[1, 2, 3],
    );
    // A learner is a member; a joining node announces itself first, and replaces nodes outside the
    // membership.
    check(
        &[(activate(2, &all), &[1, 2, 3]), (announce(4, 2), &[1, 2]), (activate(3, &[]), &[1, 2, 4])],
        &[
            "version 2",
            "Announced",
            "format version 3 is not covered by the announcements of [0000000000000001, 0000000000000002, \
             0000000000000004]",
        ],
        2,
        &[1, 2, 4],
    );
}

#[test]
fn an_action_above_the_activated_version_is_refused() {
    let announce = Action::Announce { announcement: announcement(1, 2) };
    let (outcomes, activated, left) =
        with_members(&[(announce.clone(), &[1]), (activate(2, &[(1, 2)]), &[1]), (announce, &[1])]);
    let refused = "the action requires format version 2; the cluster has activated version 1";
    assert_eq!(outcomes, [refused, "version 2", "Announced"]);
    assert_eq!((activated, left), (Activated::of(FormatVersion::SECOND), vec![1]));
}

#[test]
fn a_command_of_a_newer_release_is_kept_as_it_came_and_names_the_release() {
    let newer = json!({"v": 7, "needs": "1.4", "body": {"request": "of another kind", "n": [1, 2]}});
    let command: StoredCommand = serde_json::from_value(newer.clone()).unwrap();
    assert_eq!(serde_json::to_value(&command).unwrap(), newer);
    assert_eq!(
        command.command().unwrap_err().to_string(),
        "a command in the log has version 7, and this release reads versions 1 to 3; release 1.4 or a newer one is needed"
    );
    assert!(serde_json::from_value::<Command>(newer).is_err(), "nothing of the kind is proposed");
    let long = json!({"v": 7, "needs": "x".repeat(65), "body": {}});
    assert!(serde_json::from_value::<StoredCommand>(long).is_err());
}

#[test]
fn a_command_is_written_in_the_newest_form_that_is_activated() {
    let check = |action: Action, activated, version, needs: Option<&str>| {
        let command = command("a", "1", 0, action);
        let stored = StoredCommand::new(command.clone(), FormatVersion::new(activated));
        let json = serde_json::to_value(&stored).unwrap();
        assert_eq!((&json["v"], json["needs"].as_str()), (&json!(version), needs));
        let read: StoredCommand = serde_json::from_value(json).unwrap();
        assert_eq!((read.command().unwrap(), &read), (&command, &stored));
    };
    check(put("bits", json!(2)), 1, 1, None);
    check(put("bits", json!(2)), 2, 2, Some("0.2"));
    check(put("bits", json!(2)), 3, 3, Some("0.2"));
    check(put("bits", json!(2)), 9, 3, Some("0.2"));
    check(Action::Tick, 1, 3, Some("0.2"));
    check(activate(2, &[(1, 2)]), 1, 2, Some("0.2"));
    // A form does not know newer actions.
    for (action, version) in [(activate(2, &[]), 1), (Action::Tick, 2)] {
        let mut forged = serde_json::to_value(command("a", "1", 0, action)).unwrap();
        forged["v"] = json!(version);
        for name in ["clock_ms", "idempotency_bytes"] {
            forged["body"].as_object_mut().unwrap().remove(name);
        }
        assert!(serde_json::from_value::<StoredCommand>(forged).is_err(), "version {version}");
    }
}

/// Activates version 3, proposed at a time of the wall clock. Returns the written rows.
fn activate_v3(catalog: &mut Catalog, at_ms: u64) -> Vec<Row> {
    let (members, mut activated) = ([1].map(RaftId::from).into(), Activated::of(FormatVersion::SECOND));
    let context = Context { index: 1, members: &members, activated: &mut activated };
    let (outcome, rows) = catalog.apply(&command("", "", at_ms, activate(3, &[(1, 3)])), context);
    assert_eq!(
        (outcome, activated.version),
        (Outcome::Activated { version: FormatVersion::THIRD }, FormatVersion::THIRD)
    );
    rows
}

fn in_v3() -> Catalog {
    let mut catalog = Catalog::default();
    activate_v3(&mut catalog, 0);
    catalog
}

#[test]
fn wall_clocks_do_not_count_from_version_3_on() {
    const YEAR_MS: u64 = 365 * 24 * HOUR_MS;
    for wrong_ms in [0, 48 * HOUR_MS, YEAR_MS, 2 * YEAR_MS] {
        let mut catalog = Catalog::default();
        activate_v3(&mut catalog, YEAR_MS);
        let (first, _) = catalog.apply_in_v3(&stamped("a", YEAR_MS, put("bits", json!(2))), 2);
        let strayed =
            Command { proposed_at_ms: wrong_ms, ..stamped("b", YEAR_MS + 1, put("bits", json!(3))) };
        catalog.apply_in_v3(&strayed, 3);
        let (again, _) = catalog.apply_in_v3(&stamped("a", YEAR_MS + 2, put("bits", json!(2))), 4);
        assert_eq!(
            (again, &catalog.setting(&SettingKey::Bits).unwrap().value),
            (first, &SettingValue::Number(3))
        );
    }
}

#[test]
fn keys_are_kept_for_a_day_of_the_clock_which_never_goes_back() {
    let mut catalog = in_v3();
    let (first, _) = catalog.apply_in_v3(&stamped("a", HOUR_MS, put("bits", json!(2))), 2);
    // A leader that counts from an earlier reading.
    catalog.apply_in_v3(&stamped("", 1, Action::Tick), 3);
    assert_eq!(catalog.clock_ms(), Some(HOUR_MS));
    let at = |catalog: &mut Catalog, clock_ms, index| {
        catalog.apply_in_v3(&stamped("a", clock_ms, put("bits", json!(2))), index).0
    };
    assert_eq!(at(&mut catalog, 25 * HOUR_MS - 1, 4), first);
    let Outcome::Changed { version, .. } = at(&mut catalog, 25 * HOUR_MS, 5) else { panic!() };
    assert_eq!((version, catalog.remembered_requests()), (5, 1));
}

/// The wall clock that stamped a key below version 3 may have been wrong by any time.
#[test]
fn the_clock_starts_at_the_latest_proposal_and_keeps_all_keys_for_a_day() {
    const NOW_MS: u64 = 1_000 * HOUR_MS;
    let mut catalog = Catalog::default();
    let ahead_ms = NOW_MS + 48 * HOUR_MS;
    catalog.apply_at(&command("ahead", "1", ahead_ms, put("note.a", json!("x"))), 2);
    let (first, _) = catalog.apply_at(&command("a", "1", NOW_MS, put("bits", json!(2))), 3);
    activate_v3(&mut catalog, NOW_MS + 1);
    assert_eq!(catalog.clock_ms(), Some(ahead_ms));
    let again = |catalog: &mut Catalog, clock_ms| {
        let mut command = stamped("a", clock_ms, put("bits", json!(2)));
        command.request.fingerprint = "1".to_owned();
        catalog.apply_in_v3(&command, 4).0
    };
    assert_eq!(again(&mut catalog, ahead_ms + 24 * HOUR_MS - 1), first);
    assert_ne!(again(&mut catalog, ahead_ms + 24 * HOUR_MS), first);
    assert_eq!(stored(catalog.rows()), catalog);
}

#[test]
fn a_command_forgets_a_bounded_number_of_keys() {
    let mut catalog = in_v3();
    for n in 0..300 {
        catalog.apply_in_v3(&stamped(&n.to_string(), 1, delete("bits")), n);
    }
    let mut left = Vec::new();
    for index in 0..4 {
        let (_, rows) = catalog.apply_in_v3(&stamped("", 25 * HOUR_MS, Action::Tick), 300 + index);
        assert!(rows.len() <= requests::MAX_FORGOTTEN + 1, "{}", rows.len());
        left.push((catalog.remembered_requests(), catalog.has_forgettable_keys()));
    }
    assert_eq!(left, [(172, true), (44, true), (0, false), (0, false)]);
    assert_eq!(catalog.remembered_bytes(), 0);
    // Keys that are over and not forgotten yet neither count nor keep out others.
    for n in 0..300 {
        catalog.apply_in_v3(&stamped(&n.to_string(), 25 * HOUR_MS, delete("bits")), 400 + n);
    }
    let late = stamped("299", 50 * HOUR_MS, put("bits", json!(1)));
    assert!(matches!(catalog.apply_in_v3(&late, 800).0, Outcome::Changed { version: 800, .. }));
    assert_eq!(stored(catalog.rows()), catalog);
}

#[test]
fn the_table_is_bounded_in_bytes_with_a_share_for_each_source() {
    let mut catalog = in_v3();
    let max_bytes = 64 << 10;
    let from = |source: u8, n: usize, clock_ms: u64| {
        let source = Some(Source::of([10, 0, 0, source].into()));
        let stamp = Stamp { clock_ms, idempotency_bytes: max_bytes };
        Command { source, stamp, ..stamped(&format!("{source:?} {n}"), clock_ms, put("bits", json!(2))) }
    };
    let (mut taken, mut index) = (Vec::new(), 2);
    for source in 0..10 {
        for n in 0.. {
            let command = from(source, n, 1);
            let (outcome, told) =
                (catalog.refuses(&command), refusal(&catalog.apply_in_v3(&command, index).0).cloned());
            assert_eq!(outcome, told, "told before the proposal as when applied");
            index += 1;
            if let Some(refusal) = told {
                taken.push((n, refusal));
                break;
            }
        }
    }
    let share = Refusal::ShareFull { max_bytes: max_bytes / 8 };
    assert!(taken[..8].iter().all(|(n, refusal)| *n > 5 && *refusal == share), "{taken:?}");
    assert!(catalog.remembered_bytes() <= max_bytes);
    // Known keys are answered from the full table; a key of another authority has a share of its own.
    assert_eq!(refusal(&catalog.apply_in_v3(&from(1, 0, 1), index).0), None);
    let mut other = from(1, 9999, 1);
    other.actor.authority = Authority::Loopback;
    assert_eq!(
        refusal(&catalog.clone().apply_in_v3(&other, index).0),
        taken.get(9).map(|(_, refusal)| refusal)
    );
    // A day later there is room again, at once.
    let late = from(1, 9999, 25 * HOUR_MS);
    assert_eq!(catalog.refuses(&late), None);
    assert_eq!(refusal(&catalog.apply_in_v3(&late, index).0), None);
    assert_eq!(stored(catalog.rows()), catalog);
}

#[test]
fn the_answer_to_a_change_is_short() {
    let mut catalog = in_v3();
    let name = format!("note.{}", "x".repeat(64));
    let mut request = stamped("a", 1, put(&name, json!("y".repeat(MAX_NOTE_BYTES))));
    request.request.request_id = "67e55044-10b1-426f-9247-bb680e5fe0c8".to_owned();
    request.request.fingerprint = "f".repeat(64);
    catalog.apply_in_v3(&request, u64::MAX - 1);
    request.request.key = "b".to_owned();
    let (outcome, rows) = catalog.apply_in_v3(&request, u64::MAX);
    let Outcome::Changed { version, answer } = outcome else { panic!("{outcome:?}") };
    let expected = json!({"key": name, "version": u64::MAX, "previous_version": u64::MAX - 1,
        "request_id": "67e55044-10b1-426f-9247-bb680e5fe0c8"});
    assert_eq!((version, serde_json::from_str::<serde_json::Value>(&answer).unwrap()), (u64::MAX, expected));
    assert!(answer.len() <= 256, "{answer}");
    let kept = rows.iter().find(|row| row.table == Table::Requests).unwrap();
    assert!(kept.value.as_ref().unwrap().len() < 600, "{kept:?}");
}

/// The leader applies its own command from memory, the others as stored: both forms have to say the same.
#[test]
fn a_form_without_a_stamp_drops_the_stamp_on_the_leader_too() {
    let source = Some(Source::of([10, 0, 0, 1].into()));
    let command = Command { source, ..stamped("a", 7, put("bits", json!(2))) };
    for version in 1..=FormatVersion::LATEST.number() {
        let stored = StoredCommand::new(command.clone(), FormatVersion::new(version));
        let read: StoredCommand = serde_json::from_value(serde_json::to_value(&stored).unwrap()).unwrap();
        assert_eq!(read, stored, "version {version}");
        assert_eq!(stored.command().unwrap() == &command, version >= 3);
    }
    // On the way to the leader nothing but the stamp is lost.
    let sent: Command = serde_json::from_value(serde_json::to_value(&command).unwrap()).unwrap();
    assert_eq!(sent, command);
}

#[test]
fn commands_and_rows_of_version_3_look_as_they_always_did() {
    let source = Some(Source::of("2001:db8:0:1::9".parse().unwrap()));
    let actions = [put("metadata", json!("strip")), delete("note.on-call"), Action::Tick];
    let commands = actions.map(|action| {
        let source = source.filter(|_| action != Action::Tick);
        let command = Command { source, ..command("a", "f1", 1_700_000_000_000, action) };
        StoredCommand::new(
            Command { stamp: Stamp { clock_ms: 17, ..Stamp::default() }, ..command },
            FormatVersion::THIRD,
        )
    });
    let text = serde_json::to_string_pretty(&commands).unwrap() + "\n";
    let golden_text = golden("commands-v3.json", &text);
    assert_eq!(text, golden_text);
    assert_eq!(serde_json::from_str::<Vec<StoredCommand>>(&golden_text).unwrap(), commands);

    let mut catalog = Catalog::default();
    catalog.apply_at(&command("before", "f0", 1_700_000_000_000, put("bits", json!(2))), 2);
    activate_v3(&mut catalog, 1_700_000_000_001);
    for (index, command) in (3..).zip(&commands) {
        let mut command = command.command().unwrap().clone();
        command.request.key = format!("after {index}");
        command.stamp.clock_ms += 1_700_000_000_001;
        catalog.apply_in_v3(&command, index);
    }
    let rows: Vec<Row> = catalog.rows().collect();
    let text = serde_json::to_string_pretty(&rows).unwrap() + "\n";
    let golden_text = golden("rows-v3.json", &text);
    assert_eq!(text, golden_text);
    assert_eq!(stored(serde_json::from_str::<Vec<Row>>(&golden_text).unwrap()), catalog);
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
    /// The written rows are the whole state: a node after a restart or with a snapshot behaves like the
    /// others.
    #[test]
    fn rows_are_the_whole_state(
        steps in proptest::collection::vec((any_action(), 0..5u8, 0..30 * HOUR_MS), 1..40),
        (cut, from_v3) in (0..40usize, 0..40usize),
    ) {
        let mut catalog = Catalog::default();
        let mut written = Vec::new();
        let mut restarted = None;
        for (index, (action, key, at_ms)) in steps.into_iter().enumerate() {
            if index == cut {
                restarted = Some(stored(written.clone()));
            }
            if index == from_v3 {
                written.extend(activate_v3(&mut catalog, at_ms));
                restarted.iter_mut().for_each(|restarted| drop(activate_v3(restarted, at_ms)));
            }
            let stamp = Stamp { clock_ms: at_ms, ..Stamp::default() };
            let command = Command { stamp, ..command(&key.to_string(), &format!("{action:?}"), at_ms, action) };
            let apply = |catalog: &mut Catalog| match index < from_v3 {
                true => catalog.apply_at(&command, index as u64 + 1),
                false => catalog.apply_in_v3(&command, index as u64 + 1),
            };
            let (outcome, rows) = apply(&mut catalog);
            if let Some(restarted) = &mut restarted {
                prop_assert_eq!((&outcome, &rows), (&apply(restarted).0, &rows));
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
