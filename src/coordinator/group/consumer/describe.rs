//! ConsumerGroupDescribe: a group of the consumer protocol in full.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::request::{Answer, Reply, RequestId};
use super::super::{GroupError, GroupShard, Output};
use super::ConsumerGroup;
use crate::coordinator::config::GroupConfig;
use crate::coordinator::consumer_record::Partitions;
use crate::coordinator::record::GroupId;
use crate::coordinator::topics::TopicCatalog;
use crate::types::{TopicId, TopicName};

/// Asks for one group in full.
#[derive(Debug, Clone)]
pub struct DescribeConsumerGroup {
    /// The group.
    pub group: GroupId,
    /// The topics of the cluster; put in by the runtime.
    pub catalog: Arc<TopicCatalog>,
}

/// Partitions with their topic's name.
pub type NamedPartitions = Vec<(TopicId, TopicName, BTreeSet<i32>)>;

/// A group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerDescription {
    /// Kafka's name of its state.
    pub state: &'static str,
    /// The group epoch.
    pub epoch: i32,
    /// The epoch that the target was made for.
    pub target_epoch: i32,
    /// The assignor in use.
    pub assignor: &'static str,
    /// Its members.
    pub members: Vec<ConsumerMemberDescription>,
}

/// A member in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerMemberDescription {
    /// Its id.
    pub member_id: String,
    /// Its static id.
    pub instance_id: Option<String>,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// The client's name for itself.
    pub client_id: String,
    /// The address it came from.
    pub client_host: String,
    /// Topics that it names.
    pub topics: BTreeSet<String>,
    /// The regular expression of topics that it names.
    pub regex: Option<String>,
    /// What it has, with what it is still to give back.
    pub assignment: NamedPartitions,
    /// What it shall have.
    pub target: NamedPartitions,
    /// It speaks the classic protocol.
    pub is_classic: bool,
}

impl GroupShard {
    pub(in super::super) fn describe_consumer(
        &mut self,
        id: RequestId,
        request: &DescribeConsumerGroup,
        out: &mut Output,
    ) {
        self.see(&request.catalog);
        let group = self.groups.get(&request.group);
        let (after, result) = match group.map(|g| (g.last_write, &g.consumer)) {
            Some((after, Some(consumer))) => (after, Ok(consumer.describe(&self.config, &self.topics))),
            Some((_, None)) => (0, Err(GroupError::OtherProtocol)),
            None => (self.removed_at, Err(GroupError::GroupNotFound)),
        };
        out.answers.push(Answer { id, after, reply: Reply::ConsumerDescribe(result) });
    }
}

impl ConsumerGroup {
    fn describe(&self, config: &GroupConfig, catalog: &TopicCatalog) -> ConsumerDescription {
        let named = |partitions: &Partitions| -> NamedPartitions {
            let of_topic =
                |(id, p): (&TopicId, &BTreeSet<i32>)| Some((*id, catalog.name(*id)?.clone(), p.clone()));
            partitions.iter().filter_map(of_topic).collect()
        };
        let memory = &self.memory;
        let members = memory.members.iter().map(|(id, m)| ConsumerMemberDescription {
            member_id: id.clone(),
            instance_id: m.metadata.instance_id.clone(),
            rack_id: m.metadata.rack_id.clone(),
            epoch: m.current.epoch,
            client_id: m.metadata.client_id.clone(),
            client_host: m.metadata.client_host.clone(),
            topics: m.metadata.topics.clone(),
            regex: m.metadata.regex.clone(),
            assignment: named(&m.current.holds()),
            target: named(&m.target),
            is_classic: m.metadata.classic.is_some(),
        });
        ConsumerDescription {
            state: self.state(),
            epoch: memory.group.epoch,
            target_epoch: memory.target.epoch,
            assignor: memory.preferred_assignor(config).name(),
            members: members.collect(),
        }
    }
}
