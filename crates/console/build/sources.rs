//! Sources of the console, and a check for changes since the last build.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files and folders in `web` from which a console is built. RESTART_CLUSTER.sh has the same list.
const SOURCES: [&str; 9] = [
    "src",
    "index.html",
    "openapi.json",
    "package.json",
    "package-lock.json",
    "retry.mjs",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];
/// Files generated from `web/openapi.json` by each of npm's scripts, also after a build.
const GENERATED: [&str; 2] = ["src/api/retry.ts", "src/api/schema.d.ts"];

/// Returns the output folder of `npm run build`.
pub(crate) fn dist(web: &Path) -> PathBuf {
    web.join("dist")
}

/// Returns the paths for cargo to watch. Cargo takes a missing path for changed, and would rebuild each time.
pub(crate) fn watched(web: &Path) -> Vec<PathBuf> {
    if dist(web).exists() {
        let sources = SOURCES.iter().map(|name| web.join(name));
        return sources.chain([dist(web)]).filter(|path| path.exists()).collect();
    }
    // The time of the folder changes when a `dist` is added.
    [web.to_owned()].into_iter().filter(|path| path.exists()).collect()
}

/// Returns a source changed after the console was built, if any.
pub(crate) fn newer_than_dist(web: &Path) -> Option<PathBuf> {
    let built = modified(&dist(web).join("index.html"))?;
    SOURCES.iter().find_map(|name| newer(&web.join(name), built)).map(|path| {
        let inside = path.strip_prefix(web).unwrap_or(&path);
        Path::new("web").join(inside)
    })
}

/// Returns the first file at or below `path` changed after `than`.
fn newer(path: &Path, than: SystemTime) -> Option<PathBuf> {
    if GENERATED.iter().any(|generated| path.ends_with(generated)) {
        return None;
    }
    if path.is_dir() {
        let entries = fs::read_dir(path).ok()?.filter_map(Result::ok);
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        return paths.iter().find_map(|path| newer(path, than));
    }
    modified(path).filter(|time| *time > than).map(|_| path.to_owned())
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}
