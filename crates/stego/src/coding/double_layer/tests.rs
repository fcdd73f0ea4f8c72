use super::*;

fn bits(seed: u64, len: usize) -> Vec<u8> {
    testkit::noise(seed, len).iter().map(|byte| byte & 1).collect()
}

/// Both messages are read from the changed places, at every height and rate.
#[test]
fn messages_are_read_back() {
    let mut workspace = Workspace::default();
    for height in HEIGHTS {
        for (count, first, second) in
            [(500, 500, 0), (500, 400, 40), (5000, 700, 50), (20_000, 1500, 120), (3000, 1, 1), (300, 200, 0)]
        {
            let code = Code::new(height, count + 5);
            let noise = testkit::noise(u64::from(height), 3 * count);
            let places: Vec<u8> =
                noise[..count].iter().map(|byte| byte & 3 | if *byte >= 224 { ONE_WAY } else { 0 }).collect();
            let levels: Vec<i16> = noise[count..]
                .as_chunks::<2>()
                .0
                .iter()
                .map(|bytes| i16::from(bytes[0]) * i16::from(bytes[1] & 15) - 50)
                .collect();
            let (first, second) = (bits(1, first), bits(2, second));
            let mut changes = places.clone();
            let name = format!("height {height}, {count} places, {} and {}", first.len(), second.len());
            let is_solved = code.embed(&mut changes, &levels, [&first, &second], || true, &mut workspace);
            assert!(is_solved, "{name}");
            let stego: Vec<u8> = places.iter().zip(&changes).map(|(place, change)| place ^ change).collect();
            let rows = Rows { first: first.len(), second: second.len() };
            assert_eq!(code.read(&stego, rows), [first, second], "{name}");
            for (place, change) in places.iter().zip(&changes) {
                assert!([0, LOWEST, LOWEST | SECOND].contains(change), "{name}");
                assert!(place & ONE_WAY == 0 || change & SECOND == 0, "{name}");
            }
        }
    }
}

/// More bits in the second layer than there are changes.
#[test]
fn a_second_message_without_room_is_refused() {
    let code = Code::new(10, 1000);
    let places = bits(1, 1000);
    let mut changed = places.clone();
    let (levels, first, second) = (vec![100; 1000], bits(2, 20), bits(3, 100));
    assert!(!code.embed(&mut changed, &levels, [&first, &second], || false, &mut Workspace::default()));
    assert_eq!(changed, places);
}

/// SplitMix64 from the state 0: the first outputs of the reference implementation.
#[test]
fn columns_are_those_of_the_generator() {
    assert_eq!(mixed(0), 0xE220_A839_7B1D_CDAF);
}
