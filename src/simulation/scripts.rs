//! Sequences of faults that chance rarely makes: each asks for one defence that faults apart from each other leave alone.
//!
//! A script begins when everything is well, and nothing else strikes until it is over. The last one that had everything
//! lives on, so the promise holds: of the copies that count, one is lost at most.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use super::clients::PARTITIONS;
use super::world::{BROKERS, End, World};
use crate::env::{Clock as _, timeout};
use crate::types::BrokerId;

/// A script waits so long for each of its scenes; else it ends there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who plays what in a script about one partition.
#[derive(Clone, Copy)]
struct Cast {
    partition: i32,
    leader: i32,
    /// The other two, in the order in which they are elected.
    first: i32,
    second: i32,
}

impl World {
    /// Plays a script; whether it came to its end.
    pub(super) async fn play(self: &Arc<Self>, script: &str, rng: &mut StdRng) -> bool {
        self.heal_what_lasts();
        if !self.until(PATIENCE * 2, || self.is_whole() && self.has_all_votes() && self.is_moving()).await {
            return false;
        }
        self.is_scripted.store(true, Ordering::SeqCst);
        // Two producers write to the first one: one of them sends while the other one's records are not acknowledged yet.
        let partition = if script == "cut-tail" { 0 } else { rng.random_range(0..PARTITIONS) };
        let played = match self.cast(partition) {
            None => false,
            Some(cast) => {
                self.say(&format!("{script} of {partition}, led by {}", cast.leader));
                match script {
                    "last-copy-wiped" => self.last_copy(cast, End::DataWiped, rng).await,
                    "last-copy-unflushed" => self.last_copy(cast, End::PowerLost, rng).await,
                    "unheard-join" => self.unheard_join(cast, rng).await,
                    "cut-tail" => self.cut_tail(cast).await,
                    other => unreachable!("{other}"),
                }
            }
        };
        self.jitter.hold(None);
        self.is_scripted.store(false, Ordering::SeqCst);
        self.heal_what_lasts();
        played
    }

    /// One falls behind, another is killed, and the only live one that has everything loses what it has. It comes back
    /// before the killed one, and must not be believed.
    async fn last_copy(self: &Arc<Self>, cast: Cast, how: End, rng: &mut StdRng) -> bool {
        let Cast { partition, leader, .. } = cast;
        // Flipped bits are a loss too: whoever has them is not the last one.
        let is_first = match self.flipped() {
            flipped if flipped == cast.first => true,
            flipped if flipped == cast.second => false,
            _ => rng.random::<bool>(),
        };
        let (behind, killed) = if is_first { (cast.first, cast.second) } else { (cast.second, cast.first) };
        self.network.cut(BrokerId(leader), BrokerId(behind));
        let two = || {
            self.recorded(partition).is_some_and(|(led_by, isr)| {
                led_by == Some(leader) && isr.len() == 2 && isr.contains(&leader) && isr.contains(&killed)
            })
        };
        if !self.until(PATIENCE, two).await {
            return self.ends_before("one falls behind");
        }
        self.wait_between(rng, 300, 1_500).await;
        if !two() || !self.end_and_start(leader, how, millis(rng, 0, 300)) {
            return self.ends_before("the leader is lost");
        }
        self.loses_a_copy();
        let later = millis(rng, 4_000, 7_000);
        let is_killed = self.end_and_start(killed, End::Killed, later);
        self.network.heal(BrokerId(leader), BrokerId(behind));
        self.clock.sleep(later).await;
        is_killed
    }

    /// One joins the ISR, and the leader does not hear that it has: what it acknowledges then the new member must have.
    async fn unheard_join(self: &Arc<Self>, cast: Cast, rng: &mut StdRng) -> bool {
        let Cast { partition, leader, first, second } = cast;
        let Some(quorum) = self.quorum_leader().filter(|quorum| *quorum != leader) else {
            return self.ends_before("another one leads the quorum");
        };
        let joins = if quorum == first { second } else { first };
        if !self.end_and_start(joins, End::Killed, Duration::from_millis(2_500)) {
            return self.ends_before("one is killed");
        }
        let is_in =
            |from: i32| self.recorded_by(from, partition).is_some_and(|(_, isr)| isr.contains(&joins));
        if !self.until(PATIENCE, || !is_in(leader)).await {
            return self.ends_before("it is out of the ISR");
        }
        if !self.until(PATIENCE, || self.is_active_for(leader, joins)).await || is_in(leader) {
            return self.ends_before("it is back, and not in the ISR");
        }
        self.jitter.hold(Some((BrokerId(quorum), BrokerId(leader))));
        if !self.until(Duration::from_millis(400), || is_in(quorum)).await {
            return self.ends_before("it joins unheard");
        }
        self.network.cut(BrokerId(leader), BrokerId(joins));
        // With the defence nothing is.
        let is_acknowledged_without_it = || {
            let has = self.ends(joins, partition).map_or(i64::MAX, |(end, _)| end);
            self.history.acknowledged_end(partition) > has
        };
        self.until(Duration::from_millis(400), is_acknowledged_without_it).await;
        let later = millis(rng, 4_000, 7_000);
        let are_killed = self.end_and_start(leader, End::Killed, Duration::from_millis(1_000))
            && self.end_and_start(quorum, End::Killed, later);
        self.jitter.hold(None);
        self.network.heal(BrokerId(leader), BrokerId(joins));
        self.clock.sleep(later).await;
        are_killed
    }

    /// A leader dies while one follower has more than the other, and has not heard how much of it is acknowledged; the other
    /// leads, makes it cut what is too much, and dies before it gives anything. What was cut must be no more than that.
    async fn cut_tail(self: &Arc<Self>, cast: Cast) -> bool {
        let Cast { partition, leader, first, second } = cast;
        let slow = |from: i32, to: i32, millis: u64| {
            self.network.delay_copies(BrokerId(from), BrokerId(to), Duration::from_millis(millis));
        };
        slow(leader, second, 100);
        slow(leader, first, 250);
        let ends = |id: i32| self.ends(id, partition).unwrap_or_default();
        let is_ahead_and_unaware = || {
            let (end, known) = ends(second);
            end > ends(first).0 && self.history.acknowledged_end(partition) > known
        };
        if !self.until(PATIENCE, || self.is_whole() && is_ahead_and_unaware()).await
            || !self.end_and_start(leader, End::Killed, PATIENCE)
        {
            return self.ends_before("the leader is killed");
        }
        slow(first, second, 300);
        let mut longest = 0;
        let cut = async {
            loop {
                let Some((end, _)) = self.ends(second, partition) else { return };
                if end < longest {
                    return;
                }
                longest = end;
                self.clock.sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout(&*self.clock, Duration::from_secs(6), cut).await.is_err() {
            return self.ends_before("the one that has more cuts it");
        }
        let is_killed = self.end_and_start(first, End::Killed, PATIENCE);
        slow(first, second, 0);
        // The one that has been made to cut and the old leader are a majority.
        self.clock.sleep(PATIENCE).await;
        is_killed
    }

    /// Says where a script stops short.
    fn ends_before(&self, scene: &str) -> bool {
        self.say(&format!("the script ends before {scene}"));
        false
    }

    fn cast(&self, partition: i32) -> Option<Cast> {
        let replicas = self.assigned(partition);
        let leader = self.recorded(partition)?.0?;
        let mut others = replicas.into_iter().filter(|id| *id != leader);
        Some(Cast { partition, leader, first: others.next()?, second: others.next()? })
    }

    /// Whether nobody stands still.
    fn is_moving(&self) -> bool {
        (1..=BROKERS).all(|id| self.api(id).is_some_and(|reached| reached.gate.is_open()))
    }

    async fn wait_between(&self, rng: &mut StdRng, least: u64, most: u64) {
        self.clock.sleep(millis(rng, least, most)).await;
    }

    /// Waits for it, so long at most; whether it came.
    async fn until(&self, limit: Duration, check: impl Fn() -> bool) -> bool {
        let wait = async {
            while !check() && self.history.violation().is_none() {
                self.clock.sleep(Duration::from_micros(200)).await;
            }
        };
        timeout(&*self.clock, limit, wait).await.is_ok() && check()
    }
}

fn millis(rng: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..most))
}
