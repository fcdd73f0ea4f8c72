//! The host part of a node's address: an IP address, or a name that a resolver turns into addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Limit on the length of a host name (RFC 1035, section 2.3.4, without the root).
const MAX_NAME_BYTES: usize = 253;
/// Limit on the length of a label.
const MAX_LABEL_BYTES: usize = 63;

/// A host as configured: an address, or a name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Host {
    /// An IP address. An IPv4 address written in IPv6 form stays as written.
    Address(IpAddr),
    /// A host name, without a final dot.
    Name(String),
}

/// Error of parsing text that is neither an IP address nor a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an IP address nor a host name (letters, digits, `-`, `_` and `.`, at most {MAX_NAME_BYTES} bytes)"
)]
pub struct HostError(String);

impl Host {
    /// Returns the address; none for a name, which needs a resolver.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// True for a loopback address and for `localhost` and the names below it (RFC 6761, section 6.3).
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(ip) => ip.to_canonical().is_loopback(),
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// Returns the form used by browsers: an IPv4 address in IPv6 form becomes a plain IPv4 address.
    pub fn to_canonical(&self) -> Self {
        match self {
            Self::Address(ip) => Self::Address(ip.to_canonical()),
            Self::Name(_) => self.clone(),
        }
    }

    /// Returns the host with a port, as in a URL: an IPv6 address is put in brackets.
    pub fn with_port(&self, port: u16) -> String {
        format!("{}:{port}", self.in_url())
    }

    /// Returns the host as in a URL without a port.
    pub fn in_url(&self) -> String {
        match self {
            Self::Address(ip) if ip.is_ipv6() => format!("[{ip}]"),
            _ => self.to_string(),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Address(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if is_name(&name) {
            Ok(Self::Name(name))
        } else {
            Err(HostError(text.chars().take(MAX_NAME_BYTES).collect()))
        }
    }
}

/// True for a host name. A name with a number as its last label is an IPv4 address to browsers and resolvers,
/// or invalid.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label) && !is_number
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Address(ip)
    }
}

impl TryFrom<String> for Host {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name() {
        let check = |text: &str, expected: Option<&str>| {
            let host = text.parse::<Host>();
            assert_eq!(host.as_ref().ok().map(Host::to_string).as_deref(), expected, "{text}");
        };
        check("10.0.0.1", Some("10.0.0.1"));
        check("FD00:0::1", Some("fd00::1"));
        check("n1", Some("n1"));
        check("Node-1.Example.COM.", Some("node-1.example.com"));
        check("n_1.lan", Some("n_1.lan"));
        let longest = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        check(&longest, Some(&longest));
        let too_long = format!("{longest}d");
        for text in [
            "",
            ".",
            "300.0.0.1",
            "10.0.0",
            "1",
            "n1.0x7f",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a:1",
            "[::1]",
            "ü.de",
        ] {
            check(text, None);
        }
        check(&too_long, None);
        check(&"a".repeat(64), None);
    }

    #[test]
    fn loopback_is_told_by_address_and_by_name() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("127.9.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("a.localhost", true),
            ("notlocalhost", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_has_brackets_in_a_url() {
        for (text, expected) in [("::1", "[::1]:80"), ("10.0.0.1", "10.0.0.1:80"), ("n1.lan", "n1.lan:80")] {
            assert_eq!(text.parse::<Host>().unwrap().with_port(80), expected);
        }
    }
}
