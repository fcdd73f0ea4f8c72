//! Minimum transfer rate of a peer, so that transfers do not hold memory forever.
//!
//! An [`Allowance`] is time: waiting for the peer spends time, transferred bytes earn time at the minimum
//! rate, and the balance never exceeds `limits.idle_timeout_ms`. So a stalled peer is disconnected after that
//! time, a slow peer a little later, and a sufficiently fast peer never, however long its transfer takes. The
//! rate rises while memory is scarce.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::budget::Budget;
use crate::config::LimitsConfig;

/// Factor by which the minimum rate rises while more than half of the transfer memory is taken: slow peers
/// together cannot hold the other half.
const SCARCITY_FACTOR: u64 = 8;

/// Rules for all transfers of a node.
#[derive(Debug, Clone)]
pub(crate) struct Pacing {
    patience: Duration,
    min_bytes_per_s: u64,
    memory: Arc<Budget>,
}

impl Pacing {
    /// The rules of `limits`; `memory` is held by the transfers.
    pub(crate) fn new(limits: &LimitsConfig, memory: &Arc<Budget>) -> Self {
        Self {
            patience: limits.idle_timeout(),
            min_bytes_per_s: limits.min_transfer_bytes_per_s,
            memory: Arc::clone(memory),
        }
    }

    /// Initial allowance of a transfer.
    pub(crate) fn allowance(&self) -> Allowance {
        Allowance { most: self.patience, left: self.patience }
    }

    /// Current minimum rate in bytes per second.
    pub(crate) fn rate(&self) -> u64 {
        required_rate(self.min_bytes_per_s, self.memory.used_bytes(), self.memory.total_bytes())
    }
}

fn required_rate(min_bytes_per_s: u64, used_bytes: u64, total_bytes: u64) -> u64 {
    let is_scarce = used_bytes > total_bytes / 2;
    if is_scarce { min_bytes_per_s.saturating_mul(SCARCITY_FACTOR) } else { min_bytes_per_s }
}

/// Remaining time to wait for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    most: Duration,
    left: Duration,
}

impl Allowance {
    /// The remaining time.
    pub(crate) fn left(self) -> Duration {
        self.left
    }

    /// Settles a wait: subtracts `waited`, and adds the time for `bytes` at the minimum rate of
    /// `bytes_per_s`.
    pub(crate) fn settle(&mut self, waited: Duration, bytes: u64, bytes_per_s: u64) {
        let earned = match bytes_per_s {
            0 if bytes > 0 => self.most,
            rate => Duration::from_millis(bytes.saturating_mul(1000).checked_div(rate).unwrap_or(0)),
        };
        self.left = self.left.saturating_sub(waited).saturating_add(earned).min(self.most);
        debug_assert!(self.left <= self.most, "no allowance exceeds the idle timeout");
    }
}

/// A connection whose peer has to read at the minimum rate.
#[derive(Debug)]
pub(crate) struct PacedStream<S> {
    stream: S,
    pacing: Pacing,
    allowance: Allowance,
    /// Start of the current wait for the peer; `None` without one.
    since: Option<Instant>,
    /// Created on first use, which most connections never reach.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> PacedStream<S> {
    /// Wraps the connection `stream` under these rules.
    pub(crate) fn new(stream: S, pacing: Pacing) -> Self {
        Self { stream, allowance: pacing.allowance(), pacing, since: None, timer: None }
    }

    /// Accounts for the result of a write, or waits for the peer within the allowance.
    fn pace(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            ready!(self.poll_patience(cx));
            let slow = "the peer reads too slowly (limits.min_transfer_bytes_per_s)";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, slow)));
        }
        let waited = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        if let Poll::Ready(Ok(bytes)) = &written {
            self.allowance.settle(waited, *bytes as u64, self.pacing.rate());
        }
        written
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let (is_new, since) = (self.since.is_none(), *self.since.get_or_insert(now));
        let until = since + self.allowance.left();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if is_new {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.pace(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.pace(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Gives up a peer that transfers `bytes` at the end of every `period_s` in the second `given_up_s`, or
    /// never.
    fn check(min_bytes_per_s: u64, period_s: u64, bytes: u64, given_up_s: Option<u64>) {
        let mut allowance = Allowance { most: PATIENCE, left: PATIENCE };
        let mut passed = 0;
        let found = loop {
            if allowance.left() < Duration::from_secs(period_s) {
                break Some(passed + allowance.left().as_secs());
            }
            passed += period_s;
            allowance.settle(Duration::from_secs(period_s), bytes, min_bytes_per_s);
            if passed > 10_000 {
                break None;
            }
        };
        assert_eq!(found, given_up_s, "{bytes} bytes every {period_s} s, at least {min_bytes_per_s}");
    }

    #[test]
    fn slow_peers_are_given_up_and_fast_ones_never() {
        check(1000, 20, 0, Some(10));
        check(1000, 1, 0, Some(10));
        check(1000, 1, 500, Some(19));
        check(1000, 1, 900, Some(91));
        check(1000, 1, 1000, None);
        check(1000, 5, 5000, None);
        check(1000, 1, 1_000_000, None);
        // Fast transfers before a stall never raise the allowance above its initial value.
        check(1000, 11, 1_000_000, Some(10));
        // Without a minimum rate any byte suffices.
        check(0, 9, 1, None);
        check(0, 11, 1, Some(10));
    }

    #[test]
    fn the_rate_rises_while_memory_is_scarce() {
        for (used, expected) in [(0, 100), (500, 100), (501, 800), (1000, 800)] {
            assert_eq!(required_rate(100, used, 1000), expected, "{used}");
        }
        assert_eq!(required_rate(u64::MAX, 2, 2), u64::MAX);
    }

    /// Sends 1 MB to a peer that reads `bytes_per_s`; true if all of it arrives.
    async fn arrives(bytes_per_s: usize) -> bool {
        let limits = LimitsConfig { min_transfer_bytes_per_s: 10_000, ..LimitsConfig::default() };
        let (near, mut far) = duplex(16 << 10);
        let mut stream = PacedStream::new(near, Pacing::new(&limits, &Budget::new(1 << 30)));
        let reader = tokio::spawn(async move {
            let mut piece = vec![0; bytes_per_s];
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match far.read_exact(&mut piece).await {
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        let sent = stream.write_all(&[0; 1_000_000]).await;
        reader.abort();
        assert!(sent.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::TimedOut), "{sent:?}");
        sent.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_held_by_no_slow_reader() {
        for (bytes_per_s, expected) in
            [(1000, false), (5000, false), (9000, false), (12_000, true), (100_000, true)]
        {
            assert_eq!(arrives(bytes_per_s).await, expected, "{bytes_per_s} bytes a second");
        }
    }
}
