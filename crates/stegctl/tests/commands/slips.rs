//! Slips of the hand: a command that is nearly right is told what to write, and an image decides nothing
//! about this machine.

use std::fs;
use std::io::PipeWriter;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{done, folder, hide, refused, run, stegctl, told, tree};

/// Standard error of a command that must succeed.
fn remarks(folder: &Path, args: &[&str]) -> String {
    let output = stegctl(folder, args, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {error}");
    error
}

#[test]
fn a_lone_image_among_the_secrets_is_not_taken_for_one() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    let asked = ["embed", "s.txt", "cover.png", "-o", "t.png"];
    let error = refused(folder, &asked, 2, "usage");
    assert!(error.contains("stegctl embed s.txt --cover cover.png -o t.png"), "{error}");
    assert!(error.contains("--dataset 0"), "{error}");
    assert!(!folder.join("t.png").exists());
    // Whoever means it says so, and two images may be secrets.
    done(folder, &[&asked[..], &["--dataset", "0"]].concat(), b"");
    fs::copy(folder.join("cover.png"), folder.join("other.png")).unwrap();
    done(folder, &["embed", "s.txt", "cover.png", "other.png", "-o", "u.png"], b"");
    done(folder, &["embed", "cover.png", "-o", "v.png"], b"");
}

#[test]
fn the_summary_names_cover_and_mode_and_the_capacity_of_capacity() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    let capacity = told(folder, &["capacity", "cover.png", "--json"])["modes"][0]["capacity_bytes"].clone();
    let error = remarks(folder, &["embed", "s.txt", "--cover", "cover.png", "-o", "t.png"]);
    let expected = format!("of {capacity} bytes that fit into cover.png (mode sequential, 1 bit per sample)");
    assert!(error.contains(&expected), "{expected}: {error}");
    let error = remarks(folder, &["embed", "s.txt", "--bits", "2", "-o", "u.png"]);
    assert!(error.contains("the built-in image 0 (mode sequential, 2 bits per sample)"), "{error}");
}

#[test]
fn a_result_named_like_another_format_is_refused_before_any_work() {
    let folder = folder();
    let folder = folder.path();
    for name in ["out.jpg", "out.JPEG", "out.webp", "dir.png/out.gif"] {
        let error = refused(folder, &["embed", "cover.png", "--cover", "cover.png", "-o", name], 2, "usage");
        let png = Path::new(name).with_extension("png");
        assert!(error.contains("PNG") && error.contains(png.to_str().unwrap()), "{error}");
    }
    refused(folder, &["compare", "cover.png", "cover.png", "--diff", "d.jpg"], 2, "usage");
    done(folder, &["embed", "cover.png", "--bits", "4", "-o", "no-extension"], b"");
    done(folder, &["embed", "cover.png", "--bits", "4", "-o", "out.PNG"], b"");
}

/// Runs a line of a shell; status and standard error.
#[cfg(target_os = "linux")]
fn shell(folder: &Path, line: &str) -> (Option<i32>, String) {
    let line = line.replace("stegctl ", concat!(env!("CARGO_BIN_EXE_stegctl"), " "));
    let output =
        Command::new("sh").args(["-c", &line]).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_has_its_other_names_too() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let line = format!("stegctl embed s.txt --open --cover cover.png -o {name} -q > t.png");
        assert_eq!(shell(folder, &line), (Some(0), String::new()), "{name}");
        let line = format!("stegctl extract t.png -o {name} -q > found.txt");
        assert_eq!(shell(folder, &line), (Some(0), String::new()), "{name}");
        assert_eq!(fs::read(folder.join("found.txt")).unwrap(), b"a secret");
    }
}

/// The end of a pipe that nobody reads.
fn unread() -> PipeWriter {
    std::io::pipe().unwrap().1
}

/// 141: what a shell says of a program that ended by SIGPIPE.
#[test]
fn a_closed_pipe_ends_every_command_without_a_word() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), testkit::noise(3, 20_000)).unwrap();
    done(folder, &["embed", "s.txt", "--cover", "cover.png", "-o", "t.png"], b"");
    let with_output_to = |line: &str, stdout: Stdio, stderr: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stegctl"));
        command.args(line.split(' ')).current_dir(folder).stdin(Stdio::null());
        command.stdout(stdout).stderr(stderr).spawn().unwrap().wait_with_output().unwrap()
    };
    for line in [
        "capacity cover.png cover.png",
        "inspect cover.png t.png --json",
        "compare cover.png t.png",
        "extract t.png -o -",
        "embed s.txt --open --cover cover.png -o - -q",
        "man embed",
        "completions bash",
    ] {
        let output = with_output_to(line, unread().into(), Stdio::piped());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(141), ""), "{line}");
    }
    let output = with_output_to("capacity s.txt", Stdio::null(), unread().into());
    assert_eq!(output.status.code(), Some(3), "standard error may be closed, too");
}

#[test]
fn names_that_would_steer_this_machine_are_written_under_safe_ones() {
    for (name, safe) in [
        (".zshenv", "_.zshenv"),
        ("-rf", "_-rf"),
        ("~", "_~"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("trailing.", "trailing._"),
        ("console.txt", "console.txt"),
        ("a.b", "a.b"),
    ] {
        let folder = folder();
        let folder = folder.path();
        hide(b"a secret", name, "text/plain", &folder.join("t.png"));
        let error = remarks(folder, &["extract", "t.png"]);
        assert_eq!(fs::read(folder.join(safe)).unwrap(), b"a secret", "{name}: {error}");
        assert_eq!(error.contains("note: the image names the file"), safe != name, "{error}");
        // A name of the user's own is taken as it is.
        if safe != name {
            let output = format!("./{name}");
            done(folder, &["extract", "t.png", "-o", &output], b"");
            assert_eq!(fs::read(folder.join(name)).unwrap(), b"a secret", "{name}");
        }
        fs::create_dir(folder.join("d")).unwrap();
        done(folder, &["extract", "t.png", "-o", "d"], b"");
        assert_eq!(fs::read(folder.join("d").join(name)).unwrap(), b"a secret", "{name}");
    }
}

#[test]
fn top_folders_of_archives_too() {
    let folder = folder();
    let folder = folder.path();
    fs::create_dir_all(folder.join("home/.ssh")).unwrap();
    fs::write(folder.join("home/.ssh/.rc"), "a secret").unwrap();
    done(folder, &["embed", "home/.ssh", "cover.png", "--dataset", "0", "-o", "t.png"], b"");
    fs::create_dir(folder.join("here")).unwrap();
    let error = remarks(&folder.join("here"), &["extract", "../t.png"]);
    let written = tree(&folder.join("here"));
    let names: Vec<_> = written.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(names, ["_.ssh", "_.ssh/.rc", "cover.png"], "{error}");
    assert!(error.contains(".ssh"), "{error}");
    done(folder, &["extract", "t.png", "-o", "there"], b"");
    assert!(folder.join("there/.ssh/.rc").exists());
}

#[test]
fn passphrases_on_the_command_line_get_an_answer_that_helps() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    for option in ["--password=hunter2", "--passphrase=hunter2", "-p=hunter2"] {
        for command in [&["embed", "s.txt", "-o", "t.png"][..], &["extract", "cover.png"]] {
            let output = run(folder, &[command, &[option]].concat(), b"");
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert!(error.contains("--passphrase-file") && !error.contains("hunter2"), "{error}");
        }
    }
    let error = remarks(folder, &["embed", "s.txt", "-o", "t.png"]);
    assert_eq!(error.matches("anyone with this image").count(), 1, "{error}");
}
