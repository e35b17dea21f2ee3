//! Batches that a leader has refused before they could get into its log.
//!
//! A producer that the log does not know may begin with any sequence number: what it wrote may have been deleted since. But when a
//! leader refuses the first batch of a producer (its lease has run out, too few replicas are in sync) and takes the next one, which
//! was sent along with it, a moment later, the producer believes both to be written: sequence numbers have no gaps. So the refused one is
//! awaited. Kafka does the same for transactions (KIP-890); there a leader that refuses seldom leads again.

use std::collections::{HashMap, VecDeque};

use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::record_batch::BatchHeader;

/// Producers remembered; above this the oldest go.
const MOST: usize = 4096;

type Whose = (ProducerId, ProducerEpoch);

/// The lowest sequence number of each producer that was refused and has not come again.
#[derive(Debug, Default)]
pub(super) struct Refused {
    lowest: HashMap<Whose, i32>,
    /// In the order of their first refusal; some may have come since.
    order: VecDeque<Whose>,
}

impl Refused {
    /// A batch is refused.
    pub(super) fn note(&mut self, records: &[u8]) {
        let Some((whose, sequence)) = numbered(records) else { return };
        if let Some(lowest) = self.lowest.get_mut(&whose) {
            *lowest = sequence.min(*lowest);
            return;
        }
        if self.order.len() >= MOST {
            self.order.retain(|whose| self.lowest.contains_key(whose));
        }
        while self.order.len() >= MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.lowest.remove(&oldest);
            }
        }
        self.lowest.insert(whose, sequence);
        self.order.push_back(whose);
    }

    /// The sequence number that must come before this batch, if the log does not know its producer. What was awaited has come with it.
    pub(super) fn awaited(&mut self, records: &[u8]) -> Option<i32> {
        if self.lowest.is_empty() {
            return None;
        }
        let (whose, sequence) = numbered(records)?;
        let lowest = *self.lowest.get(&whose)?;
        if sequence > lowest {
            return Some(lowest);
        }
        self.lowest.remove(&whose);
        None
    }
}

fn numbered(records: &[u8]) -> Option<(Whose, i32)> {
    let header = BatchHeader::parse(records).ok().filter(|header| header.has_producer())?;
    (header.base_sequence >= 0).then_some(((header.producer_id, header.producer_epoch), header.base_sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record_batch::BatchBuilder;

    fn batch(producer: i64, sequence: i32) -> Vec<u8> {
        let mut batch = BatchBuilder::default().producer(ProducerId(producer), ProducerEpoch(0), sequence);
        batch.add(0, None, Some(b"v"), &[]);
        batch.build().unwrap().to_vec()
    }

    #[test]
    fn what_was_refused_is_awaited_until_it_comes() {
        let mut refused = Refused::default();
        assert_eq!(refused.awaited(&batch(1, 5)), None);
        refused.note(&batch(1, 3));
        refused.note(&batch(1, 4));
        assert_eq!(refused.awaited(&batch(1, 5)), Some(3));
        assert_eq!(refused.awaited(&batch(2, 5)), None);
        assert_eq!(refused.awaited(&batch(1, 3)), None);
        assert_eq!(refused.awaited(&batch(1, 5)), None);
    }

    #[test]
    fn a_flood_of_refused_producers_takes_no_more_memory_than_the_bound() {
        let mut refused = Refused::default();
        for producer in 0..3 * MOST {
            let producer = i64::try_from(producer).unwrap();
            refused.note(&batch(producer, 1));
            if producer % 2 == 0 {
                assert_eq!(refused.awaited(&batch(producer, 1)), None);
            }
        }
        assert!(refused.lowest.len() <= MOST && refused.order.len() <= MOST);
        let last = i64::try_from(3 * MOST).unwrap() - 1;
        assert_eq!(refused.awaited(&batch(last, 2)), Some(1));
    }
}
