//! Unclean elections: of the live replicas of a partition that nobody may lead the one with the largest (last epoch, log end).
//!
//! Every active replica is asked, and waited for: one that is slow may have the longest copy, and what only that one has is lost once
//! another leads. A broker that is dead is fenced after its session, and then not waited for; one that renews its lease and does not
//! answer is passed over after [`LONGEST_WAIT`].
//!
//! The waiting partitions are asked for in batches that go round: those without a usable copy wait for good, and others go on beside
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};

use super::command::{Command, IsrMember, UncleanCandidate};
use super::control::{Answer, LogEnd, Request};
use super::core::Core;
use super::image::Image;
use crate::env::defect::{Defect, planted};
use crate::env::{MonoTime, timeout};
use crate::types::{BrokerId, TopicId};

/// Most partitions of one question.
const BATCH: usize = 1000;
/// Most batches of one round; the next round goes on behind them.
const BATCHES: usize = 8;
/// Elections that are proposed at once. Fencing goes by the same log.
const AT_ONCE: usize = 64;
/// For the answers of one round.
const ROUND: Duration = Duration::from_millis(500);
/// How long an active replica that does not answer holds an election up.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

type Key = (TopicId, i32);

/// What a Raft leader remembers between two rounds.
#[derive(Debug, Default)]
pub(super) struct UncleanElections {
    term: u64,
    /// The last partition that was asked for, when the round had no place for all.
    up_to: Option<Key>,
    /// Since when partitions wait for a replica that does not answer.
    held_since: BTreeMap<Key, MonoTime>,
}

/// What the live replicas of the waiting partitions have said.
#[derive(Debug, Default)]
struct Heard {
    candidates: BTreeMap<Key, Vec<UncleanCandidate>>,
    silent: BTreeMap<Key, Vec<BrokerId>>,
}

impl Heard {
    /// Of other partitions.
    fn and(mut self, other: Heard) -> Heard {
        self.candidates.extend(other.candidates);
        self.silent.extend(other.silent);
        self
    }
}

impl UncleanElections {
    /// Asks the live replicas of partitions that nobody may lead for the ends of their logs, and proposes.
    pub(super) async fn round(&mut self, core: &Arc<Core>, image: &Image, term: u64) {
        if self.term != term {
            *self = UncleanElections { term, ..UncleanElections::default() };
        }
        let begun = core.env.clock.now();
        let turn = self.turn(image.awaiting_unclean_election().into_iter().collect());
        let batches = turn.chunks(BATCH).map(|batch| ask(core, image, batch));
        let heard = join_all(batches).await.into_iter().fold(Heard::default(), Heard::and);
        let elections = self.ready(&turn, heard, begun).into_iter().filter_map(|(at, candidates)| {
            let (topic, partition) = at;
            let found = image.topic_by_id(topic);
            let found = found.and_then(|t| t.partitions.get(usize::try_from(partition).ok()?));
            let partition_epoch = found.map(|p| p.partition_epoch)?;
            tracing::warn!(%topic, partition, ?candidates, "unclean election: records may be lost");
            Some(Command::ElectUnclean { topic, partition, partition_epoch, candidates })
        });
        // Without a majority each of them would wait.
        let is_over = &AtomicBool::new(false);
        let elect = |command| async move {
            if !is_over.load(Ordering::Relaxed) {
                let answer = core.write_in_term(command, term).await;
                is_over.fetch_or(!matches!(answer, Answer::Outcome(_)), Ordering::Relaxed);
                tracing::debug!(?answer, "unclean election");
            }
        };
        stream::iter(elections).for_each_concurrent(AT_ONCE, elect).await;
    }

    /// Those of the waiting partitions whose turn it is.
    fn turn(&mut self, waiting: BTreeSet<Key>) -> Vec<Key> {
        self.held_since.retain(|at, _| waiting.contains(at));
        if planted(Defect::ElectionsStarve) {
            return waiting.into_iter().take(BATCH).collect();
        }
        let (before, behind): (Vec<Key>, Vec<Key>) =
            waiting.into_iter().partition(|at| self.up_to.is_some_and(|up_to| *at <= up_to));
        let turn: Vec<Key> = behind.into_iter().chain(before).take(BATCH * BATCHES).collect();
        self.up_to = turn.last().copied();
        turn
    }

    /// Those whose candidates are all known, or waited for long enough, of the partitions that were asked for at this time.
    fn ready(&mut self, turn: &[Key], heard: Heard, now: MonoTime) -> Vec<(Key, Vec<UncleanCandidate>)> {
        let Heard { mut candidates, silent } = heard;
        for answered in turn.iter().filter(|at| !silent.contains_key(at)) {
            self.held_since.remove(answered);
        }
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
            let turn = elections.turn(waiting.iter().copied().collect());
            elections.ready(&turn, heard, now).into_iter().map(|((_, partition), _)| partition).collect()
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

    #[test]
    fn every_waiting_partition_has_its_turn_and_is_held_up_from_when_it_was_first_asked_for() {
        let at = |partition| (TopicId::from_bytes([1; 16]), partition);
        let (all, most) = (0..20_000, BATCH * BATCHES);
        let waiting: BTreeSet<Key> = all.map(at).collect();
        let mut elections = UncleanElections::default();
        let silent = |turn: &[Key]| Heard {
            candidates: BTreeMap::new(),
            silent: turn.iter().map(|at| (*at, vec![BrokerId(2)])).collect(),
        };
        let begun = MonoTime::default() + Duration::from_secs(100);
        let mut asked = BTreeSet::new();
        for second in 0..3 {
            let turn = elections.turn(waiting.clone());
            assert_eq!(turn.len(), most);
            asked.extend(turn.iter().copied());
            let now = begun + Duration::from_secs(second);
            assert!(elections.ready(&turn, silent(&turn), now).is_empty());
        }
        assert_eq!(asked, waiting);
        // Those that had their turn first had it again in the third round, and what was remembered since the first one counts.
        let since = |at: &Key| elections.held_since[at].since(begun);
        assert_eq!(waiting.iter().filter(|at| since(at) == Duration::ZERO).count(), most);
        assert_eq!(waiting.iter().filter(|at| since(at) == Duration::from_secs(1)).count(), most);
        // Few have all their turn each time, and who waits no more is forgotten.
        let few: BTreeSet<Key> = (0..3).map(at).collect();
        for _ in 0..2 {
            assert_eq!(elections.turn(few.clone()).into_iter().collect::<BTreeSet<Key>>(), few);
        }
        assert_eq!(elections.held_since.len(), 3);
    }
}
