//! Socket options of connections between nodes.

use std::io;

use tracing::debug;

use crate::timing::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL};
use crate::world::net::Stream;

/// Unanswered keepalive probes that end the connection.
const KEEPALIVE_COUNT: u32 = 3;

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
