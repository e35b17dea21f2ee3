//! The task that takes cuts, on whoever leads the metadata quorum.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::super::backup::{BackupError, CutBackup, is_ours};
use super::super::store::ColdStore;
use super::answer::CutSteps;
use super::keep::{KeptCuts, Present};
use super::places::{Answers, Places};
use super::{CutAnswer, CutRequest};
use crate::broker::config::BrokerConfig;
use crate::broker::live::LiveConfig;
use crate::broker::peers::{PeerAnswer, PeerRequest, ask_within};
use crate::broker::stop::StopSignal;
use crate::env::{MonoTime, timeout};
use crate::types::{BrokerId, TopicId};

/// Transactions wait for a cut at most so long.
const HELD: Duration = Duration::from_secs(2);
/// How long a broker that is told to go on is waited for: it goes on by itself.
const LET_GO_LIMIT: Duration = Duration::from_secs(2);
/// How long a broker may take to write its parts.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// After a cut that could not be taken the next one is tried so soon, once.
const AGAIN: Duration = Duration::from_secs(10);

/// Why there is no cut.
#[derive(Debug, thiserror::Error)]
enum NoCut {
    /// The store, or what is in it.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A broker, or what has changed meanwhile.
    #[error("{0}")]
    Step(String),
}

impl From<String> for NoCut {
    fn from(why: String) -> NoCut {
        NoCut::Step(why)
    }
}

/// Takes cuts.
pub struct CutTaker {
    cold: Arc<ColdStore>,
    steps: Arc<CutSteps>,
    live: Arc<LiveConfig>,
    node_id: BrokerId,
    interval: Duration,
}

/// Whom a cut asks, and how.
struct Asking<'a> {
    taker: &'a CutTaker,
    brokers: Vec<BrokerId>,
}

impl CutTaker {
    /// Starts it on the cold runtime, unless `tier.cut.interval.ms` is 0.
    pub(in crate::broker) fn start(
        cold: Arc<ColdStore>,
        config: &BrokerConfig,
        (steps, live): (Arc<CutSteps>, Arc<LiveConfig>),
        stopping: StopSignal,
    ) {
        let interval = config.millis("tier.cut.interval.ms");
        if interval.is_zero() {
            return;
        }
        let runtime = cold.runtime.clone();
        let task = CutTaker { cold, steps, live, node_id: config.node_id, interval };
        runtime.spawn(async move {
            tokio::select! {
                () = task.run() => {}
                () = stopping.stopped() => {}
            }
        });
    }

    async fn run(&self) {
        let (mut ours, mut kept, mut failed_before) = (false, None, false);
        let mut wait = self.interval;
        loop {
            self.cold.env.clock.sleep(wait).await;
            let round = self.round(&mut ours, &mut kept).await;
            wait = self.interval;
            match round {
                Ok(()) => failed_before = false,
                Err(why) => {
                    tracing::warn!(%why, "no cut of the cluster could be taken; tried again");
                    self.cold.cuts.change(|told| told.failed += 1);
                    if matches!(why, NoCut::Backup(_)) {
                        kept = None; // what is in the store is looked at anew
                    }
                    if !std::mem::replace(&mut failed_before, true) {
                        wait = wait.min(AGAIN);
                    }
                }
            }
            let whole_ms = kept.as_ref().and_then(KeptCuts::whole_ms);
            if whole_ms.is_some() || !self.leads() {
                self.cold.cuts.change(|told| told.whole_ms = whole_ms);
            }
        }
    }

    fn leads(&self) -> bool {
        self.cold.metadata.leader() == Some(self.node_id)
    }

    async fn round(&self, ours: &mut bool, kept: &mut Option<KeptCuts>) -> Result<(), NoCut> {
        if !self.leads() {
            *kept = None; // another one takes them meanwhile
            return Ok(());
        }
        if !self.cold.owns_now().await.map_err(BackupError::from)? {
            return Ok(());
        }
        if !*ours {
            *ours = is_ours(&self.cold, self.node_id).await?;
        }
        if !*ours {
            return Ok(());
        }
        let image = self.cold.metadata.image();
        if Places::of(&image, &self.live.at(&image)).topics.is_empty() {
            return Ok(()); // nothing of the cluster's records would come back
        }
        let (store, cluster_id) = (&*self.cold.store, image.cluster_id.clone());
        let kept = match kept {
            Some(kept) => kept,
            None => kept.insert(KeptCuts::load(store, &cluster_id).await?),
        };
        let drawn = self.cold.env.rng.next_u64();
        let (cut, now) = self.take(drawn).await?;
        kept.judge(&now);
        if !kept.says_as(&cut) {
            let missing = kept.missing_parts(&cut);
            kept.may_have_parts(&missing);
            self.write_parts(drawn, &cut, &missing).await?;
            let taken_ms = cut.taken_ms;
            let number = kept.add(store, cut).await?;
            tracing::debug!(number, taken_ms, "a cut of the cluster is written");
            kept.judge(&now);
        }
        kept.tidy(store, &cluster_id).await.map_err(BackupError::from)?;
        Ok(())
    }

    /// Takes a cut; nothing of it is in the store yet.
    async fn take(&self, drawn: u64) -> Result<(CutBackup, Present), NoCut> {
        let clock = &self.cold.env.clock;
        let image = self.cold.metadata.image();
        let before = Places::of(&image, &self.live.at(&image));
        let brokers = image.brokers.keys().copied().filter(|id| image.is_active(*id)).collect();
        let asking = Asking { taker: self, brokers };
        let (began, taken_ms) = (clock.now(), clock.wall_ms());
        let answers = asking.steps(drawn, &before, began + HELD).await;
        let mut let_go = Ok(());
        if !before.transactions.is_empty() {
            let told = asking.held(CutRequest::LetGo { cut: drawn }, LET_GO_LIMIT).await;
            let_go = told.and_then(|told| before.all_hold(&told));
            let held_ms = u64::try_from(clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
            self.cold.cuts.change(|told| told.held_ms = held_ms);
        }
        let answers = answers?;
        let_go.map_err(|why| format!("transactions were not held all the while: {why}"))?;
        let now = present(&answers);
        let cut = before.cut(&image.cluster_id, taken_ms, answers)?;
        let after = self.cold.metadata.confirmed_image().await;
        let after = after.ok_or_else(|| "this broker leads the metadata quorum no more".to_owned())?;
        if Places::of(&after, &self.live.at(&after)) != before {
            return Err("partitions have got other leaders, or topics have come or gone".to_owned().into());
        }
        Ok((cut, now))
    }

    /// Lets the brokers write the parts that are missing, each its own.
    async fn write_parts(
        &self,
        drawn: u64,
        cut: &CutBackup,
        missing: &BTreeSet<String>,
    ) -> Result<(), NoCut> {
        let image = self.cold.metadata.image();
        let asked = image.brokers.keys().filter_map(|broker| {
            let folder = tiering::layout::PartitionFolder::cut_parts_of(&cut.cluster_id, &broker.to_string());
            let keys: Vec<String> = missing.iter().filter(|key| key.starts_with(&folder)).cloned().collect();
            let request = CutRequest::Write { cut: drawn, keys: keys.clone() };
            (!keys.is_empty())
                .then_some(async move { (broker, self.ask(*broker, request, WRITE_LIMIT).await) })
        });
        for (broker, told) in join_all(asked).await {
            match told {
                Some(CutAnswer::Written) => {}
                told => return Err(refusal(*broker, told).into()),
            }
        }
        Ok(())
    }

    async fn ask(&self, broker: BrokerId, request: CutRequest, limit: Duration) -> Option<CutAnswer> {
        if broker == self.node_id {
            return timeout(&*self.cold.env.clock, limit, self.steps.answer(request)).await.ok();
        }
        match ask_within(&self.cold.metadata, broker, &PeerRequest::Cut(request), limit).await {
            Some(PeerAnswer::Cut(answer)) => Some(answer),
            _ => None,
        }
    }
}

impl Asking<'_> {
    /// Until the deadline: hold, groups, marks.
    async fn steps(&self, drawn: u64, places: &Places, deadline: MonoTime) -> Result<Answers, String> {
        let left = || deadline.since(self.taker.cold.env.clock.now());
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if !places.transactions.is_empty() {
            let hold = CutRequest::Hold { cut: drawn, for_ms: millis(HELD) };
            let held = self.held(hold, left()).await?;
            places.all_hold(&held)?;
        }
        let mut answers = Answers::default();
        if !places.groups.is_empty() {
            for (broker, told) in self.all(CutRequest::Groups { cut: drawn }, left()).await {
                match told {
                    Some(CutAnswer::Groups(parts)) => answers.groups.push((broker, parts)),
                    told => return Err(refusal(broker, told)),
                }
            }
        }
        let topics: Vec<TopicId> = places.topics.keys().copied().collect();
        let marks = CutRequest::Marks { topics, wait_ms: millis(left()) };
        for (broker, told) in self.all(marks, left()).await {
            match told {
                Some(CutAnswer::Marks(marks)) => answers.marks.push((broker, marks)),
                told => return Err(refusal(broker, told)),
            }
        }
        Ok(answers)
    }

    async fn held(
        &self,
        request: CutRequest,
        limit: Duration,
    ) -> Result<Vec<(BrokerId, Vec<(i32, i32)>)>, String> {
        let told = self.all(request, limit).await.into_iter().map(|(broker, told)| match told {
            Some(CutAnswer::Held(held)) => Ok((broker, held)),
            told => Err(refusal(broker, told)),
        });
        told.collect()
    }

    /// All brokers at the same time.
    async fn all(&self, request: CutRequest, limit: Duration) -> Vec<(BrokerId, Option<CutAnswer>)> {
        join_all(self.brokers.iter().map(|broker| {
            let request = request.clone();
            async move { (*broker, self.taker.ask(*broker, request, limit).await) }
        }))
        .await
    }
}

fn refusal(broker: BrokerId, told: Option<CutAnswer>) -> String {
    match told {
        Some(CutAnswer::Refused(why)) => format!("broker {broker}: {why}"),
        Some(_) => format!("broker {broker} answers something else"),
        None => format!("broker {broker} does not answer in time"),
    }
}

fn present(answers: &Answers) -> Present {
    let mut now: Present = BTreeMap::new();
    for one in answers.marks.iter().flat_map(|(_, marks)| marks) {
        now.entry(one.topic.to_string()).or_default().insert(one.partition, one.clone());
    }
    now
}
