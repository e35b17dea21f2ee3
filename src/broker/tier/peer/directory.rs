//! Who has a chunk, or fetches it: what the keeper of a chunk remembers. Soft and bounded: what is forgotten costs a request to
//! the store.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tiering::cache::ChunkId;

use crate::env::MonoTime;
use crate::types::BrokerId;

/// Chunks that are remembered, a hundred bytes each.
const MOST: usize = 65_536;
/// A chunk that was fetched longer ago may have left its holder's cache.
const LIFE: Duration = Duration::from_secs(600);

/// What to do about a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Located {
    /// Get it from the store; you are its holder now.
    Fetch,
    /// It has it, or is fetching it.
    Ask(BrokerId),
}

#[derive(Debug)]
struct Entry {
    holder: BrokerId,
    until: MonoTime,
    /// Which place in the order is this entry's.
    turn: u64,
}

/// The chunks that this broker keeps.
#[derive(Debug, Default)]
pub(super) struct Directory {
    entries: HashMap<ChunkId, Entry>,
    order: VecDeque<(u64, ChunkId)>,
    next_turn: u64,
}

impl Directory {
    /// Where the chunk is. `stale` is a holder that did not have it when it was asked.
    pub(super) fn locate(
        &mut self,
        id: ChunkId,
        asker: BrokerId,
        stale: Option<BrokerId>,
        is_live: impl Fn(BrokerId) -> bool,
        now: MonoTime,
    ) -> Located {
        if let Some(entry) = self.entries.get(&id) {
            let holder = entry.holder;
            if now < entry.until && holder != asker && Some(holder) != stale && is_live(holder) {
                return Located::Ask(holder);
            }
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.entries.insert(id, Entry { holder: asker, until: now + LIFE, turn });
        self.order.push_back((turn, id));
        while self.entries.len() > MOST || self.order.len() > 2 * MOST {
            let Some((turn, oldest)) = self.order.pop_front() else { break };
            if self.entries.get(&oldest).is_some_and(|entry| entry.turn == turn) {
                self.entries.remove(&oldest);
            }
        }
        Located::Fetch
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u32) -> ChunkId {
        ChunkId { object: Uuid::nil(), number }
    }

    fn at(seconds: u64) -> MonoTime {
        MonoTime::default() + Duration::from_secs(seconds)
    }

    const A: BrokerId = BrokerId(1);
    const B: BrokerId = BrokerId(2);

    #[test]
    fn the_first_who_asks_fetches_and_the_others_ask_him() {
        let mut directory = Directory::default();
        assert_eq!(directory.locate(id(1), A, None, |_| true, at(0)), Located::Fetch);
        assert_eq!(directory.locate(id(1), B, None, |_| true, at(1)), Located::Ask(A));
        assert_eq!(directory.locate(id(2), B, None, |_| true, at(1)), Located::Fetch);
        assert_eq!(directory.locate(id(1), A, None, |_| true, at(2)), Located::Fetch, "he has lost it");
    }

    #[test]
    fn a_holder_that_is_gone_has_it_no_more_or_is_old_is_replaced_by_the_asker() {
        for (stale, live, now) in [(Some(A), true, 1), (None, false, 1), (None, true, 601)] {
            let mut directory = Directory::default();
            directory.locate(id(1), A, None, |_| true, at(0));
            assert_eq!(directory.locate(id(1), B, stale, |_| live, at(now)), Located::Fetch);
            assert_eq!(directory.locate(id(1), A, None, |_| true, at(now)), Located::Ask(B));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut directory = Directory::default();
        for number in 0..3 * MOST as u32 {
            directory.locate(id(number), A, None, |_| true, at(0));
        }
        // Again and again the same one.
        for _ in 0..3 * MOST {
            directory.locate(id(1), A, None, |_| true, at(0));
        }
        assert!(directory.entries.len() <= MOST);
        assert!(directory.order.len() <= 2 * MOST);
    }
}
