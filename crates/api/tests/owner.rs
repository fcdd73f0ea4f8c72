//! Nothing outside this crate spells a code or a header of the API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use api::{Code, headers};

/// Crates with their own error names: `stego` does not depend on the API. A test of the server maps each to a
/// code.
const OWN_NAMES: [&str; 1] = ["stego"];

/// Sources of a folder, without tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !is_test {
            found.push(path);
        }
    }
}

#[test]
fn codes_and_headers_are_spelled_here_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "api" && !OWN_NAMES.contains(&name.as_str()) && path.join("src").is_dir() {
            sources(&path.join("src"), &mut files);
        }
    }
    assert!(files.len() > 100, "{} sources were found", files.len());
    // A code of one word, such as `stopped`, is a word of its own elsewhere.
    let codes = Code::ALL.iter().map(|code| code.as_str()).filter(|code| code.contains('_'));
    let own_headers = headers::OF_REQUESTS.into_iter().chain(headers::OF_ANSWERS);
    let names: Vec<String> = codes.chain(own_headers).map(|name| format!("\"{name}\"")).collect();
    let mut spelled = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            // The attributes of the OpenAPI document take literals only.
            let is_attribute = line.contains(", Header, description = ");
            if !is_attribute && names.iter().any(|name| line.contains(name.as_str())) {
                spelled.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(spelled.is_empty(), "use `api`:\n{}", spelled.join("\n"));
}
