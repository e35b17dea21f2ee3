//! The last offset of each key, in a table of a fixed size: 24 bytes per key, whatever the key's length.
//!
//! Keys are told apart by 128 bits of their SHA-256: a client cannot make two of them meet. When the table is full the
//! pass over the log covers less, and the rest waits for the next one.

use aws_lc_rs::digest::{SHA256, digest};

use crate::types::Offset;

/// Bytes per slot.
const SLOT_BYTES: usize = size_of::<Slot>();
/// Of 100 slots so many are used at most.
const LOAD_PERCENT: usize = 90;

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: [u64; 2],
    /// Below zero: free.
    offset: i64,
}

const FREE: Slot = Slot { hash: [0; 2], offset: -1 };

#[derive(Debug)]
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    used: usize,
    most: usize,
}

impl OffsetMap {
    /// A table for up to `keys` keys, and within `bytes` in any case; for one key at least.
    pub(super) fn new(keys: usize, bytes: usize) -> OffsetMap {
        let wanted = keys.saturating_mul(100) / LOAD_PERCENT + 2;
        let slots = wanted.min(bytes / SLOT_BYTES).max(2);
        OffsetMap { slots: vec![FREE; slots], used: 0, most: (slots * LOAD_PERCENT / 100).max(1) }
    }

    /// Notes that a key is at `offset`, the largest so far. `false` if there is no room for one more key.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = hash(key);
        let place = self.place(hash);
        let slot = &mut self.slots[place];
        if slot.offset < 0 {
            if self.used == self.most {
                return false;
            }
            self.used += 1;
            slot.hash = hash;
        }
        slot.offset = slot.offset.max(offset.0);
        true
    }

    /// The last offset of a key, if it was seen.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.place(hash(key))];
        (slot.offset >= 0).then_some(Offset(slot.offset))
    }

    /// The key's slot, or the free one where it would go. There is always a free one.
    fn place(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut place = usize::try_from(hash[0] % count as u64).unwrap_or(0);
        loop {
            let slot = &self.slots[place];
            if slot.offset < 0 || slot.hash == hash {
                return place;
            }
            place = if place + 1 == count { 0 } else { place + 1 };
        }
    }
}

fn hash(key: &[u8]) -> [u64; 2] {
    let digest = digest(&SHA256, key);
    let half = |from: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.as_ref()[from..from + 8]);
        u64::from_le_bytes(bytes)
    };
    [half(0), half(8)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_table_gives_back_what_was_put_in_and_refuses_when_it_is_full() {
        let mut map = OffsetMap::new(10_000, 24 * 1000);
        let mut plain: BTreeMap<String, i64> = BTreeMap::new();
        let mut refused = 0;
        for offset in 0..4000_i64 {
            let key = format!("key-{}", offset * 7919 % 1500);
            if map.put(key.as_bytes(), Offset(offset)) {
                plain.insert(key, offset);
            } else {
                assert!(!plain.contains_key(&key), "a key that is known has room");
                refused += 1;
            }
        }
        assert_eq!((plain.len(), refused > 0), (900, true));
        for i in 0..1500 {
            let key = format!("key-{i}");
            assert_eq!(map.get(key.as_bytes()), plain.get(&key).map(|offset| Offset(*offset)), "{key}");
        }
    }

    #[test]
    fn the_smallest_table_holds_one_key() {
        let mut map = OffsetMap::new(0, 0);
        assert!(map.put(b"a", Offset(1)));
        assert!(!map.put(b"b", Offset(2)));
        assert!(map.put(b"a", Offset(3)));
        assert_eq!((map.get(b"a"), map.get(b"b")), (Some(Offset(3)), None));
    }
}
