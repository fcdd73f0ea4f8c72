//! Archives made to do harm: none writes anything, anywhere, and each is told by name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tar::{EntryType, Header};

use crate::{done, folder, hide, refused, stegctl, tree};

const FILES: &str = "application/vnd.steg.files+tar";

/// A tar archive in which anything can stand.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    last_header: usize,
}

impl Archive {
    /// Appends a member as it is; its name is cut to the 100 bytes that a header has.
    fn member(mut self, name: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        put(&mut header.as_old_mut().name, name);
        put(&mut header.as_old_mut().linkname, link);
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.last_header = self.bytes.len();
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.member(name.as_bytes(), EntryType::Regular, b"", content.as_bytes())
    }

    fn folder(self, name: &str) -> Self {
        self.member(name.as_bytes(), EntryType::Directory, b"", b"")
    }

    fn special(self, name: &str, kind: EntryType, link: &str) -> Self {
        self.member(name.as_bytes(), kind, link.as_bytes(), b"")
    }

    /// Says what the next member is called, as GNU tar does it for long names.
    fn gnu_name(self, name: &[u8]) -> Self {
        self.member(b"././@LongLink", EntryType::GNULongName, b"", &[name, b"\0"].concat())
    }

    /// Says more of the next member, as POSIX does it.
    fn pax(self, key: &str, value: &str) -> Self {
        let record = |len: usize| format!("{len} {key}={value}\n");
        let len = (1..).find(|&len| record(len).len() == len).unwrap();
        self.member(b"pax", EntryType::XHeader, b"", record(len).as_bytes())
    }

    /// Has the last header tell of another size.
    fn claiming(mut self, size: u64) -> Self {
        let field = self.last_header..self.last_header + 512;
        let mut header = Header::from_byte_slice(&self.bytes[field.clone()]).clone();
        header.set_size(size);
        header.set_cksum();
        self.bytes[field].copy_from_slice(header.as_bytes());
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
}

/// Extracts in every way that unpacks; nothing may have been written, in the folder, beside it or elsewhere.
fn check(archive: Archive, code: &str, word: &str) {
    let folder = folder();
    let inner = folder.path().join("inner");
    fs::create_dir_all(inner.join("exists")).unwrap();
    hide(&archive.end(), "evil.tar", FILES, &inner.join("out.png"));
    let before = tree(folder.path());
    for more in [&[][..], &["--force"], &["-o", "exists"], &["-o", "new"], &["-o", "../inner", "--force"]] {
        let args = [&["extract", "out.png"], more].concat();
        let error = refused(&inner, &args, 6, code);
        assert!(error.contains(word), "`{word}` is not in {error}");
        assert!(error.contains("help: nothing was written"), "{error}");
        assert!(!error.chars().any(|c| c.is_control() && c != '\n'), "{error:?}");
        assert_eq!(tree(folder.path()), before, "{args:?}");
    }
    let inspected = stegctl(&inner, &["inspect", "out.png"], b"");
    assert!(inspected.status.success());
    assert!(String::from_utf8(inspected.stdout).unwrap().contains("not to be unpacked"));
    assert!(Path::new("/abs-stegctl").symlink_metadata().is_err());
}

fn check_unsafe(archive: Archive, word: &str) {
    check(archive, "unsafe_archive", word);
}

#[test]
fn names_that_lead_elsewhere() {
    let good = || Archive::default().file("good", "comes first");
    check_unsafe(good().file("../x", "out"), "leads out of the folder");
    check_unsafe(good().file("a/../../x", "out"), "leads out of the folder");
    check_unsafe(good().file("..", "out"), "leads out of the folder");
    check_unsafe(good().folder("../x/"), "leads out of the folder");
    check_unsafe(good().file("/abs-stegctl", "out"), "absolute");
    check_unsafe(good().gnu_name(b"/abs-stegctl").file("short", "out"), "absolute");
    check_unsafe(good().gnu_name(b"a/../../x").file("short", "out"), "leads out of the folder");
    check_unsafe(good().pax("path", "../x").file("short", "out"), "leads out of the folder");
    check_unsafe(good().pax("path", "/abs-stegctl").file("short", "out"), "absolute");
    check_unsafe(good().gnu_name(b"ok\0/../../x").file("short", "out"), "control characters");
    check_unsafe(good().file("clear\x1b[2Jscreen", "out"), r"clear\u{1b}[2Jscreen");
    check_unsafe(good().member(b"gr\xF6\xDFe", EntryType::Regular, b"", b"out"), "UTF-8");
    check_unsafe(good().file("", "out"), "no name");
    check_unsafe(good().file(".", "out"), "no name");
}

#[test]
fn members_that_are_no_files() {
    let one = |name: &str, kind, link: &str| Archive::default().special(name, kind, link);
    let through = one("link", EntryType::Symlink, "..").file("link/x", "out");
    check_unsafe(through, "a symbolic link");
    check_unsafe(
        Archive::default().folder("link").special("link", EntryType::Symlink, ".."),
        "a symbolic link",
    );
    check_unsafe(one("passwd", EntryType::Symlink, "/etc/passwd"), "a symbolic link");
    check_unsafe(one("out", EntryType::Link, "../inner/out.png"), "a hard link");
    check_unsafe(one("passwd", EntryType::Link, "/etc/passwd").file("passwd", "x"), "a hard link");
    check_unsafe(one("null", EntryType::Char, ""), "a device");
    check_unsafe(one("sda", EntryType::Block, ""), "a device");
    check_unsafe(one("pipe", EntryType::Fifo, ""), "a pipe");
    check_unsafe(one("new", EntryType::new(b'Z'), ""), "neither a file nor a folder");
}

#[test]
fn names_that_are_there_twice() {
    let file = || Archive::default().file("a", "1");
    check_unsafe(file().file("a", "2"), "`a` in it twice");
    check_unsafe(file().file("./a", "2"), "`a` in it twice");
    check_unsafe(file().folder("a"), "`a` in it twice");
    check_unsafe(file().file("a/b", "2"), "`a` in it twice");
    check_unsafe(Archive::default().file("a/b", "2").file("a", "1"), "`a` in it twice");
}

#[test]
fn more_than_there_should_be() {
    let mut many = Archive::default();
    many = many.file("x", "");
    many.bytes = many.bytes.repeat(100_000);
    check_unsafe(many, "more than 50000 files");
    let deep = "a/".repeat(200) + "x";
    check_unsafe(Archive::default().gnu_name(deep.as_bytes()).file("short", "x"), "64 folders deep");
    check_unsafe(Archive::default().pax("path", &"n".repeat(300)).file("short", "x"), "too long");
    check_unsafe(Archive::default().gnu_name(&[b'n'; 5000]).file("short", "x"), "too long");
}

#[test]
fn archives_that_are_damaged() {
    let check = |archive: Archive, word: &str| check(archive, "damaged_archive", word);
    check(Archive::default().file("huge", "").claiming(1 << 33), "cut off");
    check(Archive::default().file("huge", "").claiming(u64::MAX), "damaged");
    check(Archive::default().pax("size", "99999999999").file("huge", "x"), "cut off");
    check(Archive::default().gnu_name(b"x").claiming(1 << 32).file("x", ""), "damaged");
    check(Archive { bytes: vec![7; 4096], last_header: 0 }, "damaged");
    let sparse = Archive::default().special("sparse", EntryType::GNUSparse, "").claiming(1 << 40);
    check(sparse, "damaged");
}

/// Archives of other programs are read on request, and dangerous permissions are not given.
#[test]
fn harmless_archives_of_other_programs() {
    let long = format!("{}/{}", "folder".repeat(20), "name".repeat(40));
    let archive = Archive::default()
        .member(b"pax_global_header", EntryType::XGlobalHeader, b"", b"13 comment=x\n")
        .folder("./")
        .file("./a", "1")
        .gnu_name(long.as_bytes())
        .file("short", "2")
        .pax("path", "größe/x")
        .file("short", "3")
        .folder("größe");
    let folder = folder();
    hide(&archive.end(), "other.tar", "application/x-tar", &folder.path().join("out.png"));
    done(folder.path(), &["extract", "out.png", "--unpack", "-o", "found"], b"");
    let found = folder.path().join("found");
    for (name, content) in [("a", "1"), (long.as_str(), "2"), ("größe/x", "3")] {
        assert_eq!(fs::read(found.join(name)).unwrap(), content.as_bytes(), "{name}");
        let mode = found.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7000, 0, "{mode:o}");
    }
    let hostile = Archive::default().file("../x", "out").end();
    hide(&hostile, "other.tar", "application/x-tar", &folder.path().join("hostile.png"));
    refused(folder.path(), &["extract", "hostile.png", "--unpack"], 6, "unsafe_archive");
    done(folder.path(), &["extract", "hostile.png", "--no-unpack"], b"");
    assert_eq!(fs::read(folder.path().join("other.tar")).unwrap(), hostile);
}
