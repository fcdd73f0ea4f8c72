//! Socket options of connections between nodes.

use std::io;

use tracing::debug;

use crate::timing::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL};
use crate::world::net::Stream;

/// Unanswered keepalive probes that end the connection.
const KEEPALIVE_COUNT: u32 = 3;

/// Bytes of a snapshot that may be sent and not acknowledged. Probes share the link: over 3 Mbit/s this much
/// delays them by less than the shortest silence that counts.
const SNAPSHOT_IN_FLIGHT_BYTES: usize = 32 << 10;

/// Sets the socket options: frames leave at once, and a vanished peer does not hold a slot for ever.
pub(super) fn tune(stream: &Stream) {
    let Stream::Tcp(stream) = stream else { return };
    let tuned = || -> io::Result<()> {
        use rustix::net::sockopt;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
        Ok(())
    };
    if let Err(error) = tuned() {
        debug!(%error, "cannot set the options of a connection");
    }
}

/// Bounds the bytes in flight of a connection for a snapshot. The system doubles the value, for its own
/// records of the packets (socket(7), `SO_SNDBUF`).
pub(super) fn limit_in_flight(stream: &Stream) {
    let Stream::Tcp(stream) = stream else { return };
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(stream, SNAPSHOT_IN_FLIGHT_BYTES) {
        debug!(%error, "cannot bound the bytes in flight of a snapshot");
    }
}
