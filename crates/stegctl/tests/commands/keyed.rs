//! Keys, as a shell gives them.

use std::fs;

use serde_json::Value;

use crate::{done, folder, refused, run, told};

const EMBED: [&str; 6] = ["embed", "s.txt", "--cover", "cover.png", "-o", "out.png"];

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

#[test]
fn a_key_hides_and_finds() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    fs::write(folder.join("line.txt"), "correct horse battery staple é\n").unwrap();
    fs::write(folder.join("text.txt"), "correct horse battery staple e\u{301}").unwrap();
    fs::write(folder.join("blank.txt"), "correct horse battery staple é\n\n").unwrap();
    fs::write(folder.join("key"), testkit::noise(1, 32)).unwrap();
    let kinds = [
        &["--passphrase-file", "line.txt"][..],
        &["--key-file", "key"],
        &["--passphrase-file", "text.txt", "--key-file", "key"],
    ];
    for kind in kinds {
        done(folder, &with(&with(&EMBED, kind), &["-f"]), b"");
        assert_eq!(done(folder, &with(&["extract", "out.png", "-o", "-"], kind), b""), b"a secret");
        for other in kinds.iter().filter(|other| **other != kind) {
            refused(folder, &with(&["extract", "out.png", "-o", "-"], other), 5, "no_payload_or_wrong_key");
        }
        refused(folder, &["extract", "out.png", "-o", "-"], 5, "no_payload");
    }
    // One final newline is dropped, either form of é is the same, and standard input is a file.
    done(folder, &with(&EMBED, &["--passphrase-file", "line.txt", "-f"]), b"");
    let extract = ["extract", "out.png", "-o", "-", "--passphrase-file"];
    assert_eq!(done(folder, &with(&extract, &["text.txt"]), b""), b"a secret");
    let typed = "correct horse battery staple é\r\n".as_bytes();
    assert_eq!(done(folder, &with(&extract, &["-"]), typed), b"a secret");
    refused(folder, &with(&extract, &["blank.txt"]), 5, "no_payload_or_wrong_key");
    refused(folder, &["extract", "cover.png", "--key-file", "key"], 5, "no_payload_or_wrong_key");
    // Two embeds of the same are different images.
    let first = fs::read(folder.join("out.png")).unwrap();
    done(folder, &with(&EMBED, &["--passphrase-file", "line.txt", "-f"]), b"");
    assert!(fs::read(folder.join("out.png")).unwrap() != first);
}

/// Everybody can compare a built-in image with the stego image.
#[test]
fn a_built_in_cover_is_called_known() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    fs::write(folder.join("p.txt"), "correct horse battery staple").unwrap();
    let keyed = ["embed", "s.txt", "-o", "out.png", "-f", "--json", "--passphrase-file", "p.txt"];
    let is_known = |more: &[&str]| {
        let notes = told(folder, &with(&keyed, more))["notes"].to_string();
        notes.contains("cover_is_known")
    };
    assert!(is_known(&[]) && is_known(&["--dataset", "7"]));
    assert!(!is_known(&["--cover", "cover.png"]));
}

#[test]
fn an_embed_without_a_key_says_so() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    let output = run(folder, &EMBED, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    for option in ["--passphrase-file", "--key-file", "--open"] {
        assert!(error.contains(option), "{error}");
    }
    assert!(!folder.join("out.png").exists());
    let told = told(folder, &with(&EMBED, &["--open", "--json"]));
    assert_eq!(
        (&told["mode"], told["notes"][0].to_string().contains("anyone")),
        (&"sequential".into(), true)
    );
    for key in [&["--open", "--key-file", "s.txt"][..], &["--open", "-p"]] {
        assert_eq!(run(folder, &with(&EMBED, key), b"").status.code(), Some(2), "{key:?}");
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    fs::write(folder.join("empty"), "\n").unwrap();
    fs::write(folder.join("long"), "a".repeat(1025)).unwrap();
    fs::write(folder.join("bytes"), [0xFF, 0xFE]).unwrap();
    let check = |options: &[&str], status, code| {
        for command in [&EMBED[..], &["extract", "cover.png"]] {
            refused(folder, &with(command, options), status, code);
        }
    };
    check(&["--passphrase-file", "empty"], 2, "invalid_key");
    check(&["--passphrase-file", "long"], 2, "invalid_key");
    check(&["--key-file", "s.txt"], 2, "invalid_key");
    check(&["--passphrase-file", "bytes"], 2, "usage");
    check(&["--passphrase-file", "absent"], 1, "file");
    refused(folder, &["embed", "-", "-o", "out.png", "--passphrase-file", "-"], 2, "usage");
    refused(folder, &["extract", "-", "--passphrase-file", "-"], 2, "usage");
    refused(folder, &with(&EMBED, &["--key-file", "cover.png", "--bits", "2"]), 2, "usage");
}

#[test]
fn weak_passphrases_are_told_and_taken() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("s.txt"), "a secret").unwrap();
    for (passphrase, is_weak) in [("hunter2", true), ("lemon tuna rescue orbit flame vessel", false)] {
        fs::write(folder.join("p"), passphrase).unwrap();
        let output = run(folder, &with(&EMBED, &["--passphrase-file", "p", "-f"]), b"");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && error.contains("is weak") == is_weak, "{error}");
        assert!(!error.contains(passphrase), "{error}");
    }
}

#[test]
fn suggested_passphrases_have_the_entropy_that_is_told() {
    let folder = folder();
    let output = run(folder.path(), &["passphrase"], b"");
    let (words, error) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(words.split_whitespace().count(), 6, "{words}");
    assert!(error.contains("66 bits of entropy"), "{error}");
    let longer = run(folder.path(), &["passphrase", "--words", "12", "--quiet"], b"");
    assert_eq!(String::from_utf8(longer.stdout).unwrap().split_whitespace().count(), 12);
    assert_eq!(longer.stderr, b"");
    assert!(done(folder.path(), &["passphrase"], b"") != done(folder.path(), &["passphrase"], b""));
}

#[test]
fn capacity_tells_what_fits_with_a_key() {
    let folder = folder();
    let told: Value = told(folder.path(), &["capacity", "cover.png", "--json"]);
    let modes: Vec<_> = told["modes"].as_array().unwrap().iter().map(|mode| mode["mode"].as_str()).collect();
    assert_eq!(modes[3..], [Some("sequential"), Some("adaptive")]);
}

#[test]
fn a_certificate_and_its_key_are_written_once() {
    let folder = folder();
    let folder = folder.path();
    let certs = ["certs", "self-signed", "127.0.0.1", "localhost", "--dir", "tls"];
    done(folder, &certs, b"");
    let cert = fs::read_to_string(folder.join("tls/node.crt")).unwrap();
    assert!(cert.starts_with("-----BEGIN CERTIFICATE-----"), "{cert}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(folder.join("tls/node.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    refused(folder, &certs, 1, "file");
    done(folder, &with(&certs, &["--force"]), b"");
    assert_ne!(fs::read_to_string(folder.join("tls/node.crt")).unwrap(), cert);
}
