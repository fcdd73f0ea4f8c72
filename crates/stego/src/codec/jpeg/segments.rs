//! The marker segments of a JPEG file (T.81, annex B), with the leniency of libjpeg.

/// A marker segment, or a marker without a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    /// Place of the marker in the file.
    pub(super) at: usize,
    /// Data after the length.
    pub(super) data: &'a [u8],
    /// Length in the file, including the two bytes of the length field; 0 for a marker alone.
    pub(super) len: usize,
}

impl Segment<'_> {
    /// End of the segment in the file; for the header of a scan, the begin of the entropy-coded data.
    pub(super) fn end(&self) -> usize {
        self.at + 2 + if is_alone(self.marker) { 0 } else { self.len.max(2) }
    }
}

pub(super) const START_OF_IMAGE: u8 = 0xD8;
pub(super) const END_OF_IMAGE: u8 = 0xD9;
pub(super) const START_OF_SCAN: u8 = 0xDA;
pub(super) const NUMBER_OF_LINES: u8 = 0xDC;
pub(super) const RESTART_INTERVAL: u8 = 0xDD;
pub(super) const HUFFMAN_TABLES: u8 = 0xC4;

/// True for restart markers, which stand in the entropy-coded data.
fn is_restart(marker: u8) -> bool {
    matches!(marker, 0xD0..=0xD7)
}

/// Markers without a length (B.1.1.3).
fn is_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | START_OF_IMAGE | END_OF_IMAGE)
}

/// Fill bytes before the start-of-image marker.
pub(super) fn leading_fill(file: &[u8]) -> usize {
    file.iter().take_while(|&&byte| byte == 0xFF).count().saturating_sub(1)
}

/// Returns the segments behind the start-of-image marker: by length, skipping fill bytes and entropy-coded
/// data up to the next marker that is neither a stuffed byte (FF00) nor a restart. The last segment is the
/// end-of-image marker, if present; data after it do not matter: phones put films and further images there.
pub(super) fn segments(file: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut at = leading_fill(file) + 2;
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        at = next_marker(file, at)?;
        let marker = file[at + 1];
        is_over = marker == END_OF_IMAGE;
        let after = file.get(at + 2..).unwrap_or_default();
        let len = match after.first_chunk::<2>() {
            Some(len) if !is_alone(marker) => usize::from(u16::from_be_bytes(*len)),
            _ => 0,
        };
        let data = after.get(2..len.max(2).min(after.len())).unwrap_or_default();
        let segment = Segment { marker, at, data, len };
        at = segment.end();
        Some(segment)
    })
}

fn next_marker(file: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += file.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        let code = *file.get(at + 1)?;
        if !matches!(code, 0 | 0xFF) && !is_restart(code) {
            return Some(at);
        }
        at += 1;
    }
}

/// Returns the restart markers in the entropy-coded data from `from` on, by number.
pub(super) fn restarts(file: &[u8], from: usize) -> impl Iterator<Item = u8> {
    let mut at = from;
    std::iter::from_fn(move || {
        loop {
            at += file.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
            let code = *file.get(at + 1)?;
            at += 1;
            match code {
                0 | 0xFF => {}
                _ if is_restart(code) => return Some(code & 7),
                _ => return None,
            }
        }
    })
}

/// Content of the frame header (B.2.2).
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) marker: u8,
    pub(super) precision: u8,
    pub(super) width: u16,
    /// Height; 0 if a DNL segment behind the first scan has it.
    pub(super) height: u16,
    /// Place of the height in the file.
    pub(super) height_at: usize,
    /// Identifier, horizontal and vertical sampling factor of each component.
    pub(super) components: Vec<(u8, u8, u8)>,
}

impl Frame {
    /// Parses a segment as a whole frame header, if possible.
    pub(super) fn of(segment: &Segment<'_>) -> Option<Self> {
        let is_frame = matches!(segment.marker, 0xC0..=0xCF) && !matches!(segment.marker, 0xC4 | 0xC8 | 0xCC);
        let &[precision, h0, h1, w0, w1, count, ref rest @ ..] = segment.data else { return None };
        let components = rest.chunks_exact(3).take(count.into());
        let components: Vec<_> = components.map(|each| (each[0], each[1] >> 4, each[1] & 15)).collect();
        let is_whole = components.len() == usize::from(count) && count > 0;
        (is_frame && is_whole).then_some(Self {
            marker: segment.marker,
            precision,
            width: u16::from_be_bytes([w0, w1]),
            height: u16::from_be_bytes([h0, h1]),
            height_at: segment.at + 5,
            components,
        })
    }

    /// Returns the largest sampling factors; 1 at least.
    pub(super) fn largest_sampling(&self) -> (u64, u64) {
        let largest =
            |factor: fn(&(u8, u8, u8)) -> u8| self.components.iter().map(factor).max().unwrap_or(1).max(1);
        (largest(|each| each.1).into(), largest(|each| each.2).into())
    }

    /// Returns the number of samples of component `i`, padded to whole MCUs.
    pub(super) fn padded_samples(&self, i: usize) -> u64 {
        let (h_max, v_max) = self.largest_sampling();
        let (_, h, v) = self.components[i];
        let mcus = u64::from(self.width).div_ceil(8 * h_max) * u64::from(self.height).div_ceil(8 * v_max);
        mcus * 64 * u64::from(h) * u64::from(v)
    }

    /// MCUs of a scan with these components (A.2): blocks of the component in a scan of one component.
    pub(super) fn mcus(&self, scan: &[u8]) -> u64 {
        let (h_max, v_max) = self.largest_sampling();
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        let alone = match scan {
            [id] => self.components.iter().find(|each| each.0 == *id),
            _ => None,
        };
        match alone {
            Some(&(_, h, v)) => {
                let (width, height) = (width * u64::from(h), height * u64::from(v));
                width.div_ceil(h_max).div_ceil(8) * height.div_ceil(v_max).div_ceil(8)
            }
            None => width.div_ceil(8 * h_max) * height.div_ceil(8 * v_max),
        }
    }
}
