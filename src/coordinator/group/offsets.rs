//! Committed offsets: OffsetCommit, OffsetFetch, and their expiry.
//!
//! The offsets of a group with members do not expire while it is subscribed to their topics. Those of an empty group go `offsets.retention.minutes` after
//! it became empty, those of a group that never had members so long after each was committed (KIP-211), and those
//! whose client asked for a retention of its own when that is over.

use std::sync::Arc;

use super::join::MAX_NAME_BYTES;
use super::request::{
    Answer, CommitOffset, CommitOffsets, FetchOffsets, FetchedOffset, Now, Reply, RequestId,
};
use super::state::{Group, Phase};
use super::subscriptions::Subscriptions;
use super::{GroupError, GroupShard, Output, Step};
use crate::coordinator::record::{CommittedOffset, GroupId, Record};
use crate::types::{TopicId, TopicName};

/// A producer without a marker for so long is forgotten: a day, as `producer.id.expiration.ms`.
const SILENT_PRODUCER_MS: i64 = 86_400_000;

impl GroupShard {
    pub(super) fn commit(&mut self, id: RequestId, request: CommitOffsets, now: Now, out: &mut Output) {
        let group = request.member.group.clone();
        let mut refuse = |error| out.answers.push(Answer { id, after: 0, reply: Reply::Commit(Err(error)) });
        if group.len() > MAX_NAME_BYTES {
            return refuse(GroupError::NameTooLong);
        }
        if !self.groups.contains_key(&group) {
            if request.member.generation >= 0 {
                return refuse(GroupError::IllegalGeneration);
            }
            if let Err(error) = self.create(&group) {
                return refuse(error);
            }
        }
        self.with(&group, now, out, |group, step| match group {
            Some(group) => group.commit(id, request, step),
            None => step.answer(id, Reply::Commit(Err(GroupError::UnknownMember))),
        });
    }

    pub(super) fn fetch(&mut self, id: RequestId, request: &FetchOffsets, out: &mut Output) {
        let group = self.groups.get(&request.group);
        let (member, epoch) = &request.member;
        if let Some(consumer) = group.and_then(|g| g.consumer.as_ref())
            && let Err(error) = consumer.validate_fetch(member.as_deref(), *epoch)
        {
            return out.answers.push(Answer { id, after: 0, reply: Reply::Fetch(Err(error)) });
        }
        let fetched = match (&request.partitions, group) {
            (Some(wanted), _) => wanted
                .iter()
                .map(|(topic, topic_id, partition)| FetchedOffset {
                    topic: topic.clone(),
                    partition: *partition,
                    committed: group.and_then(|g| g.committed(topic, *topic_id, *partition)).cloned(),
                    unstable: request.require_stable
                        && group.is_some_and(|g| g.has_pending_offset(topic, *partition)),
                })
                .collect(),
            (None, Some(group)) => group.all_committed(request.require_stable),
            (None, None) => Vec::new(),
        };
        let after = group.map_or(self.removed_at, |g| g.last_write);
        out.answers.push(Answer { id, after, reply: Reply::Fetch(Ok(fetched)) });
    }

    /// Forgets what has expired, and the empty groups that have nothing left.
    pub(super) fn expire_offsets(&mut self, now: Now, out: &mut Output) {
        if !now.may_expire {
            return;
        }
        self.transactions.forget_before(now.wall_ms.saturating_sub(SILENT_PRODUCER_MS));
        let groups: Vec<GroupId> = self.groups.keys().cloned().collect();
        for id in groups {
            self.with(&id, now, out, |group, step| {
                if let Some(group) = group {
                    group.expire_offsets(step);
                }
            });
        }
    }

    pub(super) fn forget_topics(&mut self, id: RequestId, topics: &[TopicName], now: Now, out: &mut Output) {
        let groups: Vec<GroupId> = self
            .groups
            .iter()
            .filter(|(_, group)| topics.iter().any(|t| group.offsets.contains_key(t)))
            .map(|(id, _)| id.clone())
            .collect();
        for id in groups {
            self.with(&id, now, out, |group, step| {
                if let Some(group) = group {
                    group.forget_offsets(|topic, _| topics.contains(topic), step);
                }
            });
        }
        out.answers.push(Answer { id, after: self.decided, reply: Reply::TopicsDeleted });
    }
}

impl Group {
    fn commit(&mut self, id: RequestId, request: CommitOffsets, step: &mut Step<'_>) {
        if let Err(error) = self.validate_commit(&request) {
            return step.answer(id, Reply::Commit(Err(error)));
        }
        // A commit is a sign of life.
        self.touch(&request.member.member_id, step);
        let expires = request.retention_ms.map(|r| step.now.wall_ms.saturating_add(r.max(0)));
        let mut after = 0;
        let mut results = Vec::with_capacity(request.offsets.len());
        for commit in request.offsets {
            let result = check_commit(&commit, step);
            if result.is_ok() {
                let record = self.offset_record(commit, expires, step.now);
                after = step.write(self, record);
            }
            results.push(result);
        }
        step.answer_after(id, after, Reply::Commit(Ok(results)));
    }

    fn validate_commit(&self, request: &CommitOffsets) -> Result<(), GroupError> {
        let member = &request.member;
        if let Some(consumer) = &self.consumer {
            let places = request.offsets.iter().map(|o| (o.topic_id, o.partition));
            consumer.validate_commit(&member.member_id, member.generation, places)?;
            let is_new = member.generation >= 0 && consumer.is_of_the_protocol(&member.member_id);
            return if is_new && !request.knows_epochs { Err(GroupError::VersionTooOld) } else { Ok(()) };
        }
        if member.generation < 0 && self.phase == Phase::Empty {
            // An admin client, or a consumer that assigns its partitions itself.
            return Ok(());
        }
        let names_itself =
            member.generation >= 0 || !member.member_id.is_empty() || member.instance_id.is_some();
        if !names_itself {
            return Err(GroupError::UnknownMember);
        }
        self.validate_generation(member)?;
        if self.phase == Phase::Completing {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    pub(super) fn offset_record(&self, commit: CommitOffset, expires: Option<i64>, now: Now) -> Record {
        let value = CommittedOffset {
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: Arc::from(commit.metadata),
            commit_timestamp_ms: now.wall_ms,
            expire_timestamp_ms: expires,
            topic_id: commit.topic_id,
        };
        Record::Offset {
            group: self.id.clone(),
            topic: commit.topic,
            partition: commit.partition,
            value: Some(value),
        }
    }

    /// What was committed; not for a topic of the same name that is another one (KIP-516).
    fn committed(&self, topic: &TopicName, topic_id: TopicId, partition: i32) -> Option<&CommittedOffset> {
        let known = |id: TopicId| id != TopicId::ZERO;
        self.offsets
            .get(topic)?
            .get(&partition)
            .filter(|c| !known(c.topic_id) || !known(topic_id) || c.topic_id == topic_id)
    }

    fn all_committed(&self, require_stable: bool) -> Vec<FetchedOffset> {
        let each = |topic: &TopicName, partition: i32, committed: &CommittedOffset| FetchedOffset {
            topic: topic.clone(),
            partition,
            committed: Some(committed.clone()),
            unstable: require_stable && self.has_pending_offset(topic, partition),
        };
        self.offsets
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |(p, c)| each(topic, *p, c)))
            .collect()
    }

    fn expire_offsets(&mut self, step: &mut Step<'_>) {
        let now_ms = step.now.wall_ms;
        let retention_ms = i64::try_from(step.config.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let is_empty = self.is_vacant();
        let subscriptions = self.subscriptions();
        let may_expire =
            is_empty || self.state_name() == "Stable" && matches!(subscriptions, Subscriptions::To(_));
        if !may_expire {
            return;
        }
        let empty_since =
            Some(self.state_timestamp_ms).filter(|ms| is_empty && self.protocol_type.is_some() && *ms >= 0);
        let expired = |c: &CommittedOffset| match c.expire_timestamp_ms {
            Some(at) => at <= now_ms,
            None => now_ms.saturating_sub(empty_since.unwrap_or(c.commit_timestamp_ms)) >= retention_ms,
        };
        self.forget_offsets(|topic, c| !subscriptions.has(topic) && expired(c), step);
        let is_kept = self.stored.is_some() || self.consumer.is_some();
        if is_empty && self.offsets.is_empty() && self.pending_offsets.is_empty() && is_kept {
            self.forget_group(step);
        }
    }

    /// Forgets committed offsets, except those that an open transaction may change.
    pub(super) fn forget_offsets(
        &mut self,
        which: impl Fn(&TopicName, &CommittedOffset) -> bool,
        step: &mut Step<'_>,
    ) {
        let gone: Vec<(TopicName, i32)> = self
            .offsets
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |(p, c)| (topic, *p, c)))
            .filter(|(topic, _, committed)| which(topic, committed))
            .filter(|(topic, partition, _)| !self.has_pending_offset(topic, *partition))
            .map(|(topic, partition, _)| (topic.clone(), partition))
            .collect();
        for (topic, partition) in gone {
            let record = Record::Offset { group: self.id.clone(), topic, partition, value: None };
            step.write(self, record);
        }
    }

    /// Writes the tombstone of an empty group.
    pub(super) fn forget_group(&mut self, step: &mut Step<'_>) {
        self.forget_consumer_group(step);
        if self.stored.is_some() {
            step.write(self, Record::Group { group: self.id.clone(), value: None });
        }
        self.generation = 0;
        self.protocol_type = None;
    }
}

pub(super) fn check_commit(commit: &CommitOffset, step: &Step<'_>) -> Result<(), GroupError> {
    // The record keeps the text with a length of 16 bits.
    let most = step.config.max_offset_metadata_bytes.min(i16::MAX as usize);
    if commit.metadata.len() > most {
        return Err(GroupError::OffsetMetadataTooLarge);
    }
    Ok(())
}
