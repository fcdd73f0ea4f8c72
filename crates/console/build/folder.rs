//! Folder of a built page: `index.html`, and the page's assets in `assets/`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{fs, io};

use flate2::{Compression, GzBuilder};

/// Placeholder of the cluster's description in `index.html`, present exactly once.
const PLACEHOLDER: &str = "{{cluster}}";
/// Permitted extensions of an asset, with the media type of each.
const MEDIA_TYPES: [(&str, &str); 9] = [
    ("css", "text/css; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];

/// Content of the folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) page: String,
    /// The assets, sorted by name.
    pub(crate) assets: Vec<Asset>,
}

/// A file loaded by the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// The content as gzip (RFC 1952), if shorter.
    pub(crate) gzip: Option<Vec<u8>>,
}

impl Folder {
    /// Reads a folder.
    ///
    /// # Errors
    /// A text for people, with the path and the reason, if a file cannot be read or served.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let page =
            fs::read_to_string(folder.join("index.html")).map_err(|error| format!("index.html: {error}"))?;
        if page.matches(PLACEHOLDER).count() != 1 {
            return Err(format!("index.html should hold {PLACEHOLDER} once"));
        }
        let mut assets = Vec::new();
        for entry in fs::read_dir(folder.join("assets")).map_err(|error| format!("assets: {error}"))? {
            let path = entry.map_err(|error| format!("assets: {error}"))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            assets.push(Asset::read(&path, &name).map_err(|error| format!("assets/{name}: {error}"))?);
        }
        assets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { page, assets })
    }

    /// Writes all files into `out`, and returns the Rust source of a table that includes the files.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn write(&self, out: &Path, is_built: bool) -> io::Result<String> {
        fs::write(out.join("page.html"), &self.page)?;
        let mut rows = String::new();
        for (i, asset) in self.assets.iter().enumerate() {
            let Asset { name, media_type, bytes, gzip } = asset;
            let plain = format!("asset-{i}");
            fs::write(out.join(&plain), bytes)?;
            let gzip = match gzip {
                Some(gzip) => {
                    let packed = format!("{plain}.gz");
                    fs::write(out.join(&packed), gzip)?;
                    format!("Some({})", included("bytes", &packed))
                }
                None => "None".to_owned(),
            };
            let bytes = included("bytes", &plain);
            let fields = format!("name: {name:?}, media_type: {media_type:?}, bytes: {bytes}, gzip: {gzip}");
            // Writing to a string does not fail.
            let _ = writeln!(rows, "    Asset {{ {fields} }},");
        }
        let page = included("str", "page.html");
        Ok(format!(
            "const IS_BUILT: bool = {is_built};\n\
             const PAGE: &str = {page};\n\
             static ASSETS: &[Asset] = &[\n{rows}];\n"
        ))
    }
}

fn included(kind: &str, name: &str) -> String {
    format!("include_{kind}!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))")
}

impl Asset {
    fn read(path: &Path, name: &str) -> Result<Self, String> {
        // A name becomes part of an address without escaping.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err("a name takes letters, digits, `-`, `_` and `.`".to_owned());
        }
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let known = MEDIA_TYPES.iter().find(|(known, _)| *known == extension);
        let (_, media_type) = known.ok_or("no media type is known for its extension")?;
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let packed = gzip(&bytes).map_err(|error| error.to_string())?;
        let gzip = Some(packed).filter(|packed| packed.len() < bytes.len());
        Ok(Self { name: name.to_owned(), media_type, bytes, gzip })
    }
}

/// Compresses without a time or a name in the header, so that equal bytes give an equal build.
fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
