//! The form of keyed stego images: byte for byte what the programs named in `docs/format.md` write.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};
use stego::{
    Channels, Cover, DerivedKey, EmbedOptions, ImageFile, Limits, MetadataPolicy, Note, Salt, SampleDepth,
    Seal, SealedReading, Secret, embed,
};

const PILLOW: &str = include_str!("common_png/pillow.py");
const LIBPNG: &str = include_str!("common_png/libpng.c");

/// An image, the file written for it, and its colour profile.
struct Case {
    name: String,
    cover: Cover,
    icc: Vec<u8>,
    file: Vec<u8>,
}

fn limits() -> Limits {
    Limits::default()
}

/// A colour profile with a header that libpng takes (ICC.1:2022, 7.2) and no tags; the rest is of `len`
/// bytes.
fn profile(channels: Channels, len: usize) -> Vec<u8> {
    let mut profile = vec![0; 132];
    profile[8] = 4;
    profile[12..16].copy_from_slice(b"mntr");
    profile[16..20].copy_from_slice(if channels.colour_count() == 1 { b"GRAY" } else { b"RGB " });
    profile[20..24].copy_from_slice(b"XYZ ");
    profile[36..40].copy_from_slice(b"acsp");
    profile[68..80].copy_from_slice(&[0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]);
    profile.extend(testkit::noise(len as u64, len / 2));
    profile.extend(testkit::text(len / 2));
    profile.truncate(profile.len() / 4 * 4);
    let len = profile.len() as u32;
    profile[..4].copy_from_slice(&len.to_be_bytes());
    profile
}

/// Returns the cover in a file with `chunks` before the pixels.
fn with_chunks(cover: &Cover, chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    const HEADER_END: usize = 8 + 25;
    let file = cover.to_png();
    let chunks: Vec<u8> = chunks.iter().flat_map(|(kind, data)| testkit::chunk(*kind, data)).collect();
    [&file[..HEADER_END], &chunks, &file[HEADER_END..]].concat()
}

fn icc_chunk(icc: &[u8]) -> ([u8; 4], Vec<u8>) {
    let mut encoder = ZlibEncoder::new(b"a name of its own\0\0".to_vec(), Compression::fast());
    std::io::Write::write_all(&mut encoder, icc).unwrap();
    (*b"iCCP", encoder.finish().unwrap())
}

fn case(name: String, cover: Cover, icc: Vec<u8>) -> Case {
    let cover = match icc.is_empty() {
        true => cover,
        false => Cover::decode(&with_chunks(&cover, &[icc_chunk(&icc)]), &limits()).unwrap(),
    };
    let file = cover.to_common_png();
    let again = Cover::decode(&file, &limits()).unwrap();
    assert!(again.samples() == cover.samples() && again.channels() == cover.channels(), "{name}");
    Case { name, cover, icc, file }
}

/// Noise, a soft ramp with some noise, and one value.
fn samples(kind: usize, (width, height): (u32, u32), in_pixel: usize) -> Vec<u8> {
    let len = width as usize * height as usize * in_pixel;
    let noise = testkit::noise(len as u64, len);
    match kind {
        0 => noise,
        1 => {
            let row_len = width as usize * in_pixel;
            let ramp = |i: usize| (i % row_len / in_pixel / 3 + i / row_len / 5 + 37 * (i % in_pixel)) as u8;
            noise.iter().enumerate().map(|(i, byte)| ramp(i).wrapping_add(byte % 5)).collect()
        }
        _ => vec![137; len],
    }
}

/// Images of these layouts, from one pixel to several IDAT chunks, with and without a colour profile.
fn cases(layouts: &[(Channels, SampleDepth)]) -> Vec<Case> {
    const SIZES: [(u32, u32); 11] = [
        (1, 1),
        (2, 1),
        (1, 2),
        (1, 97),
        (97, 1),
        (3, 5),
        (64, 64),
        (130, 61),
        (331, 229),
        (20_000, 7),
        (640, 480),
    ];
    let mut cases = Vec::new();
    for &(channels, depth) in layouts {
        for size in SIZES {
            for kind in 0..3 {
                let bytes = samples(kind, size, channels.count() * depth.bytes());
                let cover = match depth {
                    SampleDepth::Eight => Cover::from_samples(size.0, size.1, channels, bytes),
                    SampleDepth::Sixteen => {
                        let values: Vec<u16> =
                            bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
                        Cover::from_deep_samples(size.0, size.1, channels, &values)
                    }
                };
                let icc_len = [0, 100, 8000, 30_000][(cases.len() + kind) % 4];
                let icc = if icc_len > 0 { profile(channels, icc_len) } else { Vec::new() };
                let name = format!("{channels:?}-{depth:?}-{}x{}-{kind}-{icc_len}", size.0, size.1);
                cases.push(case(name, cover.unwrap(), icc));
            }
        }
    }
    cases
}

/// Some of the photographs, and stego images of them.
fn photographs() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (name, file)) in testkit::covers().into_iter().enumerate() {
        let cover = Cover::decode(&file, &limits()).unwrap();
        if cover.info().pixels() > 2_000_000 || i % 8 != 0 {
            continue;
        }
        let stego = Cover::decode(&sealed(&cover, 10_240, i as u8).0, &limits()).unwrap();
        cases.push(case(format!("stego of {name}").replace('/', "-"), stego, Vec::new()));
        cases.push(case(name.replace('/', "-"), cover, Vec::new()));
    }
    cases
}

fn key(seed: u8) -> DerivedKey {
    DerivedKey::from_prk(Salt([seed; 16]), &[seed ^ 0x5A; 32])
}

fn sealed(cover: &Cover, len: usize, seed: u8) -> (Vec<u8>, Vec<Note>) {
    let options = EmbedOptions::default().with_seal(Seal::Derived(key(seed)));
    let image = embed(cover, &Secret::new(&testkit::noise(seed.into(), len)), &options, &limits()).unwrap();
    let notes = image.report.notes.clone();
    (image.into_vec(), notes)
}

fn write_cases(folder: &Path, cases: &[Case]) {
    let mut list = Vec::<Value>::new();
    for Case { name, cover, icc, file } in cases {
        std::fs::write(folder.join(format!("{name}.raw")), cover.samples()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), file).unwrap();
        let mode = match (cover.depth(), cover.channels()) {
            (SampleDepth::Sixteen, _) => "I;16",
            (_, Channels::Grey) => "L",
            (_, Channels::GreyAlpha) => "LA",
            (_, Channels::Rgb) => "RGB",
            (_, Channels::Rgba) => "RGBA",
        };
        let icc = icc.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let size = (cover.width(), cover.height());
        list.push(json!({ "name": name, "width": size.0, "height": size.1, "mode": mode, "icc": icc }));
    }
    std::fs::write(folder.join("cases.json"), serde_json::to_vec(&list).unwrap()).unwrap();
}

#[test]
fn files_are_those_of_pillow() {
    const LAYOUTS: [(Channels, SampleDepth); 5] = [
        (Channels::Grey, SampleDepth::Eight),
        (Channels::GreyAlpha, SampleDepth::Eight),
        (Channels::Rgb, SampleDepth::Eight),
        (Channels::Rgba, SampleDepth::Eight),
        (Channels::Grey, SampleDepth::Sixteen),
    ];
    let mut all = cases(&LAYOUTS);
    all.extend(photographs());
    let folder = tempfile::tempdir().unwrap();
    write_cases(folder.path(), &all);
    let Some(told) = testkit::run_pillow(PILLOW, [folder.path().to_str().unwrap()]) else { return };
    eprintln!("{told}");
    if !told.starts_with("skipped") {
        assert!(told.starts_with(&format!("{} files", all.len())), "{told}");
    } else {
        assert!(std::env::var_os("CI").is_none(), "{told}");
    }
}

#[test]
fn files_are_those_of_libpng_where_pillow_has_none() {
    const LAYOUTS: [(Channels, SampleDepth); 3] = [
        (Channels::GreyAlpha, SampleDepth::Sixteen),
        (Channels::Rgb, SampleDepth::Sixteen),
        (Channels::Rgba, SampleDepth::Sixteen),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("writer.c"), LIBPNG).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-o"]).args([path("writer"), path("writer.c")]).args(["-lpng", "-lz"]);
    let missing = match compiler.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(format!("cc: {error}")),
    };
    if let Some(told) = missing {
        assert!(told.contains("png.h: No such file") || told.starts_with("cc: "), "{told}");
        assert!(
            std::env::var_os("CI").is_none(),
            "libpng-dev and cc must be installed where CI is set: {told}"
        );
        eprintln!("passed over: {told}");
        return;
    }
    let all = cases(&LAYOUTS);
    for Case { name, cover, icc, file } in &all {
        std::fs::write(path("raw"), cover.samples()).unwrap();
        let mut command = Command::new(path("writer"));
        let numbers = [cover.width(), cover.height(), cover.channels().count() as u32];
        command.args(numbers.map(|number| number.to_string())).args([path("raw"), path("png")]);
        if !icc.is_empty() {
            std::fs::write(path("icc"), icc).unwrap();
            command.arg(path("icc"));
        }
        let told = testkit::run_outside(&mut command).unwrap();
        let theirs = std::fs::read(path("png")).unwrap();
        let differs = file.iter().zip(&theirs).position(|(a, b)| a != b);
        assert!(
            *file == theirs,
            "{name}: {} and {} bytes, from {differs:?}; {told}",
            file.len(),
            theirs.len()
        );
    }
    eprintln!("{} files as libpng writes them", all.len());
}

/// All that a file has besides its pixels and its colour profile is left out and named.
#[test]
fn other_metadata_is_left_out_with_a_note() {
    let cover = Cover::from_samples(331, 229, Channels::Rgb, testkit::noise(1, 331 * 229 * 3)).unwrap();
    let icc = profile(Channels::Rgb, 600);
    let described = [
        (*b"gAMA", 45_455_u32.to_be_bytes().to_vec()),
        icc_chunk(&icc),
        (*b"tEXt", b"Comment\0made by hand".to_vec()),
        (*b"pHYs", [&2835_u32.to_be_bytes()[..], &2835_u32.to_be_bytes(), &[1]].concat()),
    ];
    let file = with_chunks(&cover, &described);
    let secret = Secret::new(b"noon");
    for (policy, expected) in [
        (None, vec!["gAMA"]),
        (Some(MetadataPolicy::Strip), vec!["gAMA"]),
        (Some(MetadataPolicy::Keep), vec!["gAMA", "text \"Comment\"", "pixel size"]),
    ] {
        let mut options = EmbedOptions::default().with_seal(Seal::Derived(key(1)));
        if let Some(policy) = policy {
            options = options.with_metadata(policy);
        }
        let image = embed(ImageFile::open(&file, &limits()).unwrap(), &secret, &options, &limits()).unwrap();
        let left_out = Note::MetadataLeftOut(expected.iter().map(ToString::to_string).collect());
        assert_eq!(image.report.notes, [left_out], "{policy:?}");
        let png = image.into_vec();
        let kinds: Vec<&[u8]> = chunk_kinds(&png);
        assert_eq!(kinds[..2], [b"IHDR", b"iCCP"]);
        assert!(kinds[2..kinds.len() - 1].iter().all(|kind| kind == b"IDAT"));
        let file = ImageFile::open(&png, &limits()).unwrap();
        let found = SealedReading::of_file(&file, &limits()).unwrap().open(&key(1), &limits()).unwrap();
        assert_eq!(found.secret, secret.bytes);
        // The profile is that of the cover.
        let stego = Cover::decode(&png, &limits()).unwrap();
        assert_eq!(png, stego.to_common_png());
    }
}

fn chunk_kinds(png: &[u8]) -> Vec<&[u8]> {
    let (mut kinds, mut rest) = (Vec::new(), &png[8..]);
    while let Some((header, data)) = rest.split_first_chunk::<8>() {
        kinds.push(&rest[4..8]);
        rest = &data[u32::from_be_bytes(header[..4].try_into().unwrap()) as usize + 4..];
    }
    kinds
}

/// A grey image in colour stays in colour, with three equal channels.
#[test]
fn grey_in_colour_is_written_as_it_came() {
    let grey = testkit::noise(2, 331 * 229).iter().flat_map(|&value| [value; 3]).collect();
    let cover = Cover::from_samples(331, 229, Channels::Rgb, grey).unwrap();
    let png = sealed(&cover, 100, 3).0;
    let stego = Cover::decode(&png, &limits()).unwrap();
    assert_eq!(stego.channels(), Channels::Rgb);
    assert!(stego.samples().as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
    assert_eq!(png, stego.to_common_png());
}
