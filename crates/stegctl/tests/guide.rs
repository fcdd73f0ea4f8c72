//! `docs/stegctl.md` says what is so: its transcripts are run, its tables are those of the program.
//!
//! `TRYCMD=overwrite cargo nextest run -p stegctl --test guide` writes what the program says now into the
//! guide.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File, Permissions};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/stegctl.md");
const STEGCTL: &str = env!("CARGO_BIN_EXE_stegctl");

#[test]
fn transcripts_are_what_a_user_sees() {
    let folder = tempfile::tempdir().unwrap();
    let guide = folder.path().join("stegctl.md");
    fs::copy(GUIDE, &guide).unwrap();
    // trycmd runs what is in a page in the folder that is called like it.
    fill(&folder.path().join("stegctl.in"));
    let cases = trycmd::TestCases::new();
    cases.register_bin("stegctl", Path::new(STEGCTL)).case(&guide).run();
    if std::env::var("TRYCMD").is_ok_and(|mode| mode == "overwrite") {
        fs::copy(&guide, GUIDE).unwrap();
    }
}

/// Files whose archive is the same on every machine: times and permissions are given.
fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("letters/old")).unwrap();
    fs::write(folder.join("holiday.png"), dataset::cover(7).unwrap().to_png()).unwrap();
    let report: String = (1..=400).map(|line| format!("{line}: all is well\n")).collect();
    let files = [
        ("report.txt", report.as_str()),
        ("passphrase.txt", "lemon tuna rescue orbit flame vessel\n"),
        ("letters/anna.txt", "Dear Anna\n"),
        ("letters/old/bob.txt", "Hi\n"),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    let all = files.map(|(name, _)| name).into_iter().chain(["letters/old", "letters"]);
    for name in all {
        let path = folder.join(name);
        let file = File::open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, Permissions::from_mode(if path.is_dir() { 0o755 } else { 0o644 }))
                .unwrap();
        }
    }
}

#[test]
fn the_table_of_exit_statuses_is_that_of_the_help() {
    let help = Command::new(STEGCTL).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let (_, statuses) = help.split_once("Exit status:\n").unwrap();
    let table: Vec<String> = statuses
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .map(|(status, meaning)| format!("| {status} | {meaning} |\n"))
        .collect();
    assert_eq!(table.len(), 13, "{help}");
    let guide = fs::read_to_string(GUIDE).unwrap();
    assert!(guide.contains(&table.concat()), "not in the guide:\n{}", table.concat());
}

#[test]
fn the_sections_on_shells_say_what_the_help_says() {
    let guide = fs::read_to_string(GUIDE).unwrap();
    for command in ["completions", "man"] {
        let help = Command::new(STEGCTL).args([command, "--help"]).output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        for example in examples.lines() {
            let example = example.split("  #").next().unwrap().trim();
            assert!(guide.contains(example), "`{example}` is not in the guide");
        }
    }
}
