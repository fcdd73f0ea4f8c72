//! The metadata of a cover's file, and the metadata of the stego image.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use stego::{Cover, EmbedOptions, EmbedReport, Limits, MetadataPolicy, Note, Secret, embed};
use testkit::{ExifBlock, ExifPlan, Pixels, PngChunk, PngKind, PngSpecimen, ReadPng};

const COLOUR: [&[u8; 4]; 8] = [b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sBIT", b"sRGB"];
const XMP: &str = "<?xpacket begin='\u{FEFF}' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>\
                   <dc:title>tide</dc:title></x:xmpmeta>\n<?xpacket end='w'?>";

fn embedded(file: &[u8], metadata: MetadataPolicy) -> (Cover, EmbedReport, ReadPng) {
    let cover = Cover::decode(file, &Limits::default()).unwrap();
    let options = EmbedOptions::default().with_metadata(metadata);
    let embedded = embed(&cover, &Secret::new(b"x"), &options, &Limits::default()).unwrap();
    let (report, read) = (embedded.report.clone(), ReadPng::of(&embedded.to_vec()));
    drop(embedded);
    (cover, report, read)
}

fn kept(file: &[u8]) -> ReadPng {
    embedded(file, MetadataPolicy::Keep).2
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn profile(space: &[u8; 4]) -> Vec<u8> {
    let mut profile = testkit::noise(1, 3000);
    profile[16..20].copy_from_slice(space);
    profile
}

fn xmp_chunk(packet: &str) -> PngChunk {
    (*b"iTXt", [b"XML:com.adobe.xmp\0\0\0\0\0", packet.as_bytes()].concat())
}

/// The profile in an iCCP chunk (PNG third edition, 11.3.2.3), if there is one.
fn profile_in(read: &ReadPng) -> Option<Vec<u8>> {
    let data = read.chunk(*b"iCCP")?;
    let name_len = data.iter().position(|&byte| byte == 0).unwrap();
    let mut profile = Vec::new();
    ZlibDecoder::new(&data[name_len + 2..]).read_to_end(&mut profile).unwrap();
    Some(profile)
}

/// Chunks of RGB images allowed before IDAT, and a flag for chunks also allowed behind it.
fn chunks() -> Vec<(PngChunk, bool)> {
    let compressed = zlib(XMP.as_bytes());
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    vec![
        ((*b"cHRM", testkit::noise(2, 32).iter().map(|byte| byte & 0x7F).collect()), false),
        ((*b"cICP", vec![9, 16, 0, 1]), false),
        ((*b"gAMA", 45_455_u32.to_be_bytes().to_vec()), false),
        ((*b"iCCP", [b"a name of its own\0\0", &zlib(&profile(b"RGB "))[..]].concat()), false),
        ((*b"mDCV", testkit::noise(3, 24)), false),
        ((*b"cLLI", testkit::noise(4, 8)), false),
        ((*b"sBIT", vec![5, 6, 5]), false),
        ((*b"sRGB", vec![1]), false),
        ((*b"bKGD", vec![0, 1, 0, 2, 0, 3]), false),
        ((*b"pHYs", vec![0, 0, 11, 19, 0, 0, 22, 38, 1]), false),
        ((*b"eXIf", exif), true),
        ((*b"tIME", vec![7, 234, 12, 31, 23, 59, 60]), true),
        ((*b"tEXt", b"Author\0J\xF6rg".to_vec()), true),
        ((*b"zTXt", [b"Comment\0\0", &zlib(b"a long comment")[..]].concat()), true),
        ((*b"iTXt", "Title\0\0\0de\0Titel\0Gezeiten am Rand".as_bytes().to_vec()), true),
        ((*b"iTXt", [b"XML:com.adobe.xmp\0\x01\0\0\0", &compressed[..]].concat()), true),
        (xmp_chunk(XMP), true),
        // Unknown, safe to copy by the fourth letter.
        ((*b"teSt", testkit::noise(5, 40)), true),
    ]
}

fn specimen(kind: PngKind, before: Vec<PngChunk>, after: Vec<PngChunk>) -> PngSpecimen {
    PngSpecimen { before, after, ..PngSpecimen::new(kind, 40, 30, 1) }
}

#[test]
fn each_chunk_survives_where_it_stood() {
    for (chunk, may_follow) in chunks() {
        let name = String::from_utf8_lossy(&chunk.0).into_owned();
        let file = specimen(PngKind::plain(2, 8), vec![chunk.clone()], Vec::new()).to_file();
        let (cover, embedded, read) = embedded(&file, MetadataPolicy::Keep);
        assert_eq!((read.before, read.after), (vec![chunk.clone()], vec![]), "{name}");
        assert!(cover.dropped_metadata().is_empty(), "{name}: {:?}", cover.dropped_metadata());
        assert_eq!(embedded.notes, [Note::NotHiddenFromAnalysis], "{name}");
        if may_follow {
            let read = kept(&specimen(PngKind::plain(6, 16), Vec::new(), vec![chunk.clone()]).to_file());
            assert_eq!((read.before, read.after), (vec![], vec![chunk]), "{name} behind IDAT");
        }
    }
}

#[test]
fn all_chunks_together_survive_in_their_order() {
    let all = chunks();
    let before: Vec<PngChunk> = all
        .iter()
        .map(|(chunk, _)| chunk.clone())
        .filter(|(kind, _)| kind != b"sRGB" && kind != b"eXIf")
        .collect();
    let after: Vec<PngChunk> = all
        .into_iter()
        .filter(|((kind, _), may_follow)| *may_follow && kind != b"tIME")
        .map(|(chunk, _)| chunk)
        .collect();
    let file = specimen(PngKind::plain(2, 8), before.clone(), after.clone()).to_file();
    let read = kept(&file);
    let sorted = |mut chunks: Vec<PngChunk>| {
        // Of chunks that define colours and others the order is free; texts keep theirs.
        chunks.sort_by_key(|(kind, _)| !COLOUR.contains(&kind));
        chunks
    };
    assert_eq!(sorted(read.before), sorted(before));
    assert_eq!(read.after, after);
}

#[test]
fn stripping_leaves_what_defines_colours() {
    for (chunk, _) in chunks() {
        let name = String::from_utf8_lossy(&chunk.0).into_owned();
        let file =
            specimen(PngKind::plain(2, 8), vec![chunk.clone()], vec![(*b"tEXt", b"k\0v".to_vec())]).to_file();
        let (_, _, read) = embedded(&file, MetadataPolicy::Strip);
        let expected = if COLOUR.contains(&&chunk.0) { vec![chunk] } else { Vec::new() };
        assert_eq!((read.before, read.after), (expected, vec![]), "{name}");
    }
}

/// A chunk with a capital fourth letter depends on the pixels in a way known only to the inventor of the
/// chunk (5.4).
#[test]
fn unknown_chunks_that_are_unsafe_to_copy_are_named() {
    let unsafe_chunk = (*b"teST", b"checksum of the pixels".to_vec());
    for (before, after) in [(vec![unsafe_chunk.clone()], vec![]), (vec![], vec![unsafe_chunk])] {
        let file = specimen(PngKind::plain(0, 8), before, after).to_file();
        let (cover, embedded, read) = embedded(&file, MetadataPolicy::Keep);
        assert_eq!((read.before, read.after), (vec![], vec![]));
        assert_eq!(cover.dropped_metadata(), ["teST"]);
        assert!(
            embedded.notes.contains(&Note::MetadataLeftOut(vec!["teST".to_owned()])),
            "{:?}",
            embedded.notes
        );
    }
}

/// Of a palette only the colours are left, so the histogram means nothing.
#[test]
fn chunks_that_speak_of_the_palette_are_left_out() {
    let mut palette = specimen(PngKind::plain(3, 4), Vec::new(), Vec::new());
    palette.before = vec![(*b"hIST", vec![0; 2 * palette.palette.len()])];
    let read = kept(&palette.to_file());
    assert_eq!((read.before, read.after), (vec![], vec![]));

    let mut suggested = specimen(PngKind::plain(6, 8), Vec::new(), Vec::new());
    suggested.palette = vec![[1, 2, 3], [4, 5, 6]];
    let read = kept(&suggested.to_file());
    assert_eq!((read.before, read.after), (vec![], vec![]));
}

/// PNG third edition, 11.3.2.7 and 11.3.5.1: the numbers are of the image's own samples.
#[test]
fn numbers_about_samples_follow_their_promotion() {
    let check = |kind: (u8, u8, bool), chunk: &[u8; 4], data: &[u8], expected: &[u8]| {
        let (colour, depth, transparent) = kind;
        let kind = PngKind { colour, depth, transparent, interlaced: false };
        let mut png = specimen(kind, vec![(*chunk, data.to_vec())], Vec::new());
        if colour == 3 {
            png.palette[1] = [7, 80, 200];
        }
        let read = kept(&png.to_file());
        let name = format!("{} of {kind:?}", String::from_utf8_lossy(chunk));
        assert_eq!(read.chunk(*chunk), Some(expected), "{name}");
    };
    check((2, 8, true), b"sBIT", &[5, 6, 5], &[5, 6, 5, 8]);
    check((0, 16, true), b"sBIT", &[12], &[12, 16]);
    check((0, 2, true), b"sBIT", &[2], &[2, 8]);
    check((0, 4, false), b"sBIT", &[3], &[3]);
    check((3, 8, false), b"sBIT", &[5, 6, 5], &[5, 6, 5]);
    check((3, 4, true), b"sBIT", &[5, 6, 5], &[5, 6, 5, 8]);
    check((4, 8, false), b"sBIT", &[6, 1], &[6, 1]);

    check((3, 8, false), b"bKGD", &[1], &[0, 7, 0, 80, 0, 200]);
    check((3, 2, true), b"bKGD", &[1], &[0, 7, 0, 80, 0, 200]);
    check((0, 4, false), b"bKGD", &[0, 9], &[0, 153]);
    check((0, 1, true), b"bKGD", &[0, 1], &[0, 255]);
    check((0, 8, true), b"bKGD", &[0, 99], &[0, 99]);
    check((2, 16, true), b"bKGD", &[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5, 6]);
}

/// A 48 × 32 JPEG with segments inserted behind the start.
fn jpeg(segments: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90)
        .write_image(&testkit::noise(6, 48 * 32 * 3), 48, 32, ExtendedColorType::Rgb8)
        .unwrap();
    file.splice(2..2, segments.concat());
    file
}

fn segment(marker: u8, parts: &[&[u8]]) -> Vec<u8> {
    let data = parts.concat();
    [&[0xFF, marker][..], &(data.len() as u16 + 2).to_be_bytes(), &data].concat()
}

fn exif_segment(block: &ExifBlock) -> Vec<u8> {
    segment(0xE1, &[b"Exif\0\0", &block.bytes])
}

/// A WebP file of 23 × 15 pixels with chunks of metadata around the chunks of `lossless.webp` (RFC 9649,
/// 2.7).
fn webp(profile: Option<&[u8]>, exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Vec<u8> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lossless.webp");
    let simple = std::fs::read(fixture).unwrap();
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let padding = &[0][..data.len() % 2];
        [&kind[..], &(data.len() as u32).to_le_bytes(), data, padding].concat()
    };
    let flags =
        u8::from(profile.is_some()) << 5 | u8::from(exif.is_some()) << 3 | u8::from(xmp.is_some()) << 2;
    let mut body = b"WEBP".to_vec();
    body.extend(chunk(b"VP8X", &[flags, 0, 0, 0, 22, 0, 0, 14, 0, 0]));
    body.extend(profile.map(|data| chunk(b"ICCP", data)).into_iter().flatten());
    body.extend(&simple[12..]);
    body.extend(exif.map(|data| chunk(b"EXIF", data)).into_iter().flatten());
    body.extend(xmp.map(|data| chunk(b"XMP ", data)).into_iter().flatten());
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

/// An uncompressed RGB TIFF of 40 × 20 pixels with entries added to the directory: tag, type, data.
fn tiff(samples: &[u8], more: &[(u16, u16, Vec<u8>)]) -> Vec<u8> {
    let short = |value: u16| value.to_le_bytes().to_vec();
    let mut entries = vec![
        (256, 3, short(40)),
        (257, 3, short(20)),
        (258, 3, [8_u16; 3].map(u16::to_le_bytes).concat()),
        (259, 3, short(1)),
        (262, 3, short(2)),
        (273, 4, 8_u32.to_le_bytes().to_vec()),
        (277, 3, short(3)),
        (278, 3, short(20)),
        (279, 4, (samples.len() as u32).to_le_bytes().to_vec()),
    ];
    entries.extend_from_slice(more);
    entries.sort();
    let mut file = [b"II*\0", &(8 + samples.len() as u32).to_le_bytes()[..], samples].concat();
    let mut values_at = file.len() + 2 + 12 * entries.len() + 4;
    let mut values = Vec::new();
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, data) in entries {
        let size = match kind {
            3 => 2,
            4 => 4,
            _ => 1,
        };
        file.extend([tag, kind].map(u16::to_le_bytes).concat());
        file.extend((data.len() as u32 / size).to_le_bytes());
        if data.len() <= 4 {
            file.extend(&data);
            file.extend(&[0; 4][data.len()..]);
        } else {
            file.extend((values_at as u32).to_le_bytes());
            let padded = [&data[..], &[0][..data.len() % 2]].concat();
            values_at += padded.len();
            values.extend(padded);
        }
    }
    [file, vec![0; 4], values].concat()
}

/// Nothing of the block changes except the necessary parts: `orientation` is the new value, the thumbnail's
/// directory is unlinked, the thumbnail is gone.
fn check_exif(name: &str, block: &ExifBlock, big_endian: bool, seen: &[u8], orientation: u16) {
    let mut expected = block.bytes.clone();
    let value = if big_endian { orientation.to_be_bytes() } else { orientation.to_le_bytes() };
    expected[block.orientation.clone()].copy_from_slice(&value);
    expected[block.next_directory.clone()].fill(0);
    let is_last = block.thumbnail.end == block.bytes.len();
    assert!(
        seen.len() == expected.len() || is_last && seen.len() == block.thumbnail.start,
        "{name}: {}",
        seen.len()
    );
    for (at, (&seen, &expected)) in seen.iter().zip(&expected).enumerate() {
        assert!(
            seen == expected || block.thumbnail.contains(&at),
            "{name}: byte {at} is {seen} and not {expected}"
        );
    }
    let picture = &block.bytes[block.picture.clone()];
    assert!(
        !seen.windows(32).any(|window| picture.windows(32).any(|part| part == window)),
        "{name}: the thumbnail is there"
    );
}

fn every_plan() -> impl Iterator<Item = ExifPlan> {
    (0..32_u16).map(|i| ExifPlan {
        big_endian: i % 2 == 0,
        thumbnail_last: i / 2 % 2 == 0,
        location: i / 4 % 2 == 0,
        orientation: 1 + i / 4,
        size: (48, 32),
    })
}

#[test]
fn of_a_photographs_exif_only_orientation_and_thumbnail_change() {
    for plan in every_plan() {
        let (name, block) = (format!("{plan:?}"), plan.to_block());
        let (cover, embedded, read) = embedded(&jpeg(&[exif_segment(&block)]), MetadataPolicy::Keep);
        check_exif(&name, &block, plan.big_endian, read.chunk(*b"eXIf").unwrap(), 1);
        let upright = if plan.orientation > 4 { (32, 48) } else { (48, 32) };
        assert_eq!((cover.width(), cover.height()), upright, "{name}");
        assert_eq!(cover.tells_location(), plan.location, "{name}");
        assert_eq!(
            embedded.notes.contains(&Note::LocationKept),
            plan.location,
            "{name}: {:?}",
            embedded.notes
        );
    }
}

/// Viewers disagree on the meaning of an orientation in a PNG: the display in each of them shall not change.
#[test]
fn of_a_pngs_exif_only_the_thumbnail_changes() {
    for plan in every_plan() {
        let (name, block) = (format!("{plan:?}"), plan.to_block());
        let png = specimen(PngKind::plain(2, 8), vec![(*b"eXIf", block.bytes.clone())], Vec::new());
        let (cover, embedded, read) = embedded(&png.to_file(), MetadataPolicy::Keep);
        check_exif(&name, &block, plan.big_endian, read.chunk(*b"eXIf").unwrap(), plan.orientation);
        Pixels::of(&cover).assert_same(&name, &png.promoted());
        assert_eq!(
            embedded.notes.contains(&Note::LocationKept),
            plan.location,
            "{name}: {:?}",
            embedded.notes
        );
    }
}

#[test]
fn stripped_images_do_not_tell_where_they_were_taken() {
    let block = ExifPlan { location: true, ..ExifPlan::new() }.to_block();
    for file in [
        jpeg(&[exif_segment(&block)]),
        specimen(PngKind::plain(2, 8), vec![(*b"eXIf", block.bytes.clone())], Vec::new()).to_file(),
        webp(None, Some(&block.bytes), None),
    ] {
        let (cover, embedded, read) = embedded(&file, MetadataPolicy::Strip);
        assert!(cover.tells_location());
        assert!(!embedded.notes.contains(&Note::LocationKept), "{:?}", embedded.notes);
        assert_eq!((read.before, read.after), (vec![], vec![]));
    }
}

/// A block that is no EXIF harms nothing; since such a block may hold a location, the block is left out.
#[test]
fn exif_that_makes_no_sense_is_left_out_and_stops_nothing() {
    let noise = testkit::noise(8, 100);
    let read = kept(&specimen(PngKind::plain(2, 8), vec![(*b"eXIf", noise.clone())], Vec::new()).to_file());
    assert_eq!(read.chunk(*b"eXIf"), None);
    kept(&jpeg(&[segment(0xE1, &[b"Exif\0\0", &noise])]));
    kept(&webp(None, Some(&noise), None));
    let block = ExifPlan::new().to_block().bytes;
    for len in (0..block.len()).step_by(3) {
        kept(&specimen(PngKind::plain(2, 8), vec![(*b"eXIf", block[..len].to_vec())], Vec::new()).to_file());
        kept(&jpeg(&[segment(0xE1, &[b"Exif\0\0", &block[..len]])]));
    }
}

#[test]
fn xmp_becomes_the_text_chunk_that_is_meant_for_it() {
    let check = |name: &str, file: &[u8]| {
        let read = kept(file);
        assert_eq!(read.chunk(*b"iTXt").map(<[u8]>::to_vec), Some(xmp_chunk(XMP).1), "{name}");
    };
    check("JPEG", &jpeg(&[segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", XMP.as_bytes()])]));
    check("WebP", &webp(None, None, Some(XMP.as_bytes())));
    check("TIFF", &tiff(&testkit::noise(9, 2400), &[(700, 1, XMP.as_bytes().to_vec())]));
}

/// Profiles for samples of the present kind go into iCCP whole.
#[test]
fn a_profile_becomes_a_chunk_if_it_fits() {
    let check = |name: &str, file: &[u8], expected: Option<&[u8]>| {
        let (cover, embedded, read) = embedded(file, MetadataPolicy::Strip);
        assert!(profile_in(&read).as_deref() == expected, "{name}, stripped: {:?}", read.before.first());
        let (_, noted, read) = self::embedded(file, MetadataPolicy::Keep);
        assert!(profile_in(&read).as_deref() == expected, "{name}: {:?}", read.before.first());
        assert_eq!(cover.dropped_metadata().is_empty(), expected.is_some(), "{name}");
        let is_named = |embedded: &EmbedReport| {
            embedded.notes.iter().any(|note| matches!(note, Note::MetadataLeftOut(_)))
        };
        assert!(expected.is_some() || is_named(&noted) || is_named(&embedded), "{name}");
    };
    // In two segments, the second first: they are numbered (ICC.1, B.4).
    let in_segments = |profile: &[u8]| {
        let part = |number: u8, part: &[u8]| segment(0xE2, &[b"ICC_PROFILE\0", &[number, 2], part]);
        jpeg(&[part(2, &profile[1000..]), part(1, &profile[..1000])])
    };
    for (space, fits) in [(b"RGB ", true), (b"CMYK", false), (b"GRAY", false)] {
        let profile = profile(space);
        let expected = fits.then_some(&profile[..]);
        check("JPEG", &in_segments(&profile), expected);
        check("WebP", &webp(Some(&profile), None, None), expected);
        check("TIFF", &tiff(&testkit::noise(10, 2400), &[(34675, 7, profile.clone())]), expected);
    }
}

#[test]
fn a_webp_is_turned_upright_and_says_so() {
    let upright = Cover::decode(&webp(None, None, None), &Limits::default()).unwrap();
    for plan in every_plan() {
        let (name, block) = (format!("{plan:?}"), plan.to_block());
        let (cover, _, read) = embedded(&webp(None, Some(&block.bytes), None), MetadataPolicy::Keep);
        check_exif(&name, &block, plan.big_endian, read.chunk(*b"eXIf").unwrap(), 1);
        turned(&Pixels::of(&upright), plan.orientation).assert_same(&name, &Pixels::of(&cover));
    }
}

/// TIFF 6.0 has the orientation as a separate tag (274), with EXIF's meaning.
#[test]
fn a_tiff_is_turned_upright() {
    let samples = testkit::noise(11, 2400);
    let upright = Cover::decode(&tiff(&samples, &[]), &Limits::default()).unwrap();
    assert_eq!(upright.samples(), samples);
    for orientation in 1..=8_u16 {
        let file = tiff(&samples, &[(274, 3, orientation.to_le_bytes().to_vec())]);
        let cover = Cover::decode(&file, &Limits::default()).unwrap();
        let name = format!("orientation {orientation}");
        turned(&Pixels::of(&upright), orientation).assert_same(&name, &Pixels::of(&cover));
    }
}

/// The image stored as `stored` (EXIF 2.32, tag 0x0112): the sides of its row 0 and its column 0.
fn turned(stored: &Pixels, orientation: u16) -> Pixels {
    let (width, height) = (stored.width as usize, stored.height as usize);
    let (to_width, to_height) = if orientation > 4 { (height, width) } else { (width, height) };
    let count = stored.channels.count();
    let mut samples = Vec::new();
    for (y, x) in (0..to_height).flat_map(|y| (0..to_width).map(move |x| (y, x))) {
        let (column, row) = match orientation {
            1 => (x, y),
            2 => (width - 1 - x, y),
            3 => (width - 1 - x, height - 1 - y),
            4 => (x, height - 1 - y),
            5 => (y, x),
            6 => (y, height - 1 - x),
            7 => (width - 1 - y, height - 1 - x),
            _ => (width - 1 - y, x),
        };
        samples.extend(&stored.samples[(row * width + column) * count..][..count]);
    }
    Pixels { width: to_width as u32, height: to_height as u32, samples, ..stored.clone() }
}

/// JFIF's density in dots per inch is a pixel's size in metres (1 inch is 0.0254 m); turned with the image.
#[test]
fn the_density_of_a_jpeg_becomes_the_size_of_its_pixels() {
    let check = |orientation: u16, expected: [u32; 2]| {
        let mut file = jpeg(&[exif_segment(&ExifPlan { orientation, ..ExifPlan::new() }.to_block())]);
        let jfif = file.windows(5).position(|window| window == b"JFIF\0").unwrap();
        file[jfif + 7..jfif + 12].copy_from_slice(&[1, 1, 44, 0, 150]);
        // JFIF comes first in its file.
        let segment: Vec<u8> = file.drain(jfif - 4..jfif + 14).collect();
        file.splice(2..2, segment);
        let read = kept(&file);
        let expected = [&expected.map(u32::to_be_bytes).concat()[..], &[1]].concat();
        assert_eq!(read.chunk(*b"pHYs"), Some(&expected[..]), "orientation {orientation}");
    };
    check(1, [11_811, 5906]);
    check(6, [5906, 11_811]);
}

/// A JPEG's comment (T.81, B.2.4.5) becomes a text chunk with PNG's keyword for comments.
#[test]
fn a_comment_becomes_a_text_chunk() {
    let read = kept(&jpeg(&[segment(0xFE, &[b"low tide"])]));
    assert_eq!(read.chunk(*b"tEXt"), Some(&b"Comment\0low tide"[..]));
}

/// XMP may tell of a place as EXIF does (XMP specification, part 2, the namespace `exif`).
#[test]
fn a_location_in_xmp_is_told() {
    let packet = XMP.replace("<dc:title>tide</dc:title>", "<exif:GPSLatitude>47,1.22N</exif:GPSLatitude>");
    let compressed = [b"XML:com.adobe.xmp\0\x01\0\0\0", &zlib(packet.as_bytes())[..]].concat();
    let png = |chunk| specimen(PngKind::plain(2, 8), vec![chunk], Vec::new()).to_file();
    for (name, file) in [
        ("JPEG", jpeg(&[segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", packet.as_bytes()])])),
        ("WebP", webp(None, None, Some(packet.as_bytes()))),
        ("PNG", png(xmp_chunk(&packet))),
        ("PNG, compressed", png((*b"iTXt", compressed))),
    ] {
        let (cover, embedded, _) = embedded(&file, MetadataPolicy::Keep);
        assert!(
            cover.tells_location() && embedded.notes.contains(&Note::LocationKept),
            "{name}: {:?}",
            embedded.notes
        );
    }
    assert!(!embedded(&png(xmp_chunk(XMP)), MetadataPolicy::Keep).0.tells_location());
}

/// A TIFF's EXIF directory is a part of the file's own directory (TIFF 6.0 supplement, tags 34665 and 34853):
/// metadata not taken over are named.
#[test]
fn the_exif_of_a_tiff_is_kept_or_named() {
    let samples = testkit::noise(12, 2400);
    let with_pointer = |at: u32| {
        let pointer = |tag| (tag, 4, at.to_le_bytes().to_vec());
        tiff(&samples, &[pointer(34665), pointer(34853)])
    };
    let mut file = with_pointer(with_pointer(0).len() as u32);
    // One entry: the version of either, four bytes.
    file.extend(b"\x01\0\0\0\x01\0\x04\0\0\0\x02\x03\0\0\0\0\0\0");
    let (cover, embedded, read) = embedded(&file, MetadataPolicy::Keep);
    let is_named = embedded.notes.iter().any(|note| matches!(note, Note::MetadataLeftOut(_)));
    assert!(read.chunk(*b"eXIf").is_some() || is_named, "{:?}, {:?}", cover.kept_metadata(), embedded.notes);
}
