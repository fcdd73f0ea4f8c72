//! The embedded web console: the content that a node serves at `/` and below `/assets/`.
//!
//! The console lies in `web/` and is built by `cargo xtask console` into `web/dist`, where this crate's build
//! script reads the files. Without a built console, a single built-in page gives build instructions: `cargo
//! build` works without Node.

/// A file loaded by the page. The name contains a hash of the content, so that a name always has the same
/// content.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Name below `/assets/`: ASCII letters, digits, `-`, `_` and `.`.
    pub name: &'static str,
    /// Value of `Content-Type`.
    pub media_type: &'static str,
    /// The content.
    pub bytes: &'static [u8],
    /// The content as gzip (RFC 1952), if shorter.
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// Placeholder of the cluster's description in the page.
const PLACEHOLDER: &str = "{{cluster}}";

/// True if a console is embedded instead of the page with build instructions.
pub fn is_built() -> bool {
    IS_BUILT
}

/// Returns the page with `cluster`, a description of the cluster in JSON, inserted. The description may be
/// any text.
pub fn page(cluster: &str) -> String {
    PAGE.replace(PLACEHOLDER, &escaped(cluster))
}

/// Returns the asset of the given name.
pub fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Returns every asset.
pub fn assets() -> &'static [Asset] {
    ASSETS
}

/// Escapes a text for an attribute value in double quotes.
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
