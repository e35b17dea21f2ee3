//! Where recent reads ended: a read that starts there is sequential, and is run ahead of, twice as far each time, up to its
//! share of what may wait to be read: the part that it reads of all that is read. With less for the others they would wait for
//! the store at each read, and what is brought for it would have left memory before its turn comes.

use std::collections::{HashMap, VecDeque};

use crate::layout::PartitionFolder;

const CURSORS: usize = 4096;
const FIRST_AHEAD_BYTES: u64 = 2 << 20;

/// The recent reads.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    ends: HashMap<(PartitionFolder, i64), Cursor>,
    order: VecDeque<(PartitionFolder, i64)>,
    /// Bytes that were read in all.
    total: u64,
}

/// A reader's last read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// How far it is run ahead of.
    pub(super) ahead: u64,
    /// What had been read in all when it began.
    began_at: u64,
    bytes: u64,
}

impl Cursors {
    /// A read begins; it is run ahead of by `most` bytes at most. `room`: how many may wait to be read in all.
    pub(super) fn begin(&mut self, folder: &PartitionFolder, offset: i64, most: u64, room: u64) -> Cursor {
        let ahead = self.ends.remove(&(folder.clone(), offset)).map_or(0, |last| {
            let since = (self.total - last.began_at).max(1);
            let share = u128::from(room) * u128::from(last.bytes) / u128::from(since);
            let share = u64::try_from(share).unwrap_or(room);
            (last.ahead * 2).max(FIRST_AHEAD_BYTES).min(most).min(share)
        });
        Cursor { began_at: self.total, ahead, bytes: 0 }
    }

    /// It has ended before `next`.
    pub(super) fn note(&mut self, folder: &PartitionFolder, next: i64, bytes: u64, cursor: Cursor) {
        self.total += bytes;
        let end = (folder.clone(), next);
        if self.ends.insert(end.clone(), Cursor { bytes, ..cursor }).is_none() {
            self.order.push_back(end);
        }
        while self.order.len() > CURSORS {
            if let Some(oldest) = self.order.pop_front() {
                self.ends.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn folder(partition: i32) -> PartitionFolder {
        PartitionFolder::new("c", "t", "id", partition).unwrap()
    }

    /// How far each of so many readers is run ahead of after some rounds, of reads of these bytes.
    fn ahead_of(readers: i32, bytes: impl Fn(i32) -> u64, at_once: bool) -> Vec<u64> {
        let mut cursors = Cursors::default();
        let mut found = Vec::new();
        for round in 0..6 {
            let begin = |cursors: &mut Cursors, of: i32| cursors.begin(&folder(of), round, 16 * MB, 32 * MB);
            let mut begun: Vec<Cursor> = Vec::new();
            if at_once {
                begun = (0..readers).map(|of| begin(&mut cursors, of)).collect();
            }
            for of in 0..readers {
                let cursor = if at_once { begun[of as usize] } else { begin(&mut cursors, of) };
                begun.push(cursor);
                cursors.note(&folder(of), round + 1, bytes(of), cursor);
            }
            found = begun.iter().take(readers as usize).map(|cursor| cursor.ahead).collect();
        }
        found
    }

    #[test]
    fn a_lone_reader_is_run_ahead_of_as_far_as_allowed_and_a_new_one_not_at_all() {
        assert_eq!(ahead_of(1, |_| MB, false), [16 * MB]);
        let mut cursors = Cursors::default();
        let first = cursors.begin(&folder(0), 0, 16 * MB, 32 * MB);
        assert_eq!(first.ahead, 0);
        cursors.note(&folder(0), 10, MB, first);
        assert_eq!(cursors.begin(&folder(0), 11, 16 * MB, 32 * MB).ahead, 0, "not where it ended");
        assert_eq!(cursors.begin(&folder(0), 10, 16 * MB, 32 * MB).ahead, FIRST_AHEAD_BYTES);
    }

    #[test]
    fn readers_share_the_room_by_what_they_read() {
        for at_once in [false, true] {
            let even = ahead_of(6, |_| MB, at_once);
            assert!(even.iter().all(|ahead| (5 * MB..6 * MB).contains(ahead)), "{even:?}");
            let uneven = ahead_of(3, |of| if of == 0 { 6 * MB } else { MB }, at_once);
            assert!(uneven[0] == 16 * MB && uneven[1] == 4 * MB && uneven[2] == 4 * MB, "{uneven:?}");
        }
    }
}
