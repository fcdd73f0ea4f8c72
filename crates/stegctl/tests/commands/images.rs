//! One file and one image.

use std::process::Command;

use serde_json::Value;

use crate::{done, folder, refused, stegctl};

#[test]
fn a_file_is_hidden_and_found_under_its_name() {
    let folder = folder();
    let secret = testkit::text(5000);
    std::fs::write(folder.path().join("letter.txt"), &secret).unwrap();
    done(folder.path(), &["embed", "letter.txt", "--cover", "cover.png", "-o", "out.png"], b"");
    std::fs::remove_file(folder.path().join("letter.txt")).unwrap();
    done(folder.path(), &["extract", "out.png"], b"");
    assert_eq!(std::fs::read(folder.path().join("letter.txt")).unwrap(), secret);

    let text = String::from_utf8(done(folder.path(), &["inspect", "out.png"], b"")).unwrap();
    for line in ["PNG, 300 × 200", "version 2", "letter.txt", "text/plain", "5000 bytes", "compressed"] {
        assert!(text.contains(line), "`{line}` is not in {text}");
    }
    let facts: Value =
        serde_json::from_slice(&done(folder.path(), &["inspect", "--json", "out.png"], b"")).unwrap();
    assert_eq!(facts["payload"]["name"], "letter.txt");
    assert_eq!(facts["payload"]["secret_size_bytes"], 5000);
    assert_eq!(facts["problem"], Value::Null);
}

#[test]
fn pipes_carry_data_only() {
    let folder = folder();
    let secret = testkit::noise(1, 3000);
    let image =
        done(folder.path(), &["embed", "-", "--cover", "cover.png", "--bits", "2", "-o", "-"], &secret);
    assert_eq!(done(folder.path(), &["extract", "-", "-o", "-"], &image), secret);
    done(folder.path(), &["extract", "-"], &image);
    assert_eq!(std::fs::read(folder.path().join("secret.bin")).unwrap(), secret);
}

#[test]
fn capacity_is_what_embed_takes() {
    let folder = folder();
    let facts: Value =
        serde_json::from_slice(&done(folder.path(), &["capacity", "cover.png", "--json"], b"")).unwrap();
    for mode in facts["modes"].as_array().unwrap() {
        let bits = mode["bits"].to_string();
        let fits = mode["capacity_bytes"].as_u64().unwrap() as usize;
        let key: &[&str] =
            if mode["mode"] == "sequential" { &["--open"] } else { &["--key-file", "cover.png"] };
        let args = ["embed", "secret", "--cover", "cover.png", "--bits", &bits, "-o", "out.png", "--force"];
        let args = [&args[..], key].concat();
        std::fs::write(folder.path().join("secret"), testkit::noise(2, fits)).unwrap();
        done(folder.path(), &args, b"");
        std::fs::write(folder.path().join("secret"), testkit::noise(2, fits + 1)).unwrap();
        let error = refused(folder.path(), &args, 4, "capacity_exceeded");
        assert!(error.contains(&format!("{}", fits + 1)) && error.contains(&format!("{fits}")), "{error}");
    }
    let table = String::from_utf8(done(folder.path(), &["capacity", "cover.png"], b"")).unwrap();
    assert_eq!(table.lines().count(), 6);
}

#[test]
fn nothing_is_overwritten_without_being_told() {
    let folder = folder();
    std::fs::write(folder.path().join("s.txt"), "secret").unwrap();
    let embed = ["embed", "s.txt", "--cover", "cover.png", "-o", "out.png"];
    done(folder.path(), &embed, b"");
    let before = std::fs::read(folder.path().join("out.png")).unwrap();
    assert!(refused(folder.path(), &embed, 1, "file").contains("--force"));
    assert!(refused(folder.path(), &["extract", "out.png"], 1, "file").contains("--force"));
    assert_eq!(std::fs::read(folder.path().join("out.png")).unwrap(), before);
    done(folder.path(), &[&embed[..], &["--force"]].concat(), b"");
}

/// Whoever made the image chose the name; only the user's own `-` means standard output.
#[cfg(unix)]
#[test]
fn a_name_from_an_image_is_a_file_with_the_users_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    done(folder.path(), &["embed", "-", "--name", "-", "--cover", "cover.png", "-o", "out.png"], b"dash");
    assert_eq!(done(folder.path(), &["extract", "out.png"], b""), b"");
    assert_eq!(std::fs::read(folder.path().join("_-")).unwrap(), b"dash");
    let script = format!("umask 077; {} extract out.png -o kept", env!("CARGO_BIN_EXE_stegctl"));
    let status = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).status().unwrap();
    assert!(status.success());
    let mode = std::fs::metadata(folder.path().join("kept")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    done(folder.path(), &["extract", "out.png", "-o", "/dev/null", "--force"], b"");
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn failures_have_a_status_and_a_code_for_scripts() {
    let folder = folder();
    std::fs::write(folder.path().join("noise.png"), testkit::noise(1, 100)).unwrap();
    let image = std::fs::read(folder.path().join("cover.png")).unwrap();
    std::fs::write(folder.path().join("half.png"), &image[..image.len() / 2]).unwrap();
    std::fs::write(folder.path().join("photo.jpg"), jpeg()).unwrap();
    let check = |args: &[&str], status: i32, code: &str| refused(folder.path(), args, status, code);
    check(&["extract", "absent.png"], 1, "file");
    check(&["extract", "noise.png"], 3, "not_an_image");
    check(&["extract", "half.png"], 3, "truncated_image");
    check(&["extract", "cover.png"], 5, "no_payload");
    let error = check(&["extract", "photo.jpg"], 5, "no_payload");
    assert!(
        error.contains("JPEG, in which nothing is embedded yet") && !error.contains("destroy"),
        "{error}"
    );
    check(&["capacity", "cover.png", "--max-pixels", "1000"], 4, "too_many_pixels");
    check(&["embed", "cover.png", "-o", "absent/out.png"], 1, "file");
    let error =
        check(&["embed", "cover.png", "-o", "out.png", "--max-secret-bytes", "10"], 4, "file_too_large");
    assert!(error.contains(&format!("has {} bytes; at most 10", image.len())), "{error}");
    check(&["embed", "-", "--cover", "-", "-o", "out.png"], 2, "usage");
    let inspected = stegctl(folder.path(), &["inspect", "cover.png"], b"");
    assert_eq!(inspected.status.code(), Some(5));
    assert!(String::from_utf8(inspected.stdout).unwrap().contains("no_payload"));
    assert_eq!(stegctl(folder.path(), &["embed"], b"").status.code(), Some(2));
    assert_eq!(stegctl(folder.path(), &["embed", "x", "-o", "y", "--bits", "5"], b"").status.code(), Some(2));
}

/// The smallest start of a JPEG that is taken for one: 8 × 8 grey, no scan.
fn jpeg() -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0];
    file.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0xFF, 0xD9]);
    file
}
