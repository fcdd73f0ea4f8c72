//! Keys, tokens, and accepted host names.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use control_plane::Host;
use serde::{Deserialize, Deserializer, Serialize};

use super::ConfigError;

/// Maximum number of entries in a list.
const MAX_ENTRIES: usize = 64;

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
    /// File of the certificate chain of the HTTP port, PEM; empty: plain HTTP.
    pub tls_cert: String,
    /// File of the certificate's private key, PEM.
    pub tls_key: String,
    /// Addresses of proxies whose word about the client's connection counts.
    #[serde(deserialize_with = "addresses")]
    pub trusted_proxies: Vec<IpAddr>,
    /// Treatment of passphrases over plain HTTP from other machines.
    pub passphrases_in_plaintext: PlaintextConfig,
}

impl SecurityConfig {
    /// Checks what no single key shows.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let missing = match (self.tls_cert.is_empty(), self.tls_key.is_empty()) {
            (false, true) => "security.tls_key",
            (true, false) => "security.tls_cert",
            (true, true) | (false, false) => return Ok(()),
        };
        let why = "a certificate and its private key are given together".to_owned();
        Err(ConfigError::Invalid { key: missing.to_owned(), why })
    }
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

/// Treatment of passphrases and key files over plain HTTP from other machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlaintextConfig {
    /// Refused.
    #[default]
    Refused,
    /// Accepted, where the network itself is confidential.
    Allowed,
}

/// Deserializes a list of hosts, or text separated by commas, as given by flags and the environment.
fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Host>, D::Error> {
    list(deserializer)
}

/// Deserializes a list of addresses like [`hosts`]; IPv4 addresses mapped to IPv6 become IPv4.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let addresses: Vec<IpAddr> = list(deserializer)?;
    Ok(addresses.into_iter().map(|address| address.to_canonical()).collect())
}

fn list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
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
    if texts.len() > MAX_ENTRIES {
        return Err(D::Error::custom(format!("{} entries; at most {MAX_ENTRIES} are possible", texts.len())));
    }
    let entries = texts.iter().filter(|text| !text.is_empty()).map(|text| text.parse());
    entries.collect::<Result<_, _>>().map_err(D::Error::custom)
}
