//! Randomness: ids, jitter, salts.

use rand::RngCore as _;
use uuid::Uuid;

/// The seam to randomness. The real one is cryptographically strong.
pub trait Rng: Send + Sync + 'static {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random version-4 UUID.
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// The thread's cryptographic generator, seeded by the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealRng;

impl Rng for RealRng {
    #[allow(clippy::disallowed_methods)]
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}
