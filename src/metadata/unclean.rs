//! Unclean elections: of the live replicas of a partition that nobody may lead the one with the largest (last epoch, log end).
//!
//! Every active replica is asked, and waited for: one that is slow may have the longest copy, and what only that one has is lost once
//! another leads. A broker that is dead is fenced after its session, and then not waited for; one that renews its lease and does not
//! answer is passed over after [`LONGEST_WAIT`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::command::{Command, IsrMember, UncleanCandidate};
use super::control::{Answer, LogEnd, Request};
use super::core::Core;
use super::image::Image;
use crate::env::{MonoTime, timeout};
use crate::types::{BrokerId, TopicId};

/// Most partitions of one round.
const BATCH: usize = 1000;
/// For the answers of one round.
const ROUND: Duration = Duration::from_millis(500);
/// How long an active replica that does not answer holds an election up.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

type Key = (TopicId, i32);

/// What a Raft leader remembers between two rounds.
#[derive(Debug, Default)]
pub(super) struct UncleanElections {
    term: u64,
    /// Since when partitions wait for a replica that does not answer.
    held_since: BTreeMap<Key, MonoTime>,
}

/// What the live replicas of the waiting partitions have said.
#[derive(Debug, Default)]
struct Heard {
    candidates: BTreeMap<Key, Vec<UncleanCandidate>>,
    silent: BTreeMap<Key, Vec<BrokerId>>,
}

impl UncleanElections {
    /// Asks the live replicas of partitions that nobody may lead for the ends of their logs, and proposes.
    pub(super) async fn round(&mut self, core: &Arc<Core>, image: &Image, term: u64) {
        if self.term != term {
            *self = UncleanElections { term, ..UncleanElections::default() };
        }
        let mut waiting = image.awaiting_unclean_election();
        waiting.truncate(BATCH);
        let heard = ask(core, image, &waiting).await;
        for (at, candidates) in self.ready(&waiting, heard, core.env.clock.now()) {
            let (topic, partition) = at;
            let found = image.topic_by_id(topic);
            let found = found.and_then(|t| t.partitions.get(usize::try_from(partition).ok()?));
            let Some(partition_epoch) = found.map(|p| p.partition_epoch) else { continue };
            tracing::warn!(%topic, partition, ?candidates, "unclean election: records may be lost");
            let command = Command::ElectUnclean { topic, partition, partition_epoch, candidates };
            let answer = core.write_in_term(command, term).await;
            tracing::debug!(?answer, "unclean election");
        }
    }

    /// The partitions whose candidates are all known, or waited for long enough.
    fn ready(&mut self, waiting: &[Key], heard: Heard, now: MonoTime) -> Vec<(Key, Vec<UncleanCandidate>)> {
        let Heard { mut candidates, silent } = heard;
        let waiting: BTreeSet<&Key> = waiting.iter().collect();
        self.held_since.retain(|at, _| waiting.contains(at) && silent.contains_key(at));
        let (mut held, mut held_for): (usize, BTreeSet<BrokerId>) = (0, BTreeSet::new());
        for (at, brokers) in silent {
            let since = *self.held_since.entry(at).or_insert(now);
            if now.since(since) < LONGEST_WAIT {
                candidates.remove(&at);
                held += 1;
                held_for.extend(brokers);
            } else {
                let (topic, partition) = at;
                tracing::warn!(%topic, partition, ?brokers, "an unclean election goes on without replicas that do not answer");
            }
        }
        if held > 0 {
            tracing::warn!(
                partitions = held,
                brokers = ?held_for,
                "unclean elections wait for active replicas that do not answer: they may have the longest copies"
            );
        }
        candidates.into_iter().filter(|(_, candidates)| !candidates.is_empty()).collect()
    }
}

async fn ask(core: &Arc<Core>, image: &Image, waiting: &[Key]) -> Heard {
    let mut questions: BTreeMap<BrokerId, Vec<Key>> = BTreeMap::new();
    for &(topic, index) in waiting {
        let replicas = image.topic_by_id(topic).and_then(|t| t.partitions.get(usize::try_from(index).ok()?));
        for replica in replicas.iter().flat_map(|p| &p.replicas) {
            if image.is_active(replica.broker) {
                questions.entry(replica.broker).or_default().push((topic, index));
            }
        }
    }
    let asking = questions.into_iter().map(|(broker, partitions)| async move {
        let question = core.ask(broker, Request::LogEnds(partitions.clone()), ROUND);
        // This node asks itself without the network, and its time-outs.
        let ends: Option<Vec<Option<LogEnd>>> = match timeout(&*core.env.clock, ROUND, question).await {
            Ok(Ok(Answer::LogEnds(ends))) if ends.len() == partitions.len() => Some(ends),
            other => {
                tracing::debug!(%broker, ?other, "no log ends for an unclean election");
                None
            }
        };
        (broker, partitions, ends)
    });
    let mut heard = Heard::default();
    for (broker, partitions, ends) in join_all(asking).await {
        let Some(info) = image.brokers.get(&broker) else { continue };
        let member = IsrMember { broker, epoch: info.epoch };
        let Some(ends) = ends else {
            for at in partitions {
                heard.silent.entry(at).or_default().push(broker);
            }
            continue;
        };
        for (at, end) in partitions.into_iter().zip(ends) {
            let candidate = end.map(|(last_epoch, log_end)| UncleanCandidate { member, last_epoch, log_end });
            heard.candidates.entry(at).or_default().extend(candidate);
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{BrokerEpoch, LeaderEpoch, Offset};

    #[test]
    fn an_election_is_held_up_by_who_is_silent_and_for_no_longer_than_the_bound() {
        let at = |partition| (TopicId::from_bytes([1; 16]), partition);
        let candidate = |broker| UncleanCandidate {
            member: IsrMember { broker: BrokerId(broker), epoch: BrokerEpoch(1) },
            last_epoch: LeaderEpoch(0),
            log_end: Offset(7),
        };
        // Broker 1 answers for both partitions, broker 2 holds a copy of the second and is silent.
        let heard = || Heard {
            candidates: [(at(0), vec![candidate(1)]), (at(1), vec![candidate(1)])].into(),
            silent: [(at(1), vec![BrokerId(2)])].into(),
        };
        let whole = || Heard { candidates: heard().candidates, ..Heard::default() };
        let mut elections = UncleanElections::default();
        let waiting = [at(0), at(1)];
        let mut ready = |heard: Heard, waiting: &[Key], now: MonoTime| -> Vec<i32> {
            elections.ready(waiting, heard, now).into_iter().map(|((_, partition), _)| partition).collect()
        };
        let begun = MonoTime::default() + Duration::from_secs(100);
        assert_eq!(ready(heard(), &waiting, begun), [0]);
        let almost = begun + Duration::from_secs(9);
        assert_eq!(ready(heard(), &waiting, almost), [0]);
        assert_eq!(ready(heard(), &waiting, begun + LONGEST_WAIT), [0, 1]);
        // Who has answered, and is silent another time, is waited for anew.
        assert_eq!(ready(whole(), &waiting, begun + LONGEST_WAIT), [0, 1]);
        assert_eq!(ready(heard(), &waiting, begun + LONGEST_WAIT), [0]);
        assert_eq!(ready(Heard::default(), &[], begun + LONGEST_WAIT * 2), [0; 0]);
        assert_eq!(ready(heard(), &waiting, begun + LONGEST_WAIT * 2), [0]);
    }
}
