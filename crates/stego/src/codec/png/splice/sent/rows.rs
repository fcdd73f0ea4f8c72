//! The carrying rows, written anew among unchanged rows.

use super::lengths::{Failed, Lengths};
use super::walk::Walk;
use crate::carrier::Changes;
use crate::codec::info::ImageInfo;
use crate::codec::png::filter::{Filter, apply, undo};

/// Reach of deflate's references (RFC 1951, 2).
pub(super) const WINDOW_LEN_BYTES: usize = 32 << 10;

/// Writes the `changes` into the rows at the beginning of a stream of filtered rows. Returns the new
/// beginning, with the original filters, up to the later position of `walk`: nothing after it refers to a
/// changed byte.
pub(super) fn rewrite(
    walk: &mut Walk<'_>,
    changes: &mut dyn Changes,
    info: &ImageInfo,
    lengths: Lengths,
) -> Result<Vec<u8>, Failed> {
    let pixel_len = info.pixel_len_bytes();
    let mut new = Vec::new();
    let (mut row, mut above) = (Vec::new(), Vec::new());
    let (mut new_row, mut new_above) = (Vec::new(), Vec::new());
    let mut is_writing = true;
    // The filter of the row after the last one that carries looks at it.
    let mut rows_left = u64::from(info.height);
    let mut is_after = false;
    while !is_after && rows_left > 0 {
        is_after = !is_writing;
        rows_left -= 1;
        let start = new.len();
        if start + lengths.row > lengths.max_head {
            return Err(Failed::NotPossible);
        }
        walk.inflate_to(start + lengths.row)?;
        let filtered = &walk.inflated()[start..start + lengths.row];
        let filter = Filter::from_byte(filtered[0]).ok_or(Failed::NotPossible)?;
        std::mem::swap(&mut row, &mut above);
        row.clear();
        row.extend_from_slice(&filtered[1..]);
        undo(filter, &mut row, &above, pixel_len);

        std::mem::swap(&mut new_row, &mut new_above);
        new_row.clone_from(&row);
        is_writing = is_writing && changes.apply(&mut new_row);
        new.push(filter as u8);
        new.resize(start + lengths.row, 0);
        apply(filter, &new_row, &new_above, pixel_len, &mut new[start + 1..]);
    }
    let differs = |(old, new): (&u8, &u8)| old != new;
    let changed = walk.inflated().iter().zip(&new).rposition(differs).map_or(0, |last| last + 1);
    walk.inflate_to(changed + WINDOW_LEN_BYTES)?;
    new.extend_from_slice(&walk.inflated()[new.len()..]);
    debug_assert_eq!(new.len(), walk.inflated().len(), "the rows keep their lengths");
    Ok(new)
}
