//! Consumer groups and their offsets, asked of whoever coordinates them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};

use super::{Client, check};
use crate::types::TopicId;
use crate::wire::messages::find_coordinator::FindCoordinatorRequest;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use crate::wire::{ErrorCode, Request, StrBytes};

/// What has a coordinator, by Kafka's number.
#[derive(Clone, Copy, Debug)]
pub enum Coordinated {
    /// A consumer group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

impl Client {
    /// Looks for a coordinator: the broker, or why there is none now.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn coordinator(&mut self, of: Coordinated, name: &str) -> Result<Result<i32, ErrorCode>> {
        let wanted = FindCoordinatorRequest {
            key_type: of as i8,
            // Their place since version 4, which every broker speaks that speaks to us.
            coordinator_keys: vec![StrBytes::from(name)],
            ..FindCoordinatorRequest::default()
        };
        let found = self.ask_any(&wanted).await?;
        let (code, node) = match found.coordinators.first() {
            Some(one) => (one.error_code, one.node_id),
            None => (found.error_code, found.node_id),
        };
        Ok(if code == ErrorCode::NONE { Ok(node) } else { Err(code) })
    }

    /// Asks the coordinator of a group.
    ///
    /// # Errors
    /// When there is none now, or it does not answer.
    pub async fn ask_coordinator<R: Request>(&mut self, group: &str, request: &R) -> Result<R::Response> {
        match self.coordinator(Coordinated::Group, group).await? {
            Ok(node) => self.ask_broker(node, request).await,
            Err(code) => Err(anyhow!("{code}")).with_context(|| format!("the coordinator of group {group}")),
        }
    }

    /// The names of topics by their ids.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn topic_names(&mut self) -> Result<BTreeMap<TopicId, String>> {
        let topics = self.metadata(None).await?.topics;
        let named = |topic: crate::wire::messages::metadata::MetadataResponseTopic| {
            Some((topic.topic_id, topic.name?.to_string()))
        };
        Ok(topics.into_iter().filter_map(named).collect())
    }

    /// What a group has committed, by topic and partition.
    ///
    /// # Errors
    /// What the coordinator answers.
    pub async fn committed(&mut self, group: &str) -> Result<BTreeMap<(String, i32), i64>> {
        let names = self.topic_names().await?;
        let request = OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: StrBytes::from(group),
                member_epoch: -1,
                topics: None,
                ..OffsetFetchRequestGroup::default()
            }],
            ..OffsetFetchRequest::default()
        };
        let response = self.ask_coordinator(group, &request).await?;
        let Some(found) = response.groups.into_iter().next() else { bail!("the broker left the group out") };
        check(found.error_code, None).with_context(|| format!("offsets of group {group}"))?;
        let mut offsets = BTreeMap::new();
        for topic in found.topics {
            let name = if topic.name.is_empty() {
                names.get(&topic.topic_id).cloned().unwrap_or_else(|| topic.topic_id.to_string())
            } else {
                topic.name.to_string()
            };
            for p in topic.partitions.iter().filter(|p| p.committed_offset >= 0) {
                offsets.insert((name.clone(), p.partition_index), p.committed_offset);
            }
        }
        Ok(offsets)
    }

    /// Commits offsets for a group that has no members.
    ///
    /// # Errors
    /// What the coordinator answers; a group with members is named as such.
    pub async fn commit(&mut self, group: &str, offsets: &BTreeMap<(String, i32), i64>) -> Result<()> {
        let names = self.topic_names().await?;
        let ids: BTreeMap<&str, TopicId> = names.iter().map(|(id, name)| (name.as_str(), *id)).collect();
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for ((topic, partition), offset) in offsets {
            topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(StrBytes::default()),
            });
        }
        let topic =
            |(name, partitions): (&str, Vec<OffsetCommitRequestPartition>)| OffsetCommitRequestTopic {
                name: StrBytes::from(name),
                topic_id: ids.get(name).copied().unwrap_or(TopicId::ZERO),
                partitions,
            };
        let request = OffsetCommitRequest {
            group_id: StrBytes::from(group),
            generation_id_or_member_epoch: -1,
            topics: topics.into_iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        };
        let response = self.ask_coordinator(group, &request).await?;
        for p in response.topics.iter().flat_map(|topic| &topic.partitions) {
            if matches!(p.error_code, ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION) {
                bail!("group {group} has members: stop its consumers first");
            }
            check(p.error_code, None).with_context(|| format!("partition {}", p.partition_index))?;
        }
        Ok(())
    }
}
