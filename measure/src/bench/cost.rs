//! Results of `cargo bench -p stego` as ratios.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Comparisons: benchmark of this project, benchmark compared with, and description.
const RATIOS: [(&str, &str, &str); 7] = [
    ("splice", "image encode", "a finished container into a prepared cover"),
    ("embed prepared", "image encode", "the same with container and compression"),
    ("embed prepared", "png fastest", "the same against the fastest of the png crate"),
    ("extract spliced", "image decode", "extraction from what was spliced"),
    ("extract whole", "image decode", "extraction from an image that was encoded whole"),
    ("user cover, file", "user cover, image", "a cover sent by the user, file in to file out"),
    ("user cover, payload", "user cover, image", "the same, without a check of what is kept"),
];

/// Runs the benchmarks, and prints their medians and the ratio of each comparison.
///
/// # Errors
/// If a measurement fails.
pub(super) fn run() -> anyhow::Result<()> {
    xtask::cargo(&["bench", "-p", "stego", "--bench", "cost"])?;
    let folder = xtask::target().join("criterion");
    println!("{:<8} {:<20} {:>12} {:>25}", "cover", "what", "median ms", "95 % of the median");
    for cover in ["1080p", "12mp"] {
        for entry in sorted(&folder.join(cover))? {
            let median = Median::read(&folder.join(cover).join(&entry))?;
            println!(
                "{cover:<8} {entry:<20} {:>12.4} {:>12.4} {:>12.4}",
                median.ms, median.low_ms, median.high_ms
            );
        }
    }
    println!("\n{:<8} {:<55} {:>10}", "cover", "how many times faster", "ratio");
    for cover in ["1080p", "12mp"] {
        for (ours, theirs, what) in RATIOS {
            let [ours, theirs] = [ours, theirs].map(|name| Median::read(&folder.join(cover).join(name)));
            println!("{cover:<8} {what:<55} {:>10.1}", theirs?.ms / ours?.ms);
        }
    }
    let embeds = ["12mp", "1080p"].map(|cover| Median::read(&folder.join(cover).join("embed prepared")));
    let [large, small] = embeds;
    println!(
        "{:<8} {:<55} {:>10.2}",
        "both",
        "an embed at 12 megapixels, times that at 2",
        large?.ms / small?.ms
    );
    Ok(())
}

fn sorted(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if folder.join(&name).join("new/estimates.json").exists() {
            names.push(name);
        }
    }
    ensure!(!names.is_empty(), "there are no results in {}", folder.display());
    names.sort();
    Ok(names)
}

struct Median {
    ms: f64,
    low_ms: f64,
    high_ms: f64,
}

impl Median {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("new/estimates.json");
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let median = &serde_json::from_slice::<Value>(&text)?["median"];
        let ms = |value: &Value| {
            value.as_f64().map(|ns| ns / 1e6).context("criterion's estimates have another form")
        };
        let interval = &median["confidence_interval"];
        Ok(Self {
            ms: ms(&median["point_estimate"])?,
            low_ms: ms(&interval["lower_bound"])?,
            high_ms: ms(&interval["upper_bound"])?,
        })
    }
}
