//! Keys, tokens, and accepted host names.

use control_plane::Host;
use serde::{Deserialize, Deserializer, Serialize};

/// Maximum number of names in `security.hosts`.
const MAX_HOSTS: usize = 64;

/// Keys and tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecurityConfig {
    /// File of the cluster's shared secret; empty: `cluster.key` beside the configuration file.
    pub cluster_key_file: String,
    /// File of the token for calls that change the cluster; empty: derived from the shared secret.
    pub admin_token_file: String,
    /// Right of calls over loopback.
    pub loopback: LoopbackConfig,
    /// Further accepted host names and addresses: proxies, and DNS names.
    #[serde(deserialize_with = "hosts")]
    pub hosts: Vec<Host>,
}

/// Right of calls over loopback without a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LoopbackConfig {
    /// No right: loopback calls need the admin token too.
    #[default]
    Token,
    /// Loopback calls may change the cluster.
    Trusted,
}

/// Deserializes a list of hosts, or text separated by commas, as given by flags and the environment.
fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Host>, D::Error> {
    use serde::de::Error as _;
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    let texts = match Given::deserialize(deserializer)? {
        Given::List(texts) => texts,
        Given::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    if texts.len() > MAX_HOSTS {
        return Err(D::Error::custom(format!("{} hosts; at most {MAX_HOSTS} are possible", texts.len())));
    }
    let hosts = texts.iter().filter(|text| !text.is_empty()).map(|text| text.parse());
    hosts.collect::<Result<_, _>>().map_err(D::Error::custom)
}
