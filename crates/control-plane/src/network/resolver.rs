//! Lookup of the host names of peers, in the background.
//!
//! Every name has a dedicated thread, which queries the system's resolver every 30 s and after a failed
//! dial. A slow or absent name server delays nothing else: dials use the last known addresses and never
//! wait for a lookup.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Instant;

use tracing::{info, warn};

use super::addresses::{Addresses, until_look_up};
use crate::world::clock;

/// Source of addresses.
pub(crate) trait Resolve: Send + Sync + 'static {
    /// Returns the addresses of a host name. May block without limit.
    ///
    /// # Errors
    /// If the name has no addresses, or the lookup fails.
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

/// Periodic lookup of a peer's name, until dropped.
#[derive(Debug)]
pub(super) struct Lookups {
    pub(super) name: String,
    addresses: Addresses,
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Lookups {
    /// Starts the lookup of `name`.
    ///
    /// # Errors
    /// If the thread cannot be started.
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

    /// Returns the last known addresses.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Requests an early lookup after a failed dial: the peer may have moved.
    pub(super) fn look_up_soon(&self) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if !*wanted {
            *wanted = true;
            self.changed.notify_one();
        }
    }

    /// Waits until the next lookup of the name.
    fn wait(&self, last: Option<Instant>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until_look_up(last, clock::now(), *wanted);
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
        // A query may take long, and ends with the process: it keeps nothing alive.
        drop(lookups);
        let found = resolver.resolve(&name);
        last = Some(clock::now());
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
