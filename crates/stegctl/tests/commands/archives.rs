//! Several files and folders in one image, and back.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::{done, folder, hide, refused, stegctl, told, tree};

/// A folder `letters` and a file `run.sh`, with times and permissions to be told apart.
fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("letters/empty")).unwrap();
    fs::create_dir_all(folder.join("letters/old")).unwrap();
    let files = [
        ("letters/anna.txt", "Dear Anna", 0o600),
        ("letters/old/größe.txt", "42", 0o644),
        ("run.sh", "#!/bin/sh\n", 0o4700),
    ];
    for (place, (name, text, mode)) in files.into_iter().enumerate() {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time(place as u64)).unwrap();
    }
    for name in ["letters/empty", "letters/old", "letters"] {
        File::open(folder.join(name)).unwrap().set_modified(time(100)).unwrap();
    }
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + seconds)
}

const EMBED: [&str; 7] = ["embed", "run.sh", "letters", "--cover", "cover.png", "-o", "out.png"];

#[test]
fn files_and_folders_come_back_as_they_were() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fill(folder.path());
    done(folder.path(), &EMBED, b"");
    done(folder.path(), &["extract", "out.png", "-o", "found"], b"");

    fs::create_dir(at("before")).unwrap();
    for name in ["letters", "run.sh"] {
        fs::rename(at(name), at("before").join(name)).unwrap();
    }
    assert_eq!(tree(&at("found")), tree(&at("before")));
    let metadata = |name: &str| at("found").join(name).metadata().unwrap();
    let mode = |name: &str| metadata(name).permissions().mode() & 0o7777;
    assert_eq!((mode("letters/anna.txt"), mode("run.sh")), (0o600, 0o700));
    assert_eq!(metadata("letters/old/größe.txt").modified().unwrap(), time(1));
    assert_eq!(metadata("letters/empty").modified().unwrap(), time(100));
    assert_eq!(metadata("letters").modified().unwrap(), time(100));

    // Into the current folder, as one file is.
    done(folder.path(), &["extract", "out.png"], b"");
    assert_eq!(tree(&at("letters")), tree(&at("before/letters")));
}

#[test]
fn an_archive_is_of_its_files_only() {
    let (one, other) = (folder(), folder());
    fill(one.path());
    fs::create_dir(other.path().join("letters")).unwrap();
    fs::write(other.path().join("letters/zzz"), "made first, and gone before").unwrap();
    fill(other.path());
    fs::remove_file(other.path().join("letters/zzz")).unwrap();
    File::open(other.path().join("letters")).unwrap().set_modified(time(100)).unwrap();
    done(one.path(), &EMBED, b"");
    let turned = ["embed", "letters", "run.sh", "--cover", "cover.png", "-o", "out.png"];
    done(other.path(), &turned, b"");
    let image = |folder: &Path| fs::read(folder.join("out.png")).unwrap();
    assert!(image(one.path()) == image(other.path()));

    let archive = done(one.path(), &["extract", "out.png", "-o", "-"], b"");
    let mut names = Vec::new();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.username_bytes(), Some(&b""[..]));
        assert_eq!(header.mode().unwrap() & !0o777, 0);
        names.push(entry.path().unwrap().to_string_lossy().into_owned());
    }
    let all =
        ["letters/", "letters/anna.txt", "letters/empty/", "letters/old/", "letters/old/größe.txt", "run.sh"];
    assert_eq!(names, all);
}

#[test]
fn an_archive_is_known_by_what_embed_says_of_it() {
    let folder = folder();
    fill(folder.path());
    done(folder.path(), &["embed", "letters", "--cover", "cover.png", "-o", "out.png"], b"");
    let facts = told(folder.path(), &["inspect", "out.png", "--json"]);
    assert_eq!(facts["payload"]["media_type"], "application/vnd.steg.files+tar");
    let files = json!([
        { "name": "letters/anna.txt", "size_bytes": 9 },
        { "name": "letters/old/größe.txt", "size_bytes": 2 },
    ]);
    assert_eq!(facts["payload"]["files"], files);
    let text = String::from_utf8(done(folder.path(), &["inspect", "out.png"], b"")).unwrap();
    assert!(text.contains("letters/anna.txt (9 bytes)"), "{text}");

    done(folder.path(), &["extract", "out.png", "--no-unpack"], b"");
    let archive = fs::read(folder.path().join("letters.tar")).unwrap();
    assert_eq!(done(folder.path(), &["extract", "out.png", "-o", "-"], b""), archive);

    // Embedded as a file it is given back as one, unless that is asked for.
    done(folder.path(), &["embed", "letters.tar", "--cover", "cover.png", "-o", "file.png"], b"");
    let output = stegctl(folder.path(), &["extract", "file.png", "-o", "same.tar"], b"");
    assert!(String::from_utf8(output.stderr).unwrap().contains("--unpack"));
    assert_eq!(fs::read(folder.path().join("same.tar")).unwrap(), archive);
    done(folder.path(), &["extract", "file.png", "--unpack", "-o", "found"], b"");
    assert_eq!(tree(&folder.path().join("found/letters")), tree(&folder.path().join("letters")));
    // The folder one is in has a name, too.
    let here = ["embed", ".", "--cover", "../cover.png", "-o", "../here.png", "--json"];
    assert_eq!(told(&folder.path().join("letters"), &here)["name"], "letters.tar");
}

/// The type takes room that is not there; what was hidden can still be had.
#[test]
fn an_archive_that_fills_the_image_says_how_it_is_unpacked() {
    let folder = folder();
    fill(folder.path());
    let plain = ["--no-compress", "--json"];
    let embedded = told(folder.path(), &[&EMBED[..5], &["-o", "loose.png"], &plain].concat());
    let len = embedded["secret_size_bytes"].as_u64().unwrap() as u32;
    // One bit for each of the header's and the secret's, a byte in each row.
    let height = len + stego::HEADER_LEN_BYTES as u32;
    let cover = stego::Cover::from_samples(8, height, stego::Channels::Grey, vec![90; 8 * height as usize]);
    fs::write(folder.path().join("cover.png"), cover.unwrap().to_png()).unwrap();

    let notes = told(folder.path(), &[&EMBED[..], &plain].concat())["notes"].to_string();
    assert!(notes.contains("extract them with --unpack"), "{notes}");
    done(folder.path(), &["extract", "out.png", "-o", "found", "--unpack"], b"");
    assert_eq!(tree(&folder.path().join("found/letters")), tree(&folder.path().join("letters")));
}

fn embed<'a>(secrets: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [&["embed"], secrets, &["--cover", "cover.png", "-o", "out.png"], more].concat()
}

#[test]
fn what_cannot_be_given_back_is_refused_by_name() {
    let folder = folder();
    fill(folder.path());
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/run.sh"), "").unwrap();
    symlink("/etc/passwd", folder.path().join("letters/link")).unwrap();
    fs::create_dir(folder.path().join("odd")).unwrap();
    fs::write(folder.path().join("odd/a\x1bb"), "").unwrap();
    let check = |secrets: &[&str], more: &[&str], status, code, word: &str| {
        let error = refused(folder.path(), &embed(secrets, more), status, code);
        assert!(error.contains(word), "{error}");
        assert!(error.contains("help: "), "{error}");
    };
    check(&["letters"], &[], 1, "file", "letters/link is a symbolic link");
    check(&["letters", "run.sh", "other/run.sh"], &["--skip-special"], 1, "file", "both be called run.sh");
    check(&["odd"], &[], 1, "file", r"odd/a\u{1b}b");
    check(&["run.sh", "absent"], &[], 1, "file", "cannot read absent");
    check(
        &["run.sh", "other"],
        &["--max-secret-bytes", "2000"],
        4,
        "secret_too_large",
        "3072 bytes together",
    );
    check(&["run.sh", "other"], &["--max-secret-bytes", "2000"], 4, "secret_too_large", "2000");
    refused(folder.path(), &embed(&["run.sh", "-"], &[]), 2, "usage");

    let output = stegctl(folder.path(), &embed(&["letters"], &["--skip-special"]), b"");
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("note: left out: letters/link"));
    check(&["."], &["--force", "--skip-special"], 1, "file", "is to be replaced by the stego image");
    // Named itself, a link is followed, as by any other program.
    symlink("run.sh", folder.path().join("link")).unwrap();
    let names = told(folder.path(), &embed(&["link", "other", "link"], &["--force", "--json"]));
    assert_eq!(names["files"], 2);
}

#[test]
fn what_exists_stays_unless_told() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fill(folder.path());
    done(folder.path(), &EMBED, b"");
    fs::write(at("letters/anna.txt"), "changed").unwrap();
    fs::write(at("letters/mine.txt"), "mine").unwrap();
    let before = tree(folder.path());
    assert!(refused(folder.path(), &["extract", "out.png"], 1, "file").contains("--force"));
    assert_eq!(tree(folder.path()), before);

    done(folder.path(), &["extract", "out.png", "--force"], b"");
    assert_eq!(fs::read(at("letters/anna.txt")).unwrap(), b"Dear Anna");
    assert_eq!(fs::read(at("letters/mine.txt")).unwrap(), b"mine");

    // A link to a folder leads elsewhere: nothing goes through it, and all else is left alone, too.
    fs::remove_dir_all(at("letters/old")).unwrap();
    fs::write(at("letters/anna.txt"), "changed").unwrap();
    fs::create_dir(at("elsewhere")).unwrap();
    symlink(at("elsewhere"), at("letters/old")).unwrap();
    let before = tree(folder.path());
    let error = refused(folder.path(), &["extract", "out.png", "--force"], 1, "file");
    assert!(error.contains("letters/old exists and is not a folder"), "{error}");
    assert_eq!(tree(folder.path()), before);

    // A link to a file is replaced, not written through.
    fs::remove_file(at("letters/old")).unwrap();
    fs::remove_file(at("letters/anna.txt")).unwrap();
    fs::write(at("elsewhere/precious"), "precious").unwrap();
    symlink(at("elsewhere/precious"), at("letters/anna.txt")).unwrap();
    done(folder.path(), &["extract", "out.png", "--force"], b"");
    assert_eq!(fs::read(at("elsewhere/precious")).unwrap(), b"precious");
    assert_eq!(fs::read(at("letters/anna.txt")).unwrap(), b"Dear Anna");

    refused(folder.path(), &["extract", "out.png", "-o", "run.sh", "--force"], 1, "file");
    refused(folder.path(), &["extract", "out.png", "-o", "absent/deep"], 1, "file");
}

/// Whenever the signal comes: what is there is whole, and nothing else is.
#[test]
fn ctrl_c_leaves_nothing_half_written() {
    const FILES: usize = 8000;
    let folder = folder();
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..FILES {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("many/{number}"), &b""[..]).unwrap();
    }
    let archive = archive.into_inner().unwrap();
    hide(&archive, "many.tar", "application/vnd.steg.files+tar", &folder.path().join("out.png"));
    fs::remove_file(folder.path().join("cover.png")).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_stegctl"))
        .args(["extract", "out.png"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let names = || -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    while names().len() == 1 && process.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let _ = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    let status = process.wait().unwrap();
    let mut left = names();
    left.sort();
    match status.code() {
        Some(130) if left == ["out.png"] => {}
        Some(0 | 130) => {
            assert_eq!(left, ["many", "out.png"]);
            assert_eq!(fs::read_dir(folder.path().join("many")).unwrap().count(), FILES);
        }
        other => panic!("{other:?}"),
    }
}
