//! Tests of the build script on made-up folders.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../build/folder.rs"]
mod folder;
#[path = "../build/sources.rs"]
mod sources;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use folder::Folder;
use tempfile::TempDir;

const PAGE: &str = "<meta name=\"steg-cluster\" content=\"{{cluster}}\" />";

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Makes a folder with the output of `npm run build`.
fn dist() -> TempDir {
    let dist = tempfile::tempdir().unwrap();
    let script = "console.log('again');\n".repeat(100);
    write(
        dist.path(),
        &[
            ("index.html", PAGE.as_bytes()),
            ("assets/style-1a.css", b"a{}"),
            ("assets/index-B_c-9.js", script.as_bytes()),
        ],
    );
    dist
}

#[test]
fn assets_have_a_type_and_are_packed_where_that_helps() {
    let dist = dist();
    let read = Folder::read(dist.path()).unwrap();
    assert_eq!(read.page, PAGE);
    let [script, style] = &read.assets[..] else { panic!("{:?}", read.assets) };
    assert_eq!((&*script.name, script.media_type), ("index-B_c-9.js", "text/javascript; charset=utf-8"));
    assert_eq!((&*style.name, style.media_type), ("style-1a.css", "text/css; charset=utf-8"));
    assert_eq!(style.gzip, None, "three bytes do not get shorter");
    let mut unpacked = Vec::new();
    let packed = script.gzip.as_deref().unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, script.bytes);
    assert_eq!(
        packed[4..8],
        [0; 4],
        "a time in it would make each build another one (RFC 1952, section 2.3.1)"
    );
    assert_eq!(read, Folder::read(dist.path()).unwrap(), "the same bytes each time");
}

#[test]
fn the_table_names_what_was_written() {
    let (dist, out) = (dist(), tempfile::tempdir().unwrap());
    let table = Folder::read(dist.path()).unwrap().write(out.path(), true).unwrap();
    for expected in [
        "const IS_BUILT: bool = true;",
        "const PAGE: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/page.html\"));",
        "name: \"index-B_c-9.js\", media_type: \"text/javascript; charset=utf-8\", \
         bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/asset-0\")), \
         gzip: Some(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/asset-0.gz\")))",
        "name: \"style-1a.css\", media_type: \"text/css; charset=utf-8\", \
         bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/asset-1\")), gzip: None",
    ] {
        assert!(table.contains(expected), "`{expected}` is not in {table}");
    }
    assert_eq!(fs::read(out.path().join("page.html")).unwrap(), PAGE.as_bytes());
    assert_eq!(fs::read(out.path().join("asset-1")).unwrap(), b"a{}");
    assert!(out.path().join("asset-0.gz").exists());
}

#[test]
fn a_folder_that_cannot_be_served_is_refused_by_what_is_wrong() {
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let dist = dist();
        write(dist.path(), &[(name, bytes)]);
        assert_eq!(Folder::read(dist.path()).unwrap_err(), expected);
    };
    check("index.html", b"<p>nothing to fill in</p>", "index.html should hold {{cluster}} once");
    check("index.html", b"{{cluster}} {{cluster}}", "index.html should hold {{cluster}} once");
    check("assets/a b.js", b"", "assets/a b.js: a name takes letters, digits, `-`, `_` and `.`");
    check("assets/a.exe", b"", "assets/a.exe: no media type is known for its extension");
    let nothing = tempfile::tempdir().unwrap();
    assert!(Folder::read(nothing.path()).unwrap_err().starts_with("index.html: "));
    write(nothing.path(), &[("index.html", PAGE.as_bytes())]);
    assert!(Folder::read(nothing.path()).unwrap_err().starts_with("assets: "));
}

#[test]
fn a_console_is_stale_once_a_source_is_newer() {
    let web = tempfile::tempdir().unwrap();
    let at = |name: &str, seconds: u64| {
        write(web.path(), &[(name, b"")]);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(web.path().join(name)).unwrap().set_modified(time).unwrap();
    };
    at("src/pages/a.svelte", 100);
    at("index.html", 100);
    at("package-lock.json", 100);
    at("dist/index.html", 200);
    let check = |expected: Option<&str>| {
        assert_eq!(sources::newer_than_dist(web.path()), expected.map(PathBuf::from));
    };
    check(None);
    at("README.md", 300);
    at("src/api/retry.ts", 300);
    at("src/api/schema.d.ts", 300);
    check(None);
    for name in ["src/pages/a.svelte", "index.html", "package-lock.json"] {
        at(name, 300);
        check(Some(&format!("web/{name}")));
        at(name, 200);
        check(None);
    }
}

#[test]
fn only_paths_that_are_there_are_watched() {
    let web = tempfile::tempdir().unwrap();
    let watched = || {
        let paths = sources::watched(web.path());
        assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
        paths.iter().map(|path| path.strip_prefix(web.path()).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(watched(), [PathBuf::new()], "the folder in which a dist may come to be");
    write(web.path(), &[("dist/index.html", b""), ("src/main.ts", b"")]);
    assert_eq!(watched(), ["src", "dist"].map(PathBuf::from));
    assert!(sources::watched(&web.path().join("none")).is_empty());
    assert!(sources::dist(web.path()).ends_with("dist"));
}
