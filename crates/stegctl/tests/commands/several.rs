//! Several images in one call, and what scripts get.

use std::fs;

use serde_json::Value;

use crate::{done, folder, refused, stegctl, told};

fn lines(stdout: &[u8]) -> Vec<Value> {
    std::str::from_utf8(stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_image_is_worked_on_and_the_first_failure_counts() {
    let folder = folder();
    for name in ["a", "b"] {
        fs::write(folder.path().join(format!("{name}.txt")), name).unwrap();
        let (secret, image) = (format!("{name}.txt"), format!("{name}.png"));
        done(folder.path(), &["embed", &secret, "--cover", "cover.png", "-o", &image], b"");
    }
    fs::write(folder.path().join("half.png"), &fs::read(folder.path().join("a.png")).unwrap()[..500])
        .unwrap();
    let images = ["a.png", "cover.png", "half.png", "absent.png", "b.png"];

    let output = stegctl(folder.path(), &[&["extract"], &images[..], &["-o", "found"]].concat(), b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{error}");
    let codes: Vec<&str> =
        error.lines().filter_map(|line| line.strip_prefix("error[")?.split(']').next()).collect();
    assert_eq!(codes, ["no_payload", "truncated_image", "file"]);
    assert_eq!(fs::read(folder.path().join("found/a.txt")).unwrap(), b"a");
    assert_eq!(fs::read(folder.path().join("found/b.txt")).unwrap(), b"b");

    for command in ["inspect", "capacity"] {
        let output = stegctl(folder.path(), &[&[command], &images[1..], &["--json"]].concat(), b"");
        let told = lines(&output.stdout);
        let named: Vec<&str> = told.iter().map(|line| line["image"].as_str().unwrap()).collect();
        assert_eq!(named, images[1..]);
        assert_eq!(told[1]["problem"]["code"], "truncated_image");
        assert_eq!(told[2]["problem"]["code"], "file");
        assert_eq!(told[3]["problem"], Value::Null);
        assert_eq!(output.status.code(), Some(if command == "inspect" { 5 } else { 3 }));
    }
    let text =
        String::from_utf8(stegctl(folder.path(), &["capacity", "a.png", "b.png"], b"").stdout).unwrap();
    assert!(text.starts_with("a.png:\n") && text.contains("\nb.png:\n"), "{text}");
}

#[test]
fn images_do_not_overwrite_what_the_others_held() {
    let folder = folder();
    fs::write(folder.path().join("same.txt"), "1").unwrap();
    done(folder.path(), &["embed", "same.txt", "--cover", "cover.png", "-o", "1.png"], b"");
    fs::write(folder.path().join("same.txt"), "2").unwrap();
    done(folder.path(), &["embed", "same.txt", "--cover", "cover.png", "-o", "2.png"], b"");
    let error = refused(folder.path(), &["extract", "1.png", "2.png", "--force", "-q"], 1, "file");
    assert!(error.contains("another of these images"), "{error}");
    assert_eq!(fs::read(folder.path().join("same.txt")).unwrap(), b"1");
    // A folder that exists takes a file under its own name.
    fs::create_dir(folder.path().join("found")).unwrap();
    done(folder.path(), &["extract", "2.png", "-o", "found"], b"");
    assert_eq!(fs::read(folder.path().join("found/same.txt")).unwrap(), b"2");
}

#[test]
fn json_is_one_object_whatever_happens() {
    let folder = folder();
    fs::write(folder.path().join("s.txt"), "secret").unwrap();
    let embed = ["embed", "s.txt", "--cover", "cover.png", "-o", "out.png", "--json"];
    let embedded = told(folder.path(), &embed);
    assert_eq!((&embedded["output"], &embedded["secret_size_bytes"]), (&"out.png".into(), &6.into()));
    assert_eq!((&embedded["name"], &embedded["files"]), (&"s.txt".into(), &Value::Null));
    let output = stegctl(folder.path(), &embed, b"");
    assert_eq!(lines(&output.stdout)[0]["problem"]["code"], "file");
    assert_eq!(output.status.code(), Some(1));

    let extracted = told(folder.path(), &["extract", "out.png", "-o", "found.txt", "--json"]);
    assert_eq!((&extracted["output"], &extracted["media_type"]), (&"found.txt".into(), &"text/plain".into()));
    for args in [
        &["embed", "s.txt", "-o", "-", "--json"][..],
        &["extract", "out.png", "-o", "-", "--json"],
        &["extract", "out.png", "cover.png", "-o", "-"],
        &["extract", "out.png", "-o", "-", "--unpack"],
        &["inspect", "-", "-"],
    ] {
        refused(folder.path(), args, 2, "usage");
    }
}

#[test]
fn standard_error_is_quiet_when_told() {
    let folder = folder();
    fs::write(folder.path().join("s.txt"), "secret").unwrap();
    let embed = ["embed", "s.txt", "--cover", "cover.png", "-o", "out.png", "--force"];
    let loud = String::from_utf8(stegctl(folder.path(), &embed, b"").stderr).unwrap();
    assert!(loud.contains("embedded 6 bytes") && loud.contains("note: "), "{loud}");
    for quiet in ["--quiet", "--json"] {
        let output = stegctl(folder.path(), &[&embed[..], &[quiet]].concat(), b"");
        assert_eq!(output.stderr, b"", "{quiet}");
        assert_eq!(output.stdout.is_empty(), quiet == "--quiet");
    }
}

#[test]
fn inspect_says_what_is_known_of_a_damaged_file() {
    let folder = folder();
    let image = fs::read(folder.path().join("cover.png")).unwrap();
    let mut flipped = image.clone();
    flipped[20_000] ^= 1;
    let mut header = image.clone();
    header[20] ^= 1;
    let check = |file: &[u8], code: &str, format: Value, width: Value| {
        fs::write(folder.path().join("bad"), file).unwrap();
        let output = stegctl(folder.path(), &["inspect", "bad", "--json"], b"");
        let told = &lines(&output.stdout)[0];
        assert_eq!(told["problem"]["code"], code);
        assert_eq!((&told["format"], &told["width"]), (&format, &width), "{code}");
        assert_eq!(told["file_size_bytes"], file.len());
        let output = stegctl(folder.path(), &["inspect", "bad"], b"");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("({code})")), "{text}");
        assert!(String::from_utf8(output.stderr).unwrap().starts_with(&format!("error[{code}]: bad: ")));
        assert_eq!(output.status.code(), Some(3));
    };
    check(&flipped, "damaged_image", "PNG".into(), 300.into());
    check(&image[..9000], "truncated_image", "PNG".into(), 300.into());
    check(&image[..12], "truncated_image", "PNG".into(), Value::Null);
    check(&header, "damaged_image", "PNG".into(), Value::Null);
    check(b"hello", "not_an_image", Value::Null, Value::Null);
}
