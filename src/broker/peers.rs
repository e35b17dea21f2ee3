//! What brokers ask each other about transactions, on the metadata's control stream: JSON, a request and its answer.
//!
//! Leaders ask a transaction's coordinator whether a partition is part of it; coordinators ask leaders to write markers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::markers::{MarkerOutcome, Markers};
use super::transactions::{NotJoined, TransactionHost};
use crate::metadata::Metadata;
use crate::types::{BrokerId, ProducerEpoch, ProducerId, TopicName};

/// How long a broker waits for another one.
const LIMIT: Duration = Duration::from_secs(10);

/// A question to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PeerRequest {
    /// End a producer's transaction in partitions that you lead.
    WriteMarkers(MarkerRequest),
    /// Is this partition part of the transaction (and if not, may it become so)?
    Join(JoinRequest),
}

/// Markers of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MarkerRequest {
    pub(super) producer: ProducerId,
    pub(super) epoch: ProducerEpoch,
    pub(super) commit: bool,
    pub(super) coordinator_epoch: i32,
    /// The epoch is above that of the transaction.
    pub(super) bumped: bool,
    pub(super) partitions: Vec<(TopicName, i32)>,
}

/// A partition that a producer wants to write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JoinRequest {
    pub(super) id: String,
    pub(super) producer: ProducerId,
    pub(super) epoch: ProducerEpoch,
    pub(super) partition: (TopicName, i32),
    /// Adds the partition (transaction version 2), instead of only looking.
    pub(super) add: bool,
}

/// The answer to a [`PeerRequest`], in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PeerAnswer {
    /// In the order of the partitions.
    Markers(Vec<MarkerOutcome>),
    Joined(Result<(), NotJoined>),
}

/// Answers peers; cheap to clone.
#[derive(Clone)]
pub(super) struct Peers {
    pub(super) markers: Arc<Markers>,
    pub(super) transactions: TransactionHost,
}

impl Peers {
    pub(super) fn answer(&self, peer: BrokerId, request: &Bytes) -> BoxFuture<'static, Bytes> {
        let request = match serde_json::from_slice::<PeerRequest>(request) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%peer, %error, "a control request that this broker does not know");
                return Box::pin(std::future::ready(Bytes::new()));
            }
        };
        let this = self.clone();
        Box::pin(async move {
            let answer = match request {
                PeerRequest::WriteMarkers(request) => {
                    PeerAnswer::Markers(this.markers.write_here(&request).await)
                }
                PeerRequest::Join(request) => PeerAnswer::Joined(this.transactions.join_here(request).await),
            };
            serde_json::to_vec(&answer).map_or_else(|_| Bytes::new(), Bytes::from)
        })
    }
}

/// Asks a peer; `None` when it did not answer, or not in these words.
pub(super) async fn ask(metadata: &Metadata, peer: BrokerId, request: &PeerRequest) -> Option<PeerAnswer> {
    let body = serde_json::to_vec(request).ok()?;
    match metadata.call(peer, &body, LIMIT).await {
        Ok(answer) => serde_json::from_slice(&answer)
            .inspect_err(
                |error| tracing::warn!(%peer, %error, "an answer about a transaction is not understood"),
            )
            .ok(),
        Err(error) => {
            tracing::debug!(%peer, %error, "no answer about a transaction");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brokers of different versions speak these words with each other.
    #[test]
    fn the_words_between_brokers_stay() {
        let topic = || TopicName::new("t").unwrap();
        let markers = PeerRequest::WriteMarkers(MarkerRequest {
            producer: ProducerId(7),
            epoch: ProducerEpoch(3),
            commit: true,
            coordinator_epoch: 5,
            bumped: true,
            partitions: vec![(topic(), 1)],
        });
        let join = PeerRequest::Join(JoinRequest {
            id: "x".to_owned(),
            producer: ProducerId(7),
            epoch: ProducerEpoch(3),
            partition: (topic(), 1),
            add: false,
        });
        let written = PeerAnswer::Markers(vec![MarkerOutcome::Written, MarkerOutcome::Retry]);
        let refused = PeerAnswer::Joined(Err(NotJoined::NotInTransaction));
        let text = |value: &dyn erased::Text| value.text();
        for (value, golden) in [
            (
                text(&markers),
                r#"{"WriteMarkers":{"producer":7,"epoch":3,"commit":true,"coordinator_epoch":5,"bumped":true,"partitions":[["t",1]]}}"#,
            ),
            (text(&join), r#"{"Join":{"id":"x","producer":7,"epoch":3,"partition":["t",1],"add":false}}"#),
            (text(&written), r#"{"Markers":["Written","Retry"]}"#),
            (text(&refused), r#"{"Joined":{"Err":"NotInTransaction"}}"#),
        ] {
            assert_eq!(value, golden);
        }
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&markers)).unwrap(), markers);
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&join)).unwrap(), join);
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text(&refused)).unwrap(), refused);
    }

    mod erased {
        pub(super) trait Text {
            fn text(&self) -> String;
        }
        impl<T: serde::Serialize> Text for T {
            fn text(&self) -> String {
                serde_json::to_string(self).unwrap()
            }
        }
    }
}
