//! Lengths that bound the rewriting, and reasons for its end.

use crate::codec::info::ImageInfo;
use crate::watch::Stopped;

/// The end of an attempt to keep the compressed pixels of a file.
#[derive(Debug)]
pub(super) enum Failed {
    /// The file is unsuitable; decoding will show any damage.
    NotPossible,
    /// The work was ended from outside.
    Stopped(Stopped),
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl Failed {
    /// Separates the two variants: `None` if the file is unsuitable.
    pub(super) fn or_stopped<T>(outcome: Result<T, Self>) -> Result<Option<T>, Stopped> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Self::NotPossible) => Ok(None),
            Err(Self::Stopped(stopped)) => Err(stopped),
        }
    }
}

/// Bytes of filtered rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// A row and the type of the filter.
    pub(super) row: usize,
    pub(super) all: u64,
    /// Upper limit of rewritten bytes; beyond, encoding the whole file anew is better.
    pub(super) max_head: usize,
}

impl Lengths {
    pub(super) fn of(info: &ImageInfo) -> Self {
        Self::of_rows(info.row_len_bytes(), info.height)
    }

    /// Of `height` rows, each of `row_len_bytes` samples.
    pub(super) fn of_rows(row_len_bytes: usize, height: u32) -> Self {
        let row = row_len_bytes + 1;
        let all = row as u64 * u64::from(height);
        // Beginnings, old and new, the new one deflated, and four rows at a time take less than what an embed
        // may take that decodes: twice the samples.
        let max_head = (2 * all).saturating_sub(4 * row as u64) / 4;
        Self { row, all, max_head: usize::try_from(max_head).unwrap_or(usize::MAX) }
    }
}
