//! Repetition in the arrangement of pixels. A pixel is the number of its colour.

use super::GiveAway;

/// Slots of the table of colours, a power of two, above twice the number that is looked for.
const SLOTS: usize = 1 << 14;
/// Odd, with bits all over: 2⁶⁴ divided by the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The colours of an image, up to one more than [`GiveAway::FEW_COLOURS`].
pub(super) struct Colours {
    /// A colour plus one in each slot in use.
    slots: Vec<u64>,
    count: usize,
    last: Option<u64>,
    /// True once a pixel was not grey.
    in_colour: bool,
}

impl Default for Colours {
    fn default() -> Self {
        Self { slots: vec![0; SLOTS], count: 0, last: None, in_colour: false }
    }
}

impl Colours {
    pub(super) fn add(&mut self, colour: u64, is_grey: bool) {
        self.in_colour |= !is_grey;
        if self.count > GiveAway::FEW_COLOURS || self.last.replace(colour) == Some(colour) {
            return;
        }
        debug_assert!(self.count < SLOTS / 2, "there is a free slot");
        let mut at = (colour.wrapping_mul(MULTIPLIER) >> 32) as usize % SLOTS;
        while self.slots[at] != 0 {
            if self.slots[at] == colour + 1 {
                return;
            }
            at = (at + 1) % SLOTS;
        }
        self.slots[at] = colour + 1;
        self.count += 1;
    }

    pub(super) fn are_few(&self) -> bool {
        self.in_colour && self.count <= GiveAway::FEW_COLOURS
    }
}

/// Pixels of a row or column from which on its repetition is no coincidence.
const MIN_LINE_LEN: usize = 64;
/// Repeated lines among as many make an image of repeated pixels.
const LINES_PER_REPETITION: usize = 64;
/// Least number of repeated lines.
const MIN_REPEATED_LINES: usize = 4;

/// Digest of a row or column, while pixels are added.
#[derive(Debug, Clone, Copy)]
struct Line {
    first: u64,
    digest: u64,
    is_flat: bool,
}

impl Line {
    fn new(first: u64) -> Self {
        Self { first, digest: 0, is_flat: true }
    }

    fn add(&mut self, pixel: u64) {
        self.is_flat &= pixel == self.first;
        self.digest = (self.digest ^ pixel).wrapping_mul(MULTIPLIER).rotate_left(29);
    }
}

/// The rows and columns of an image. Rows and columns of one colour do not count.
pub(super) struct Lines {
    rows: Vec<u64>,
    columns: Vec<Line>,
    row_count: usize,
}

impl Lines {
    pub(super) fn new(width: usize) -> Self {
        Self { rows: Vec::new(), columns: Vec::with_capacity(width), row_count: 0 }
    }

    pub(super) fn add(&mut self, row: &[u64]) {
        if self.columns.is_empty() {
            self.columns.extend(row.iter().map(|&pixel| Line::new(pixel)));
        }
        let mut line = Line::new(row.first().copied().unwrap_or_default());
        for (column, &pixel) in self.columns.iter_mut().zip(row) {
            column.add(pixel);
            line.add(pixel);
        }
        self.row_count += 1;
        if !line.is_flat {
            self.rows.push(line.digest);
        }
    }

    pub(super) fn are_repeated(&self) -> bool {
        let columns = self.columns.iter().filter(|column| !column.is_flat).map(|column| column.digest);
        let (width, height) = (self.columns.len(), self.row_count);
        (width >= MIN_LINE_LEN && is_repetitive(self.rows.clone()))
            || (height >= MIN_LINE_LEN && is_repetitive(columns.collect()))
    }
}

/// True if many of the digests occur before.
fn is_repetitive(mut digests: Vec<u64>) -> bool {
    let count = digests.len();
    digests.sort_unstable();
    digests.dedup();
    let repeated = count - digests.len();
    repeated >= MIN_REPEATED_LINES && repeated * LINES_PER_REPETITION >= count
}

/// Side of a block in pixels.
const BLOCK_LEN: usize = 8;
/// One flat block in as many makes an image of flat areas. Photographs with a burnt-out sky have one in
/// twenty.
const BLOCKS_PER_FLAT: usize = 5;

/// The whole blocks of an image.
pub(super) struct FlatBlocks {
    /// The first pixel of each block of the present rows; `None` if another differs.
    blocks: Vec<Option<u64>>,
    rows: usize,
    flat: usize,
    all: usize,
}

impl FlatBlocks {
    pub(super) fn new(width: usize) -> Self {
        Self { blocks: vec![None; width / BLOCK_LEN], rows: 0, flat: 0, all: 0 }
    }

    pub(super) fn add(&mut self, row: &[u64]) {
        let is_first = self.rows.is_multiple_of(BLOCK_LEN);
        for (block, pixels) in self.blocks.iter_mut().zip(row.chunks_exact(BLOCK_LEN)) {
            if is_first {
                *block = pixels.first().copied();
            }
            *block = block.filter(|first| pixels.iter().all(|pixel| pixel == first));
        }
        self.rows += 1;
        if self.rows.is_multiple_of(BLOCK_LEN) {
            self.flat += self.blocks.iter().flatten().count();
            self.all += self.blocks.len();
        }
    }

    pub(super) fn are_many(&self) -> bool {
        self.flat > 0 && self.flat * BLOCKS_PER_FLAT >= self.all
    }
}
