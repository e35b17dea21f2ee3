//! Whose store it is: one small object right under the prefix names the one cluster that may write there.
//!
//! ```text
//! esker-cluster:   "esker cluster 1\n<cluster id>\n<CRC-32C of all before it, 8 hexadecimal digits>\n"
//! ```
//! The checksum keeps a byte that flips on its way from naming another cluster.
//!
//! Put-if-absent, never replaced: of two clusters that find a new bucket, one gets it. `esker tier init` writes it before
//! there are brokers, else the first broker that starts does. A store from before there were markers is its cluster's
//! when nobody else's folders lie in it.
//!
//! A restore gives the cluster a new life, the next *incarnation*: `<cluster id>/cluster/incarnation/<number>`, put if absent.
//! The highest number is the life that may write. Brokers of an earlier one that are still somewhere have lost the store.

use bytes::Bytes;

use crate::layout::{self, PartitionFolder};
use crate::store::{Store, StoreError};

const HEAD: &str = "esker cluster 1\n";
/// A marker that is not one is read so often: what came may be damaged, and not what is there.
const TRIES: usize = 4;
/// Folders beside ours that are looked into for another cluster's; a bucket with more is somebody's in any case.
const FOLDERS: usize = 64;

/// Why a store may not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// The marker names another cluster.
    #[error(
        "it belongs to cluster {found}, and this is cluster {ours}: take another bucket or another prefix (what lies there is \
         not touched)"
    )]
    Foreign {
        /// The cluster it belongs to.
        found: String,
        /// The cluster that asked.
        ours: String,
    },
    /// No marker, but the folders of other clusters.
    #[error("it has no marker, and holds the data of {}: take another bucket or another prefix", .0.join(", "))]
    Unmarked(Vec<String>),
    /// The marker is not one: it, or what came of it, is damaged.
    #[error(
        "its marker esker-cluster is damaged: {0:?}; if the store is this cluster's and it stays so, remove that object (a broker \
         writes it anew)"
    )]
    Damaged(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OwnerError {
    /// Whether the store is somebody else's, so that asking again gives the same answer. A damaged marker names nobody: the
    /// next answer may be whole, or the object mended.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, OwnerError::Foreign { .. } | OwnerError::Unmarked(_))
    }
}

/// The cluster that the store belongs to; `None` when no marker is there.
///
/// # Errors
/// `Damaged`, `Store`.
pub async fn owner(store: &dyn Store) -> Result<Option<String>, OwnerError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match store.get(layout::OWNER).await {
            Ok(bytes) => match decode(&bytes) {
                Err(error) if tries < TRIES => tracing::warn!(%error, "the store's marker is read again"),
                decoded => return decoded.map(Some),
            },
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the cluster may write here, or could claim it. Writes nothing.
///
/// # Errors
/// `OwnerError`.
pub async fn check(store: &dyn Store, cluster_id: &str) -> Result<bool, OwnerError> {
    match owner(store).await? {
        Some(found) if found == cluster_id => return Ok(true),
        Some(found) => return Err(OwnerError::Foreign { found, ours: cluster_id.to_owned() }),
        None => {}
    }
    let others = unmarked(store, Some(cluster_id)).await?;
    if others.is_empty() { Ok(false) } else { Err(OwnerError::Unmarked(others)) }
}

/// Makes the store the cluster's, unless it is another one's.
///
/// # Errors
/// `OwnerError`.
pub async fn claim(store: &dyn Store, cluster_id: &str) -> Result<(), OwnerError> {
    if check(store, cluster_id).await? {
        return Ok(());
    }
    match store.put_if_absent(layout::OWNER, vec![encode(cluster_id)]).await {
        Ok(()) => Ok(()),
        // Another broker of ours was faster, or another cluster.
        Err(StoreError::AlreadyExists { .. }) => check(store, cluster_id).await.map(|_| ()),
        Err(error) => Err(error.into()),
    }
}

/// Begins the next life of a cluster; its number.
///
/// # Errors
/// `AlreadyExists` when another restore has begun one just now, `Store`.
pub async fn begin_incarnation(store: &dyn Store, cluster_id: &str) -> Result<u64, StoreError> {
    let next = newest_incarnation(store, cluster_id).await? + 1;
    store.put_if_absent(&incarnation(cluster_id, next), vec![Bytes::new()]).await?;
    Ok(next)
}

/// The life of a cluster that may write; 0 before the first restore.
///
/// # Errors
/// What the store answers.
pub async fn newest_incarnation(store: &dyn Store, cluster_id: &str) -> Result<u64, StoreError> {
    let listed = store.list(&PartitionFolder::incarnations_of(cluster_id), None).await?;
    let last = listed.last().and_then(|object| object.key.rsplit('/').next()?.parse().ok());
    Ok(last.unwrap_or(0))
}

/// Whether a life after this one has begun: one HEAD, as each number follows the one before.
///
/// # Errors
/// What the store answers.
pub async fn is_past(store: &dyn Store, cluster_id: &str, ours: u64) -> Result<bool, StoreError> {
    match store.head(&incarnation(cluster_id, ours.saturating_add(1))).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn incarnation(cluster_id: &str, number: u64) -> String {
    format!("{}{number:020}", PartitionFolder::incarnations_of(cluster_id))
}

/// Clusters other than `ours` whose folders lie here.
///
/// # Errors
/// What the store answers.
pub async fn unmarked(store: &dyn Store, ours: Option<&str>) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let folders = store.list_folders("").await?;
    for folder in folders.into_iter().filter(|folder| Some(folder.as_str()) != ours).take(FOLDERS) {
        let inside = store.list_folders(&format!("{folder}/")).await?;
        if inside.iter().any(|name| name == "topics" || name == "cluster") {
            found.push(folder);
        }
    }
    Ok(found)
}

fn encode(cluster_id: &str) -> Bytes {
    let text = format!("{HEAD}{cluster_id}\n");
    let crc = crc32c::crc32c(text.as_bytes());
    Bytes::from(format!("{text}{crc:08x}\n"))
}

fn decode(bytes: &[u8]) -> Result<String, OwnerError> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix('\n'));
    let id = lines.and_then(|lines| lines.split_once('\n')).map(|(id, _)| id);
    // Written again it must be the same, checksum and all.
    match id.filter(|id| !id.is_empty() && !id.contains('/') && encode(id) == bytes) {
        Some(id) => Ok(id.to_owned()),
        None => Err(OwnerError::Damaged(text.chars().take(100).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn the_bytes_of_a_marker_stay() {
        const GOLDEN: &str = "esker cluster 1\nabc\nace61ba0\n";
        assert_eq!(encode("abc"), GOLDEN);
        assert_eq!(decode(GOLDEN.as_bytes()), Ok("abc".to_owned()));
        for bad in ["", "esker cluster 1\nabc\n", "esker cluster 1\n\n", "esker cluster 2\nabc\n", "x"] {
            assert!(matches!(decode(bad.as_bytes()), Err(OwnerError::Damaged(_))), "{bad:?}");
        }
        let mut flipped = GOLDEN.as_bytes().to_vec();
        for bit in 0..flipped.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit} of it");
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[tokio::test]
    async fn a_store_belongs_to_the_first_cluster_that_claims_it() {
        let store = MemoryStore::new();
        assert_eq!(owner(&store).await, Ok(None));
        assert_eq!(check(&store, "a").await, Ok(false), "a look claims nothing");
        claim(&store, "a").await.unwrap();
        claim(&store, "a").await.unwrap();
        assert_eq!(owner(&store).await, Ok(Some("a".to_owned())));
        let refused = claim(&store, "b").await.unwrap_err();
        assert_eq!(refused, OwnerError::Foreign { found: "a".into(), ours: "b".into() });
        assert!(refused.is_refusal());
    }

    #[tokio::test]
    async fn racing_clusters_do_not_both_get_a_store() {
        let store = MemoryStore::new();
        let (a, b) = tokio::join!(claim(&store, "a"), claim(&store, "b"));
        assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
    }

    #[tokio::test]
    async fn a_store_from_before_there_were_markers_is_its_own_clusters_alone() {
        let store = MemoryStore::new();
        store.put("old/topics/t/i/0/manifest/1", vec![]).await.unwrap();
        store.put("photos/2024/1.jpg", vec![]).await.unwrap();
        assert_eq!(claim(&store, "new").await, Err(OwnerError::Unmarked(vec!["old".into()])));
        claim(&store, "old").await.unwrap();
        assert_eq!(owner(&store).await, Ok(Some("old".to_owned())));
    }

    #[tokio::test]
    async fn each_restore_begins_a_life_and_those_before_it_are_past() {
        let store = MemoryStore::new();
        assert_eq!(newest_incarnation(&store, "a").await, Ok(0));
        assert_eq!(is_past(&store, "a", 0).await, Ok(false));
        for life in 1..=11 {
            assert_eq!(begin_incarnation(&store, "a").await, Ok(life));
            assert_eq!(is_past(&store, "a", life - 1).await, Ok(true));
            assert_eq!(is_past(&store, "a", life).await, Ok(false));
        }
        assert_eq!(newest_incarnation(&store, "a").await, Ok(11));
        assert_eq!(is_past(&store, "a", 0).await, Ok(true), "and stay so");
        assert_eq!(newest_incarnation(&store, "b").await, Ok(0), "another cluster's are its own");
    }

    #[tokio::test]
    async fn of_two_restores_at_once_one_begins_a_life() {
        let store = MemoryStore::new();
        store.put(&incarnation("a", 1), vec![]).await.unwrap();
        let taken = store.put_if_absent(&incarnation("a", 1), vec![]).await.unwrap_err();
        assert!(matches!(taken, StoreError::AlreadyExists { .. }));
        assert_eq!(begin_incarnation(&store, "a").await, Ok(2));
    }

    #[tokio::test]
    async fn a_damaged_marker_is_nobodys() {
        let store = MemoryStore::new();
        store.put(layout::OWNER, vec![Bytes::from_static(b"x")]).await.unwrap();
        let damaged = claim(&store, "a").await.unwrap_err();
        assert!(matches!(damaged, OwnerError::Damaged(_)) && !damaged.is_refusal(), "{damaged}");
        store.delete(layout::OWNER).await.unwrap();
        claim(&store, "a").await.unwrap();
        assert_eq!(owner(&store).await, Ok(Some("a".to_owned())), "as the error says");
    }
}
