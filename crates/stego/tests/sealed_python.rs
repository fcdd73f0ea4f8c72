//! Sealed stego images against a second implementation, which reads and writes by `docs/format.md` alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use stego::{
    BitsPerSample, Channels, ConstraintHeight, Cover, EmbedOptions, FileName, Limits, MarkId, MediaType,
    Mode, Salt, Seal, SealingKey, Secret, embed, extract_sealed,
};

const SCRIPT: &str = include_str!("sealed/sealed.py");
const MODULES: &str = "numpy, nacl, argon2, cryptography";

/// A cover, a key and a secret.
struct Case {
    name: String,
    cover: Cover,
    passphrase: Option<&'static str>,
    key_file: Option<Vec<u8>>,
    secret: Vec<u8>,
    /// A file name and the code and name of its media type.
    described: (&'static str, u8, &'static str),
    mark: Option<MarkId>,
}

impl Case {
    /// Every layout of samples, with each kind of key and secrets of every size.
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for channels in [Channels::Grey, Channels::GreyAlpha, Channels::Rgb, Channels::Rgba] {
            for is_deep in [false, true] {
                let i = cases.len();
                let cover = cover(channels, is_deep, i as u64);
                let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
                let secret = match i % 4 {
                    0 => testkit::text(room / 2),
                    1 => testkit::noise(1, room),
                    2 => Vec::new(),
                    _ => testkit::noise(2, room / 4),
                };
                let has_room = secret.len() + 40 < room;
                cases.push(Self {
                    name: format!("{channels:?} {is_deep}"),
                    cover,
                    passphrase: [Some("e\u{301}té"), None, Some(" spaced ")][i % 3],
                    key_file: (i % 3 != 0).then(|| testkit::noise(3, 32 + 1000 * i)),
                    secret,
                    described: if has_room { ("plan é.pdf", 2, "application/pdf") } else { ("", 0, "") },
                    mark: (has_room && i % 2 == 0).then_some(MarkId([i as u8; 16])),
                });
            }
        }
        let grey: Vec<u8> = testkit::noise(4, 50_000).iter().flat_map(|&sample| [sample; 3]).collect();
        cases.push(Self {
            name: "grey in colour".to_owned(),
            cover: Cover::from_samples(250, 200, Channels::Rgb, grey).unwrap(),
            passphrase: Some("grey"),
            key_file: None,
            secret: b"grey".to_vec(),
            described: ("", 0, ""),
            mark: None,
        });
        cases
    }

    fn key(&self) -> SealingKey {
        SealingKey::new(self.passphrase, self.key_file.as_deref()).unwrap()
    }

    fn secret(&self) -> Secret<'_> {
        let mut secret = Secret::new(&self.secret);
        secret.name = FileName::from_path(self.described.0);
        secret.media_type = MediaType::parse(self.described.2);
        secret.mark = self.mark;
        secret
    }

    fn mark_hex(&self) -> String {
        self.mark.map_or(String::new(), |mark| mark.to_string())
    }

    fn job(&self, kind: &str, image: &Path) -> Value {
        json!({
            "do": kind,
            "image": image,
            "passphrase": self.passphrase,
            "key_file": self.key_file.as_deref().map(hex),
        })
    }
}

fn cover(channels: Channels, is_deep: bool, seed: u64) -> Cover {
    let (width, height) = (251, 239);
    let len = width as usize * height as usize * channels.count();
    let noise = testkit::noise(seed, 2 * len);
    let mut values: Vec<u16> =
        noise.as_chunks::<2>().0.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect();
    // Saturated samples, and pixels that cannot be seen.
    values.iter_mut().filter(|value| **value % 5 == 0).for_each(|value| *value = 0);
    values.iter_mut().filter(|value| **value % 7 == 1).for_each(|value| *value = u16::MAX);
    if is_deep {
        return Cover::from_deep_samples(width, height, channels, &values).unwrap();
    }
    let samples = values.iter().map(|value| (value >> 8) as u8).collect();
    Cover::from_samples(width, height, channels, samples).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn in_both_modes(cases: &[Case]) -> impl Iterator<Item = (&Case, Mode)> {
    cases.iter().flat_map(|case| [Mode::Adaptive, Mode::Scattered].map(|mode| (case, mode)))
}

/// Runs the script on jobs; `None` where Python or a module of the script is missing.
fn done(jobs: &[Value], folder: &Path) -> Option<Vec<Value>> {
    let file = folder.join("jobs.json");
    std::fs::write(&file, serde_json::to_vec(jobs).unwrap()).unwrap();
    let said = testkit::run_python(MODULES, SCRIPT, ["jobs", file.to_str().unwrap()])?;
    let results: Vec<Value> = serde_json::from_str(&said).unwrap();
    assert_eq!(results.len(), jobs.len());
    Some(results)
}

#[test]
fn the_second_implementation_reads_what_is_written() {
    let (folder, cases) = (tempfile::tempdir().unwrap(), Case::all());
    let mut jobs = Vec::new();
    for (i, (case, mode)) in in_both_modes(&cases).enumerate() {
        let seal = Seal::Key(case.key(), Salt([i as u8; 16]));
        let height = ConstraintHeight::new(7 + i as u8 % 6).unwrap();
        let options = EmbedOptions::default().with_seal(seal).with_mode(mode).with_height(height);
        let image = embed(&case.cover, &case.secret(), &options, &Limits::default()).unwrap();
        let path = folder.path().join(format!("{i}.png"));
        std::fs::write(&path, image.into_vec()).unwrap();
        jobs.push(case.job("read", &path));
        let mut wrong = case.job("read", &path);
        wrong["passphrase"] = "another".into();
        jobs.push(wrong);
    }
    let Some(results) = done(&jobs, folder.path()) else { return };
    for ((case, mode), results) in in_both_modes(&cases).zip(results.as_chunks::<2>().0) {
        let expected = json!({
            "secret": hex(&case.secret),
            "name": case.described.0,
            "code": case.described.1,
            "mark": case.mark_hex(),
        });
        assert_eq!(results[0], expected, "{}, {mode}", case.name);
        assert_eq!(results[1], json!({ "refused": "no payload or wrong key" }), "{}, {mode}", case.name);
    }
}

#[test]
fn what_the_second_implementation_writes_is_read() {
    let (folder, cases) = (tempfile::tempdir().unwrap(), Case::all());
    let path = |kind: &str, i: usize| folder.path().join(format!("{kind}-{i}.png"));
    let mut jobs = Vec::new();
    for (i, (case, mode)) in in_both_modes(&cases).enumerate() {
        std::fs::write(path("cover", i), case.cover.to_png()).unwrap();
        let mut job = case.job("write", &path("cover", i));
        job["salt"] = hex(&[0xF0 | i as u8; 16]).into();
        job["secret"] = hex(&case.secret).into();
        job["mark"] = case.mark_hex().into();
        job["name"] = case.described.0.into();
        job["code"] = case.described.1.into();
        job["deflate"] = (i % 4 == 0).into();
        // Heights 7 to 12, and an eighth of the body in the second layer.
        job["coding"] = if mode == Mode::Adaptive { (7 + i % 6) << 12 | 512 } else { 0 }.into();
        job["out"] = path("stego", i).to_str().unwrap().into();
        jobs.push(job);
    }
    if done(&jobs, folder.path()).is_none() {
        return;
    }
    for (i, (case, _)) in in_both_modes(&cases).enumerate() {
        let png = std::fs::read(path("stego", i)).unwrap();
        let found = extract_sealed(&png, &case.key(), &Limits::default());
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let secret = case.secret();
        assert_eq!(found.secret, case.secret, "{}", case.name);
        assert_eq!((found.name, found.mark), (secret.name, secret.mark), "{}", case.name);
        assert_eq!(found.media_type, secret.media_type, "{}", case.name);
        assert_eq!(found.deflated, i % 4 == 0 && case.secret.len() > 100, "{}", case.name);
    }
}

/// The answers in the repository are those of the script.
#[test]
fn the_known_answers_are_those_of_the_second_implementation() {
    let Some(said) = testkit::run_python(MODULES, SCRIPT, ["vectors"]) else { return };
    let said: Value = serde_json::from_str(&said).unwrap();
    let kept: Value = serde_json::from_str(include_str!("sealed/vectors.json")).unwrap();
    for kind in ["keys", "streams", "drawings", "bodies"] {
        assert_eq!(said[kind], kept[kind], "{kind}");
    }
}
