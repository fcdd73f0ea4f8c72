//! GIFs with a header that does not fit the first frame, as browsers show them.

use std::borrow::Cow;

/// Offsets of the logical screen's width, height and flags (GIF89a, section 18), and of the following data.
const WIDTH_AT: usize = 6;
const HEIGHT_AT: usize = 8;
const FLAGS_AT: usize = 10;
const TABLE_AT: usize = 13;
/// Flag of a global colour table with 256 colours.
const HAS_TABLE: u8 = 0x80;
const ALL_COLOURS: u8 = 0x07;

/// `file` in the form for the decoder: a screen smaller than the first frame grows to the frame, and without
/// a colour table indices are levels of grey. Anything else stays unchanged.
pub(super) fn as_shown(file: &[u8]) -> Cow<'_, [u8]> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let dimensions = || {
        let frame = first_frame(file)?;
        let edge =
            |start: usize, len: usize| Some(u16_at(frame + start)?.saturating_add(u16_at(frame + len)?));
        let needed = [edge(1, 5)?, edge(3, 7)?];
        let screen = [u16_at(WIDTH_AT)?, u16_at(HEIGHT_AT)?];
        let has_colours = (file[FLAGS_AT] | file.get(frame + 9)?) & HAS_TABLE != 0;
        Some((needed, screen, has_colours))
    };
    let Some((needed, screen, has_colours)) = dimensions() else { return Cow::Borrowed(file) };
    if needed[0] <= screen[0] && needed[1] <= screen[1] && has_colours {
        return Cow::Borrowed(file);
    }
    let mut shown = file.to_vec();
    for (at, needed, screen) in [(WIDTH_AT, needed[0], screen[0]), (HEIGHT_AT, needed[1], screen[1])] {
        shown[at..at + 2].copy_from_slice(&needed.max(screen).to_le_bytes());
    }
    if !has_colours {
        shown[FLAGS_AT] |= HAS_TABLE | ALL_COLOURS;
        shown.splice(TABLE_AT..TABLE_AT, (0..=255).flat_map(|level| [level; 3]));
    }
    Cow::Owned(shown)
}

/// Returns the place of the descriptor of the first frame.
fn first_frame(file: &[u8]) -> Option<usize> {
    let flags = *file.get(FLAGS_AT)?;
    let mut at = TABLE_AT + if flags & HAS_TABLE != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    while *file.get(at)? == 0x21 {
        at += 2;
        // Sub-blocks, up to an empty one.
        while let len @ 1.. = usize::from(*file.get(at)?) {
            at += 1 + len;
        }
        at += 1;
    }
    (file[at] == 0x2C).then_some(at)
}
