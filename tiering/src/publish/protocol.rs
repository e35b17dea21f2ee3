//! The publish protocol without the store: which request comes next, and what an answer means. [`Publisher`](super::Publisher)
//! sends the requests; the model checker answers them in every order that there is.

use super::Newer;
use crate::manifest::Writer;

/// What the store is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    /// Put our generation if its number is free. An object that is there already is no failure.
    Create,
    /// Whose is it now?
    ReadBack,
    /// Was the topic deleted?
    LookForTombstone,
    /// What is newer?
    ListAfter,
    /// Who wrote this one?
    ReadNewer(u64),
}

/// What the store said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// To `Create`: ours or another's is there.
    Created,
    /// To `ReadBack` and `ReadNewer`; `None` when there is nothing.
    WrittenBy(Option<Writer>),
    /// To `LookForTombstone`.
    Tombstone(bool),
    /// To `ListAfter`.
    Listed(Newer),
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    /// One more request.
    Ask(Request),
    /// It counts.
    Published,
    /// It was acknowledged and is not there: nothing is known, and it may be tried again.
    Unknown,
    /// The topic was deleted.
    Deleted,
    /// A generation of this epoch stands where ours should, or after it.
    TakenBy {
        /// The generation.
        generation: u64,
        /// Who wrote it.
        epoch: i32,
    },
    /// Our number was removed before: it does not count.
    BelowBoundary,
}

/// One attempt to publish a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Publishing {
    generation: u64,
    writer: Writer,
}

impl Publishing {
    pub(crate) fn new(generation: u64, writer: Writer) -> Publishing {
        Publishing { generation, writer }
    }

    /// What follows from an answer. `fresh`: the head on which ours builds was seen so short a time ago that its successor's
    /// number cannot have been used and removed since.
    pub(crate) fn after(&self, answer: Answer, fresh: bool) -> Next {
        match answer {
            // Read back also after an acknowledgement: a store that loses what it has acknowledged may hold another's here.
            Answer::Created => Next::Ask(Request::ReadBack),
            Answer::WrittenBy(None) => Next::Unknown,
            Answer::WrittenBy(Some(writer)) if writer == self.writer => Next::Ask(match fresh {
                true => Request::LookForTombstone,
                false => Request::ListAfter,
            }),
            Answer::WrittenBy(Some(writer)) => {
                Next::TakenBy { generation: self.generation, epoch: writer.epoch }
            }
            Answer::Tombstone(true) => Next::Deleted,
            Answer::Tombstone(false) => Next::Published,
            Answer::Listed(newer) => self.confirm(newer),
        }
    }

    /// Whose a newer generation is, which stands behind ours.
    pub(crate) fn after_newer(&self, generation: u64, writer: Writer) -> Next {
        Next::TakenBy { generation, epoch: writer.epoch }
    }

    fn confirm(&self, newer: Newer) -> Next {
        if newer.deleted {
            Next::Deleted
        } else if newer.highest > self.generation {
            Next::Ask(Request::ReadNewer(newer.highest))
        } else if newer.boundary >= self.generation {
            Next::BelowBoundary
        } else {
            Next::Published
        }
    }
}
