//! Memory for large reads, used again and again: a fresh megabyte costs more in page faults and zeroes than the copy into it.

use bytes::Bytes;
use parking_lot::Mutex;

/// Reads below this take memory of their own.
const POOLED_FROM_BYTES: usize = 64 << 10;
/// Larger buffers are given back to the system.
const POOLED_TO_BYTES: usize = (1 << 20) + (64 << 10);
/// Buffers that wait for their next use: together at most 8.5 MiB.
const WAITING: usize = 8;

static POOL: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Room for one read.
pub(super) struct Buffer {
    memory: Vec<u8>,
    len: usize,
}

/// Room for `len` bytes; what is in it is left from the use before.
pub(super) fn take(len: usize) -> Buffer {
    let pooled = (POOLED_FROM_BYTES..=POOLED_TO_BYTES).contains(&len);
    let mut memory = if pooled { POOL.lock().pop().unwrap_or_default() } else { Vec::new() };
    if memory.len() < len {
        memory.resize(len, 0);
    }
    Buffer { memory, len }
}

impl Buffer {
    /// Where to read to.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }

    /// What was read; the memory comes back when the last slice of it is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if (POOLED_FROM_BYTES..=POOLED_TO_BYTES).contains(&self.memory.len()) {
            let mut pool = POOL.lock();
            if pool.len() < WAITING {
                pool.push(std::mem::take(&mut self.memory));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_only_when_nobody_holds_it_and_within_the_bound() {
        let read = |len: usize, fill: u8| {
            let mut buffer = take(len);
            buffer.room().fill(fill);
            buffer.into_bytes()
        };
        let held: Vec<Bytes> = (0..20).map(|i| read(100_000, i)).collect();
        let slice = held[3].slice(10..20);
        for (i, bytes) in held.into_iter().enumerate() {
            assert!(bytes.len() == 100_000 && bytes.iter().all(|b| usize::from(*b) == i));
        }
        for i in 0..50 {
            assert_eq!(read(80_000, 100 + i).len(), 80_000);
        }
        assert!(slice.iter().all(|b| *b == 3), "a slice keeps its memory");
        assert!(POOL.lock().len() <= WAITING);
        assert_eq!(read(10, 1).len() + read(3 << 20, 1).len(), 10 + (3 << 20));
    }
}
