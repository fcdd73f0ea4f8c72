use serde_json::json;

use super::*;

/// The first form of something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThingV1 {
    name: String,
}

impl Format for ThingV1 {
    const SINCE: FormatVersion = FormatVersion(1);
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThingV2 {
    name: String,
    bytes: u64,
}

impl Format for ThingV2 {
    const SINCE: FormatVersion = FormatVersion(2);
    type Previous = ThingV1;

    fn upgrade(ThingV1 { name }: ThingV1) -> Self {
        Self { bytes: name.len() as u64, name }
    }
}

/// Version 3 left the form alone.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThingV4 {
    label: String,
    bits: u64,
}

impl Format for ThingV4 {
    const SINCE: FormatVersion = FormatVersion(4);
    type Previous = ThingV2;

    fn upgrade(ThingV2 { name, bytes }: ThingV2) -> Self {
        Self { label: name, bits: 8 * bytes }
    }
}

#[test]
fn a_reader_takes_every_version_from_the_first_to_its_own() {
    let check = |version, body, expected: Result<(&str, u64), &str>| {
        let read = ThingV4::read(FormatVersion(version), body);
        let read = read.map(|thing| (thing.label, thing.bits)).map_err(|error| error.to_string());
        let expected = expected.map(|(label, bits)| (label.to_owned(), bits)).map_err(str::to_owned);
        assert_eq!(read, expected, "version {version}");
    };
    check(1, json!({"name": "abc"}), Ok(("abc", 24)));
    check(2, json!({"name": "abc", "bytes": 5}), Ok(("abc", 40)));
    check(4, json!({"label": "abc", "bits": 7}), Ok(("abc", 7)));
    for version in [0, 3, 5, u32::MAX] {
        let error = format!("version {version}; this release reads versions up to 4");
        check(version, json!({"label": "abc", "bits": 7}), Err(&error));
    }
    check(1, json!({"name": "abc", "bytes": 5}), Err("malformed"));
    check(4, json!({"name": "abc"}), Err("malformed"));
}

#[test]
fn each_version_names_its_first_release() {
    assert_eq!(FormatVersion(0).release(), None);
    assert_eq!(FormatVersion::FIRST.release(), Some("0.1"));
    assert!(FormatVersion::LATEST.release().is_some());
    assert_eq!(FormatVersion(FormatVersion::LATEST.0 + 1).release(), None);
}

#[test]
fn an_activated_version_beyond_this_release_names_the_one_that_is_needed() {
    for version in 1..=FormatVersion::LATEST.0 {
        assert_eq!(Activated::of(FormatVersion(version)).check(), Ok(()));
    }
    let newer = Activated { version: FormatVersion(9), release: "0.7".to_owned() };
    assert_eq!(
        newer.check().unwrap_err().to_string(),
        "the format that the cluster has activated has version 9, and this release reads versions 1 to 3; release 0.7 or \
         a newer one is needed"
    );
}

fn announcements(ids_and_versions: &[(u64, u32)]) -> BTreeMap<RaftId, Announcement> {
    let announcement = |(id, max): &(u64, u32)| {
        let raft_id = RaftId::from(*id);
        let (min, max) = (FormatVersion::FIRST, FormatVersion(*max));
        (raft_id, Announcement { raft_id, min, max, release: format!("0.{max}") })
    };
    ids_and_versions.iter().map(announcement).collect()
}

/// Compares the next step. `members`: ids, node 1 named n1 and so on; `announced` and `heard`: id and
/// newest version.
fn check_of(
    configured: &[&str],
    (activated, joint): (u32, bool),
    members: &[u64],
    announced: &[(u64, u32)],
    heard: &[(u64, u32)],
    expected: Option<(u32, &[u64])>,
) {
    let configured: Vec<String> = configured.iter().map(|name| (*name).to_owned()).collect();
    let members = members.iter().map(|id| (RaftId::from(*id), format!("n{id}"))).collect();
    let (announced, heard) = (announcements(announced), announcements(heard));
    let view = FormatFacts {
        activated: FormatVersion(activated),
        latest: FormatVersion(3),
        configured: &configured,
        members: &members,
        joint,
        announced: &announced,
        heard: &heard,
    };
    let step = next_step(&view).map(|ProposedActivation { version, announced }| {
        (version.0, announced.iter().map(|announcement| announcement.raft_id).collect::<Vec<_>>())
    });
    let expected = expected.map(|(version, ids)| (version, ids.iter().copied().map(RaftId::from).collect()));
    assert_eq!(step, expected, "{view:?}");
}

fn check(
    activated: u32,
    members: &[u64],
    announced: &[(u64, u32)],
    heard: &[(u64, u32)],
    expected: Option<(u32, &[u64])>,
) {
    check_of(&["n1", "n2", "n3"], (activated, false), members, announced, heard, expected);
}

#[test]
fn version_2_is_activated_once_every_member_was_heard_to_cover_it() {
    let all = [(1, 2), (2, 2), (3, 2)];
    check(1, &[1, 2, 3], &[], &all, Some((2, &[1, 2, 3])));
    // A node outside the membership does not count, whatever its versions.
    check(1, &[1, 2, 3], &[], &[(1, 2), (2, 2), (3, 2), (9, 1)], Some((2, &[1, 2, 3])));
    check(1, &[1, 2, 3, 9], &[], &[(1, 2), (2, 2), (3, 2), (9, 1)], None);
    check(1, &[1, 2, 3], &[], &[(1, 2), (2, 2), (3, 1)], None);
    check(1, &[1, 2, 3], &[], &all[..2], None);
    // Nor does the replicated announcement of a node without probe answers.
    check(1, &[1, 2, 3], &all, &all[..2], None);
}

#[test]
fn nothing_is_activated_while_the_membership_is_to_grow_or_is_changing() {
    let all = [(1, 2), (2, 2), (3, 2)];
    check(1, &[1, 2], &[], &all, None);
    check(1, &[], &[], &all, None);
    check_of(&["n1", "n2", "n3"], (1, true), &[1, 2, 3], &[], &all, None);
    // Of two nodes one is a voter and the other a permanent learner: both are members.
    check_of(&["n1", "n2"], (1, false), &[1, 2], &[], &all, Some((2, &[1, 2])));
    check_of(&["n1"], (1, false), &[1], &[], &all, Some((2, &[1])));
}

#[test]
fn later_versions_wait_for_the_replicated_announcements_too() {
    let all = [(1, 3), (2, 3), (3, 3)];
    check(2, &[1, 2, 3], &all, &all, Some((3, &[])));
    check(2, &[1, 2, 3], &all[..2], &all, None);
    check(2, &[1, 2, 3], &[(1, 3), (2, 2), (3, 3)], &all, None);
    // A downgraded binary announces its versions on the probes first.
    check(2, &[1, 2, 3], &all, &[(1, 3), (2, 2), (3, 3)], None);
}

#[test]
fn nothing_is_activated_beyond_what_the_leader_reads() {
    let beyond = [(1, 9), (2, 9), (3, 9)];
    check(3, &[1, 2, 3], &beyond, &beyond, None);
}
