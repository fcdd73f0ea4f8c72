//! Build script: embeds the console in `web/dist`, or a page with build instructions. Needs no Node.

#![expect(clippy::print_stdout, reason = "what a build script tells cargo")]

mod folder;
mod sources;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use folder::Folder;

/// Variable that, set to `1`, makes a build without an up-to-date console fail.
const REQUIRE: &str = "STEG_REQUIRE_CONSOLE";
/// Instruction for building a console.
const REMEDY: &str = "run `cargo xtask console`, which needs Node 20.19+ or 22.12+ and npm";

fn main() -> ExitCode {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    let out = env::var("OUT_DIR").expect("cargo says where the output goes");
    let (here, out) = (Path::new(&here), Path::new(&out));
    let required = env::var(REQUIRE).is_ok_and(|value| value == "1");
    let web = here.join("../../web");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=not-built");
    println!("cargo::rerun-if-env-changed={REQUIRE}");
    sources::watched(&web).iter().for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));

    let (console, complaint) = find(&web);
    if let Some(complaint) = complaint {
        if required {
            println!("cargo::error={complaint}, and {REQUIRE} is 1; {REMEDY}");
            return ExitCode::FAILURE;
        }
        // Without Node there is no web/dist either, and a warning at every build would be useless.
        if sources::dist(&web).exists() {
            println!("cargo::warning={complaint}; {REMEDY}");
        }
    }
    let is_built = console.is_some();
    let console = console.unwrap_or_else(|| {
        Folder::read(&here.join("not-built")).unwrap_or_else(|error| panic!("not-built: {error}"))
    });
    let table = console.write(out, is_built).expect("the build's output can be written");
    fs::write(out.join("console.rs"), table).expect("the build's output can be written");
    ExitCode::SUCCESS
}

/// Finds the console in `web/dist`, if usable, and a complaint about a missing, unusable or stale console.
fn find(web: &Path) -> (Option<Folder>, Option<String>) {
    let dist = sources::dist(web);
    if !dist.exists() {
        return (None, Some("there is no console in web/dist".to_owned()));
    }
    match Folder::read(&dist) {
        Err(error) => (None, Some(format!("the console in web/dist cannot be used: {error}"))),
        Ok(console) => {
            let newer = sources::newer_than_dist(web);
            let stale = newer.map(|path| format!("the console in web/dist is older than {}", path.display()));
            (Some(console), stale)
        }
    }
}
