//! What brokers ask each other about transactions, where they stand, and what they have on its way to the store, on the metadata's
//! control stream: JSON, a request and its answer.
//!
//! Leaders ask a transaction's coordinator whether a partition is part of it; coordinators ask leaders to write markers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::markers::{MarkerOutcome, Markers};
use super::standing::{
    Asked, GroupStanding, LocalCopy, Standing, copies_here, groups_here, offsets_partitions, standings_here,
};
use super::tier::{AtWork, CutAnswer, CutRequest, CutSteps};
use super::transactions::{NotJoined, TransactionHost};
use crate::metadata::Metadata;
use crate::types::{BrokerId, Decision, LeaderEpoch, ProducerEpoch, ProducerId, TopicId, TopicName};

/// How long a broker waits for another one.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// A question to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PeerRequest {
    /// End a producer's transaction in partitions that you lead.
    WriteMarkers(MarkerRequest),
    /// Is this partition part of the transaction (and if not, may it become so)?
    Join(JoinRequest),
    /// Where do these partitions stand that you lead?
    Stand(Vec<Asked>),
    /// Which groups do you coordinate?
    Groups,
    /// What do these replicas have on your disks?
    Copies(Vec<(TopicId, i32)>),
    /// Have you heard that these topics are deleted, and is nothing of them on its way from you to the store?
    AreQuiet(Vec<TopicId>),
    /// Take your part in a cut.
    Cut(CutRequest),
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
    /// The coordinator's number of the decision. Without one (an administrator's, or an older broker's) markers are written as
    /// often as they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) decision: Option<u64>,
    /// The leader epochs in which the partitions are asked, in their order; with a `decision` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) leader_epochs: Vec<LeaderEpoch>,
}

impl MarkerRequest {
    /// Which decision the marker of the partition at a place carries out.
    pub(super) fn decision_at(&self, place: usize) -> Option<Decision> {
        Some(Decision { leader_epoch: *self.leader_epochs.get(place)?, number: self.decision? })
    }
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
    /// In the order of the partitions; nothing of those that are led elsewhere.
    Standings(Vec<Option<Standing>>),
    Groups(Vec<GroupStanding>),
    /// In the order of the replicas; nothing of those that are not there.
    Copies(Vec<Option<LocalCopy>>),
    /// In the order of the topics.
    AreQuiet(Vec<bool>),
    Cut(CutAnswer),
}

/// Answers peers; cheap to clone.
#[derive(Clone)]
pub(super) struct Peers {
    pub(super) markers: Arc<Markers>,
    pub(super) transactions: TransactionHost,
    /// What is on its way to the store; nothing ever where there is none.
    pub(super) at_work: Arc<AtWork>,
    /// This broker's part in cuts.
    pub(super) cuts: Arc<CutSteps>,
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
                PeerRequest::Stand(asked) => {
                    let (replicas, clock) = (&this.markers.replicas, &this.markers.env.clock);
                    PeerAnswer::Standings(standings_here(replicas, clock, asked).await)
                }
                PeerRequest::AreQuiet(topics) => {
                    let image = this.markers.metadata.image();
                    PeerAnswer::AreQuiet(this.at_work.are_quiet(&image, &topics))
                }
                PeerRequest::Copies(asked) => PeerAnswer::Copies(copies_here(&this.markers.replicas, &asked)),
                PeerRequest::Cut(request) => PeerAnswer::Cut(this.cuts.answer(request).await),
                PeerRequest::Groups => {
                    let partitions = offsets_partitions(&this.markers.metadata.image());
                    PeerAnswer::Groups(groups_here(&this.markers.groups, partitions).await)
                }
            };
            serde_json::to_vec(&answer).map_or_else(|_| Bytes::new(), Bytes::from)
        })
    }
}

/// Asks a peer; `None` when it did not answer, or not in these words.
pub(super) async fn ask(metadata: &Metadata, peer: BrokerId, request: &PeerRequest) -> Option<PeerAnswer> {
    ask_within(metadata, peer, request, LIMIT).await
}

/// The same with another limit.
pub(super) async fn ask_within(
    metadata: &Metadata,
    peer: BrokerId,
    request: &PeerRequest,
    limit: Duration,
) -> Option<PeerAnswer> {
    let body = serde_json::to_vec(request).ok()?;
    match metadata.call(peer, &body, limit).await {
        Ok(answer) => serde_json::from_slice(&answer)
            .inspect_err(|error| tracing::warn!(%peer, %error, "an answer between brokers is not understood"))
            .ok(),
        Err(error) => {
            tracing::debug!(%peer, %error, "no answer between brokers");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::tier::{CutMark, PartitionMark, PartsBackup};

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
            decision: None,
            leader_epochs: Vec::new(),
        });
        let mut decided = markers.clone();
        if let PeerRequest::WriteMarkers(request) = &mut decided {
            (request.decision, request.leader_epochs) = (Some(9), vec![LeaderEpoch(4)]);
        }
        let join = PeerRequest::Join(JoinRequest {
            id: "x".to_owned(),
            producer: ProducerId(7),
            epoch: ProducerEpoch(3),
            partition: (topic(), 1),
            add: false,
        });
        let written = PeerAnswer::Markers(vec![MarkerOutcome::Written, MarkerOutcome::Retry]);
        let refused = PeerAnswer::Joined(Err(NotJoined::NotInTransaction));
        let stand = PeerRequest::Stand(vec![(topic(), 1, Some(5)), (topic(), 2, None)]);
        let standing = Standing {
            log_start: 1,
            local_start: 2,
            tier_end: Some(3),
            open_segment: 4,
            last_stable: 5,
            high_watermark: 6,
            log_end: 7,
            local_bytes: 8,
            followers: vec![(BrokerId(2), 7, 0)],
            age_ms: Some(9),
        };
        let standings = PeerAnswer::Standings(vec![Some(standing), None]);
        let group = GroupStanding {
            group: "g".to_owned(),
            state: "Stable".to_owned(),
            protocol_type: "consumer".to_owned(),
            members: vec![("m".to_owned(), "c".to_owned(), "h".to_owned())],
            offsets: vec![(topic(), 0, 4)],
        };
        let groups = PeerAnswer::Groups(vec![group]);
        let copies = PeerRequest::Copies(vec![(TopicId::from_bytes([1; 16]), 2)]);
        let copy = LocalCopy { start: 3, end: 4, is_tiered: false };
        let told = PeerAnswer::Copies(vec![Some(copy), None]);
        let are_quiet = PeerRequest::AreQuiet(vec![TopicId::from_bytes([1; 16])]);
        let quiet = PeerAnswer::AreQuiet(vec![true, false]);
        let cut = |request| PeerRequest::Cut(request);
        let hold = cut(CutRequest::Hold { cut: 7, for_ms: 2000 });
        let marks = cut(CutRequest::Marks { topics: vec![TopicId::from_bytes([1; 16])], wait_ms: 5 });
        let write = cut(CutRequest::Write { cut: 7, keys: vec!["k".to_owned()] });
        let mark = PartitionMark {
            topic: TopicId::from_bytes([1; 16]),
            partition: 2,
            leader_epoch: 3,
            mark: CutMark { offset: 9, epoch: 2, tier_end: 4 },
            epochs: vec![(2, 0)],
        };
        let marked = PeerAnswer::Cut(CutAnswer::Marks(vec![mark]));
        let groups_of = PeerAnswer::Cut(CutAnswer::Groups(PartsBackup::default()));
        let text = |value: &dyn erased::Text| value.text();
        for (value, golden) in [
            (
                text(&markers),
                r#"{"WriteMarkers":{"producer":7,"epoch":3,"commit":true,"coordinator_epoch":5,"bumped":true,"partitions":[["t",1]]}}"#,
            ),
            (
                text(&decided),
                r#"{"WriteMarkers":{"producer":7,"epoch":3,"commit":true,"coordinator_epoch":5,"bumped":true,"partitions":[["t",1]],"decision":9,"leader_epochs":[4]}}"#,
            ),
            (text(&join), r#"{"Join":{"id":"x","producer":7,"epoch":3,"partition":["t",1],"add":false}}"#),
            (text(&written), r#"{"Markers":["Written","Retry"]}"#),
            (text(&refused), r#"{"Joined":{"Err":"NotInTransaction"}}"#),
            (text(&stand), r#"{"Stand":[["t",1,5],["t",2,null]]}"#),
            (text(&PeerRequest::Groups), r#""Groups""#),
            (text(&copies), r#"{"Copies":[["01010101-0101-0101-0101-010101010101",2]]}"#),
            (text(&told), r#"{"Copies":[{"start":3,"end":4,"is_tiered":false},null]}"#),
            (text(&are_quiet), r#"{"AreQuiet":["01010101-0101-0101-0101-010101010101"]}"#),
            (text(&quiet), r#"{"AreQuiet":[true,false]}"#),
            (
                text(&standings),
                r#"{"Standings":[{"log_start":1,"local_start":2,"tier_end":3,"open_segment":4,"last_stable":5,"high_watermark":6,"log_end":7,"local_bytes":8,"followers":[[2,7,0]],"age_ms":9},null]}"#,
            ),
            (text(&hold), r#"{"Cut":{"Hold":{"cut":7,"for_ms":2000}}}"#),
            (text(&cut(CutRequest::Groups { cut: 7 })), r#"{"Cut":{"Groups":{"cut":7}}}"#),
            (
                text(&marks),
                r#"{"Cut":{"Marks":{"topics":["01010101-0101-0101-0101-010101010101"],"wait_ms":5}}}"#,
            ),
            (text(&cut(CutRequest::LetGo { cut: 7 })), r#"{"Cut":{"LetGo":{"cut":7}}}"#),
            (text(&write), r#"{"Cut":{"Write":{"cut":7,"keys":["k"]}}}"#),
            (text(&PeerAnswer::Cut(CutAnswer::Held(vec![(1, 5)]))), r#"{"Cut":{"Held":[[1,5]]}}"#),
            (text(&groups_of), r#"{"Cut":{"Groups":{"parts":[]}}}"#),
            (
                text(&marked),
                r#"{"Cut":{"Marks":[{"topic":"01010101-0101-0101-0101-010101010101","partition":2,"leader_epoch":3,"mark":{"offset":9,"epoch":2,"tier_end":4},"epochs":[[2,0]]}]}}"#,
            ),
            (text(&PeerAnswer::Cut(CutAnswer::Written)), r#"{"Cut":"Written"}"#),
            (text(&PeerAnswer::Cut(CutAnswer::Refused("x".to_owned()))), r#"{"Cut":{"Refused":"x"}}"#),
            (
                text(&groups),
                r#"{"Groups":[{"group":"g","state":"Stable","protocol_type":"consumer","members":[["m","c","h"]],"offsets":[["t",0,4]]}]}"#,
            ),
        ] {
            assert_eq!(value, golden);
        }
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&markers)).unwrap(), markers);
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&decided)).unwrap(), decided);
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&join)).unwrap(), join);
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text(&refused)).unwrap(), refused);
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&stand)).unwrap(), stand);
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text(&standings)).unwrap(), standings);
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text(&groups)).unwrap(), groups);
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&copies)).unwrap(), copies);
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&write)).unwrap(), write);
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text(&marked)).unwrap(), marked);
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text(&told)).unwrap(), told);
        assert_eq!(serde_json::from_str::<PeerRequest>(&text(&are_quiet)).unwrap(), are_quiet);
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text(&quiet)).unwrap(), quiet);
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
