//! The rows of an image that may carry payload, from top to bottom.

use crate::codec::cover::Cover;
use crate::codec::error::ImageError;
use crate::codec::info::ImageInfo;
use crate::codec::png::decode::PngRows;
use crate::limits::Limits;
use crate::watch::{Stage, Watch};

/// Rows of samples in the form of a cover.
pub(crate) struct Rows<'a> {
    file: &'a [u8],
    /// Description of the rows: of an image turned upright, unlike the file's header.
    info: ImageInfo,
    source: RowSource<'a>,
    watch: &'a Watch,
    next: u32,
}

enum RowSource<'a> {
    /// A PNG, decoded as rows are asked for.
    Streamed(PngRows<'a>),
    /// An image whose rows can only be had all at once.
    Whole(Cover),
}

impl<'a> Rows<'a> {
    /// Opens an image with a checked header: `info` is the result of [`crate::probe`] for `file`.
    pub(crate) fn open(file: &'a [u8], info: &ImageInfo, limits: &'a Limits) -> Result<Self, ImageError> {
        let (info, source) = if info.is_streamed() {
            (*info, RowSource::Streamed(limits.watch.or_stopped(PngRows::open(file, info, &limits.watch))?))
        } else {
            let cover = Cover::decode_checked(file, info, limits)?;
            (cover.info(), RowSource::Whole(cover))
        };
        Ok(Self { file, info, source, watch: &limits.watch, next: 0 })
    }

    /// Returns the size and kind of the rows.
    pub(crate) fn info(&self) -> &ImageInfo {
        &self.info
    }

    /// Begins anew with the first row.
    pub(crate) fn restart(&mut self) -> Result<(), ImageError> {
        self.next = 0;
        if let RowSource::Streamed(rows) = &mut self.source {
            *rows = self.watch.or_stopped(PngRows::open(self.file, &self.info, self.watch))?;
        }
        Ok(())
    }

    /// Returns the next row's samples, `None` after the last.
    pub(crate) fn next_row(&mut self) -> Result<Option<&[u8]>, ImageError> {
        self.watch.check(Stage::Read, u64::from(self.next), u64::from(self.info.height))?;
        debug_assert!(self.next <= self.info.height, "no row is after the last");
        let row = self.next as usize;
        self.next += u32::from(self.next < self.info.height);
        match &mut self.source {
            RowSource::Streamed(rows) => self.watch.or_stopped(rows.next_row()),
            RowSource::Whole(cover) => Ok(cover.samples().chunks_exact(self.info.row_len_bytes()).nth(row)),
        }
    }

    /// Reads on to the end of the file: every row, every checksum.
    pub(crate) fn drain(mut self) -> Result<(), ImageError> {
        while self.next_row()?.is_some() {}
        match self.source {
            RowSource::Streamed(rows) => self.watch.or_stopped(rows.drain()),
            RowSource::Whole(_) => Ok(()),
        }
    }
}
