//! Randomness that a seed determines.

use parking_lot::Mutex;
use rand::{RngCore as _, SeedableRng as _};

use crate::env::Rng;

/// The same seed and the same order of calls give the same bytes. Not for secrets.
pub struct SeededRng(Mutex<rand::rngs::StdRng>);

impl SeededRng {
    /// A generator from a seed.
    #[must_use]
    pub fn new(seed: u64) -> SeededRng {
        SeededRng(Mutex::new(rand::rngs::StdRng::seed_from_u64(seed)))
    }
}

impl Rng for SeededRng {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_what_comes() {
        let draw = |seed| {
            let rng = SeededRng::new(seed);
            (rng.next_u64(), rng.uuid(), rng.next_u64())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
