//! `stegctl compare`.

use std::fs;

use stego::{Channels, Cover, Limits};

use crate::{done, folder, refused, stegctl, told};

#[test]
fn the_figures_are_those_of_embed() {
    let folder = folder();
    fs::write(folder.path().join("secret"), testkit::noise(3, 15_000)).unwrap();
    let embedded =
        told(folder.path(), &["embed", "secret", "--cover", "cover.png", "-o", "out.png", "--json"]);
    let compared = told(folder.path(), &["compare", "cover.png", "out.png", "--json"]);
    assert_eq!(compared["psnr_db"], embedded["psnr_db"]);
    assert_eq!((&compared["samples"], &compared["largest_difference"]), (&180_000.into(), &1.into()));
    assert_eq!((&compared["identical"], &compared["problem"]), (&false.into(), &serde_json::Value::Null));
    let differing = compared["differing_samples"].as_u64().unwrap();
    assert!((58_000..62_000).contains(&differing), "{differing}");
    assert_eq!(compared["mse"], differing as f64 / 180_000.0);

    let text = String::from_utf8(done(folder.path(), &["compare", "cover.png", "out.png"], b"")).unwrap();
    assert!(text.contains(&format!("{differing} of 180000 differ")), "{text}");
    let same = told(folder.path(), &["compare", "cover.png", "cover.png", "--json"]);
    assert_eq!((&same["identical"], &same["psnr_db"]), (&true.into(), &serde_json::Value::Null));
    let piped = fs::read(folder.path().join("cover.png")).unwrap();
    let text = String::from_utf8(done(folder.path(), &["compare", "-", "cover.png"], &piped)).unwrap();
    assert!(text.contains("infinite"), "{text}");
}

#[test]
fn the_picture_shows_where_and_how_much() {
    let folder = folder();
    let write = |name: &str, samples: [u8; 6]| {
        let cover = Cover::from_samples(2, 1, Channels::Rgb, samples.to_vec()).unwrap();
        fs::write(folder.path().join(name), cover.to_png()).unwrap();
    };
    write("a.png", [10, 20, 30, 40, 50, 60]);
    write("b.png", [10, 23, 30, 39, 50, 60]);
    let picture = |args: &[&str]| {
        let told = told(
            folder.path(),
            &[&["compare", "a.png", "b.png", "--diff", "d.png", "--json"], args].concat(),
        );
        let file = fs::read(folder.path().join("d.png")).unwrap();
        (
            told["amplify"].as_u64().unwrap(),
            Cover::decode(&file, &Limits::default()).unwrap().samples().to_vec(),
        )
    };
    assert_eq!(picture(&[]), (85, vec![0, 255, 0, 85, 0, 0]));
    assert_eq!(picture(&["--force", "--amplify", "100"]), (100, vec![0, 255, 0, 100, 0, 0]));
    let again = ["compare", "a.png", "b.png", "--diff", "d.png"];
    assert!(refused(folder.path(), &again, 1, "file").contains("--force"));
}

#[test]
fn only_like_is_compared_with_like() {
    let folder = folder();
    let grey = Cover::from_samples(300, 200, Channels::Grey, vec![9; 60_000]).unwrap();
    fs::write(folder.path().join("grey.png"), grey.to_png()).unwrap();
    done(folder.path(), &["embed", "grey.png", "-o", "big.png", "-q"], b"");
    let check = |args: &[&str], status, code, word: &str| {
        let error = refused(folder.path(), args, status, code);
        assert!(error.contains(word), "{error}");
    };
    check(
        &["compare", "cover.png", "big.png"],
        12,
        "not_comparable",
        "300 × 200 pixels, the other 1920 × 1080",
    );
    check(&["compare", "cover.png", "grey.png"], 12, "not_comparable", "RGB, the other grey");
    check(&["compare", "cover.png", "absent"], 1, "file", "absent");
    check(&["compare", "-", "-"], 2, "usage", "standard input");
    check(&["compare", "cover.png", "big.png", "--diff", "-"], 2, "usage", "--diff FILE");
    let output = stegctl(folder.path(), &["compare", "cover.png", "grey.png", "--json"], b"");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &told["problem"]["code"]), (Some(12), &"not_comparable".into()));
}
