//! A cut: where every tiered partition and every group stood at one moment that no transaction straddles, so that a cluster which is
//! restored to it is one that has been.
//!
//! ```text
//! <cluster>/cluster/cuts/<number>                   marks of all tiered partitions, parts of all groups
//! <cluster>/cluster/cut-parts/<broker>/<SHA-256>    a line of JSON for each group, as in `parts`
//!
//! hold   each transaction coordinator decides nothing more, and waits until what it has decided is complete
//! groups each group coordinator writes its groups
//! marks  each leader names its high watermark
//! go on  every coordinator says that it has held all the while; only then the cut is written
//! ```
//! After a transaction's decision all its markers lie below the marks, before it none: what is open at a mark was open everywhere. Groups
//! come before the marks, so that what a consumer had read or written before it committed lies below them.
//! A cut can be restored once the tier of each partition has passed its mark.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use tiering::layout::PartitionFolder;
use tiering::store::Store;

use super::parts::{Kept, Later, PartError, PartWriter, PartsBackup, Source};
use crate::coordinator::Coordinators;
use crate::metadata::Image;
use crate::types::BrokerId;

/// Where a partition ends in a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutMark {
    /// The high watermark; always between two batches.
    pub offset: i64,
    /// The epoch of the batch before it; −1 for an empty log.
    pub epoch: i32,
    /// Up to where the tier was published at that moment; −1 for nothing.
    pub tier_end: i64,
}

/// A topic in a cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutTopic {
    /// Its name.
    pub name: String,
    /// By partition.
    pub marks: Vec<CutMark>,
}

/// A cut, as it is in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutBackup {
    /// The cluster.
    pub cluster_id: String,
    /// When it was taken, in milliseconds since the epoch.
    pub taken_ms: i64,
    /// The tiered topics, by their ids as text.
    pub topics: BTreeMap<String, CutTopic>,
    /// The groups.
    pub groups: PartsBackup,
}

/// The groups that a broker coordinates, as parts of a cut. They are in the store once the bodies that come with them are written.
pub(in crate::broker::tier) async fn groups_for_cut(
    store: &dyn Store,
    coordinators: &Coordinators,
    image: &Image,
    broker: BrokerId,
) -> Result<(PartsBackup, Later), PartError> {
    let directories = image.brokers.get(&broker).map(|broker| &broker.directories);
    let directory = directories.and_then(|all| all.iter().min().copied());
    let (cluster_id, broker) = (&image.cluster_id, broker.to_string());
    let mut writer = PartWriter {
        folder: PartitionFolder::cut_parts_of(cluster_id, &broker),
        later: Some(Later::default()),
        ..PartWriter::new(store, Kept::Groups, cluster_id, (&broker, directory), None)
    };
    let partitions = writer.write_all(Source::Groups(coordinators), image).await?;
    let later = writer.later.take().unwrap_or_default();
    Ok((writer.finish(partitions.unwrap_or(0)), later))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"cluster_id":"c","taken_ms":5,"topics":{"AAAAAAAAAAAAAAAAAAAAAQ":{"name":"t","marks":[{"offset":9,"epoch":2,"tier_end":4}]}},"groups":{"parts":[]}}"#;

    #[test]
    fn the_words_of_a_cut_stay() {
        let cut: CutBackup = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(serde_json::to_string(&cut).unwrap(), GOLDEN);
    }
}
