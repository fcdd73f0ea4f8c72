//! Confidentiality of a request on its way: over TLS, within this machine, or through a proxy that vouches
//! for https.

use std::net::IpAddr;

use axum::http::{Extensions, HeaderMap};

use crate::config::{PlaintextConfig, SecurityConfig};
use crate::listener::{Encrypted, PeerAddress};

/// Confidentiality of a request, in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confidential {
    /// No machine on the way could read the request, or the configuration does not care.
    Yes,
    /// Others could read it.
    No,
}

/// Headers added by proxies, besides those that begin with `x-forwarded-`.
const OF_PROXIES: [&str; 3] = ["forwarded", "via", "x-real-ip"];
const X_FORWARDED: &str = "x-forwarded-";

/// Judges a request by its connection and headers.
pub(crate) fn judge(extensions: &Extensions, headers: &HeaderMap, config: &SecurityConfig) -> Confidential {
    let peer = extensions.get::<PeerAddress>().and_then(|peer| peer.0);
    let is_encrypted = extensions.get().is_some_and(Encrypted::is_true);
    let is_local = peer.is_some_and(|peer| peer.is_loopback()) && !is_forwarded(headers);
    let is_vouched_for = is_trusted_proxy(peer, config) && came_over_https(headers);
    let is_allowed = config.passphrases_in_plaintext == PlaintextConfig::Allowed;
    match is_encrypted || is_local || is_vouched_for || is_allowed {
        true => Confidential::Yes,
        false => Confidential::No,
    }
}

/// Returns the address of the client: the peer's, or the last one in `X-Forwarded-For` if the peer is a
/// trusted proxy.
pub(crate) fn client_address(
    extensions: &Extensions,
    headers: &HeaderMap,
    config: &SecurityConfig,
) -> Option<IpAddr> {
    let peer = extensions.get::<PeerAddress>().and_then(|peer| peer.0);
    let forwarded_for = headers.get_all("x-forwarded-for").iter().next_back();
    let client = forwarded_for.filter(|_| is_trusted_proxy(peer, config)).and_then(|list| {
        let last = list.to_str().ok()?.rsplit(',').next()?.trim();
        last.parse().ok().map(|address: IpAddr| address.to_canonical())
    });
    client.or(peer)
}

fn is_trusted_proxy(peer: Option<IpAddr>, config: &SecurityConfig) -> bool {
    peer.is_some_and(|peer| config.trusted_proxies.contains(&peer.to_canonical()))
}

/// True if a proxy passed the request on.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(X_FORWARDED) || OF_PROXIES.contains(&name.as_str()))
}

/// True if the proxies name the protocol of the client's connection (`Forwarded`, RFC 7239, section 5.4, or
/// `X-Forwarded-Proto`), and nothing but https. Each hop that is named counts: one without TLS is enough to
/// read the request.
fn came_over_https(headers: &HeaderMap) -> bool {
    let values = |name: &str| -> Vec<String> {
        let texts = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
        texts.flat_map(|text| text.split(',')).map(|part| part.trim().to_ascii_lowercase()).collect()
    };
    let of_forwarded = values("forwarded").into_iter().flat_map(|element| {
        let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let protocols = pairs.filter(|(name, _)| *name == "proto");
        protocols.map(|(_, protocol)| protocol.trim_matches('"').to_owned()).collect::<Vec<_>>()
    });
    let protocols: Vec<_> = values("x-forwarded-proto").into_iter().chain(of_forwarded).collect();
    !protocols.is_empty() && protocols.iter().all(|protocol| protocol == "https")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(given: &[(&str, &str)]) -> HeaderMap {
        given
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn extensions(peer: &str, is_encrypted: bool) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(PeerAddress(peer.parse().ok()));
        extensions.insert(Encrypted::of_test(is_encrypted));
        extensions
    }

    fn config(proxies: &[&str]) -> SecurityConfig {
        let trusted_proxies = proxies.iter().map(|address| address.parse().unwrap()).collect();
        SecurityConfig { trusted_proxies, ..SecurityConfig::default() }
    }

    fn is_confidential(peer: &str, given: &[(&str, &str)], proxies: &[&str]) -> bool {
        judge(&extensions(peer, false), &headers(given), &config(proxies)) == Confidential::Yes
    }

    #[test]
    fn tls_and_this_machine_are_confidential() {
        assert!(is_confidential("127.0.0.1", &[], &[]));
        assert!(is_confidential("::1", &[("host", "localhost")], &[]));
        for peer in ["10.0.0.1", "fd00::1", "unknown"] {
            assert!(!is_confidential(peer, &[], &[]), "{peer}");
            let encrypted = judge(&extensions(peer, true), &HeaderMap::new(), &config(&[]));
            assert_eq!(encrypted, Confidential::Yes, "{peer}");
        }
        assert_eq!(judge(&Extensions::new(), &HeaderMap::new(), &config(&[])), Confidential::No);
        let allowed = SecurityConfig { passphrases_in_plaintext: PlaintextConfig::Allowed, ..config(&[]) };
        assert_eq!(judge(&extensions("10.0.0.1", false), &HeaderMap::new(), &allowed), Confidential::Yes);
    }

    #[test]
    fn a_proxy_on_this_machine_makes_the_caller_remote() {
        for name in
            ["Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"]
        {
            assert!(!is_confidential("127.0.0.1", &[(name, "https")], &[]), "{name}");
        }
    }

    #[test]
    fn a_trusted_proxy_vouches_for_https_only() {
        let check = |given: &[(&str, &str)], want: bool| {
            for peer in ["127.0.0.1", "10.0.0.9"] {
                assert_eq!(
                    is_confidential(peer, given, &["127.0.0.1", "10.0.0.9"]),
                    want,
                    "{peer} {given:?}"
                );
                assert!(!is_confidential(peer, given, &["10.0.0.8"]), "{peer} {given:?}");
            }
        };
        check(&[("x-forwarded-proto", "https")], true);
        check(&[("x-forwarded-proto", "HTTPS, https")], true);
        check(&[("forwarded", "for=10.1.1.1;proto=https")], true);
        check(&[("forwarded", "for=\"[2001:db8::1]\"; Proto=\"https\", for=10.0.0.1;proto=https")], true);
        check(&[("x-forwarded-proto", "http")], false);
        check(&[("x-forwarded-proto", "https, http")], false);
        check(&[("x-forwarded-proto", "https"), ("forwarded", "proto=http")], false);
        check(&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], false);
        check(&[("x-forwarded-for", "10.1.1.1")], false);
        check(&[("forwarded", "for=10.1.1.1")], false);
    }

    #[test]
    fn a_client_behind_a_trusted_proxy_has_its_own_address() {
        let address = |peer: &str, given: &[(&str, &str)]| {
            client_address(&extensions(peer, false), &headers(given), &config(&["10.0.0.9"]))
        };
        let forwarded = [("x-forwarded-for", "1.2.3.4, 5.6.7.8")];
        assert_eq!(address("10.0.0.9", &forwarded), "5.6.7.8".parse().ok());
        assert_eq!(address("10.0.0.1", &forwarded), "10.0.0.1".parse().ok());
        assert_eq!(address("10.0.0.9", &[]), "10.0.0.9".parse().ok());
        assert_eq!(address("10.0.0.9", &[("x-forwarded-for", "unknown")]), "10.0.0.9".parse().ok());
    }
}
