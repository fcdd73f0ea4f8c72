//! The server under test: its path, and an environment without settings for servers.

use std::ffi::OsString;
use std::path::PathBuf;

/// Log message of a reachable node.
pub(crate) const LISTENING: &str = "listening on http";
/// Prefix of the server's environment variables, besides the others below.
const OUR_VARIABLES: &str = "STEG";
/// Variables that would choose another node or another network.
const OTHER_VARIABLES: [&str; 2] = ["CONFIG_PATH", "NODE_ID"];

/// Returns the path of the server built by cargo beside the running test.
///
/// # Panics
///
/// If there is no such binary.
pub(crate) fn server_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile_folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let program = profile_folder.join("server");
    assert!(
        program.is_file(),
        "{} is not there; run `cargo build --bin server` or test the whole workspace",
        program.display()
    );
    program
}

/// Returns the environment's settings for servers, which no node of a test may see.
pub(crate) fn settings_in_environment() -> Vec<OsString> {
    let ours = |name: &OsString| {
        name.to_str().is_some_and(|name| name.starts_with(OUR_VARIABLES) || OTHER_VARIABLES.contains(&name))
    };
    std::env::vars_os().map(|(name, _)| name).filter(ours).collect()
}

/// Returns a command prefix that sets a limit on open files, without the right to raise it.
pub(crate) fn under_limit_on_files(limit: usize) -> Vec<String> {
    ["sh".to_owned(), "-c".to_owned(), format!("ulimit -n {limit} && exec \"$0\" \"$@\"")].to_vec()
}
