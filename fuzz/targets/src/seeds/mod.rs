//! Seeds of the fuzzing corpus: small inputs of every kind for the targets.

mod images;

use testkit::mutation::Mutator;
use testkit::{Container, PngFile};

/// Maximum length of a seed: fuzzers do more with short seeds.
const MAX_SEED_BYTES: usize = 4096;

/// Returns every seed: the target, a name, and the bytes.
pub fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, bytes) in images::all() {
        seeds.push(("cover_decode", name.to_owned(), bytes.clone()));
        seeds.push(("differential", name.to_owned(), bytes));
    }
    for (name, bytes) in images::large_pngs() {
        seeds.push(("embed_into_png", name, bytes));
    }
    payloads(&mut seeds);
    texts(&mut seeds);
    nodes(&mut seeds);
    seeds
}

type Seeds = Vec<(&'static str, String, Vec<u8>)>;

fn payloads(seeds: &mut Seeds) {
    for (n, image) in Mutator::new().images().iter().enumerate() {
        if image.file.len() <= MAX_SEED_BYTES {
            seeds.push(("extract_png", format!("stego-{n:02}.png"), image.file.clone()));
        }
        let container = image.raster.container().filter(|_| !image.is_legacy);
        if let Some(Container { header, rest }) = container.filter(|container| container.rest.len() < 1000) {
            // Kinds of images in turn; checksums and digests corrected for every other seed.
            let flags = (n as u8 % 4) << 3 | if n % 2 == 0 { 3 } else { 0 };
            seeds.push(("container", format!("v2-{n:02}"), [&[flags], &header[..], &rest].concat()));
        }
    }
    // Raw deflate: a stored block of five bytes.
    let payload = b"\x01\x05\0\xfa\xffhello";
    seeds.push(("container", "legacy-payload".to_owned(), [&[6], &payload[..]].concat()));
    seeds.push(("container", "legacy".to_owned(), [&[4], &testkit::legacy_container(payload)[..]].concat()));
    let whole = seeds.iter().find(|(target, ..)| *target == "extract_png").map(|(.., file)| file.clone());
    if let Some(mut png) = whole.and_then(|file| PngFile::parse(&file)) {
        let compressed = png.compressed();
        png.replace_compressed(&compressed, 100);
        seeds.push(("extract_png", "many-idat.png".to_owned(), png.to_bytes()));
    }
}

fn texts(seeds: &mut Seeds) {
    let form = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22b.txt\"\r\n\
                Content-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n\
                --B\r\nContent-Disposition: form-data; name=\"bits\"\r\n\r\n2\r\n--B--\r\n";
    let typed = format!("multipart/form-data; boundary=\"x y\"\n{}", form.replace("--B", "--x y"));
    for (name, flags, piece, rest) in [
        ("form", 0, 7, form),
        ("typed", 1, 16, &typed),
        ("empty-form", 0, 1, "--B--\r\n"),
        ("preamble", 0, 3, &format!("preamble\r\n{form}epilogue")),
        ("twice", 0, 50, &form.replace("bits", "file")),
        ("unknown", 0, 50, &form.replace("bits", "what")),
        ("cut-off", 0, 9, &form[..form.len() - 20]),
    ] {
        seeds.push(("multipart", name.to_owned(), [&[flags, piece], rest.as_bytes()].concat()));
    }
    let layers = "limits: { pixel_queue: 1, max_connections: 10 }\nlog: { filter: 'info,server=debug' }\n\
                  \n===\nSTEG__LIMITS__PIXEL_QUEUE=2\nSTEG__CLUSTER_NAME=true\nOTHER=x\n\
                  \n===\nlimits.pixel_queue=3\ncluster_name=true story\nelection.bootstrap=never";
    for (name, text) in [
        ("cluster.yaml", include_str!("../../../../config/cluster.yaml")),
        ("local.yaml", include_str!("../../../../config/local.yaml")),
        ("layers", layers),
        ("anchors", "a: &a [1, 2]\nnodes: [*a]\n---\n? x\n: |\n  y\n"),
    ] {
        seeds.push(("configuration", name.to_owned(), text.as_bytes().to_vec()));
    }
}

fn nodes(seeds: &mut Seeds) {
    for (n, body) in control_plane::fuzzing::sample_messages().into_iter().enumerate() {
        seeds.push(("rpc_frames", format!("message-{n:02}"), body));
    }
    for (n, bytes) in control_plane::fuzzing::sample_handshakes().into_iter().enumerate() {
        seeds.push(("rpc_frames", format!("handshake-{n}"), bytes));
    }
    let snapshot = include_bytes!("../../../../crates/control-plane/tests/golden/storage-snapshot.snap");
    seeds.push(("snapshot_file", "snapshot".to_owned(), snapshot.to_vec()));
    let snapshot = include_bytes!("../../../../crates/control-plane/tests/golden/storage-snapshot-v2.snap");
    seeds.push(("snapshot_file", "snapshot-v2".to_owned(), snapshot.to_vec()));
    let progress = include_bytes!("../../../../crates/control-plane/tests/golden/storage-progress-v2.record");
    seeds.push(("snapshot_file", "progress-v2.record".to_owned(), progress.to_vec()));
    let activate =
        include_bytes!("../../../../crates/control-plane/tests/golden/storage-entry-activate-v2.record");
    seeds.push(("snapshot_file", "activate-v2.record".to_owned(), activate.to_vec()));
    for (name, record) in [
        (
            "vote",
            include_bytes!("../../../../crates/control-plane/tests/golden/storage-vote.record").as_slice(),
        ),
        ("log-id", include_bytes!("../../../../crates/control-plane/tests/golden/storage-log-id.record")),
        ("progress", include_bytes!("../../../../crates/control-plane/tests/golden/storage-progress.record")),
        (
            "command",
            include_bytes!("../../../../crates/control-plane/tests/golden/storage-entry-command.record"),
        ),
    ] {
        seeds.push(("snapshot_file", format!("{name}.record"), record.to_vec()));
        // The body alone; the target adds a checksum.
        seeds.push(("snapshot_file", format!("{name}.json"), record.get(5..).unwrap_or_default().to_vec()));
    }
}
