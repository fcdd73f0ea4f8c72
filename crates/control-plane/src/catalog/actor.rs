//! Originators of requests.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Originator of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Unverified name given by the originator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Authority of the originator.
    pub authority: Authority,
    /// Name of the node that received the request.
    pub via: String,
}

/// Authority to change the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Connection from the node's own machine.
    Loopback,
    /// Knowledge of the admin token.
    AdminToken,
}

/// Network of an originator: an IPv4 address, or the first 64 bits of an IPv6 address, which one site has for
/// itself (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(IpAddr);

impl Source {
    /// Returns the network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from(address.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
}

/// Owner of idempotency keys: originators under the same authority and from the same network share a part of
/// the deduplication table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    /// Authority of the originator.
    pub authority: Authority,
    /// Network of the originator, as recorded by the node that received the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_site_are_one_source() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        let check = |one: &str, other: &str, same| {
            assert_eq!(source(one) == source(other), same, "{one}, {other}");
        };
        check("10.0.0.1", "10.0.0.2", false);
        check("10.0.0.1", "::ffff:10.0.0.1", true);
        check("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true);
        check("2001:db8:0:1::1", "2001:db8:0:2::1", false);
        assert_eq!(serde_json::to_string(&source("2001:db8:0:1::9")).unwrap(), r#""2001:db8:0:1::""#);
    }
}
