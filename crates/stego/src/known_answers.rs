//! The sealed layout and its carrier against answers of a second implementation, `tests/sealed/sealed.py`.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::carrier::scattered::{adaptive_body, known_answers, room_bytes};
use crate::container::open::Content;
use crate::container::sealed::{Coding, PlainBody, open_body, open_header};
use crate::key::{DerivedKey, Salt, SealingKey};
use crate::limits::Limits;
use crate::secret::{FileName, MarkId, MediaType, Secret};

fn answers(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../tests/sealed/vectors.json")).unwrap();
    let answers = all[kind].as_array().unwrap().clone();
    assert!(!answers.is_empty());
    answers
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap().as_bytes().as_chunks::<2>().0;
    hex.iter().map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn key_of(answer: &Value) -> SealingKey {
    let key_file = answer["key_file"].as_str().map(|_| bytes(&answer["key_file"]));
    SealingKey::new(answer["passphrase"].as_str(), key_file.as_deref()).unwrap()
}

fn salt_of(answer: &Value) -> Salt {
    Salt(bytes(&answer["salt"]).try_into().unwrap())
}

fn injected(answer: &Value) -> DerivedKey {
    DerivedKey::from_prk(salt_of(answer), &bytes(&answer["prk"]).try_into().unwrap())
}

/// A passphrase in both forms of "é", a key file, and both together.
#[test]
fn keys_are_derived_as_published() {
    let answers = answers("keys");
    let texts: Vec<&str> = answers.iter().filter_map(|answer| answer["passphrase"].as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains('é')) && texts.iter().any(|text| text.contains("e\u{301}"))
    );
    assert_eq!(answers[0]["prk"], answers[1]["prk"], "both forms of é are one passphrase");
    for answer in &answers {
        let (key, from_prk) = (key_of(answer).derive(salt_of(answer)), injected(answer));
        assert_eq!(key.salt(), from_prk.salt());
        let subkeys =
            |key: &DerivedKey| [&key.positions()[..], key.header(), key.body(), key.commitment()].map(hex);
        let expected =
            ["positions", "header", "body", "commitment"].map(|name| answer[name].as_str().unwrap());
        assert_eq!(subkeys(&from_prk), expected, "from the published output of Argon2id");
        assert_eq!(subkeys(&key), expected, "from {}", answer["passphrase"]);
    }
}

#[test]
fn streams_are_sealed_as_published() {
    for answer in answers("streams") {
        let (key, limits) = (injected(&answer), Limits::default());
        let (eligible, room) = (answer["eligible"].as_u64().unwrap(), answer["room"].as_u64().unwrap());
        let content = bytes(&answer["secret"]);
        let mut secret = Secret::new(&content);
        secret.name = FileName::from_path(answer["name"].as_str().unwrap());
        secret.media_type = match answer["code"].as_u64().unwrap() {
            1 => MediaType::parse("application/octet-stream"),
            9 => MediaType::parse("text/plain"),
            _ => None,
        };
        secret.mark = bytes(&answer["mark"]).try_into().ok().map(MarkId);
        let packed = Content::new(&content, false, room, &limits).unwrap();
        let sealed =
            PlainBody::pack(&packed, &secret, room, true).unwrap().seal(&key, eligible, Coding::Scattered);
        assert_eq!(hex(&sealed.header), answer["header"].as_str().unwrap());
        assert_eq!(hex(&sealed.body), answer["body"].as_str().unwrap());

        let header = open_header(&sealed.header, &key, eligible, room).unwrap();
        assert_eq!(header.padded_len, bytes(&answer["plain"]).len());
        assert_eq!(header.coding, Coding::Scattered);
        let (opened, _) = open_body(sealed.body, &sealed.header, &key, &limits).unwrap();
        assert_eq!((opened.secret, opened.name), (content.clone(), secret.name));
        assert_eq!((opened.media_type, opened.mark), (secret.media_type, secret.mark));
    }
}

#[test]
fn positions_are_drawn_as_published() {
    for answer in answers("drawings") {
        let number = |name: &str| answer[name].as_u64().unwrap();
        let key = injected(&answer);
        assert_eq!(room_bytes(number("eligible")), number("room"));
        let found =
            known_answers(number("eligible"), &key, number("padded_len") as usize, &bytes(&answer["prk"]));
        let digest = |positions: &[u32]| {
            hex(&Sha256::digest(
                positions.iter().flat_map(|position| position.to_be_bytes()).collect::<Vec<_>>(),
            ))
        };
        for (name, positions) in ["salt_share", "header_share", "body"].into_iter().zip(&found.positions) {
            let first: Vec<u32> = serde_json::from_value(answer[name].clone()).unwrap();
            assert_eq!(positions[..4], first, "{name}");
        }
        let digests = ["salt_share_digest", "header_share_digest", "body_digest"];
        for (name, positions) in digests.into_iter().zip(&found.positions) {
            assert_eq!(digest(positions), answer[name].as_str().unwrap(), "{name}");
        }
        assert_eq!(
            found.syndromes.map(|message| hex(&message)),
            ["salt_syndrome", "header_syndrome"].map(|name| answer[name].as_str().unwrap())
        );
    }
}

/// Bodies that images of random bits carry in the mode `adaptive`.
#[test]
fn bodies_are_read_as_published() {
    for answer in answers("bodies") {
        let number = |name: &str| answer[name].as_u64().unwrap();
        let key = injected(&answer);
        let body = adaptive_body(
            number("eligible"),
            &key,
            u16::try_from(number("coding")).unwrap(),
            number("padded_len") as usize,
            &bytes(&answer["prk"]),
        );
        assert_eq!(hex(&body[..16]), answer["body"].as_str().unwrap());
        assert_eq!(hex(&Sha256::digest(body)), answer["body_digest"].as_str().unwrap());
    }
}

#[test]
fn published_images_are_read() {
    for answer in answers("images") {
        let found =
            crate::extract_sealed(&bytes(&answer["png"]), &key_of(&answer), &Limits::default()).unwrap();
        assert_eq!(hex(&found.secret), answer["secret"].as_str().unwrap());
        assert_eq!(found.name.unwrap().as_str(), answer["name"].as_str().unwrap());
    }
}
