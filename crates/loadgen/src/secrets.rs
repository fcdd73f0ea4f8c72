//! Secrets to hide: unique to each request, and reproducible from the seed.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Generator of the secret of any request from its index alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secrets {
    seed: u64,
    len_bytes: usize,
}

/// Purpose of random numbers; each purpose has a separate stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The bytes of a request's secret.
    Secret,
    /// The bytes of a secret hidden before the run.
    Prepared,
    /// The task of a request of a mixed run.
    Task,
}

impl Secrets {
    pub(crate) fn new(seed: u64, len_bytes: usize) -> Self {
        Self { seed, len_bytes }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Returns the secret with the given index: random bytes, which cannot be compressed or guessed on the
    /// way.
    pub(crate) fn secret(&self, index: u64, purpose: Purpose) -> Bytes {
        let mut secret = vec![0; self.len_bytes];
        self.rng(index, purpose).fill_bytes(&mut secret);
        secret.into()
    }

    pub(crate) fn rng(&self, index: u64, purpose: Purpose) -> StdRng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&index.to_le_bytes());
        seed[16] = purpose as u8;
        StdRng::from_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn secrets_are_unique_and_reproducible() {
        let secrets = Secrets::new(1, 16);
        let all = |secrets: Secrets| {
            [Purpose::Secret, Purpose::Prepared]
                .into_iter()
                .flat_map(move |purpose| (0..1000).map(move |index| secrets.secret(index, purpose)))
                .collect::<Vec<_>>()
        };
        let first = all(secrets);
        assert_eq!(first, all(secrets));
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 2000);
        assert_ne!(first, all(Secrets::new(2, 16)));
        assert!(first.iter().all(|secret| secret.len() == 16));
    }
}
