//! The group epoch, the target assignment made for it, and the members' way there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::request::Now;
use super::super::state::Group;
use super::super::{GroupError, GroupShard, GroupTask, Output, Step};
use super::assignors::{Assignor, Subscriber};
use super::pattern::{REFRESH, ResolvePatterns, ResolvedPatterns};
use super::{Alarm, ConsumerGroup, Memory};
use crate::coordinator::config::GroupConfig;
use crate::coordinator::consumer_record::{
    ConsumerRecord, GroupEpoch, MemberState, Partitions, ResolvedRegex, TargetEpoch, partitions_bytes,
};
use crate::coordinator::topics::{TopicCatalog, TopicFilter};
use crate::types::TopicId;

/// A look-up that has not come back after so long is asked for again.
const LOOK_UP_PATIENCE: Duration = Duration::from_secs(30);

impl GroupShard {
    /// What a group's regular expressions stand for has come back.
    pub(in super::super) fn resolved(&mut self, resolved: ResolvedPatterns, now: Now, out: &mut Output) {
        let id = resolved.group.clone();
        self.with(&id, now, out, |group, step| {
            if let Some(group) = group.filter(|g| g.consumer.is_some()) {
                group.take_patterns(resolved, step);
                group.drop_empty_shell();
            }
        });
    }
}

impl Group {
    /// The next group epoch, for members and topics as they are now.
    pub(super) fn bump(&mut self, step: &mut Step<'_>) {
        let memory = &self.shell().memory;
        // As in Kafka, the first epoch with a member is 2.
        let epoch = memory.group.epoch.max(1).saturating_add(1);
        // Without topics to look at (right after a failover) nothing is said of them; the next heartbeat looks.
        let metadata_hash = match step.topics.version() {
            0 => memory.group.metadata_hash,
            _ => memory.hash(step.topics),
        };
        tracing::info!(group = %self.id, epoch, "the group has a new epoch");
        self.write_part(ConsumerRecord::Epoch(Some(GroupEpoch { epoch, metadata_hash })), step);
    }

    /// Bumps the epoch when asked to, or when the topics have changed; makes a target when the last one is for an older
    /// epoch, and old enough.
    pub(super) fn refresh(&mut self, bump: bool, step: &mut Step<'_>) -> Result<(), GroupError> {
        let version = step.topics.version();
        let consumer = self.shell();
        if bump || consumer.seen_topics != version {
            consumer.seen_topics = version;
            if bump || consumer.memory.hash(step.topics) != consumer.memory.group.metadata_hash {
                self.bump(step);
            }
        }
        if self.shell().is_target_due(step.config, step.now.wall_ms) {
            self.make_target(step)
        } else {
            Ok(())
        }
    }

    fn make_target(&mut self, step: &mut Step<'_>) -> Result<(), GroupError> {
        let memory = &self.shell().memory;
        let (sizes, subscribers) = memory.subscribers(step.topics);
        let given = memory.preferred_assignor(step.config).assign(&subscribers, &sizes);
        let changed: Vec<(String, Partitions)> = subscribers
            .iter()
            .zip(given)
            .filter(|(member, given)| member.target != given)
            .map(|(member, given)| (member.id.to_owned(), given))
            .collect();
        // What a member has, with its epochs and with what it must give back, takes up to five times the place.
        if changed.iter().any(|(_, given)| partitions_bytes(given) > step.config.max_batch_bytes / 5) {
            tracing::warn!(group = %self.id, "a member's assignment would be too large to be written down");
            return Err(GroupError::MetadataTooLarge);
        }
        let epoch = TargetEpoch { epoch: memory.group.epoch, timestamp_ms: step.now.wall_ms };
        for (member, given) in changed {
            self.write_part(ConsumerRecord::Target(member, Some(given)), step);
        }
        self.write_part(ConsumerRecord::TargetEpoch(Some(epoch)), step);
        Ok(())
    }

    /// A member that is not subscribed to a topic any more gives it back at once, also while the next target is not due
    /// (KIP-1263). A regular expression that is not looked up yet may stand for anything.
    pub(super) fn keep_to_subscription(&mut self, member_id: &str, step: &mut Step<'_>) {
        let memory = &self.shell().memory;
        let Some(member) = memory.members.get(member_id) else { return };
        let is_looked_up = member.metadata.regex.as_ref().is_none_or(|r| memory.regexes.contains_key(r));
        if memory.group.epoch == memory.target.epoch || !is_looked_up {
            return;
        }
        let topics: BTreeSet<TopicId> =
            memory.topics_of(member).filter_map(|name| Some(step.topics.get(name)?.id)).collect();
        let kept: Partitions = member
            .target
            .iter()
            .filter(|(topic, _)| topics.contains(topic))
            .map(|(topic, partitions)| (*topic, partitions.clone()))
            .collect();
        if kept != member.target {
            self.write_part(ConsumerRecord::Target(member_id.to_owned(), Some(kept)), step);
        }
    }

    /// Takes a member a step towards its target. `says` is what it says it has.
    pub(super) fn reconcile(
        &mut self,
        member_id: &str,
        says: Option<&Partitions>,
        step: &mut Step<'_>,
    ) -> Result<(), GroupError> {
        let memory = &self.shell().memory;
        let target_epoch = memory.target.epoch;
        let member = memory.members.get(member_id).ok_or(GroupError::UnknownMember)?;
        if member.current.is_settled(target_epoch) && member.current.has(&member.target) {
            return Ok(());
        }
        let held = memory.held();
        let is_free = |topic, partition| !held.contains(&(topic, partition));
        #[cfg(test)]
        let is_free = |t, p| super::random_tests::GIVES_WHAT_OTHERS_HAVE.get() || is_free(t, p);
        let next = member.current.next(&member.target, target_epoch, says, is_free)?;
        let (changed, state, timeout) = (next != member.current, next.state, member.rebalance_timeout());
        if changed {
            self.write_part(ConsumerRecord::Current(member_id.to_owned(), Some(next)), step);
        }
        let id = self.id.clone();
        match state {
            MemberState::Unrevoked if changed => {
                self.shell().set_alarm(&id, member_id, Alarm::Revocation, timeout, step);
            }
            MemberState::Unrevoked => {
                self.shell().keep_alarm(&id, member_id, Alarm::Revocation, timeout, step)
            }
            _ => self.shell().stop_alarm(&id, member_id, Alarm::Revocation, step.timers),
        }
        Ok(())
    }

    /// Has regular expressions looked up that are new, or whose topics may have changed.
    pub(super) fn look_up_patterns(&mut self, shows: &TopicFilter, step: &mut Step<'_>) {
        self.forget_unused_patterns(step);
        let consumer = self.consumer.get_or_insert_default();
        let patterns = consumer.memory.patterns();
        if patterns.is_empty() {
            return;
        }
        let now = step.now.mono;
        let progress = &mut consumer.patterns;
        if progress.asked_at.is_some_and(|at| now.since(at) < LOOK_UP_PATIENCE) {
            return;
        }
        let is_new = patterns.iter().any(|p| !consumer.memory.regexes.contains_key(p));
        let is_due = progress
            .resolved
            .is_none_or(|(version, at)| version != step.topics.version() && now.since(at) >= REFRESH);
        if is_new || is_due {
            progress.asked_at = Some(now);
            let task = ResolvePatterns { group: self.id.clone(), patterns, shows: shows.clone() };
            step.out.tasks.push((self.last_write, GroupTask::Resolve(task)));
        }
    }

    pub(super) fn forget_unused_patterns(&mut self, step: &mut Step<'_>) {
        let memory = &self.shell().memory;
        if memory.regexes.is_empty() {
            return;
        }
        let used = memory.patterns();
        let unused: Vec<String> = memory.regexes.keys().filter(|r| !used.contains(*r)).cloned().collect();
        for regex in unused {
            self.write_part(ConsumerRecord::Regex(regex, None), step);
        }
    }

    fn take_patterns(&mut self, resolved: ResolvedPatterns, step: &mut Step<'_>) {
        let progress = &mut self.shell().patterns;
        progress.asked_at = None;
        progress.resolved = Some((resolved.version, step.now.mono));
        let used = self.shell().memory.patterns();
        let (mut changed, mut too_large) = (false, BTreeSet::new());
        for (pattern, topics) in resolved.topics.into_iter().filter(|(pattern, _)| used.contains(pattern)) {
            let known = self.shell().memory.regexes.get(&pattern);
            if known.is_some_and(|known| known.topics == topics) {
                continue;
            }
            let is_news = known.is_some() || !topics.is_empty();
            let value = ResolvedRegex {
                topics,
                version: i64::try_from(resolved.version).unwrap_or(i64::MAX),
                timestamp_ms: step.now.wall_ms,
            };
            let record = ConsumerRecord::Regex(pattern.clone(), Some(value));
            if record.size_bound() + self.id.len() > step.config.max_batch_bytes {
                tracing::warn!(group = %self.id, "a regular expression stands for too many topics to be written down");
                // What was known of it stays, and it is looked up again when the topics change, not at once.
                too_large.insert(pattern);
                continue;
            }
            changed |= is_news;
            self.write_part(record, step);
        }
        if changed {
            self.bump(step);
        }
        let memory = &self.shell().memory;
        if used.iter().any(|p| !memory.regexes.contains_key(p) && !too_large.contains(p)) {
            self.look_up_patterns(&resolved.shows, step);
        }
    }
}

impl ConsumerGroup {
    /// Whether a target is to be made now: for a newer epoch, and not sooner after the last one than the interval says. A
    /// clock that went back holds nothing up.
    pub(super) fn is_target_due(&self, config: &GroupConfig, now_ms: i64) -> bool {
        let (group, target) = (self.memory.group, self.memory.target);
        let interval = self.assignment_interval.unwrap_or(config.consumer_assignment_interval);
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let age_ms = now_ms.saturating_sub(target.timestamp_ms);
        group.epoch > target.epoch && !(0..interval_ms).contains(&age_ms)
    }
}

impl Memory {
    /// Partitions that somebody has, or has not given back.
    pub(super) fn held(&self) -> BTreeSet<(TopicId, i32)> {
        self.members.values().flat_map(|m| m.current.held()).collect()
    }

    /// The regular expressions of all members.
    pub(super) fn patterns(&self) -> BTreeSet<String> {
        self.members.values().filter_map(|m| m.metadata.regex.clone()).collect()
    }

    /// Tells apart the sets of subscribed topics that exist, with their sizes; 0 for none. FNV-1a, over the names in
    /// order.
    pub(super) fn hash(&self, catalog: &TopicCatalog) -> i64 {
        let names: BTreeSet<&str> = self.members.values().flat_map(|m| self.topics_of(m)).collect();
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut any = false;
        for (name, topic) in names.into_iter().filter_map(|name| Some((name, catalog.get(name)?))) {
            any = true;
            let bytes =
                name.bytes().chain([0]).chain(*topic.id.as_bytes()).chain(topic.partitions.to_be_bytes());
            for byte in bytes {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        if any { hash.cast_signed() } else { 0 }
    }

    /// The subscribed topics that exist with their sizes, and who is subscribed to which.
    fn subscribers(&self, catalog: &TopicCatalog) -> (BTreeMap<TopicId, i32>, Vec<Subscriber<'_>>) {
        let mut sizes = BTreeMap::new();
        let mut subscribers = Vec::with_capacity(self.members.len());
        for (id, member) in &self.members {
            let mut topics = BTreeSet::new();
            for topic in self.topics_of(member).filter_map(|name| catalog.get(name)) {
                sizes.insert(topic.id, topic.partitions);
                topics.insert(topic.id);
            }
            let instance_id = member.metadata.instance_id.as_deref();
            subscribers.push(Subscriber { id, instance_id, topics, target: &member.target });
        }
        (sizes, subscribers)
    }

    /// The assignor that most members want; without a wish, the first that the broker offers.
    pub(super) fn preferred_assignor(&self, config: &GroupConfig) -> Assignor {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for wish in self.members.values().filter_map(|m| m.metadata.assignor.as_deref()) {
            *votes.entry(wish).or_default() += 1;
        }
        let mut best = config.assignors.first().copied().unwrap_or(Assignor::Uniform);
        for assignor in &config.assignors {
            if votes.get(assignor.name()) > votes.get(best.name()) {
                best = *assignor;
            }
        }
        best
    }
}
