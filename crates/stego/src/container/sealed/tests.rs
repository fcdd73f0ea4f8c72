//! Size classes, what a reader refuses, and the binding of each part to the others.

use super::*;
use crate::key::Salt;

const ELIGIBLE: u64 = 100_000;
const ROOM_BYTES: u64 = 6_000;
const CODING: Coding = Coding::Adaptive { height: ConstraintHeight::MIN, second_share: 512 };

fn key(seed: u8) -> DerivedKey {
    DerivedKey::from_prk(Salt([seed; 16]), &[seed; 32])
}

fn sealed(secret: &[u8], key: &DerivedKey) -> SealedStream {
    let limits = Limits::default();
    let content = Content::new(secret, true, ROOM_BYTES, &limits).unwrap();
    PlainBody::pack(&content, &Secret::new(secret), ROOM_BYTES, true).unwrap().seal(key, ELIGIBLE, CODING)
}

fn opened(stream: &SealedStream, key: &DerivedKey) -> Option<Result<Vec<u8>, ContainerError>> {
    let header = open_header(&stream.header, key, ELIGIBLE, ROOM_BYTES)?;
    assert_eq!(header.coding, CODING);
    assert_eq!(header.padded_len + TAG_LEN_BYTES, stream.body.len());
    let opened = open_body(stream.body.clone(), &stream.header, key, &Limits::default());
    Some(opened.map(|(opened, _)| opened.secret))
}

#[test]
fn size_classes_add_little() {
    let mut classes = std::collections::BTreeSet::new();
    for len in 12..100_000 {
        let padded = padded_len(len, u64::MAX);
        assert!(padded >= len && (padded - len) * 32 < len, "{len}: {padded}");
        assert_eq!(padded_len(padded, u64::MAX), padded, "a class is its own");
        assert_eq!(padded_len(len, len), len, "the room limits the class");
        classes.insert(padded);
    }
    for octave in 5..16 {
        assert_eq!(classes.range(1 << octave..1 << (octave + 1)).count(), 32, "from 2^{octave}");
    }
    // Worked out by hand from `docs/format.md`.
    for (len, padded) in [(12, 12), (63, 63), (64, 64), (65, 66), (1000, 1008), (1 << 20, 1 << 20)] {
        assert_eq!(padded_len(len, u64::MAX), padded);
    }
}

#[test]
fn secrets_of_a_class_have_one_length() {
    let lens: Vec<usize> =
        (900..=900 + 12).map(|len| sealed(&testkit::noise(1, len), &key(1)).body.len()).collect();
    // 912 and 924 bytes with the fields: classes 912 and 928.
    assert_eq!(lens[0], 912 + TAG_LEN_BYTES);
    assert!(lens[1..].iter().all(|&len| len == 928 + TAG_LEN_BYTES), "{lens:?}");
}

#[test]
fn every_flipped_bit_is_refused() {
    let secret = testkit::noise(2, 50);
    let stream = sealed(&secret, &key(2));
    assert_eq!(opened(&stream, &key(2)), Some(Ok(secret)));
    for bit in 0..8 * HEADER_LEN_BYTES {
        let mut stream = SealedStream { header: stream.header, body: stream.body.clone() };
        stream.header[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opened(&stream, &key(2)), None, "bit {bit} of the header");
    }
    for bit in 0..8 * stream.body.len() {
        let mut stream = SealedStream { header: stream.header, body: stream.body.clone() };
        stream.body[bit / 8] ^= 1 << (bit % 8);
        let refused = Some(Err(ContainerError::Damaged { what: "its tag differs" }));
        assert_eq!(opened(&stream, &key(2)), refused, "bit {bit} of the body");
    }
}

#[test]
fn parts_do_not_open_elsewhere() {
    let (one, other) = (sealed(b"one", &key(3)), sealed(b"two", &key(3)));
    assert_eq!(opened(&one, &key(4)), None, "another key");
    assert!(open_header(&one.header, &key(3), ELIGIBLE + 1, ROOM_BYTES).is_none(), "another image");
    assert_ne!(one.body, other.body);
    // The same key with another salt.
    let moved = DerivedKey::from_prk(Salt([4; 16]), &[3; 32]);
    assert_eq!(opened(&one, &moved), None);
    // A body under the header of another.
    let longer = sealed(&[7; 900], &key(3));
    let mixed = open_body(one.body, &longer.header, &key(3), &Limits::default());
    assert_eq!(mixed.unwrap_err(), ContainerError::Damaged { what: "its tag differs" });
}

/// Encrypts a header with this plaintext.
fn header_of(plain: &[u8], key: &DerivedKey) -> [u8; HEADER_LEN_BYTES] {
    let mut header = plain.to_vec();
    let cipher = XChaCha20Poly1305::new(key.header().into());
    cipher.encrypt_in_place(&nonce(key, b"header"), &header_data(ELIGIBLE), &mut header).unwrap();
    header.try_into().unwrap()
}

#[test]
fn headers_of_later_releases_count_as_none() {
    let key = key(5);
    let plain = |known: [u8; 4], len: u32| [&known[..], &len.to_be_bytes(), key.commitment()].concat();
    let is_opened = |plain: &[u8]| open_header(&header_of(plain, &key), &key, ELIGIBLE, ROOM_BYTES).is_some();
    assert!(is_opened(&plain([1, 0, 0, 0], 100)));
    for known in [[1, 0, 0x70, 0], [1, 0, 0xA1, 0xCC], [1, 0, 0xCF, 0xFF]] {
        assert!(is_opened(&plain(known, 100)), "{known:?}");
    }
    for known in [
        [0, 0, 0, 0],
        [2, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 0, 7, 0],
        [1, 0, 0, 1],
        [1, 0, 0x6F, 0xFF],
        [1, 0, 0xD0, 0],
    ] {
        assert!(!is_opened(&plain(known, 100)), "{known:?}");
    }
    for (len, is_possible) in [(11, false), (12, true), (6_000, true), (6_001, false), (u32::MAX, false)] {
        assert_eq!(is_opened(&plain([1, 0, 0, 0], len)), is_possible, "{len}");
    }
    let mut other_key = plain([1, 0, 0, 0], 100);
    other_key[23] ^= 1;
    assert!(!is_opened(&other_key), "the commitment binds the header to one key");
}

/// Bodies that only the owner of a key can forge.
#[test]
fn bodies_that_contradict_themselves_are_refused() {
    let key = key(6);
    let header = sealed(b"", &key).header;
    let open_plain = |fields: [u8; 4], content: u32, secret: u32, rest: &[u8]| {
        let mut body = [&fields[..], &content.to_be_bytes(), &secret.to_be_bytes(), rest].concat();
        let cipher = XChaCha20Poly1305::new(key.body().into());
        cipher.encrypt_in_place(&nonce(&key, b"body"), &body_data(&key, &header), &mut body).unwrap();
        open_body(body, &header, &key, &Limits::default()).map(|(opened, _)| opened.secret)
    };
    let damaged = |what| Err(ContainerError::Damaged { what });
    let contradiction = || damaged("its lengths contradict each other");
    assert_eq!(open_plain([0, 0, 0, 0], 3, 3, b"abc\0\0"), Ok(b"abc".to_vec()));
    assert_eq!(open_plain([0, 0, 0, 0], 3, 3, b"abc\0\x01"), damaged("its padding is not zero"));
    assert_eq!(open_plain([4, 0, 0, 0], 3, 3, b"abc"), damaged("a reserved bit is set"));
    assert_eq!(open_plain([0, 0, 0, 1], 3, 3, b"abc"), damaged("a reserved bit is set"));
    assert_eq!(open_plain([0, 0, 0, 0], 3, 4, b"abc"), contradiction());
    assert_eq!(open_plain([1, 0, 0, 0], 3, 3, b"abc"), contradiction());
    assert_eq!(open_plain([1, 0, 0, 0], 3, 4, b"abc"), damaged("its content does not inflate"));
    assert_eq!(open_plain([0, 0, 1, 0], 3, 3, b"abc"), contradiction());
    assert_eq!(open_plain([2, 0, 0, 0], 3, 3, b"abc"), contradiction());
    assert_eq!(open_plain([0, 0, 0, 0], u32::MAX, u32::MAX, b"abc").unwrap_err().code(), "secret_too_large");
    let short = open_body(vec![0; 15], &header, &key, &Limits::default());
    assert_eq!(short.unwrap_err().code(), "damaged_payload");
}
