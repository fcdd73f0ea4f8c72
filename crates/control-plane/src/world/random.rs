//! Random numbers: of the operating system, or of the world.

use rand::TryRng;
use rand::distr::{Distribution, StandardUniform};

/// Source of the random numbers of the running node.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeRng;

impl TryRng for NodeRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(super::current().map_or_else(rand::random, |world| world.random()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in bytes.chunks_mut(8) {
            let number = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        Ok(())
    }
}

/// Returns a random value.
pub(crate) fn random<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    StandardUniform.sample(&mut NodeRng)
}
