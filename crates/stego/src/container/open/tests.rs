use super::*;

const BITS: BitsPerSample = BitsPerSample::ONE;

fn unlimited() -> Limits {
    Limits { max_secret_bytes: u64::MAX, ..Limits::default() }
}

fn packed(secret: &Secret<'_>, compress: bool) -> Packed {
    let content = Content::new(secret.bytes, compress, u64::MAX, &unlimited()).unwrap();
    pack(&content, secret, BITS, true)
}

fn round_trip(secret: &Secret<'_>, compress: bool) -> Opened {
    let packed = packed(secret, compress);
    let header = Header::parse(&packed.header, &Limits::default()).unwrap();
    open(&header, packed.rest, &Watch::default()).unwrap()
}

/// Written down by hand from `docs/format.md`; the digest and CRC computed with Python's hashlib and zlib.
#[test]
fn golden_container() {
    let secret = Secret {
        bytes: b"attack at dawn",
        name: FileName::from_path("plan.txt"),
        media_type: MediaType::parse("text/plain"),
        mark: Some(MarkId(*b"0123456789abcdef")),
    };
    let content = Content::new(secret.bytes, false, u64::MAX, &unlimited()).unwrap();
    let packed = pack(&content, &secret, BitsPerSample::new(3).unwrap(), true);
    let mut want = b"STG\x02\x12\x09\x08\x00\x00\x00\x00\x0e\x00\x00\x00\x0e".to_vec();
    want.extend(GOLDEN_DIGEST_AND_CRC);
    assert_eq!(packed.header[..], want);
    assert_eq!(packed.rest, b"plan.txt0123456789abcdefattack at dawn");
}

const GOLDEN_DIGEST_AND_CRC: [u8; 12] =
    [0x52, 0x82, 0x1F, 0x2A, 0x6D, 0x2F, 0x2B, 0xDF, 0xD7, 0xDB, 0x69, 0x6B];

#[test]
fn what_is_packed_is_opened() {
    let text = b"long live the sample ".repeat(100);
    for compress in [false, true] {
        for bytes in [&b""[..], b"x", &text] {
            let secret = Secret {
                bytes,
                name: FileName::from_path("größe.txt"),
                media_type: MediaType::parse("application/x-unheard-of"),
                mark: Some(MarkId([7; 16])),
            };
            let opened = round_trip(&secret, compress);
            assert_eq!(opened.secret, bytes);
            assert_eq!(
                (opened.name, opened.media_type, opened.mark),
                (secret.name, secret.media_type, secret.mark)
            );
        }
    }
}

#[test]
fn the_header_is_all_that_is_added() {
    let packed = packed(&Secret::new(b"0123456789"), true);
    assert!(packed.header.len() <= 32);
    assert_eq!(packed.rest, b"0123456789");
}

#[test]
fn a_long_name_makes_room_for_a_type_spelt_out() {
    let secret = Secret {
        name: FileName::from_path(&format!("{}.dat", "n".repeat(250))),
        media_type: MediaType::parse(&format!("application/{}", "t".repeat(110))),
        ..Secret::new(b"1")
    };
    let opened = round_trip(&secret, true);
    assert_eq!(opened.media_type, secret.media_type);
    assert!(opened.name.unwrap().as_str().ends_with("n.dat"));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let text = b"some text that deflates, some text that deflates, some text that deflates".to_vec();
    let secret = Secret { name: FileName::from_path("a.txt"), ..Secret::new(&text) };
    let packed = packed(&secret, true);
    assert!(packed.rest.len() < text.len());
    let container = [&packed.header[..], &packed.rest].concat();
    for bit in 0..container.len() * 8 {
        let mut damaged = container.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (header, rest) = damaged.split_first_chunk().unwrap();
        let outcome = Header::parse(header, &Limits::default())
            .and_then(|header| open(&header, rest.to_vec(), &Watch::default()));
        assert!(outcome.is_err(), "bit {bit}");
    }
}

/// A header with `edit` applied and the checksum corrected, as by a forger.
fn forged(edit: impl FnOnce(&mut [u8; HEADER_LEN_BYTES])) -> Result<Header, ContainerError> {
    let mut header = packed(&Secret::new(b"twelve bytes"), false).header;
    edit(&mut header);
    let crc = crc32fast::hash(&header[..CRC_OFFSET]);
    header[CRC_OFFSET..].copy_from_slice(&crc.to_be_bytes());
    Header::parse(&header, &Limits { max_secret_bytes: 1000, ..Limits::default() })
}

#[test]
fn forged_headers_are_refused() {
    use ContainerError::{Damaged, SecretTooLarge, UnknownLayout, UnknownVersion};
    assert!(forged(|_| {}).is_ok());
    assert_eq!(forged(|h| h[3] = 3), Err(UnknownVersion { found: 3 }));
    assert_eq!(forged(|h| h[4] = 0b1000_0000), Err(UnknownLayout { layout: 0b1000_0000 }));
    assert_eq!(forged(|h| h[4] = 0b0000_1000), Err(UnknownLayout { layout: 0b0000_1000 }));
    assert_eq!(forged(|h| h[7] = 1), Err(UnknownLayout { layout: 0 }));
    assert_eq!(forged(|h| h[2] = b'X'), Err(ContainerError::NoPayload));
    assert_eq!(forged(|h| h[14] = 4), Err(SecretTooLarge { needed_bytes: 1036, max_bytes: 1000 }));
    assert!(matches!(forged(|h| h[11] = 11), Err(Damaged { .. })));
    assert!(matches!(forged(|h| h[4] = COMPRESSION_DEFLATE), Err(Damaged { .. })));
}

#[test]
fn a_deflated_content_that_lies_about_its_length_is_damaged() {
    let zeros = vec![0; 900];
    let packed = packed(&Secret::new(&zeros), true);
    for declared in [899_u32, 901] {
        let mut header = packed.header;
        header[12..16].copy_from_slice(&declared.to_be_bytes());
        let digest = digest(&header[..DIGESTED_LEN_BYTES], &packed.rest);
        header[DIGESTED_LEN_BYTES..CRC_OFFSET].copy_from_slice(&digest);
        let crc = crc32fast::hash(&header[..CRC_OFFSET]);
        header[CRC_OFFSET..].copy_from_slice(&crc.to_be_bytes());
        let header = Header::parse(&header, &Limits::default()).unwrap();
        let outcome = open(&header, packed.rest.clone(), &Watch::default());
        assert!(matches!(outcome, Err(ContainerError::Damaged { .. })), "{declared}");
    }
}

#[test]
fn names_from_outside_cannot_leave_the_folder() {
    let (name, _) = read_name_field(0, b"../../etc/cron.d/evil");
    assert_eq!(name.unwrap().as_str(), "evil");
    let (name, media_type) = read_name_field(media_types::LITERAL, b"\xff\xfe\0not a type");
    assert_eq!(name.unwrap().as_str(), "\u{FFFD}\u{FFFD}");
    assert_eq!(media_type, None);
}
