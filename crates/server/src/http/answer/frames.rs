//! A body of several pieces with a known length.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// Pieces sent in order without copying.
#[derive(Debug)]
pub(crate) struct Frames {
    left: VecDeque<Bytes>,
}

impl Frames {
    /// Builds a body of `pieces`; empty pieces are left out.
    pub(crate) fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let left: VecDeque<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        debug_assert!(left.iter().all(|piece| !piece.is_empty()), "an empty frame would end the body");
        Self { left }
    }
}

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.iter().map(|piece| piece.len() as u64).sum())
    }
}
