//! Which brokers are alive, as the Raft leader sees it: pure, soft state that begins anew with each term.
//!
//! Why nobody holds a lease while another leads its partitions: a renewal is answered only after a quorum round that
//! began after the heartbeat came, and the broker counts its lease from when it *sent* it. So a lease that this leader
//! granted ends before the session does, and one that a former leader granted ends within one lease of the takeover;
//! until then a new leader fences nobody. A broker that it has never heard counts as last heard (session − lease) before
//! the takeover, so that one which died together with the former leader is fenced one lease after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::image::{BrokerState, Image};
use crate::env::MonoTime;
use crate::env::defect::{Defect, planted};
use crate::types::{BrokerEpoch, BrokerId};

/// One registered life.
pub(super) type Life = (BrokerId, BrokerEpoch);

/// Whoever holds the level of commands back is named after so long, and again each time as much has passed: a cluster whose brokers
/// are replaced one after the other is not told of every one.
const HELD_BACK: Duration = Duration::from_secs(60);

/// A broker without which the level of commands would be higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HoldsBack {
    /// It is registered, and this leader has heard nothing of it.
    Silent(BrokerId),
    /// It is a member of the quorum that has not registered.
    Unregistered(BrokerId),
    /// Its program understands no more than this level.
    Older(BrokerId, i16),
}

#[derive(Debug)]
pub(super) struct Liveness {
    session: Duration,
    lease: Duration,
    term: u64,
    took_over: MonoTime,
    heard: BTreeMap<Life, MonoTime>,
    /// The levels of commands that they understand.
    levels: BTreeMap<Life, i16>,
    /// Since when somebody holds the level of commands back, or was named for it last.
    held_back: Option<MonoTime>,
    /// Being fenced: they are granted nothing until the image shows what became of it.
    fencing: BTreeSet<Life>,
    /// What a fenced broker was told to catch up with.
    told: BTreeMap<Life, u64>,
}

impl Liveness {
    pub fn new(session: Duration, lease: Duration) -> Liveness {
        Liveness {
            session,
            lease,
            term: 0,
            took_over: MonoTime::default(),
            heard: BTreeMap::new(),
            levels: BTreeMap::new(),
            held_back: None,
            fencing: BTreeSet::new(),
            told: BTreeMap::new(),
        }
    }

    /// This node leads that term; the first call of a term is the takeover.
    pub fn lead(&mut self, term: u64, now: MonoTime) {
        if self.term != term {
            *self = Liveness { term, took_over: now, ..Liveness::new(self.session, self.lease) };
        }
    }

    /// A heartbeat came. False when the life is being fenced: it must not be renewed.
    pub fn hear(&mut self, life: Life, now: MonoTime) -> bool {
        if self.fencing.contains(&life) {
            return false;
        }
        self.heard.insert(life, now);
        true
    }

    /// A broker has said which level of commands it understands.
    pub fn note_level(&mut self, life: Life, level: i16) {
        self.levels.insert(life, level);
    }

    /// The level of commands that every registered broker has said to understand, these among them; 0 while one has said nothing.
    pub fn common_level(&self, image: &Image, members: &[BrokerId]) -> i16 {
        if !members.iter().all(|member| image.brokers.contains_key(member)) {
            return 0;
        }
        let levels = image.brokers.values().map(|b| self.levels.get(&(b.id, b.epoch)).copied().unwrap_or(0));
        levels.min().unwrap_or(0)
    }

    /// Who holds the level of commands below `wanted`, when it is time to say so. A broker that is gone holds it back under every new
    /// leader: what it said to a former one is not known any more, and when it comes back it may be another program.
    pub fn holds_back(
        &mut self,
        image: &Image,
        members: &[BrokerId],
        wanted: i16,
        now: MonoTime,
    ) -> Vec<HoldsBack> {
        let registered = image.brokers.values().filter_map(|b| match self.levels.get(&(b.id, b.epoch)) {
            None => Some(HoldsBack::Silent(b.id)),
            Some(level) if *level < wanted => Some(HoldsBack::Older(b.id, *level)),
            Some(_) => None,
        });
        let strangers = members.iter().filter(|member| !image.brokers.contains_key(member));
        let found: Vec<HoldsBack> =
            registered.chain(strangers.map(|member| HoldsBack::Unregistered(*member))).collect();
        if found.is_empty() {
            self.held_back = None;
            return found;
        }
        if now < *self.held_back.get_or_insert(now) + HELD_BACK {
            return Vec::new();
        }
        self.held_back = Some(now);
        found
    }

    /// Lives to fence, now marked as such; again those whose fencing has not shown in the image yet.
    pub fn overdue(&mut self, image: &Image, now: MonoTime) -> Vec<Life> {
        let present: BTreeMap<BrokerId, (BrokerEpoch, BrokerState)> =
            image.brokers.values().map(|b| (b.id, (b.epoch, b.state))).collect();
        let is_present = |(id, epoch): &Life| present.get(id).is_some_and(|(current, _)| current == epoch);
        let is_fenced = |(id, _): &Life| present.get(id).is_some_and(|(_, s)| *s == BrokerState::Fenced);
        self.heard.retain(|life, _| is_present(life));
        self.levels.retain(|life, _| is_present(life));
        self.fencing.retain(|life| is_present(life) && !is_fenced(life));
        self.told.retain(|life, _| is_present(life) && is_fenced(life));

        // A margin for clocks that do not run at quite the same speed.
        let earliest = self.took_over + self.lease + self.lease / 20;
        if now < earliest && !planted(Defect::FencesAtOnce) {
            return Vec::new();
        }
        let overdue = present.iter().filter(|(_, (_, state))| *state != BrokerState::Fenced).filter_map(
            |(id, (epoch, _))| {
                let life = (*id, *epoch);
                let silent = self.heard.get(&life).is_none_or(|heard| now >= *heard + self.session);
                silent.then_some(life)
            },
        );
        let overdue: Vec<Life> = overdue.collect();
        self.fencing.extend(&overdue);
        overdue
    }

    /// Whether a fenced life that holds the image up to `has` has caught up: the first question sets the mark.
    pub fn has_caught_up(&mut self, life: Life, has: u64, latest: u64) -> bool {
        has >= *self.told.entry(life).or_insert(latest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metadata::BrokerInfo;
    use crate::types::Incarnation;

    const SESSION: Duration = Duration::from_millis(2000);
    const LEASE: Duration = Duration::from_millis(1000);

    fn at(ms: u64) -> MonoTime {
        MonoTime(ms * 1_000_000)
    }

    fn life(id: i32) -> Life {
        (BrokerId(id), BrokerEpoch(i64::from(id)))
    }

    fn cluster(brokers: &[(i32, BrokerState)]) -> Image {
        let mut image = Image::default();
        for (id, state) in brokers {
            let (id, epoch) = life(*id);
            let info = BrokerInfo {
                id,
                epoch,
                incarnation: Incarnation::ZERO,
                endpoints: Vec::new(),
                peer_address: String::new(),
                rack: None,
                directories: Vec::new(),
                machine: String::new(),
                state: *state,
            };
            image.brokers.insert(id, Arc::new(info));
        }
        image
    }

    fn leader() -> Liveness {
        let mut liveness = Liveness::new(SESSION, LEASE);
        liveness.lead(1, at(10_000));
        liveness
    }

    #[test]
    fn a_new_leader_fences_nobody_for_one_lease() {
        let mut liveness = leader();
        let image = cluster(&[(1, BrokerState::Active)]);
        assert_eq!(liveness.overdue(&image, at(11_000)), vec![]);
        assert_eq!(liveness.overdue(&image, at(11_050)), vec![life(1)], "one that died with the old leader");
    }

    #[test]
    fn a_broker_that_is_heard_is_fenced_after_one_session() {
        let mut liveness = leader();
        let image = cluster(&[(1, BrokerState::Active)]);
        assert!(liveness.hear(life(1), at(10_900)));
        assert_eq!(liveness.overdue(&image, at(12_899)), vec![]);
        assert_eq!(liveness.overdue(&image, at(12_900)), vec![life(1)]);
    }

    #[test]
    fn a_broker_that_is_being_fenced_is_not_renewed_any_more() {
        let mut liveness = leader();
        let image = cluster(&[(1, BrokerState::Active)]);
        assert_eq!(liveness.overdue(&image, at(13_000)), vec![life(1)]);
        assert!(!liveness.hear(life(1), at(13_001)), "the fencing may be on its way");
        assert_eq!(liveness.overdue(&image, at(13_100)), vec![life(1)], "it is tried again");
        // Once the image shows it, the broker may come back.
        assert_eq!(liveness.overdue(&cluster(&[(1, BrokerState::Fenced)]), at(13_200)), vec![]);
        assert!(liveness.hear(life(1), at(13_201)));
    }

    #[test]
    fn a_change_of_leader_forgets_what_the_last_one_heard() {
        let mut liveness = leader();
        let image = cluster(&[(1, BrokerState::Active), (2, BrokerState::ControlledShutdown)]);
        assert_eq!(liveness.overdue(&image, at(13_000)), vec![life(1), life(2)]);
        liveness.lead(2, at(20_000));
        assert!(liveness.hear(life(1), at(20_001)));
        assert_eq!(liveness.overdue(&image, at(20_999)), vec![]);
        assert_eq!(liveness.overdue(&image, at(21_100)), vec![life(2)]);
    }

    #[test]
    fn a_level_is_common_once_every_broker_and_every_member_has_said_that_it_knows_it() {
        let mut liveness = leader();
        let image = cluster(&[(1, BrokerState::Active), (2, BrokerState::Fenced)]);
        let both = [BrokerId(1), BrokerId(2)];
        assert_eq!(liveness.common_level(&Image::default(), &[]), 0);
        liveness.note_level(life(1), 2);
        assert_eq!(liveness.common_level(&image, &both), 0, "nothing was heard of 2, fenced as it is");
        liveness.note_level((BrokerId(2), BrokerEpoch(1)), 2);
        assert_eq!(
            liveness.common_level(&image, &both),
            0,
            "that was a former life, of another program perhaps"
        );
        liveness.note_level(life(2), 1);
        assert_eq!(liveness.common_level(&image, &both), 1);
        assert_eq!(liveness.common_level(&image, &[BrokerId(3)]), 0, "a member that has not registered");
        liveness.lead(2, at(20_000));
        assert_eq!(liveness.common_level(&image, &both), 0, "another leader asks anew");
    }

    #[test]
    fn who_holds_the_level_of_commands_back_is_named_after_a_minute_and_each_minute_again() {
        let mut liveness = leader();
        let image = cluster(&[(1, BrokerState::Active), (2, BrokerState::Fenced), (3, BrokerState::Active)]);
        let members = [BrokerId(1), BrokerId(9)];
        liveness.note_level(life(1), 2);
        liveness.note_level(life(3), 1);
        assert_eq!(liveness.holds_back(&image, &members, 2, at(20_000)), []);
        assert_eq!(liveness.holds_back(&image, &members, 2, at(79_999)), [], "not while brokers come up");
        let all = [
            HoldsBack::Silent(BrokerId(2)),
            HoldsBack::Older(BrokerId(3), 1),
            HoldsBack::Unregistered(BrokerId(9)),
        ];
        assert_eq!(liveness.holds_back(&image, &members, 2, at(80_000)), all);
        assert_eq!(liveness.holds_back(&image, &members, 2, at(139_999)), [], "said a moment ago");
        assert_eq!(liveness.holds_back(&image, &members, 2, at(140_000)), all);
        // All are there for a moment: the minute begins anew.
        let without = cluster(&[(1, BrokerState::Active)]);
        assert_eq!(liveness.holds_back(&without, &members[..1], 2, at(190_000)), []);
        assert_eq!(liveness.holds_back(&image, &members, 2, at(200_000)), []);
        assert_eq!(liveness.holds_back(&image, &members, 2, at(260_000)), all);
        // Another leader has heard nothing of a broker that was gone before.
        liveness.note_level(life(2), 2);
        liveness.note_level(life(3), 2);
        assert_eq!(liveness.holds_back(&image, &members[..1], 2, at(320_000)), []);
        liveness.lead(2, at(330_000));
        liveness.note_level(life(1), 2);
        liveness.note_level(life(3), 2);
        assert_eq!(liveness.holds_back(&image, &members[..1], 2, at(330_000)), []);
        assert_eq!(
            liveness.holds_back(&image, &members[..1], 2, at(390_000)),
            [HoldsBack::Silent(BrokerId(2))]
        );
    }

    #[test]
    fn a_fenced_broker_catches_up_with_what_it_was_told_first() {
        let mut liveness = leader();
        assert!(!liveness.has_caught_up(life(1), 5, 9));
        assert!(!liveness.has_caught_up(life(1), 8, 20));
        assert!(liveness.has_caught_up(life(1), 9, 30));
    }
}
