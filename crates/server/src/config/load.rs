//! Reads the configuration in layers: flags over environment over file over defaults.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Config;

/// Prefix of environment variables for a single key: `STEG__LIMITS__PIXEL_QUEUE=8`.
const ENV_PREFIX: &str = "STEG__";

/// Sources of the layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The configuration file, if any.
    pub file: Option<PathBuf>,
    /// Environment variables; only the prefix `STEG__` is read.
    pub env: Vec<(String, String)>,
    /// `key=value` pairs from flags, such as `limits.pixel_queue=8`.
    pub set: Vec<String>,
}

/// Reason why a configuration is unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{} is not valid YAML: {message}", path.display())]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        message: String,
    },
    /// An unknown key, or a value of the wrong kind.
    #[error("{origin}: {key}: {message}")]
    Key {
        /// Layers read so far.
        origin: String,
        /// The key, dotted.
        key: String,
        /// The parser's message.
        message: String,
    },
    /// A `--set` without `=`, or a key below a scalar value.
    #[error("`{given}` does not set a key: {why}")]
    Override {
        /// The flag or variable as given.
        given: String,
        /// Reason for the refusal.
        why: &'static str,
    },
    /// A well-typed value out of its range.
    #[error("{key}: {why}")]
    Invalid {
        /// The key, dotted.
        key: String,
        /// Reason for the refusal.
        why: String,
    },
    /// Several nodes are configured and none is named.
    #[error("several nodes are configured; select one with --node-id or NODE_ID: {known}")]
    NodeNotNamed {
        /// The configured ids.
        known: String,
    },
    /// The named node is not in the configuration.
    #[error("node `{id}` is not in the configuration; configured nodes: {known}")]
    NodeUnknown {
        /// The id given.
        id: String,
        /// The configured ids.
        known: String,
    },
}

/// Reads and validates the configuration.
///
/// # Errors
/// A [`ConfigError`] for an unreadable file, an unknown key in any layer, or an invalid value.
pub(crate) fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let tree = match &sources.file {
        Some(path) => read_file(path)?,
        None => Value::Object(Map::new()),
    };
    merge(tree, sources)
}

/// Merges the other layers into the file's tree, and deserializes and validates the result.
fn merge(mut tree: Value, sources: &Sources) -> Result<Config, ConfigError> {
    for (name, value) in &sources.env {
        if let Some(key) = name.strip_prefix(ENV_PREFIX) {
            let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
            put(&mut tree, &path, scalar(value), name)?;
        }
    }
    for given in &sources.set {
        let (key, value) = given.split_once('=').ok_or_else(|| ConfigError::Override {
            given: given.clone(),
            why: "it has no `=`; write key=value",
        })?;
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        put(&mut tree, &path, scalar(value), given)?;
    }
    let config: Config = serde_path_to_error::deserialize(tree).map_err(|error| ConfigError::Key {
        origin: origin(sources),
        key: error.path().to_string(),
        message: error.inner().to_string(),
    })?;
    config.check()?;
    Ok(config)
}

fn read_file(path: &Path) -> Result<Value, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Value, ConfigError> {
    let not_yaml = |message: String| ConfigError::NotYaml { path: path.to_owned(), message };
    match serde_saphyr::from_str::<Value>(text) {
        Ok(tree @ Value::Object(_)) => Ok(tree),
        Ok(Value::Null) => Ok(Value::Object(Map::new())),
        Ok(_) => Err(not_yaml("the top level is not a mapping of keys".to_owned())),
        Err(error) => Err(not_yaml(error.to_string())),
    }
}

fn origin(sources: &Sources) -> String {
    let file = sources.file.as_ref().map(|path| path.display().to_string());
    file.unwrap_or_else(|| "configuration".to_owned())
}

/// Parses numbers and booleans as such, everything else as text.
fn scalar(text: &str) -> Value {
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

fn put(tree: &mut Value, path: &[String], value: Value, given: &str) -> Result<(), ConfigError> {
    let refused = |why| Err(ConfigError::Override { given: given.to_owned(), why });
    let Some((last, parents)) = path.split_last() else { return refused("it names no key") };
    let mut at = tree;
    for key in parents {
        let Value::Object(map) = at else { return refused("a part of the key is not a section") };
        at = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    let Value::Object(map) = at else { return refused("a part of the key is not a section") };
    map.insert(last.clone(), value);
    Ok(())
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
