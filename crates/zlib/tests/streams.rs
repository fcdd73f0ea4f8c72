//! Streams of every setting, in pieces of every size, inflated by another implementation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;

use flate2::read::ZlibDecoder;
use zlib::{Deflater, Error, Flush, Settings, Status, Strategy};

/// Bytes with matches of many lengths and some noise.
fn data(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes: Vec<u8> = Vec::with_capacity(len);
    while bytes.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (back, run) = ((state >> 8) as usize % 5000 + 1, (state >> 24) as usize % 40);
        match bytes.len().checked_sub(back) {
            Some(from) => bytes.extend_from_within(from..bytes.len().min(from + run)),
            None => bytes.push((state >> 16) as u8),
        }
        bytes.push((state >> 13) as u8);
    }
    bytes.truncate(len);
    bytes
}

fn deflated(data: &[u8], settings: Settings, (piece, room): (usize, usize)) -> Vec<u8> {
    let mut deflater = Deflater::new(settings).unwrap();
    let (mut stream, mut output) = (Vec::new(), vec![0xEE; room]);
    for mut input in data.chunks(piece) {
        while !input.is_empty() {
            let step = deflater.step(input, &mut output, Flush::No).unwrap();
            stream.extend_from_slice(&output[..step.written]);
            input = &input[step.consumed..];
        }
    }
    loop {
        let step = deflater.step(&[], &mut output, Flush::Finish).unwrap();
        stream.extend_from_slice(&output[..step.written]);
        if step.status == Status::Ended {
            return stream;
        }
    }
}

fn inflated(stream: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(stream).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_setting_gives_the_data_back() {
    let data = data(200_000);
    for level in 0..=9 {
        for window_bits in [9, 12, 15] {
            for mem_level in [1, 8, 9] {
                for strategy in [Strategy::Default, Strategy::Filtered] {
                    let settings = Settings::default()
                        .with_level(level)
                        .with_window_bits(window_bits)
                        .with_mem_level(mem_level)
                        .with_strategy(strategy);
                    assert!(inflated(&deflated(&data, settings, (7000, 4096))) == data, "{settings:?}");
                }
            }
        }
    }
}

/// The pieces of input and output do not show.
#[test]
fn the_stream_does_not_depend_on_the_pieces() {
    let data = data(150_000);
    let settings = Settings::default().with_mem_level(9).with_strategy(Strategy::Filtered);
    let whole = deflated(&data, settings, (data.len(), 1 << 20));
    for sizes in [(1, 1), (3, 7), (1000, 64), (65_536, 5), (4097, 65_536)] {
        assert!(deflated(&data, settings, sizes) == whole, "{sizes:?}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let default = Settings::default;
    for settings in [
        default().with_level(10),
        default().with_window_bits(8),
        default().with_window_bits(16),
        default().with_window_bits(0),
        default().with_window_bits(241),
        default().with_mem_level(0),
        default().with_mem_level(10),
    ] {
        assert_eq!(Deflater::new(settings).unwrap_err(), Error::Settings, "{settings:?}");
    }
}

/// Calls that zlib refuses are errors or do nothing; the stream stays what it was.
#[test]
fn calls_out_of_order_are_harmless() {
    let mut deflater = Deflater::new(Settings::default()).unwrap();
    let mut output = [0; 64];
    let mut stream = Vec::new();
    let nothing = deflater.step(&[], &mut [], Flush::No).unwrap();
    assert_eq!((nothing.consumed, nothing.written), (0, 0));
    let none = deflater.step(b"abc", &mut [], Flush::Finish).unwrap();
    assert_eq!((none.consumed, none.written, none.status), (0, 0, Status::Open));
    let begun = deflater.step(b"abc", &mut output[..3], Flush::Finish).unwrap();
    assert_eq!((begun.consumed, begun.written, begun.status), (3, 3, Status::Open));
    stream.extend_from_slice(&output[..3]);
    assert_eq!(deflater.step(b"more", &mut output, Flush::No).unwrap_err(), Error::Finished);
    let step = deflater.step(&[], &mut output, Flush::Finish).unwrap();
    assert_eq!(step.status, Status::Ended);
    stream.extend_from_slice(&output[..step.written]);
    assert_eq!(inflated(&stream), b"abc");
    let after = deflater.step(&[], &mut output, Flush::Finish).unwrap();
    assert_eq!((after.written, after.status), (0, Status::Ended));
    assert!(deflater.step(b"x", &mut output, Flush::No).is_err());
}

/// A stream may move between places and be dropped at any point.
#[test]
fn a_stream_may_move_and_be_dropped() {
    let mut streams: Vec<Deflater> = (0..3).map(|_| Deflater::new(Settings::default()).unwrap()).collect();
    let mut output = [0; 4096];
    let mut moved = streams.swap_remove(1);
    streams.push(Deflater::new(Settings::default()).unwrap());
    let data = data(1000);
    let begun = moved.step(&data, &mut output, Flush::No).unwrap();
    assert_eq!(begun.consumed, 1000);
    let mut stream = output[..begun.written].to_vec();
    drop(streams);
    let mut boxed = Box::new(moved);
    let step = boxed.step(&[], &mut output, Flush::Finish).unwrap();
    assert!(format!("{boxed:?}").contains("total_out"));
    stream.extend_from_slice(&output[..step.written]);
    assert!(inflated(&stream) == data);
}

#[test]
fn this_is_stock_zlib() {
    assert!(zlib::version().starts_with("1."), "{}", zlib::version());
    assert!(!zlib::version().contains("ng"), "{}", zlib::version());
}
