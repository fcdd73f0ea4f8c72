//! Turns the host names of peers into addresses, in the background.
//!
//! Every name has a thread of its own, which asks the system's resolver every 30 s and after a peer could not be reached. A name
//! server that is slow or gone holds up nothing else: whoever dials uses the last known addresses and never waits for new ones.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Instant;

use tracing::{info, warn};

use super::addresses::{Addresses, until_look_up};

/// A source of addresses.
pub(crate) trait Resolve: Send + Sync + 'static {
    /// The addresses of a host name. May block for as long as it takes.
    ///
    /// # Errors
    /// If there are none, or if they cannot be found out.
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver (getaddrinfo).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }
}

/// A peer's name that is looked up as long as this lives.
#[derive(Debug)]
pub(super) struct Lookups {
    pub(super) name: String,
    addresses: Addresses,
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Lookups {
    /// Begins to look `name` up.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub(super) fn begin(name: String, resolver: Arc<dyn Resolve>) -> io::Result<Arc<Self>> {
        let lookups = Arc::new(Self {
            name,
            addresses: Addresses::default(),
            wanted: Mutex::new(false),
            changed: Condvar::new(),
        });
        let weak = Arc::downgrade(&lookups);
        std::thread::Builder::new().name("resolver".to_owned()).spawn(move || run(&weak, &*resolver))?;
        Ok(lookups)
    }

    /// The addresses as last heard.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The peer could not be reached: it may have moved.
    pub(super) fn look_up_soon(&self) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if !*wanted {
            *wanted = true;
            self.changed.notify_one();
        }
    }

    /// Waits until the name should be looked up again.
    fn wait(&self, last: Option<Instant>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until_look_up(last, Instant::now(), *wanted);
            if left.is_zero() {
                break;
            }
            wanted = self.changed.wait_timeout(wanted, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *wanted = false;
    }
}

fn run(weak: &Weak<Lookups>, resolver: &dyn Resolve) {
    let (mut last, mut failed) = (None, false);
    while let Some(lookups) = weak.upgrade() {
        lookups.wait(last);
        let name = lookups.name.clone();
        // Asking may take long, and ends with the process: it keeps nothing alive.
        drop(lookups);
        let found = resolver.resolve(&name);
        last = Some(Instant::now());
        let Some(lookups) = weak.upgrade() else { return };
        match found {
            Ok(found) => {
                failed = false;
                if lookups.addresses.learn(found.iter().copied()) {
                    info!(name, addresses = ?found, "peer's host name resolved");
                }
            }
            Err(error) if !failed => {
                failed = true;
                let known = lookups.addresses.in_order().len();
                warn!(name, %error, known, "peer's host name not resolved; the last known addresses are used");
            }
            Err(_) => {}
        }
    }
}
