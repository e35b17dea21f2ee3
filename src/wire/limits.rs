//! What one request may take of the broker's memory.

/// The bounds that a decoder obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory that a message's arrays may take in all, in bytes. Texts, bytes and records take none: they are slices
    /// of the frame.
    pub array_bytes: usize,
    /// Tagged fields in one struct.
    pub tagged_fields: u32,
}

impl Limits {
    /// For a frame of `length` bytes: legal messages take a few times their own size, a flood of empty elements takes
    /// far more.
    #[must_use]
    pub fn for_frame(length: usize) -> Limits {
        const FLOOR: usize = 256 << 10;
        const CEILING: usize = 64 << 20;
        Limits { array_bytes: length.saturating_mul(16).clamp(FLOOR, CEILING), ..Limits::default() }
    }
}

impl Default for Limits {
    /// 64 MiB of arrays, 64 tagged fields.
    fn default() -> Limits {
        Limits { array_bytes: 64 << 20, tagged_fields: 64 }
    }
}
