//! OffsetFetch (9), versions 1–10: where groups have got to.
//!
//! Up to version 7 for one group, from 8 for several; no list of topics means all that is committed (from version
//! 2). A partition without a committed offset answers −1 and no error. From version 10 topics are named by id; what
//! was committed in a former topic of the same name is not an offset of this one. With
//! `RequireStable` (version 7, KIP-447) an offset that an open transaction may change is refused. With a member
//! id and epoch (version 9, KIP-848) only that member of a group of the consumer protocol is answered.
//!
//! Errors: of the group 14, 15, 16 · 22, 25, 113 · 30 (per partition in version 1) · per partition 29 · 88 · 100 in version 10.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::Context;
use super::groups::{ask, code, text};
use crate::coordinator::group::{FetchOffsets, FetchedOffset};
use crate::metadata::{AclOperation, Image, ResourceKind};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicName};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::{ErrorCode, StrBytes};

pub(super) async fn handle(
    context: &Context,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if version >= 8 {
        let stable = request.require_stable;
        let groups = request.groups.into_iter().map(|group| fetch(context, version, group, stable));
        return OffsetFetchResponse { groups: join_all(groups).await, ..OffsetFetchResponse::default() };
    }
    let topics = request.topics.map(|topics| {
        let by_name =
            |t: crate::wire::messages::offset_fetch::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
                name: t.name,
                topic_id: TopicId::ZERO,
                partition_indexes: t.partition_indexes,
            };
        topics.into_iter().map(by_name).collect()
    });
    let group =
        OffsetFetchRequestGroup { group_id: request.group_id, member_id: None, member_epoch: -1, topics };
    let fetched = fetch(context, version, group, request.require_stable).await;
    let topics = fetched.topics.into_iter().map(|t| OffsetFetchResponseTopic {
        name: t.name,
        partitions: t
            .partitions
            .into_iter()
            .map(|p| OffsetFetchResponsePartition {
                partition_index: p.partition_index,
                committed_offset: p.committed_offset,
                committed_leader_epoch: p.committed_leader_epoch,
                metadata: p.metadata,
                error_code: p.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: fetched.error_code,
        ..OffsetFetchResponse::default()
    }
}

async fn fetch(
    context: &Context,
    version: i16,
    request: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let image = context.broker.image();
    let may = |name: &str| context.may_quietly(AclOperation::Describe, ResourceKind::Topic, name);
    let see = Seen { image: &image, version, may: &may };
    let fetched = match context.check(AclOperation::Describe, ResourceKind::Group, &request.group_id) {
        Err(denied) => Err(denied),
        Ok(()) => {
            let partitions = request.topics.as_ref().map(|topics| see.wanted(topics));
            let question = FetchOffsets {
                group: (&*request.group_id).into(),
                partitions,
                member: (request.member_id.as_ref().map(text), request.member_epoch),
                require_stable,
            };
            ask(&context.broker, &request.group_id, question).await.map_err(|error| code(&error))
        }
    };
    match fetched {
        Ok(fetched) => OffsetFetchResponseGroup {
            topics: match &request.topics {
                Some(topics) => see.named(topics, fetched),
                None => see.all(fetched),
            },
            group_id: request.group_id,
            error_code: ErrorCode::NONE,
        },
        Err(error) => {
            // Version 1 has no place for the group's error.
            let per_partition = |t: OffsetFetchRequestTopics| OffsetFetchResponseTopics {
                name: t.name,
                topic_id: t.topic_id,
                partitions: t.partition_indexes.iter().map(|p| none(*p, error)).collect(),
            };
            let topics = request.topics.filter(|_| version < 2).unwrap_or_default();
            OffsetFetchResponseGroup {
                group_id: request.group_id,
                topics: topics.into_iter().map(per_partition).collect(),
                error_code: error,
            }
        }
    }
}

/// What the client may see of the topics.
struct Seen<'a> {
    image: &'a Image,
    version: i16,
    may: &'a (dyn Fn(&str) -> bool + Sync),
}

impl Seen<'_> {
    /// The topic that a request means, if it can exist and may be described.
    fn resolve(&self, topic: &OffsetFetchRequestTopics) -> Result<(TopicName, TopicId), ErrorCode> {
        if self.version >= 10 {
            let topic = self.image.topic_by_id(topic.topic_id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
            self.check(topic.name.as_str())?;
            return Ok((topic.name.clone(), topic.id));
        }
        self.check(&topic.name)?;
        // What cannot exist has no offset.
        let name = TopicName::new(&topic.name).map_err(|_| ErrorCode::NONE)?;
        let id = self.image.topics.get(&name).map_or(TopicId::ZERO, |t| t.id);
        Ok((name, id))
    }

    fn check(&self, name: &str) -> Result<(), ErrorCode> {
        if (self.may)(name) { Ok(()) } else { Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED) }
    }

    fn wanted(&self, topics: &[OffsetFetchRequestTopics]) -> Vec<(TopicName, TopicId, i32)> {
        topics
            .iter()
            .filter_map(|t| self.resolve(t).ok().map(|resolved| (resolved, &t.partition_indexes)))
            .flat_map(|((name, id), partitions)| partitions.iter().map(move |p| (name.clone(), id, *p)))
            .collect()
    }

    /// In the order of the request; `fetched` has what [`Seen::wanted`] asked for, in the same order.
    fn named(
        &self,
        topics: &[OffsetFetchRequestTopics],
        fetched: Vec<FetchedOffset>,
    ) -> Vec<OffsetFetchResponseTopics> {
        let mut fetched = fetched.into_iter();
        topics
            .iter()
            .map(|topic| {
                let resolved = self.resolve(topic);
                let partitions = topic.partition_indexes.iter().map(|p| match &resolved {
                    Err(error) => none(*p, *error),
                    Ok(_) => fetched.next().map_or_else(|| none(*p, ErrorCode::NONE), partition),
                });
                OffsetFetchResponseTopics {
                    partitions: partitions.collect(),
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                }
            })
            .collect()
    }

    /// All that is committed, by topic; where topics go by id, those that are gone have none.
    fn all(&self, fetched: Vec<FetchedOffset>) -> Vec<OffsetFetchResponseTopics> {
        let mut topics: BTreeMap<TopicName, Vec<OffsetFetchResponsePartitions>> = BTreeMap::new();
        for offset in fetched {
            topics.entry(offset.topic.clone()).or_default().push(partition(offset));
        }
        topics
            .into_iter()
            .filter(|(name, _)| (self.may)(name.as_str()))
            .filter_map(|(name, partitions)| {
                let topic_id = self.image.topics.get(&name).map_or(TopicId::ZERO, |t| t.id);
                let can_be_named = self.version < 10 || topic_id != TopicId::ZERO;
                can_be_named.then(|| OffsetFetchResponseTopics {
                    name: StrBytes::from(name.as_str()),
                    topic_id,
                    partitions,
                })
            })
            .collect()
    }
}

fn partition(fetched: FetchedOffset) -> OffsetFetchResponsePartitions {
    if fetched.unstable {
        return none(fetched.partition, ErrorCode::UNSTABLE_OFFSET_COMMIT);
    }
    let Some(committed) = fetched.committed else { return none(fetched.partition, ErrorCode::NONE) };
    OffsetFetchResponsePartitions {
        partition_index: fetched.partition,
        committed_offset: committed.offset.0,
        committed_leader_epoch: committed.leader_epoch.0,
        metadata: Some(StrBytes::from(&*committed.metadata)),
        error_code: ErrorCode::NONE,
    }
}

fn none(partition: i32, error_code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: partition,
        committed_offset: Offset::NONE.0,
        committed_leader_epoch: LeaderEpoch::NONE.0,
        metadata: Some(StrBytes::default()),
        error_code,
    }
}
