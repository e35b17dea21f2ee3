//! Backups of what a cluster knows besides its records: a few numbered, immutable objects in a folder, the newest of which
//! counts.
//!
//! ```text
//! magic "ESKRBKUP" · version u32 · CRC-32C of the body u32 · length of the body u64 · body     (big endian)
//! ```
//! The body is the writer's matter; a large one names parts, which are objects of the same form beside the generations. A generation is created only if absent, so of two writers one goes after the other; a
//! damaged one is passed over for the one before.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::store::{Store, StoreError};

const MAGIC: &[u8; 8] = b"ESKRBKUP";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 24;
/// Generations that are kept, the newest among them.
const KEPT: usize = 3;
/// How often a writer tries again after another one has taken its number.
const ATTEMPTS: usize = 5;

/// A generation that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its number.
    pub generation: u64,
    /// What the writer gave.
    pub body: Bytes,
    /// Newer generations that are damaged, and were passed over.
    pub damaged: Vec<u64>,
}

/// Writes the next generation and removes those that are no longer kept.
///
/// # Errors
/// What the store answers; `AlreadyExists` when others take every number that is tried.
pub async fn write(store: &dyn Store, folder: &str, body: &Bytes) -> Result<u64, StoreError> {
    let mut attempt = 0;
    loop {
        let there = generations(store, folder).await?;
        let next = there.last().map_or(1, |last| last + 1);
        match store.put_if_absent(&key(folder, next), vec![encode(body)]).await {
            Ok(()) => {
                for old in there.iter().rev().skip(KEPT - 1) {
                    store.delete(&key(folder, *old)).await?;
                }
                return Ok(next);
            }
            Err(StoreError::AlreadyExists { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Writes this generation, for a writer that looks after the ones before itself.
///
/// # Errors
/// What the store answers; `AlreadyExists` when there is one of this number.
pub async fn create(
    store: &dyn Store,
    folder: &str,
    generation: u64,
    body: &Bytes,
) -> Result<(), StoreError> {
    store.put_if_absent(&key(folder, generation), vec![encode(body)]).await
}

/// Removes a generation.
///
/// # Errors
/// What the store answers.
pub async fn remove(store: &dyn Store, folder: &str, generation: u64) -> Result<(), StoreError> {
    store.delete(&key(folder, generation)).await
}

/// Writes a part: an object that a generation is going to name.
///
/// # Errors
/// What the store answers.
pub async fn write_part(store: &dyn Store, key: &str, body: &Bytes) -> Result<(), StoreError> {
    store.put(key, vec![encode(body)]).await
}

/// A part's body; `None` when it is damaged.
///
/// # Errors
/// What the store answers.
pub async fn read_part(store: &dyn Store, key: &str) -> Result<Option<Bytes>, StoreError> {
    Ok(decode(&store.get(key).await?))
}

/// The generations that are kept and whole, newest first.
///
/// # Errors
/// What the store answers.
pub async fn kept(store: &dyn Store, folder: &str) -> Result<Vec<Bytes>, StoreError> {
    let mut bodies = Vec::new();
    for generation in generations(store, folder).await?.into_iter().rev() {
        match store.get(&key(folder, generation)).await {
            Ok(bytes) => bodies.extend(decode(&bytes)),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bodies)
}

/// The newest generation that is whole; `None` when there is none.
///
/// # Errors
/// What the store answers.
pub async fn newest(store: &dyn Store, folder: &str) -> Result<Option<Backup>, StoreError> {
    let mut damaged = Vec::new();
    for generation in generations(store, folder).await?.into_iter().rev() {
        let bytes = match store.get(&key(folder, generation)).await {
            Ok(bytes) => bytes,
            // Removed by its writer since the listing.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(error),
        };
        match decode(&bytes) {
            Some(body) => return Ok(Some(Backup { generation, body, damaged })),
            None => damaged.push(generation),
        }
    }
    Ok(None)
}

/// The body of one generation; `None` when it is damaged.
///
/// # Errors
/// What the store answers.
pub async fn read(store: &dyn Store, folder: &str, generation: u64) -> Result<Option<Bytes>, StoreError> {
    read_part(store, &key(folder, generation)).await
}

/// The numbers of the generations that are there, the newest last.
///
/// # Errors
/// What the store answers.
pub async fn generations(store: &dyn Store, folder: &str) -> Result<Vec<u64>, StoreError> {
    let listed = store.list(folder, None).await?;
    Ok(listed.iter().filter_map(|object| object.key.rsplit('/').next()?.parse().ok()).collect())
}

fn key(folder: &str, generation: u64) -> String {
    format!("{folder}{generation:020}")
}

fn encode(body: &Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES + body.len());
    out.put_slice(MAGIC);
    out.put_u32(VERSION);
    out.put_u32(crc32c::crc32c(body));
    out.put_u64(body.len() as u64);
    out.put_slice(body);
    out.freeze()
}

/// The body, if the object is whole.
fn decode(object: &Bytes) -> Option<Bytes> {
    let head = object.get(..HEAD_BYTES)?;
    let number = |at: usize| head.get(at..at + 4)?.first_chunk().copied().map(u32::from_be_bytes);
    let length = head.get(16..)?.first_chunk().copied().map(u64::from_be_bytes)?;
    let body = object.slice(HEAD_BYTES..);
    let whole = head.starts_with(MAGIC)
        && number(8)? == VERSION
        && length == body.len() as u64
        && number(12)? == crc32c::crc32c(&body);
    whole.then_some(body)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::MemoryStore;

    const FOLDER: &str = "c/cluster/metadata/";

    #[test]
    fn the_bytes_of_a_backup_stay() {
        let golden: &[u8] = b"ESKRBKUP\0\0\0\x01\xe3\x06\x92\x83\0\0\0\0\0\0\0\x09123456789";
        let body = Bytes::from_static(b"123456789");
        assert_eq!(encode(&body), golden);
        assert_eq!(decode(&Bytes::from_static(golden)), Some(body));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let whole = encode(&Bytes::from_static(b"{\"users\":{}}"));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped.into()), None, "bit {bit}");
        }
        for end in 0..whole.len() {
            assert_eq!(decode(&whole.slice(..end)), None, "cut at {end}");
        }
    }

    #[tokio::test]
    async fn the_newest_generation_counts_and_a_few_are_kept() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        assert_eq!(newest(&*store, FOLDER).await.unwrap(), None);
        for number in 1..=6_u64 {
            let body = Bytes::from(number.to_string());
            assert_eq!(write(&*store, FOLDER, &body).await.unwrap(), number);
            let found = newest(&*store, FOLDER).await.unwrap().unwrap();
            assert_eq!(found, Backup { generation: number, body, damaged: Vec::new() });
        }
        assert_eq!(generations(&*store, FOLDER).await.unwrap(), [4, 5, 6]);
    }

    #[tokio::test]
    async fn a_damaged_generation_is_passed_over_and_told() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        write(&*store, FOLDER, &Bytes::from_static(b"old")).await.unwrap();
        write(&*store, FOLDER, &Bytes::from_static(b"new")).await.unwrap();
        store.put(&key(FOLDER, 2), vec![Bytes::from_static(b"ESKRBKUP, not quite")]).await.unwrap();
        let found = newest(&*store, FOLDER).await.unwrap().unwrap();
        assert_eq!((found.generation, &found.body[..], &found.damaged[..]), (1, &b"old"[..], &[2][..]));
    }

    #[tokio::test]
    async fn two_writers_take_different_numbers() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let bodies = ["a", "b", "c"].map(|body| Bytes::from_static(body.as_bytes()));
        let written = futures::future::join_all(bodies.iter().map(|body| write(&*store, FOLDER, body))).await;
        let mut numbers: Vec<u64> = written.into_iter().map(Result::unwrap).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
    }
}
