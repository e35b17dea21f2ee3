//! Memory for the chunks that come from a store, used again when the last reader of a chunk is done with it: fresh memory of
//! that size comes from the system page by page, each cleared first, which costs more than filling it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Shorter ones are the allocator's.
const LEAST_BYTES: usize = 64 << 10;
/// Lengths are rounded up to this, so that chunks of about one length fit each other's buffers.
const STEP_BYTES: usize = 128 << 10;
/// Unused buffers above this are given back to the system.
const UNUSED_BYTES: usize = 16 << 20;

/// Buffers that wait to be used again; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    unused: Arc<Mutex<Unused>>,
}

#[derive(Debug, Default)]
struct Unused {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// Some bytes to be filled. What was in them before is still there.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Vec<u8>,
    len: usize,
    home: Buffers,
}

impl Buffers {
    /// A buffer of so many bytes.
    pub(super) fn take(&self, len: usize) -> Buffer {
        let memory = if len < LEAST_BYTES { None } else { self.lock().take(len) };
        let fresh = || vec![0; if len < LEAST_BYTES { len } else { len.next_multiple_of(STEP_BYTES) }];
        Buffer { memory: memory.unwrap_or_else(fresh), len, home: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Unused> {
        // A panic between the two fields leaves at worst a wrong sum.
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unused {
    /// One that is long enough and not much too long; of those the last that was used, which caches may still know.
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = len..=len.next_multiple_of(STEP_BYTES).saturating_add(len / 4);
        let at = self.buffers.iter().rposition(|memory| fits.contains(&memory.len()))?;
        let memory = self.buffers.remove(at);
        self.bytes -= memory.len();
        Some(memory)
    }

    fn put(&mut self, memory: Vec<u8>) {
        if memory.len() >= LEAST_BYTES && self.bytes + memory.len() <= UNUSED_BYTES {
            self.bytes += memory.len();
            self.buffers.push(memory);
        }
    }
}

impl Buffer {
    /// The bytes, to be filled.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }

    /// The first `len` bytes, which are filled; the memory comes back when nobody holds a part of them.
    pub(super) fn filled(mut self, len: usize) -> Bytes {
        self.len = self.len.min(len);
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
        let memory = std::mem::take(&mut self.memory);
        self.home.lock().put(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn filled(buffers: &Buffers, len: usize, with: u8) -> Bytes {
        let mut buffer = buffers.take(len);
        buffer.bytes_mut().fill(with);
        buffer.filled(len)
    }

    #[test]
    fn memory_is_used_again_when_nobody_holds_a_part_of_it() {
        let buffers = Buffers::default();
        let first = filled(&buffers, MB + 5, 1);
        let place = first.as_ptr();
        let part = first.slice(100..200);
        drop(first);
        let second = filled(&buffers, MB, 2);
        assert_ne!(second.as_ptr(), place, "a part of it is held");
        assert!(part.iter().all(|byte| *byte == 1));
        drop(part);
        let third = filled(&buffers, MB, 3);
        assert_eq!(third.as_ptr(), place);
        assert!(third.len() == MB && third.iter().all(|byte| *byte == 3));
    }

    #[test]
    fn a_buffer_that_was_filled_in_part_shows_that_part_only() {
        let buffers = Buffers::default();
        drop(filled(&buffers, MB, 7));
        let mut buffer = buffers.take(MB);
        buffer.bytes_mut()[..3].copy_from_slice(b"abc");
        assert_eq!(buffer.filled(3), "abc");
    }

    #[test]
    fn what_is_kept_is_bounded_and_fits() {
        let buffers = Buffers::default();
        let held: Vec<Bytes> = (0..40).map(|_| filled(&buffers, MB, 0)).collect();
        drop(held);
        assert_eq!(buffers.lock().bytes, UNUSED_BYTES);
        assert_eq!(buffers.lock().buffers.len(), 16);
        drop((filled(&buffers, 10, 0), filled(&buffers, 100 << 10, 0), filled(&buffers, 3 * MB, 0)));
        assert_eq!(
            buffers.lock().buffers.len(),
            16,
            "neither a short one nor one that is far too long takes one of these"
        );
    }
}
