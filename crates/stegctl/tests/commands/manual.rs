//! Help and manual of the command line.

use std::fs;

use crate::{done, folder, refused};

#[test]
fn there_is_a_page_for_every_command() {
    let folder = folder();
    let page = String::from_utf8(done(folder.path(), &["man", "leader", "transfer"], b"")).unwrap();
    assert!(page.contains("stegctl-leader-transfer 1"), "{page}");
    assert!(refused(folder.path(), &["man", "no", "such"], 2, "usage").contains("no such"));
    let whole = String::from_utf8(done(folder.path(), &["man"], b"")).unwrap();
    assert!(whole.contains("Exit status:"), "{whole}");

    done(folder.path(), &["man", "--dir", "man1"], b"");
    for command in ["", "-embed", "-extract", "-capacity", "-inspect", "-compare", "-settings-set", "-man"] {
        let page = folder.path().join(format!("man1/stegctl{command}.1"));
        assert!(fs::read_to_string(&page).unwrap().contains(".TH stegctl"), "{command}");
    }
}

#[test]
fn every_shell_gets_completions() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = String::from_utf8(done(folder.path(), &["completions", shell], b"")).unwrap();
        assert!(script.contains("no-unpack"), "{shell}");
    }
}
