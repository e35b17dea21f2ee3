//! Which generation is the truth, and how the next one comes to be: put-if-absent, then a look at what else is there.
//!
//! ```text
//! LIST from the known generation → head N;  PUT-IF-ABSENT N + 1;  GET N + 1;  LIST after N + 1:
//!     it is ours, nothing is newer, and the boundary lies below it → published
//! ```
//! Two writers can't both create N + 1. Old generations are removed only after the boundary was durably raised to them,
//! so a paused zombie that re-creates a removed number sees the boundary and has published nothing. Readers take the
//! highest generation above the boundary, which such a number never is.
//!
//! The LIST costs as much as a PUT, so a writer who knows the head since a short time does without ([`Knowledge`]): a
//! generation is removed only when a later one has been known to the remover for `superseded_ms`. If we knew the head N
//! less than half of that ago (`knowledge_ms`), N + 1 was not there then, so it cannot have been created *and removed* since: our
//! put-if-absent decides alone. Both ends count on a monotonic clock of their own; the other half is for clocks that
//! do not run alike.

pub(crate) mod protocol;

use bytes::Bytes;

use self::protocol::{Answer, Next, Publishing, Request};
use crate::layout::{self, Entry, PartitionFolder};
use crate::manifest::{BadManifest, Manifest};
use crate::store::{Operation, SharedStore, StoreError};

/// What a LIST showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// The newest generation that counts; `None` for a partition without any.
    pub manifest: Option<Manifest>,
    /// Generations up to this one do not count.
    pub boundary: u64,
}

impl Head {
    /// The head's number, 0 without any.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |manifest| manifest.generation)
    }
}

/// Why a generation was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A later leader has published: this one stops.
    #[error("fenced: generation {generation} was written under epoch {epoch}")]
    Fenced {
        /// The generation that says so.
        generation: u64,
        /// The later leader's epoch.
        epoch: i32,
    },
    /// An earlier leader, or a reader's view that was too old: build on the newer head.
    #[error("generation {generation} is there already, of an earlier leader")]
    Rebase {
        /// The number that was taken.
        generation: u64,
    },
    /// The same epoch, another writer: two leaders of one epoch are a bug, nothing more may be published.
    #[error("generation {generation} was written by another writer of the same epoch {epoch}")]
    Conflict {
        /// The generation.
        generation: u64,
        /// The epoch that two writers claim.
        epoch: i32,
    },
    /// The topic was deleted: nothing more is published, and what is there goes.
    #[error("the topic was deleted")]
    Deleted,
    /// A generation that can't be read; nothing may be built on it.
    #[error("generation {generation}: {error}")]
    Bad {
        /// The generation.
        generation: u64,
        /// What is wrong with it.
        error: BadManifest,
    },
    /// The store lists nothing at or after a generation that was published: somebody removed the manifests by hand.
    #[error("the manifests from generation {known} on are gone from the store")]
    Lost {
        /// The generation that was known.
        known: u64,
    },
    /// The outcome is unknown: the same content under the same uuid must be published again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads and writes the generations of one partition.
#[derive(Clone, Debug)]
pub struct Publisher {
    store: SharedStore,
    folder: PartitionFolder,
}

/// Since when a writer knows that the generation before its own is the head.
pub struct Knowledge<'a> {
    /// A time of the monotonic clock, in ms, at which no later generation was there.
    pub since_ms: i64,
    /// For how long that counts: [`Policy::knowledge_ms`](crate::plan::Policy).
    pub for_ms: i64,
    /// The monotonic clock now.
    pub clock: &'a (dyn Fn() -> i64 + Send + Sync),
}

impl Knowledge<'_> {
    fn is_fresh(&self) -> bool {
        (self.clock)() - self.since_ms < self.for_ms
    }
}

/// What is listed behind a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Newer {
    /// The highest generation, 0 without one.
    pub(crate) highest: u64,
    /// Generations up to this one do not count.
    pub(crate) boundary: u64,
    /// The topic's tombstone is there.
    pub(crate) deleted: bool,
}

impl Publisher {
    /// The publisher of a partition's folder.
    #[must_use]
    pub fn new(store: SharedStore, folder: PartitionFolder) -> Self {
        Publisher { store, folder }
    }

    async fn list_after(&self, generation: u64) -> Result<Newer, StoreError> {
        let after = self.folder.manifest(generation);
        let listed = self.store.list(&self.folder.manifests(), Some(&after)).await?;
        let mut newer = Newer::default();
        for object in listed {
            match layout::parse(&object.key) {
                Some((_, Entry::Manifest(number))) => newer.highest = newer.highest.max(number),
                Some((_, Entry::Boundary(number))) => newer.boundary = newer.boundary.max(number),
                Some((_, Entry::Tombstone)) => newer.deleted = true,
                _ => {}
            }
        }
        Ok(newer)
    }

    /// Reads one generation; one that comes broken is asked for once more, since it may have been broken on the way.
    ///
    /// # Errors
    /// `Store(NotFound)` when it was removed, `Bad` when it is broken or lies under another's number.
    pub async fn read(&self, generation: u64) -> Result<Manifest, PublishError> {
        match self.read_once(generation).await {
            Err(PublishError::Bad { error, .. }) => {
                tracing::warn!(folder = %self.folder, generation, %error, "a manifest came broken: asked once more");
                self.read_once(generation).await
            }
            read => read,
        }
    }

    async fn read_once(&self, generation: u64) -> Result<Manifest, PublishError> {
        let bytes: Bytes = self.store.get(&self.folder.manifest(generation)).await?;
        let manifest = Manifest::decode(&bytes).map_err(|error| PublishError::Bad { generation, error })?;
        if manifest.generation != generation {
            let error = BadManifest::Form(format!("it says it is generation {}", manifest.generation));
            return Err(PublishError::Bad { generation, error });
        }
        Ok(manifest)
    }

    /// Finds the head: one LIST from `known` on (0: from the start), and one GET.
    ///
    /// # Errors
    /// `Bad` when the head is broken: nothing older may stand in for it. `Lost`, `Store`.
    pub async fn find_head(&self, known: u64) -> Result<Head, PublishError> {
        // From `known` itself on: if it is the head, it must be seen.
        let from = known.saturating_sub(1);
        let mut newer = self.list_after(from).await?;
        loop {
            if newer.deleted {
                return Err(PublishError::Deleted);
            }
            match newer.highest {
                0 if known == 0 => return Ok(Head { manifest: None, boundary: newer.boundary }),
                highest if highest < known => return Err(PublishError::Lost { known }),
                highest => match self.read(highest).await {
                    Ok(manifest) => return Ok(Head { manifest: Some(manifest), boundary: newer.boundary }),
                    Err(PublishError::Store(StoreError::NotFound { .. })) => {
                        // Removed since the LIST: then there is a newer one.
                        newer = self.list_after(from).await?;
                        if newer.highest <= highest {
                            return Err(PublishError::Lost { known: highest });
                        }
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Creates `next` and finds out whether it counts. After `Store` the outcome is open: call again with the very same `next`.
    /// `knowledge` is how fresh the head was on which `next` builds; without it the store is asked.
    ///
    /// # Errors
    /// `PublishError` says who was there.
    pub async fn publish_knowing(
        &self,
        next: &Manifest,
        knowledge: Option<&Knowledge<'_>>,
    ) -> Result<(), PublishError> {
        let generation = next.generation;
        let bad = |error| PublishError::Bad { generation, error };
        next.check().map_err(bad)?;
        let bytes = next.encode().map_err(bad)?;
        let attempt = Publishing::new(generation, next.writer);
        let mut request = Request::Create;
        loop {
            let answer = self.carry_out(request, generation, &bytes).await?;
            let fresh = || knowledge.is_some_and(Knowledge::is_fresh);
            let follows = match (request, answer) {
                (Request::ReadNewer(number), Answer::WrittenBy(Some(writer))) => {
                    attempt.after_newer(number, writer)
                }
                (_, answer) => attempt.after(answer, fresh()),
            };
            match follows {
                Next::Ask(further) => request = further,
                Next::Published => return Ok(()),
                Next::Deleted => return Err(PublishError::Deleted),
                Next::BelowBoundary => return Err(PublishError::Rebase { generation }),
                Next::TakenBy { generation, epoch } => return Err(judge(next, generation, epoch)),
                Next::Unknown => {
                    let reason = "it was acknowledged, and is not there".to_owned();
                    let (operation, key) = (Operation::PutIfAbsent, self.folder.manifest(generation));
                    return Err(StoreError::Unavailable { operation, key, reason }.into());
                }
            }
        }
    }

    /// One request of the protocol.
    async fn carry_out(
        &self,
        request: Request,
        generation: u64,
        bytes: &Bytes,
    ) -> Result<Answer, PublishError> {
        match request {
            Request::Create => {
                let key = self.folder.manifest(generation);
                match self.store.put_if_absent(&key, vec![bytes.clone()]).await {
                    Ok(()) | Err(StoreError::AlreadyExists { .. }) => Ok(Answer::Created),
                    Err(error) => Err(error.into()),
                }
            }
            Request::ReadBack => match self.read(generation).await {
                Err(PublishError::Store(StoreError::NotFound { .. })) => Ok(Answer::WrittenBy(None)),
                stored => Ok(Answer::WrittenBy(Some(stored?.writer))),
            },
            Request::ReadNewer(newer) => Ok(Answer::WrittenBy(Some(self.read(newer).await?.writer))),
            Request::LookForTombstone => match self.store.head(&self.folder.tombstone()).await {
                Ok(_) => Ok(Answer::Tombstone(true)),
                Err(StoreError::NotFound { .. }) => Ok(Answer::Tombstone(false)),
                Err(error) => Err(error.into()),
            },
            Request::ListAfter => Ok(Answer::Listed(self.list_after(generation).await?)),
        }
    }

    /// As `publish_knowing`, and always asks the store.
    ///
    /// # Errors
    /// `PublishError` says who was there.
    pub async fn publish(&self, next: &Manifest) -> Result<(), PublishError> {
        self.publish_knowing(next, None).await
    }

    /// Raises the boundary to `to` and removes the generations after `from` up to it. `to` is below the head. May be repeated
    /// after an error.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn remove_generations(&self, from: u64, to: u64) -> Result<(), StoreError> {
        match self.store.put_if_absent(&self.folder.boundary(to), vec![Bytes::new()]).await {
            Ok(()) | Err(StoreError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        for generation in from + 1..=to {
            self.store.delete(&self.folder.manifest(generation)).await?;
        }
        if from > 0 {
            self.store.delete(&self.folder.boundary(from)).await?;
        }
        Ok(())
    }
}

/// Another writer's object stands where ours should, or after it.
pub(crate) fn judge(ours: &Manifest, generation: u64, epoch: i32) -> PublishError {
    match epoch.cmp(&ours.writer.epoch) {
        std::cmp::Ordering::Greater => PublishError::Fenced { generation, epoch },
        std::cmp::Ordering::Less => PublishError::Rebase { generation },
        std::cmp::Ordering::Equal => PublishError::Conflict { generation, epoch },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::join_all;
    use uuid::Uuid;

    use super::*;
    use crate::manifest::Writer;
    use crate::store::{Fault, FaultStore, Faults, MemoryStore, MeteredStore, RemoteOptions, RemoteStore};

    fn folder() -> PartitionFolder {
        PartitionFolder::new("c", "t", "i", 0).unwrap()
    }

    fn publisher(store: SharedStore) -> Publisher {
        Publisher::new(store, folder())
    }

    fn manifest(generation: u64, epoch: i32, uuid: u128) -> Manifest {
        Manifest {
            generation,
            writer: Writer { epoch, uuid: Uuid::from_u128(uuid) },
            log_start: 0,
            live: Vec::new(),
            removed: Vec::new(),
            ..Manifest::default()
        }
    }

    #[tokio::test]
    async fn the_head_is_the_highest_generation() {
        let publisher = publisher(Arc::new(MemoryStore::new()));
        assert_eq!(publisher.find_head(0).await.unwrap(), Head::default());
        for generation in 1..=12 {
            publisher.publish(&manifest(generation, 1, u128::from(generation))).await.unwrap();
        }
        for known in [0, 5, 12] {
            assert_eq!(publisher.find_head(known).await.unwrap().generation(), 12);
        }
    }

    #[tokio::test]
    async fn a_retry_of_our_own_is_success() {
        let publisher = publisher(Arc::new(MemoryStore::new()));
        publisher.publish(&manifest(1, 1, 7)).await.unwrap();
        publisher.publish(&manifest(1, 1, 7)).await.unwrap();
    }

    #[tokio::test]
    async fn another_writer_fences_rebases_or_is_a_conflict_by_its_epoch() {
        let publisher = publisher(Arc::new(MemoryStore::new()));
        publisher.publish(&manifest(1, 5, 7)).await.unwrap();
        let fenced = publisher.publish(&manifest(1, 4, 8)).await.unwrap_err();
        assert_eq!(fenced, PublishError::Fenced { generation: 1, epoch: 5 });
        let rebase = publisher.publish(&manifest(1, 6, 8)).await.unwrap_err();
        assert_eq!(rebase, PublishError::Rebase { generation: 1 });
        let conflict = publisher.publish(&manifest(1, 5, 8)).await.unwrap_err();
        assert_eq!(conflict, PublishError::Conflict { generation: 1, epoch: 5 });
    }

    #[tokio::test]
    async fn a_zombie_that_recreates_a_removed_generation_has_published_nothing() {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let publisher = publisher(store);
        publisher.publish(&manifest(1, 1, 1)).await.unwrap();
        for generation in 2..=9 {
            publisher.publish(&manifest(generation, 2, u128::from(generation))).await.unwrap();
        }
        publisher.remove_generations(0, 7).await.unwrap();
        let zombie = publisher.publish(&manifest(2, 1, 99)).await.unwrap_err();
        assert_eq!(zombie, PublishError::Fenced { generation: 9, epoch: 2 });
        let head = publisher.find_head(0).await.unwrap();
        assert_eq!((head.generation(), head.boundary), (9, 7));
    }

    #[tokio::test]
    async fn a_broken_head_is_an_error_and_no_older_one_stands_in() {
        let memory = MemoryStore::new();
        let publisher = publisher(Arc::new(memory.clone()));
        publisher.publish(&manifest(1, 1, 1)).await.unwrap();
        crate::store::Store::put(&memory, &folder().manifest(2), vec![Bytes::from_static(b"x")])
            .await
            .unwrap();
        assert!(matches!(publisher.find_head(0).await, Err(PublishError::Bad { generation: 2, .. })));
        let moved = manifest(2, 1, 1).encode().unwrap();
        crate::store::Store::put(&memory, &folder().manifest(3), vec![moved]).await.unwrap();
        assert!(matches!(publisher.find_head(0).await, Err(PublishError::Bad { generation: 3, .. })));
    }

    #[tokio::test]
    async fn fresh_knowledge_of_the_head_saves_the_list_and_stale_knowledge_does_not() {
        let metered = MeteredStore::new(Arc::new(MemoryStore::new()));
        let requests = metered.requests();
        let publisher = publisher(Arc::new(metered));
        let mut lists = Vec::new();
        for (generation, now) in [(1, 99), (2, 100)] {
            let clock = move || now;
            let knowledge = Knowledge { since_ms: 0, for_ms: 100, clock: &clock };
            let next = manifest(generation, 1, u128::from(generation));
            publisher.publish_knowing(&next, Some(&knowledge)).await.unwrap();
            lists.push(requests.counts().lists);
        }
        assert_eq!(lists, [0, 1]);
        assert_eq!((requests.counts().puts, requests.counts().gets, requests.counts().heads), (2, 2, 1));
    }

    #[tokio::test]
    async fn a_zombie_that_recreates_a_removed_generation_asks_since_its_knowledge_is_stale() {
        for (now, expected) in [
            (100, Err(PublishError::Fenced { generation: 9, epoch: 2 })),
            // The control: had the remover not waited, the zombie would believe that it has published.
            (99, Ok(())),
        ] {
            let publisher = publisher(Arc::new(MemoryStore::new()));
            publisher.publish(&manifest(1, 1, 1)).await.unwrap();
            for generation in 2..=9 {
                publisher.publish(&manifest(generation, 2, u128::from(generation))).await.unwrap();
            }
            publisher.remove_generations(0, 7).await.unwrap();
            let clock = move || now;
            let knowledge = Knowledge { since_ms: 0, for_ms: 100, clock: &clock };
            let outcome = publisher.publish_knowing(&manifest(2, 1, 99), Some(&knowledge)).await;
            assert_eq!(outcome, expected);
        }
    }

    #[tokio::test]
    async fn a_deleted_topic_is_seen_without_a_list_too() {
        let memory = MemoryStore::new();
        crate::store::Store::put(&memory, &folder().tombstone(), vec![]).await.unwrap();
        let clock = || 0;
        let knowledge = Knowledge { since_ms: 0, for_ms: 100, clock: &clock };
        let outcome = publisher(Arc::new(memory)).publish_knowing(&manifest(1, 1, 1), Some(&knowledge)).await;
        assert_eq!(outcome, Err(PublishError::Deleted));
    }

    #[derive(Debug)]
    struct LieAboutPut;

    impl Faults for LieAboutPut {
        fn next(&self, operation: Operation, _: &str) -> Fault {
            if operation == Operation::PutIfAbsent { Fault::LoseEffect } else { Fault::None }
        }
    }

    #[tokio::test]
    async fn a_put_that_was_acknowledged_and_lost_has_published_nothing() {
        let memory: SharedStore = Arc::new(MemoryStore::new());
        let lying = publisher(Arc::new(FaultStore::new(memory.clone(), Arc::new(LieAboutPut))));
        let outcome = lying.publish(&manifest(1, 2, 7)).await;
        assert!(matches!(outcome, Err(PublishError::Store(StoreError::Unavailable { .. }))));
        publisher(memory).publish(&manifest(1, 1, 8)).await.unwrap();
        let outcome = lying.publish(&manifest(1, 2, 7)).await;
        assert_eq!(outcome, Err(PublishError::Rebase { generation: 1 }), "another's object has the number");
    }

    #[derive(Debug)]
    struct LosePut;

    impl Faults for LosePut {
        fn next(&self, operation: Operation, _: &str) -> Fault {
            if operation == Operation::PutIfAbsent { Fault::LoseReply } else { Fault::None }
        }
    }

    #[tokio::test]
    async fn a_lost_reply_leaves_the_outcome_open_and_the_same_content_settles_it() {
        let memory: SharedStore = Arc::new(MemoryStore::new());
        let lossy = publisher(Arc::new(FaultStore::new(memory.clone(), Arc::new(LosePut))));
        let next = manifest(1, 1, 7);
        assert!(matches!(lossy.publish(&next).await, Err(PublishError::Store(_))));
        publisher(memory).publish(&next).await.unwrap();
    }

    async fn one_racer_wins(store: SharedStore) {
        let racers = (0..16).map(|i| {
            let publisher = publisher(store.clone());
            tokio::spawn(async move { publisher.publish(&manifest(1, i, i as u128)).await.map(|()| i) })
        });
        let outcomes: Vec<_> = join_all(racers).await.into_iter().map(|r| r.unwrap()).collect();
        let winner = publisher(store).find_head(0).await.unwrap().manifest.unwrap();
        for (epoch, outcome) in outcomes.iter().enumerate() {
            match epoch.cmp(&(winner.writer.epoch as usize)) {
                std::cmp::Ordering::Equal => assert!(outcome.is_ok(), "{outcomes:?}"),
                std::cmp::Ordering::Less => {
                    assert!(matches!(outcome, Err(PublishError::Fenced { .. })), "{outcomes:?}");
                }
                std::cmp::Ordering::Greater => {
                    assert!(matches!(outcome, Err(PublishError::Rebase { .. })), "{outcomes:?}");
                }
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn sixteen_racing_publishers_have_one_winner_in_memory_and_in_a_folder() {
        one_racer_wins(Arc::new(MemoryStore::new())).await;
        let dir = tempfile::tempdir().unwrap();
        let location = format!("file://{}", dir.path().display()).parse().unwrap();
        one_racer_wins(Arc::new(RemoteStore::open(&location, &RemoteOptions::default()).unwrap())).await;
    }
}
