//! PNG's five filters, forwards and backwards (PNG third edition, section 9).

/// Filters of an image's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filtering {
    /// The same filter for every row: 0 None, 1 Sub, 2 Up, 3 Average, 4 Paeth.
    All(u8),
    /// Alternating filters.
    Mixed,
}

impl Filtering {
    /// Every choice of filters.
    pub const EVERY: [Self; 6] =
        [Self::All(0), Self::All(1), Self::All(2), Self::All(3), Self::All(4), Self::Mixed];

    fn of_row(self, y: usize) -> u8 {
        match self {
            Self::All(filter) => filter,
            // Not in the filters' order, and not None first: the row above the first counts as zeros.
            Self::Mixed => [4, 2, 3, 1, 0, 3, 4][y % 7],
        }
    }
}

/// Filters the rows of an image or pass, each behind its filter byte. `distance` is the whole bytes of a
/// pixel, at least 1.
pub(crate) fn filter_rows(rows: &[Vec<u8>], distance: usize, filtering: Filtering) -> Vec<u8> {
    let mut filtered = Vec::new();
    for (y, row) in rows.iter().enumerate() {
        let filter = filtering.of_row(y);
        let above = y.checked_sub(1).map(|above| &rows[above][..]);
        filtered.push(filter);
        filtered
            .extend((0..row.len()).map(|x| row[x].wrapping_sub(predict(filter, row, above, x, distance))));
    }
    filtered
}

/// Reverses the filters of an image; rows are concatenated.
///
/// # Panics
///
/// If the data is not a whole number of rows, or a filter byte is invalid.
pub(crate) fn unfilter_rows(filtered: &[u8], row_len_bytes: usize, distance: usize) -> Vec<u8> {
    assert_eq!(filtered.len() % (row_len_bytes + 1), 0, "the data is not a whole number of rows");
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for line in filtered.chunks(row_len_bytes + 1) {
        let (filter, mut row) = (line[0], line[1..].to_vec());
        for x in 0..row.len() {
            let above = rows.last().map(|row| &row[..]);
            row[x] = row[x].wrapping_add(predict(filter, &row, above, x, distance));
        }
        rows.push(row);
    }
    rows.concat()
}

/// Predicts the byte at `x` from the bytes to the left, above, and above to the left.
fn predict(filter: u8, row: &[u8], above: Option<&[u8]>, x: usize, distance: usize) -> u8 {
    let left = x.checked_sub(distance).map_or(0, |x| row[x]);
    let up = above.map_or(0, |above| above[x]);
    let up_left = above.zip(x.checked_sub(distance)).map_or(0, |(above, x)| above[x]);
    match filter {
        0 => 0,
        1 => left,
        2 => up,
        3 => u8::midpoint(left, up),
        4 => paeth(left, up, up_left),
        other => panic!("there is no filter {other}"),
    }
}

/// Computes the Paeth predictor (9.4): the nearest of the three to left + up − up left; ties go to the first
/// named.
fn paeth(left: u8, up: u8, up_left: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(up) - i16::from(up_left);
    let nearest = [left, up, up_left].into_iter().min_by_key(|&byte| (estimate - i16::from(byte)).abs());
    nearest.expect("there are three")
}
