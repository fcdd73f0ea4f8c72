use super::*;

/// A search with random columns and costs, some of them saturated.
fn search(height: u32, rows: usize, width: usize, seed: u64) -> Search {
    let noise = testkit::noise(seed, 6 * rows * width + rows);
    let (bits, noise) = noise.split_at(rows);
    let mut search = Search::default();
    for (row, noise) in noise.as_chunks::<6>().0.chunks_exact(width).enumerate() {
        for (i, bytes) in noise.iter().enumerate() {
            let column = u16::from_le_bytes([bytes[0], bytes[1]]) | 1 | 1 << (height - 1);
            let cost = u16::from_le_bytes([bytes[2], bytes[3]]) >> (4 + bytes[4] % 12);
            let rows_left = (rows - row).min(height as usize);
            let column = column & ((1_u32 << rows_left) - 1) as u16;
            search.steps.push(Step { column, cost, place: (row * width + i) as u32 });
        }
        search.end_row(bits[row] & 1 == 1);
    }
    search
}

fn changes(search: &mut Search, height: u32) -> Option<Vec<u32>> {
    let mut places = Vec::new();
    search.run(height, |place| places.push(place)).then_some(places)
}

fn cost_of(search: &Search, places: &[u32]) -> u32 {
    places.iter().map(|&place| u32::from(search.steps[place as usize].cost)).sum()
}

/// The syndrome of the changes is the one asked for, at every height and rate.
#[test]
fn changes_have_the_syndrome() {
    for height in HEIGHTS {
        for (rows, width) in [(1, 1), (5, 3), (40, 1), (200, 2), (60, 11)] {
            let mut search = search(height, rows, width, rows as u64);
            let places = changes(&mut search, height).unwrap();
            let mut syndrome = vec![0; rows + height as usize];
            for place in places {
                let row = place as usize / width;
                let column = search.steps[place as usize].column;
                (0..height as usize).for_each(|k| syndrome[row + k] ^= column >> k & 1);
            }
            let wanted: Vec<u16> = search.rows.iter().map(|row| (row & 1) as u16).collect();
            assert_eq!(syndrome[..rows], wanted, "height {height}, {rows} rows of {width}");
        }
    }
}

/// All sets of changes of a small code, compared with the path found.
#[test]
fn no_set_of_changes_is_cheaper() {
    for seed in 0..40 {
        let (height, rows, width) = (7, 5, 3);
        let mut search = search(height, rows, width, 1000 + seed);
        let found = changes(&mut search, height).unwrap();
        let wanted: u32 = search.rows.iter().enumerate().map(|(row, end)| (end & 1) << row).sum();
        let least = (0..1_u32 << (rows * width)).filter_map(|set| {
            let places: Vec<u32> = (0..(rows * width) as u32).filter(|place| set >> place & 1 == 1).collect();
            let syndrome = places.iter().fold(0, |syndrome, &place| {
                syndrome ^ u32::from(search.steps[place as usize].column) << (place as usize / width)
            });
            (syndrome == wanted).then(|| cost_of(&search, &places))
        });
        assert_eq!(Some(cost_of(&search, &found)), least.min(), "seed {seed}");
    }
}

/// Every implementation takes the same decisions.
#[test]
#[cfg(target_arch = "x86_64")]
fn implementations_agree() {
    if !is_x86_feature_detected!("avx2") {
        return;
    }
    for height in HEIGHTS {
        for (rows, width) in [(1, 1), (300, 1), (100, 2), (50, 9), (8, 100)] {
            let search = search(height, rows, width, u64::from(height));
            let (mut portable, mut vectors) = (Vec::new(), Vec::new());
            let reached = portable::forward(height, &search.steps, &search.rows, &mut portable);
            #[expect(unsafe_code, reason = "AVX2 was detected")]
            let also = unsafe { avx2::forward(height, &search.steps, &search.rows, &mut vectors) };
            assert!(reached && also);
            assert_eq!(portable, vectors, "height {height}, {rows} rows of {width}");
        }
    }
}
