//! The web console, embedded: what a node serves at `/` and below `/assets/`.
//!
//! The console lies in `web/` and is built by `cargo xtask console` into `web/dist`, from where this crate's build script takes
//! it. Where there is none, one built-in page says how to build it: `cargo build` works without Node.

/// A file that the page loads. Its name has a hash of its content in it, so that it never changes under one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name below `/assets/`: ASCII letters, digits, `-`, `_` and `.`.
    pub name: &'static str,
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// Its content as gzip (RFC 1952), where that is shorter.
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// Where the page takes the description of the cluster.
const PLACEHOLDER: &str = "{{cluster}}";

/// Whether this is a console, and not the page that says how to build one.
pub fn is_built() -> bool {
    IS_BUILT
}

/// The page, with `cluster`, a description of the cluster in JSON, in it. It may hold anything.
pub fn page(cluster: &str) -> String {
    PAGE.replace(PLACEHOLDER, &escaped(cluster))
}

/// The asset of this name.
pub fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Every asset.
pub fn assets() -> &'static [Asset] {
    ASSETS
}

/// As the value of an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_cannot_write_markup() {
        let page = page(r#"{"cluster_name": "\"><script>&"}"#);
        let attribute = "content=\"{&quot;cluster_name&quot;: &quot;\\&quot;&gt;&lt;script&gt;&amp;&quot;}\"";
        assert!(page.contains(attribute), "{page}");
        assert!(!page.contains(PLACEHOLDER));
    }

    #[test]
    fn what_the_page_loads_is_there() {
        let page = page("{}");
        let loaded: Vec<_> =
            page.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!loaded.is_empty(), "{page}");
        for name in loaded {
            assert_eq!(asset(name).map(|asset| asset.name), Some(name));
        }
        assert_eq!(asset("none.js"), None);
        assert_eq!(is_built(), page.contains("<script"));
    }
}
