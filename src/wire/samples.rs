//! Random values of every message, for tests. A seed gives the same values again.

use bytes::Bytes;
use uuid::Uuid;

use super::codec::{Float64, Records, StrBytes};

/// A struct of the protocol that can be drawn at random, with only what a version can say.
pub trait Sample {
    /// Draws one.
    fn sample(g: &mut Gen, version: i16) -> Self;
}

/// A small deterministic generator (splitmix64).
pub struct Gen(u64);

impl Gen {
    /// From a seed.
    pub fn new(seed: u64) -> Gen {
        Gen(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A truth.
    pub fn bool(&mut self) -> bool {
        self.below(2) == 1
    }

    /// An `i8`.
    pub fn i8(&mut self) -> i8 {
        self.next() as i8
    }

    /// An `i16`.
    pub fn i16(&mut self) -> i16 {
        self.next() as i16
    }

    /// An `u16`.
    pub fn u16(&mut self) -> u16 {
        self.next() as u16
    }

    /// An `i32`.
    pub fn i32(&mut self) -> i32 {
        self.next() as i32
    }

    /// An `i64`.
    pub fn i64(&mut self) -> i64 {
        self.next() as i64
    }

    /// A finite `FLOAT64`.
    pub fn float64(&mut self) -> Float64 {
        Float64((self.next() as i64) as f64 / 1024.0)
    }

    /// A UUID.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }

    /// A text, sometimes empty, sometimes above the 127 bytes that one byte of a varint can count.
    pub fn text(&mut self) -> StrBytes {
        let length = if self.below(8) == 0 { 200 } else { self.below(12) };
        let text: String = (0..length).map(|_| ['a', 'z', '-', 'é', '中'][self.below(5) as usize]).collect();
        text.into()
    }

    /// Some bytes.
    pub fn bytes(&mut self) -> Bytes {
        let length = if self.below(8) == 0 { 3000 } else { self.below(20) };
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Records in one to three chunks.
    pub fn records(&mut self) -> Records {
        let chunks = 1 + self.below(3);
        (0..chunks).map(|_| self.bytes()).collect::<Vec<_>>().into()
    }

    /// Zero to three elements.
    pub fn array<T>(&mut self, mut element: impl FnMut(&mut Gen) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| element(self)).collect()
    }

    /// Null, when that is allowed, or a value.
    pub fn option<T>(&mut self, null_allowed: bool, value: impl FnOnce(&mut Gen) -> T) -> Option<T> {
        let null = self.below(3) == 0;
        (!(null && null_allowed)).then(|| value(self))
    }
}
