//! Entry point of the configuration's fuzz target.

use super::*;

/// Reads the layers in `bytes`. Checks for an accepted configuration that printing and reading changes
/// nothing.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut layers = text.split("\n===\n");
    let file = layers.next().unwrap_or_default();
    let variables = layers.next().unwrap_or_default().lines().filter_map(|line| line.split_once('='));
    let sources = Sources {
        file: None,
        env: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        set: layers.next().unwrap_or_default().lines().map(str::to_owned).collect(),
    };
    match parse(file, Path::new("fuzzed.yaml")).and_then(|tree| merge(tree, &sources)) {
        Ok(config) => comes_back(&config),
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
    }
}

fn comes_back(config: &Config) {
    let printed = serde_saphyr::to_string(config).expect("a configuration can be printed");
    let tree = parse(&printed, Path::new("printed.yaml"));
    let again = tree.and_then(|tree| merge(tree, &Sources::default()));
    assert_eq!(&again.expect("the printed configuration is readable"), config, "printed as:\n{printed}");
    // The values that a start derives.
    let _ = (config.node(None), config.stego_limits(), config.election.timing(), config.fingerprint());
}
