//! Writes the seeds in `fuzz/corpus` anew: `cargo run -p fuzz-targets`. Other files in the folder stay.

use std::path::Path;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus"));
    for (target, name, bytes) in fuzz_targets::seeds::all() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
