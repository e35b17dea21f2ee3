//! Transactions one by one: requests in, answers out, a clock that stands still unless told.

use super::request::*;
use super::*;
use crate::coordinator::shard::Answer;
use crate::types::{ProducerId, TopicName, TopicPartition};

struct Bench {
    shard: TxnShard,
    now: Now,
    log: Vec<Entry<TxnRecord>>,
    tasks: Vec<WriteMarkers>,
    next_id: i64,
}

const V1: i16 = 0;
const V2: i16 = 2;

fn part(index: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), index)
}

impl Bench {
    fn new() -> Bench {
        let shard = TxnShard::new(Arc::new(TxnConfig::default()), LeaderEpoch(3), Offset::ZERO);
        let now =
            Now { mono: MonoTime::default() + Duration::from_secs(1), wall_ms: 1_000_000, may_expire: true };
        let mut bench = Bench { shard, now, log: Vec::new(), tasks: Vec::new(), next_id: 100 };
        let out = bench.shard.start(now);
        bench.take(out);
        bench
    }

    fn failed_over(&self) -> Bench {
        let mut shard = TxnShard::new(Arc::new(TxnConfig::default()), LeaderEpoch(4), Offset::ZERO);
        self.log.iter().for_each(|entry| shard.replay(entry));
        let mut bench =
            Bench { shard, now: self.now, log: self.log.clone(), tasks: Vec::new(), next_id: self.next_id };
        let out = bench.shard.start(self.now);
        bench.take(out);
        bench
    }

    fn take(&mut self, out: Output) -> Option<Answer<Reply>> {
        self.log.extend(out.entries);
        self.tasks.extend(out.tasks.into_iter().map(|(_, task)| task));
        out.answers.into_iter().next()
    }

    fn ask(&mut self, request: Request) -> Reply {
        let out = self.shard.decide(RequestId(0), request, self.now);
        let answer = self.take(out).expect("every request is answered");
        assert!(answer.after <= self.shard.decided);
        answer.reply
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall_ms += i64::try_from(time.as_millis()).unwrap();
        let out = self.shard.on_time(self.now);
        self.take(out);
    }

    fn try_init(&mut self, expected: Option<Producer>) -> Result<Producer, TxnError> {
        self.next_id += 1;
        let fresh = Some(ProducerId(self.next_id));
        match self.ask(Request::Init(InitProducer {
            id: "x".into(),
            timeout_ms: 60_000,
            expected,
            fresh,
            first_of_life: ProducerId(0),
        })) {
            Reply::Init(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn init(&mut self) -> Producer {
        self.try_init(None).unwrap()
    }

    fn add(&mut self, producer: Producer, index: i32, client_version: i16) -> Result<(), TxnError> {
        let partitions = vec![part(index)];
        match self.ask(Request::Add(AddPartitions { id: "x".into(), producer, partitions, client_version })) {
            Reply::Add(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn verify(&mut self, producer: Producer, index: i32) -> Result<Vec<bool>, TxnError> {
        let partitions = vec![part(index)];
        match self.ask(Request::Verify(VerifyPartitions { id: "x".into(), producer, partitions })) {
            Reply::Verify(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, producer: Producer, commit: bool, client_version: i16) -> Result<Producer, TxnError> {
        self.next_id += 1;
        let fresh = Some(ProducerId(self.next_id));
        let end = EndTransaction { id: "x".into(), producer, commit, client_version, fresh };
        match self.ask(Request::End(end)) {
            Reply::End(result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// All markers that are on their way are written.
    fn write_markers(&mut self) -> Vec<WriteMarkers> {
        let tasks = std::mem::take(&mut self.tasks);
        for task in &tasks {
            self.ask(Request::MarkersWritten(task.written()));
        }
        tasks
    }

    fn state(&self) -> &Transaction {
        &self.shard.kept["x"].transaction
    }
}

fn bumped(producer: Producer, by: i16) -> Producer {
    Producer { epoch: ProducerEpoch(producer.epoch.0 + by), ..producer }
}

#[test]
fn a_commit_writes_markers_where_the_transaction_was_and_completes() {
    let mut bench = Bench::new();
    let p = bench.init();
    assert_eq!(p.epoch, ProducerEpoch(0));
    bench.add(p, 1, V1).unwrap();
    bench.add(p, 2, V1).unwrap();
    assert_eq!(bench.end(p, true, V1), Ok(p));
    assert_eq!(bench.state().state, TxnState::PrepareCommit);
    let markers = bench.write_markers();
    assert_eq!(markers.len(), 1);
    assert_eq!((markers[0].commit, markers[0].coordinator_epoch, markers[0].producer), (true, 3, p));
    assert_eq!(markers[0].partitions, [part(1), part(2)]);
    assert_eq!(bench.state().state, TxnState::CompleteCommit);
    assert!(bench.state().partitions.is_empty());
}

#[test]
fn markers_wait_for_the_decision_to_be_committed() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    let end = EndTransaction { id: "x".into(), producer: p, commit: true, client_version: V2, fresh: None };
    let out = bench.shard.decide(RequestId(9), Request::End(end), bench.now);
    let decided = bench.shard.decided;
    assert_eq!(out.tasks[0].0, decided);
    assert_eq!(out.answers[0].after, decided);
}

#[test]
fn with_version_2_every_end_bumps_the_epoch_and_a_late_request_is_fenced() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    assert_eq!(bench.end(p, true, V2), Ok(bumped(p, 1)));
    // What comes again before and after the markers.
    assert_eq!(bench.end(p, true, V2), Err(TxnError::Concurrent));
    assert_eq!(bench.add(bumped(p, 1), 1, V2), Err(TxnError::Concurrent));
    let markers = bench.write_markers();
    assert_eq!((markers[0].producer, markers[0].epoch_was_bumped), (bumped(p, 1), true));
    assert_eq!(bench.end(p, true, V2), Ok(bumped(p, 1)));
    assert_eq!(bench.end(p, false, V2), Err(TxnError::InvalidState(TxnState::CompleteCommit)));
    // Late ones of the transaction that is over.
    assert_eq!(bench.add(p, 1, V2), Err(TxnError::Fenced));
    assert_eq!(bench.verify(p, 1), Err(TxnError::Fenced));
    bench.add(bumped(p, 1), 1, V2).unwrap();
    assert_eq!(bench.end(p, true, V2), Err(TxnError::Fenced));
}

#[test]
fn an_end_of_version_1_that_comes_again_is_told_the_same() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V1).unwrap();
    assert_eq!(bench.end(p, false, V1), Ok(p));
    assert_eq!(bench.end(p, false, V1), Err(TxnError::Concurrent));
    assert_eq!(bench.end(p, true, V1), Err(TxnError::Concurrent), "the other outcome, asked for too early");
    bench.write_markers();
    assert_eq!(bench.end(p, false, V1), Ok(p));
    assert_eq!(bench.end(p, true, V1), Err(TxnError::InvalidState(TxnState::CompleteAbort)));
}

#[test]
fn an_abort_without_a_partition_is_an_end_of_version_2_and_none_of_version_1() {
    let mut bench = Bench::new();
    let p = bench.init();
    assert_eq!(bench.end(p, false, V1), Err(TxnError::InvalidState(TxnState::Empty)));
    assert_eq!(bench.end(p, true, V2), Err(TxnError::InvalidState(TxnState::Empty)));
    assert_eq!(bench.end(p, false, V2), Ok(bumped(p, 1)));
    assert_eq!(bench.write_markers()[0].partitions, []);
    assert_eq!(bench.end(bumped(p, 1), false, V2), Ok(bumped(p, 2)));
}

#[test]
fn a_second_producer_aborts_the_open_transaction_and_fences_the_first() {
    let mut bench = Bench::new();
    let first = bench.init();
    bench.add(first, 1, V2).unwrap();
    assert_eq!(bench.try_init(None), Err(TxnError::Concurrent));
    assert_eq!(bench.end(first, true, V2), Err(TxnError::Fenced));
    assert_eq!(bench.end(first, false, V2), Err(TxnError::Fenced), "it must not take this for its own abort");
    assert_eq!(bench.try_init(None), Err(TxnError::Concurrent));
    let markers = bench.write_markers();
    assert!(!markers[0].commit);
    assert!(markers[0].producer.epoch > first.epoch);
    let second = bench.init();
    assert!(second.epoch > markers[0].producer.epoch);
    assert_eq!(bench.add(first, 1, V2), Err(TxnError::Fenced));
    bench.add(second, 1, V2).unwrap();
}

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted_also_after_a_failover() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.state().state, TxnState::Ongoing);
    let mut next = bench.failed_over();
    next.pass(Duration::from_secs(19));
    assert_eq!(next.state().state, TxnState::Ongoing);
    next.pass(Duration::from_secs(2));
    assert_eq!(next.state().state, TxnState::PrepareAbort);
    assert_eq!(next.end(p, true, V2), Err(TxnError::Fenced));
    assert_eq!(next.write_markers()[0].coordinator_epoch, 4);
}

#[test]
fn a_wall_clock_that_went_back_does_not_prolong_a_transaction_beyond_its_time_out() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    bench.now.wall_ms -= 3_600_000;
    let mut next = bench.failed_over();
    next.pass(Duration::from_secs(61));
    assert_eq!(next.state().state, TxnState::PrepareAbort);
}

#[test]
fn a_decision_is_carried_out_by_the_next_coordinator() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V1).unwrap();
    bench.end(p, true, V1).unwrap();
    let mut next = bench.failed_over();
    let markers = next.write_markers();
    assert_eq!((markers[0].commit, markers[0].coordinator_epoch), (true, 4));
    assert_eq!(next.state().state, TxnState::CompleteCommit);
}

#[test]
fn a_producer_that_asks_again_after_an_error_keeps_its_id_and_one_that_was_fenced_does_not() {
    let mut bench = Bench::new();
    let p = bench.init();
    let next = bench.try_init(Some(p)).unwrap();
    assert_eq!(next, bumped(p, 1));
    assert_eq!(bench.try_init(Some(p)), Ok(next), "the answer was lost");
    bench.init();
    assert_eq!(bench.try_init(Some(p)), Err(TxnError::Fenced));
    assert_eq!(bench.try_init(Some(next)), Err(TxnError::Fenced));
    let stranger = Producer { id: ProducerId(1), epoch: ProducerEpoch(0) };
    assert_eq!(bench.try_init(Some(stranger)), Err(TxnError::Fenced));
}

#[test]
fn when_the_epochs_run_out_a_transaction_of_version_2_goes_on_with_a_fresh_id() {
    let mut bench = Bench::new();
    let mut p = bench.init();
    let mut worn = bench.state().clone();
    worn.epoch = ProducerEpoch(i16::MAX - 1);
    let entry = Entry::Record(TxnRecord { id: "x".into(), value: Some(worn) });
    bench.shard.replay(&entry);
    p.epoch = ProducerEpoch(i16::MAX - 1);
    bench.add(p, 1, V2).unwrap();
    let next = bench.end(p, true, V2).unwrap();
    assert_eq!((next.id != p.id, next.epoch), (true, ProducerEpoch(0)));
    assert_eq!(bench.add(next, 1, V2), Err(TxnError::Concurrent), "the former one is still ending");
    assert_eq!(bench.end(next, false, V2), Err(TxnError::Concurrent));
    assert_eq!(bench.end(p, true, V2), Err(TxnError::Concurrent));
    let markers = bench.write_markers();
    assert_eq!(markers[0].producer, Producer { id: p.id, epoch: ProducerEpoch(i16::MAX) });
    assert_eq!(bench.end(p, true, V2), Ok(next), "the answer was lost");
    bench.add(next, 1, V2).unwrap();
}

#[test]
fn when_the_epochs_run_out_a_producer_that_begins_anew_gets_a_fresh_id() {
    let mut bench = Bench::new();
    let p = bench.init();
    let mut worn = bench.state().clone();
    worn.epoch = ProducerEpoch(i16::MAX - 1);
    bench.shard.replay(&Entry::Record(TxnRecord { id: "x".into(), value: Some(worn) }));
    let no_fresh = InitProducer {
        id: "x".into(),
        timeout_ms: 60_000,
        expected: None,
        fresh: None,
        first_of_life: ProducerId(0),
    };
    assert_eq!(bench.ask(Request::Init(no_fresh)), Reply::Init(Err(TxnError::NeedsProducerId)));
    let next = bench.init();
    assert_eq!((next.id != p.id, next.epoch), (true, ProducerEpoch(0)));
    let worn = Producer { id: p.id, epoch: ProducerEpoch(i16::MAX - 1) };
    assert_eq!(bench.try_init(Some(worn)), Ok(next), "the answer was lost");
    assert_eq!(bench.add(p, 1, V1), Err(TxnError::InvalidMapping));
}

#[test]
fn a_partition_is_verified_only_while_it_is_in_the_open_transaction() {
    let mut bench = Bench::new();
    let p = bench.init();
    assert_eq!(bench.verify(p, 1), Ok(vec![false]));
    bench.add(p, 1, V1).unwrap();
    assert_eq!((bench.verify(p, 1), bench.verify(p, 2)), (Ok(vec![true]), Ok(vec![false])));
    bench.end(p, true, V1).unwrap();
    assert_eq!(bench.verify(p, 1), Err(TxnError::Concurrent));
    bench.write_markers();
    assert_eq!(bench.verify(p, 1), Ok(vec![false]));
    assert_eq!(bench.verify(Producer { id: ProducerId(9), ..p }, 1), Err(TxnError::InvalidMapping));
}

#[test]
fn an_idle_id_is_forgotten_and_an_open_transaction_is_not() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.now.may_expire = false;
    bench.pass(Duration::from_secs(8 * 86_400));
    assert_eq!(bench.shard.kept(), 1, "a clock that is not the quorum's says nothing");
    bench.now.may_expire = true;
    bench.pass(Duration::from_secs(86_400));
    assert_eq!(bench.shard.kept(), 0);
    assert_eq!(bench.add(p, 1, V2), Err(TxnError::InvalidMapping));
    assert_eq!(bench.failed_over().shard.kept(), 0);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut bench = Bench::new();
    let init = |id: &str, timeout_ms| {
        Request::Init(InitProducer {
            id: id.into(),
            timeout_ms,
            expected: None,
            fresh: Some(ProducerId(1)),
            first_of_life: ProducerId(0),
        })
    };
    assert_eq!(bench.ask(init("", 1)), Reply::Init(Err(TxnError::InvalidId)));
    assert_eq!(bench.ask(init(&"x".repeat(40_000), 1)), Reply::Init(Err(TxnError::InvalidId)));
    assert_eq!(bench.ask(init("x", 0)), Reply::Init(Err(TxnError::InvalidTimeout)));
    assert_eq!(bench.ask(init("x", 900_001)), Reply::Init(Err(TxnError::InvalidTimeout)));
    assert_eq!(
        bench.ask(init("a \u{1F980} id\0", 1)),
        Reply::Init(Ok(Producer { id: ProducerId(1), epoch: ProducerEpoch(0) }))
    );
    let p = bench.init();
    let partitions: Vec<_> = (0..300_000).map(part).collect();
    let many = AddPartitions { id: "x".into(), producer: p, partitions, client_version: V2 };
    assert_eq!(bench.ask(Request::Add(many)), Reply::Add(Err(TxnError::TooManyPartitions)));
}

#[test]
fn lists_are_filtered_by_state_producer_and_time() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    bench.pass(Duration::from_secs(10));
    let mut list = |filter: ListTransactions| match bench.ask(Request::List(filter)) {
        Reply::List(Ok(found)) => found.len(),
        other => panic!("{other:?}"),
    };
    let all = ListTransactions::default;
    assert_eq!(list(all()), 1);
    assert_eq!(list(ListTransactions { states: vec![TxnState::Empty], ..all() }), 0);
    assert_eq!(list(ListTransactions { states: vec![TxnState::Ongoing], ..all() }), 1);
    assert_eq!(list(ListTransactions { producers: vec![p.id], ..all() }), 1);
    assert_eq!(list(ListTransactions { producers: vec![ProducerId(1)], ..all() }), 0);
    assert_eq!(list(ListTransactions { open_for_ms: Some(9_000), ..all() }), 1);
    assert_eq!(list(ListTransactions { open_for_ms: Some(11_000), ..all() }), 0);
}

#[test]
fn of_a_producer_of_a_life_before_a_restore_only_a_known_id_is_told_to_go_on() {
    let mut bench = Bench::new();
    let init = |bench: &mut Bench, id: &str, expected: Option<Producer>, fresh: i64| {
        let request = InitProducer {
            id: id.into(),
            timeout_ms: 60_000,
            expected,
            fresh: Some(ProducerId(fresh)),
            first_of_life: ProducerId(1000),
        };
        match bench.ask(Request::Init(request)) {
            Reply::Init(result) => result,
            other => panic!("{other:?}"),
        }
    };
    let of = |id: i64| Producer { id: ProducerId(id), epoch: ProducerEpoch(3) };
    assert_eq!(init(&mut bench, "unknown", Some(of(999)), 1000), Err(TxnError::Fenced));
    assert_eq!(init(&mut bench, "unknown", None, 1000).unwrap().epoch, ProducerEpoch(0));
    // The controls: one of this life whose id has expired, and one whose id is known, also where its epochs run out.
    assert!(init(&mut bench, "expired", Some(of(1000)), 1001).is_ok());
    let known = init(&mut bench, "known", None, 7).unwrap();
    let again = init(&mut bench, "known", Some(known), 8).unwrap();
    assert_eq!(again, Producer { id: known.id, epoch: ProducerEpoch(1) });
    let mut worn = bench.shard.kept["known"].transaction.clone();
    worn.epoch = ProducerEpoch(i16::MAX - 1);
    bench.shard.replay(&Entry::Record(TxnRecord { id: "known".into(), value: Some(worn) }));
    let worn = Producer { id: known.id, epoch: ProducerEpoch(i16::MAX - 1) };
    assert_eq!(init(&mut bench, "known", Some(worn), 1002).unwrap().id, ProducerId(1002));
}

#[test]
fn all_ids_are_read_in_pages_once_what_they_say_is_written() {
    let mut bench = Bench::new();
    for n in 0..25 {
        let init = InitProducer {
            id: format!("id-{n:02}").as_str().into(),
            timeout_ms: 60_000,
            expected: None,
            fresh: Some(ProducerId(n)),
            first_of_life: ProducerId(0),
        };
        bench.ask(Request::Init(init));
    }
    let (mut above, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let read = Request::Read(ReadTransactions { above, limit: 10 });
        let out = bench.shard.decide(RequestId(0), read, bench.now);
        let answer = bench.take(out).unwrap();
        assert_eq!(answer.after, bench.shard.decided, "nothing is told before it is committed");
        let Reply::Read(Ok(page)) = answer.reply else { panic!("another answer") };
        let Some((last, _)) = page.last() else { break };
        above = Some(last.clone());
        all.extend(page);
        pages += 1;
    }
    assert_eq!((pages, all.len()), (3, 25));
    let kept = bench.shard.kept.iter().map(|(id, kept)| (id.clone(), kept.transaction.clone()));
    assert_eq!(all, kept.collect::<Vec<_>>());
}

const CUT: u64 = 77;
const AT_MOST: Duration = Duration::from_secs(2);

impl Bench {
    /// As [`Bench::ask`], where the answer may come later, and others with it.
    fn give(&mut self, id: u64, request: Request) -> Vec<(u64, Reply)> {
        let out = self.shard.decide(RequestId(id), request, self.now);
        let answers = out.answers.iter().map(|answer| (answer.id.0, answer.reply.clone())).collect();
        self.take(out);
        answers
    }

    fn hold(&mut self, id: u64) -> Vec<(u64, Reply)> {
        self.give(id, Request::Hold(HoldDecisions { cut: CUT, at_most: AT_MOST }))
    }

    fn let_go(&mut self, cut: u64) -> Vec<(u64, Reply)> {
        self.give(9, Request::LetGo(LetGo { cut }))
    }

    fn give_end(&mut self, id: u64, producer: Producer, commit: bool) -> Vec<(u64, Reply)> {
        let end = EndTransaction { id: "x".into(), producer, commit, client_version: V2, fresh: None };
        self.give(id, Request::End(end))
    }
}

#[test]
fn a_hold_is_answered_once_all_that_was_decided_is_complete_and_lets_nothing_be_decided() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    bench.end(p, true, V2).unwrap();
    assert_eq!(bench.hold(1), [], "its markers are on their way");
    let tasks = std::mem::take(&mut bench.tasks);
    let written = bench.give(2, Request::MarkersWritten(tasks[0].written()));
    assert_eq!(written, [(1, Reply::Hold(Ok(3))), (2, Reply::MarkersWritten)]);
    // The next transaction begins and is not decided.
    let p = bumped(p, 1);
    bench.add(p, 2, V2).unwrap();
    assert_eq!(bench.give_end(3, p, true), []);
    assert_eq!(bench.state().state, TxnState::Ongoing);
    assert_eq!(bench.let_go(CUT), [(3, Reply::End(Ok(bumped(p, 1)))), (9, Reply::LetGo(Ok(3)))]);
    assert_eq!(bench.state().state, TxnState::PrepareCommit);
    assert_eq!(bench.let_go(CUT), [(9, Reply::LetGo(Err(TxnError::NotHeld)))], "it has gone already");
}

#[test]
fn a_hold_that_nobody_ends_ends_by_itself_and_is_known_not_to_have_held() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    assert_eq!(bench.hold(1), [(1, Reply::Hold(Ok(3)))]);
    assert_eq!(bench.give_end(2, p, false), []);
    bench.pass(AT_MOST - Duration::from_millis(1));
    assert_eq!(bench.state().state, TxnState::Ongoing);
    assert_eq!(bench.shard.next_deadline(), Some(bench.now.mono + Duration::from_millis(1)));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.state().state, TxnState::PrepareAbort);
    assert_eq!(bench.let_go(CUT), [(9, Reply::LetGo(Err(TxnError::NotHeld)))]);
    // Also where no time has been told since: the request that comes too late is what ends it.
    let mut bench = Bench::new();
    bench.hold(1);
    bench.now.mono = bench.now.mono + AT_MOST;
    assert_eq!(bench.let_go(CUT), [(9, Reply::LetGo(Err(TxnError::NotHeld)))]);
}

#[test]
fn neither_time_nor_another_producer_ends_a_transaction_while_decisions_are_held() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    bench.pass(Duration::from_secs(59));
    bench.hold(1);
    assert_eq!(bench.try_init(None), Err(TxnError::Concurrent));
    bench.pass(Duration::from_millis(1500));
    assert_eq!(bench.state().state, TxnState::Ongoing, "its time is over, and it is held");
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.state().state, TxnState::PrepareAbort);
    bench.write_markers();
    assert!(bench.try_init(None).is_ok());
}

#[test]
fn a_coordinator_that_moves_or_is_loaded_anew_does_not_say_that_it_has_held() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    assert_eq!(bench.hold(1), [(1, Reply::Hold(Ok(3)))]);
    let mut next = bench.failed_over();
    assert_eq!(next.let_go(CUT), [(9, Reply::LetGo(Err(TxnError::NotHeld)))]);
    next.end(p, true, V2).unwrap();
    assert_eq!(next.hold(1), [], "what its forerunner or itself has decided counts for the next hold");
}

#[test]
fn a_hold_for_another_cut_takes_the_place_of_the_one_before() {
    let mut bench = Bench::new();
    let p = bench.init();
    bench.add(p, 1, V2).unwrap();
    bench.end(p, true, V2).unwrap();
    bench.hold(1);
    let other = bench.give(2, Request::Hold(HoldDecisions { cut: CUT + 1, at_most: AT_MOST }));
    assert_eq!(other, [(1, Reply::Hold(Err(TxnError::NotHeld)))]);
    assert_eq!(bench.let_go(CUT), [(9, Reply::LetGo(Err(TxnError::NotHeld)))]);
    // Who lets go before all was complete has not held anything.
    let ended = bench.let_go(CUT + 1);
    assert_eq!(ended, [(2, Reply::Hold(Err(TxnError::NotHeld))), (9, Reply::LetGo(Err(TxnError::NotHeld)))]);
}
