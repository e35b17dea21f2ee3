//! Kafka's `FLOAT64`: an IEEE 754 double, big endian.

/// A double that is equal to another one when their bits are, so that messages can be compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Float64(pub f64);

impl PartialEq for Float64 {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float64 {}
