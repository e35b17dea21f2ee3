//! The newest appends of a leader, still in the memory they arrived in, for followers that are not far behind.
//!
//! Entries are kept only until every session has sent them, and within a budget that all partitions share; a
//! follower that needs older bytes is read from disk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::types::Offset;

/// One append: its offsets and its bytes as they were written.
#[derive(Debug)]
struct Entry {
    base: Offset,
    end: Offset,
    chunks: Vec<Bytes>,
    bytes: usize,
}

/// The tail of one partition.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
}

/// A stretch of the tail.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) end: Offset,
    pub(super) chunks: Vec<Bytes>,
    pub(super) bytes: usize,
}

impl Tail {
    /// Adds an append that follows the last one; drops the oldest entries above the shared budget.
    pub(super) fn push(
        &mut self,
        base: Offset,
        end: Offset,
        chunks: &[Bytes],
        used: &AtomicUsize,
        budget: usize,
    ) {
        if self.entries.back().is_some_and(|last| last.end != base) {
            self.clear(used);
        }
        let bytes = chunks.iter().map(Bytes::len).sum();
        used.fetch_add(bytes, Ordering::Relaxed);
        self.entries.push_back(Entry { base, end, chunks: chunks.to_vec(), bytes });
        while used.load(Ordering::Relaxed) > budget {
            let Some(oldest) = self.entries.pop_front() else { return };
            used.fetch_sub(oldest.bytes, Ordering::Relaxed);
        }
    }

    /// Whole appends from `from` on, at least one, then up to `max_bytes`; `None` when `from` is not in the tail.
    pub(super) fn read(&self, from: Offset, max_bytes: usize) -> Option<Stretch> {
        let first = self.entries.binary_search_by_key(&from, |entry| entry.base).ok()?;
        let mut stretch = Stretch { end: from, chunks: Vec::new(), bytes: 0 };
        for entry in self.entries.range(first..) {
            if stretch.bytes > 0 && stretch.bytes + entry.bytes > max_bytes {
                break;
            }
            stretch.end = entry.end;
            stretch.bytes += entry.bytes;
            stretch.chunks.extend(entry.chunks.iter().cloned());
        }
        Some(stretch)
    }

    /// Forgets what every session has sent.
    pub(super) fn trim(&mut self, sent: Offset, used: &AtomicUsize) {
        while let Some(entry) = self.entries.front()
            && entry.end <= sent
        {
            used.fetch_sub(entry.bytes, Ordering::Relaxed);
            self.entries.pop_front();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, used: &AtomicUsize) {
        self.trim(Offset(i64::MAX), used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(tail: &mut Tail, base: i64, end: i64, bytes: &'static [u8], used: &AtomicUsize) {
        tail.push(Offset(base), Offset(end), &[Bytes::from_static(bytes)], used, 10);
    }

    #[test]
    fn a_stretch_is_whole_appends_and_at_least_one() {
        let (mut tail, used) = (Tail::default(), AtomicUsize::new(0));
        push(&mut tail, 0, 3, b"aaaa", &used);
        push(&mut tail, 3, 4, b"bb", &used);
        let read = |from, max| tail.read(Offset(from), max).map(|s| (s.end.0, s.bytes));
        assert_eq!(read(0, 1), Some((3, 4)));
        assert_eq!(read(0, 6), Some((4, 6)));
        assert_eq!(read(3, 1), Some((4, 2)));
        assert_eq!(read(1, 9), None, "not the start of an append");
        assert_eq!(read(4, 9), None, "nothing there yet");
    }

    #[test]
    fn what_is_sent_or_above_the_budget_is_forgotten_and_no_longer_counted() {
        let (mut tail, used) = (Tail::default(), AtomicUsize::new(0));
        push(&mut tail, 0, 1, b"aaaa", &used);
        push(&mut tail, 1, 2, b"bbbb", &used);
        push(&mut tail, 2, 3, b"cccc", &used);
        assert_eq!(tail.read(Offset(0), 1), None, "12 bytes are above the budget of 10");
        tail.trim(Offset(2), &used);
        assert_eq!((tail.read(Offset(1), 1), used.load(Ordering::Relaxed)), (None, 4));
        push(&mut tail, 9, 10, b"dd", &used);
        assert_eq!((tail.read(Offset(2), 1), used.load(Ordering::Relaxed)), (None, 2), "a gap starts anew");
        tail.clear(&used);
        assert_eq!(used.load(Ordering::Relaxed), 0);
    }
}
