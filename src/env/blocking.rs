//! The seam to threads: pools for calls that block (files, fsync), so that no reactor thread does, and a runtime of its
//! own for slow work. In a simulation both are tasks of the one thread that there is.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// A job of a pool.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The seam to threads.
pub trait Threads: Send + Sync + 'static {
    /// A pool of `threads` threads (at least one) that run blocking jobs.
    fn pool(&self, name: &str, threads: usize) -> BlockingPool;

    /// The same, of threads that the others go before.
    fn background_pool(&self, name: &str, threads: usize) -> BlockingPool;

    /// A runtime beside the caller's, so that what runs there takes no thread from this one.
    ///
    /// # Errors
    /// What the operating system says.
    fn background(&self, name: &str) -> io::Result<Background>;
}

/// Threads of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealThreads;

impl Threads for RealThreads {
    fn pool(&self, name: &str, threads: usize) -> BlockingPool {
        BlockingPool::new(name, threads)
    }

    fn background_pool(&self, name: &str, threads: usize) -> BlockingPool {
        BlockingPool::in_background(name, threads)
    }

    fn background(&self, name: &str) -> io::Result<Background> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .on_thread_start(super::limits::run_in_background)
            .enable_all()
            .build()?;
        Ok(Background { handle: runtime.handle().clone(), own: Mutex::new(Some(runtime)) })
    }
}

/// A runtime for work in the background; it ends when this is dropped.
pub struct Background {
    handle: Handle,
    own: Mutex<Option<Runtime>>,
}

impl Background {
    /// The caller's own runtime: nothing runs beside anything.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn here() -> Background {
        Background { handle: Handle::current(), own: Mutex::new(None) }
    }

    /// Where to start tasks.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends it without waiting for its tasks.
    pub fn shutdown(&self) {
        if let Some(runtime) = self.own.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A runtime must not be dropped where blocking is forbidden.
        self.shutdown();
    }
}

/// Runs blocking jobs in the order they came.
///
/// The queue is bounded by its callers: each request in flight has at most one job, and requests in flight
/// are bounded by the memory budget.
#[derive(Clone)]
pub struct BlockingPool {
    submit: Arc<dyn Fn(Job) + Send + Sync>,
    enter: Arc<dyn Fn(Short) -> Option<Here> + Send + Sync>,
    work: Arc<Work>,
}

/// What the threads of a pool are at.
struct Work {
    since: Instant,
    /// Of each thread when its job began, in microseconds after `since`; zero while it has none.
    began: Vec<AtomicU64>,
}

impl Work {
    #[allow(clippy::disallowed_methods)]
    fn of(threads: usize) -> Work {
        Work { since: Instant::now(), began: (0..threads).map(|_| AtomicU64::new(0)).collect() }
    }

    fn run(&self, thread: usize, job: Job) {
        self.began[thread].store(micros(self.since.elapsed()).max(1), Ordering::Relaxed);
        run_one(job);
        self.began[thread].store(0, Ordering::Relaxed);
    }

    /// How long each thread has been at its job.
    fn lasts(&self) -> impl Iterator<Item = Duration> + '_ {
        let now = micros(self.since.elapsed());
        let began = self.began.iter().map(|began| began.load(Ordering::Relaxed));
        began
            .map(move |began| if began == 0 { 0 } else { now.saturating_sub(began) })
            .map(Duration::from_micros)
    }
}

/// A job that is short, if all goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// A write into the page cache: it waits for the device after all when too much of that is dirty.
    Write,
    /// It asks no device for anything, or for no more than to read ahead.
    InMemory,
}

/// Leave to do a short job on the caller's own thread, which is one of a runtime; see [`BlockingPool::here`].
pub struct Here {
    door: Option<(Arc<Door>, Short, u64)>,
}

/// Above this a job was not short: the device or the machine is slow.
const SHORT: Duration = Duration::from_millis(2);
/// So long nothing is done on callers' threads after one that was not short.
const CLOSED: Duration = Duration::from_secs(1);
/// Jobs that follow each other sooner are of one request, between which the thread does nothing else.
const IN_A_ROW: Duration = Duration::from_micros(10);

thread_local! {
    /// Of the jobs that this thread does in a row: when the first began and the last ended, in microseconds of the door's time.
    static ROW: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Lets few callers in, and none while jobs are slow.
struct Door {
    /// Callers at once: one fewer than the runtime has threads, so that one is always left.
    most: usize,
    inside: AtomicUsize,
    since: Instant,
    /// Microseconds after `since`.
    closed_until: AtomicU64,
    /// The same for jobs in memory: to ask the kernel for what it has there can begin to read ahead, and wait for that.
    memory_closed_until: AtomicU64,
    /// When the last caller went in. While one of them is still inside after long, the device hangs.
    entered: AtomicU64,
}

/// The pool ended, or the job panicked, before there was an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk threads have ended, or the job panicked")]
pub struct PoolClosed;

impl BlockingPool {
    /// Starts `threads` threads (at least one) called `name-0`, `name-1`, …; they end when the last clone is dropped.
    /// A broker takes its pools from [`Threads`] instead.
    ///
    /// # Panics
    /// When the operating system grants no thread at start.
    #[must_use]
    pub fn new(name: &str, threads: usize) -> BlockingPool {
        BlockingPool::start(name, threads, || {})
    }

    /// The same, of threads that the others go before.
    ///
    /// # Panics
    /// As `new`.
    #[must_use]
    pub fn in_background(name: &str, threads: usize) -> BlockingPool {
        BlockingPool::start(name, threads, super::limits::run_in_background)
    }

    #[allow(clippy::disallowed_methods)]
    fn start(name: &str, threads: usize, prepare: fn()) -> BlockingPool {
        let queue = Arc::new(JobQueue::default());
        let work = Arc::new(Work::of(threads.max(1)));
        for i in 0..threads.max(1) {
            let (queue, work) = (queue.clone(), work.clone());
            std::thread::Builder::new()
                .name(format!("{name}-{i}"))
                .spawn(move || {
                    prepare();
                    while let Some(job) = queue.next() {
                        work.run(i, job);
                    }
                })
                .expect("a thread can be started when the process starts");
        }
        let queue = EndsWith(queue);
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        let door = Arc::new(Door::new(workers - 1));
        let pool = BlockingPool::over(move |job| queue.0.push(job), move |short| door.enter(short));
        BlockingPool { work, ..pool }
    }

    /// A pool whose jobs are given to `submit`, and whose callers do a short one themselves when `enter` lets them.
    pub(super) fn over(
        submit: impl Fn(Job) + Send + Sync + 'static,
        enter: impl Fn(Short) -> Option<Here> + Send + Sync + 'static,
    ) -> BlockingPool {
        BlockingPool { submit: Arc::new(submit), enter: Arc::new(enter), work: Arc::new(Work::of(0)) }
    }

    /// The same threads; callers do short jobs themselves when the other pool lets them, so that one thread of the runtime is
    /// left whichever of the two is slow.
    #[must_use]
    pub fn behind_the_door_of(self, other: &BlockingPool) -> BlockingPool {
        BlockingPool { enter: other.enter.clone(), ..self }
    }

    /// How long the job has lasted that one of its threads has been at longest; zero while all are idle, and where threads are tasks.
    #[must_use]
    pub fn longest_job(&self) -> Duration {
        self.work.lasts().max().unwrap_or_default()
    }

    /// For how long no thread has been done with its job: until one is, whatever is given to the pool waits. Zero while one is idle.
    #[must_use]
    pub fn stuck_for(&self) -> Duration {
        self.work.lasts().min().unwrap_or_default()
    }

    /// Leave for one job that normally takes microseconds, such as a write into the page cache: to change threads twice
    /// costs more than that. Not given when all threads of the runtime but one are at such a job, while one of these takes
    /// long and for a second after it, and to a thread that has done such jobs without a pause for long enough: then the pool
    /// takes it. Held while the job runs.
    #[must_use]
    pub fn here(&self) -> Option<Here> {
        (self.enter)(Short::Write)
    }

    /// The same for a job that asks no device for anything, such as to read and check what is in the page cache: not given
    /// only to a thread that has done such jobs without a pause for long enough, and for a second after one that took long.
    #[must_use]
    pub fn here_in_memory(&self) -> Option<Here> {
        (self.enter)(Short::InMemory)
    }

    /// Runs a job without waiting for it.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        (self.submit)(Box::new(job));
    }

    /// Runs a job and waits for its answer.
    ///
    /// # Errors
    /// `PoolClosed` when the job panicked or the process is ending.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolClosed> {
        let (answer, receiver) = oneshot::channel();
        self.spawn(move || {
            let _ = answer.send(job());
        });
        receiver.await.map_err(|_| PoolClosed)
    }
}

impl Here {
    /// Leave from nobody.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn free() -> Here {
        Here { door: None }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if let Some((door, short, begun)) = self.door.take() {
            door.leave(short, begun, door.now());
        }
    }
}

impl Door {
    #[allow(clippy::disallowed_methods)]
    fn new(most: usize) -> Door {
        let [closed_until, memory_closed_until, entered] = [0, 0, 0].map(AtomicU64::new);
        let inside = AtomicUsize::new(0);
        Door { most, inside, since: Instant::now(), closed_until, memory_closed_until, entered }
    }

    fn enter(self: &Arc<Self>, short: Short) -> Option<Here> {
        let begun = self.now();
        self.lets_in(short, begun).then(|| Here { door: Some((self.clone(), short, begun)) })
    }

    fn now(&self) -> u64 {
        micros(self.since.elapsed())
    }

    fn lets_in(&self, short: Short, now: u64) -> bool {
        let (first, last) = ROW.get();
        let row = if now.saturating_sub(last) <= micros(IN_A_ROW) { first } else { now };
        let is_long = |from: u64| now.saturating_sub(from) > micros(SHORT);
        if short == Short::InMemory {
            let may = !is_long(row) && now >= self.memory_closed_until.load(Ordering::Relaxed);
            if may {
                ROW.set((row, now));
            }
            return may;
        }
        let hangs = self.inside.load(Ordering::Relaxed) > 0 && is_long(self.entered.load(Ordering::Relaxed));
        if now < self.closed_until.load(Ordering::Relaxed) || is_long(row) || hangs {
            return false;
        }
        let has_room = |inside| (inside < self.most).then_some(inside + 1);
        if self.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room).is_err() {
            return false;
        }
        self.entered.fetch_max(now, Ordering::Relaxed);
        ROW.set((row, now));
        true
    }

    fn leave(&self, short: Short, begun: u64, now: u64) {
        ROW.set((ROW.get().0, now));
        let closed_until = match short {
            Short::InMemory => &self.memory_closed_until,
            Short::Write => {
                self.inside.fetch_sub(1, Ordering::Relaxed);
                &self.closed_until
            }
        };
        if now.saturating_sub(begun) > micros(SHORT) {
            closed_until.fetch_max(now + micros(CLOSED), Ordering::Relaxed);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Jobs that wait for a thread. A job wakes one thread at most, and none when all are at work: waking is what a short job
/// costs most.
#[derive(Default)]
struct JobQueue {
    state: Mutex<JobState>,
    more: Condvar,
}

#[derive(Default)]
struct JobState {
    jobs: VecDeque<Job>,
    /// Threads that sleep and that nobody has woken yet.
    asleep: usize,
    ended: bool,
}

impl JobQueue {
    fn push(&self, job: Job) {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        let wakes = state.asleep > 0;
        if wakes {
            state.asleep -= 1;
        }
        drop(state);
        if wakes {
            self.more.notify_one();
        }
    }

    /// The oldest job, once there is one; none when the pool has ended and all is done.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.ended {
                return None;
            }
            state.asleep += 1;
            self.more.wait(&mut state);
        }
    }

    fn end(&self) {
        self.state.lock().ended = true;
        self.more.notify_all();
    }
}

/// The last clone of a pool ends its threads.
struct EndsWith(Arc<JobQueue>);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A panic in one job must not take the thread from the others.
pub(super) fn run_one(job: Job) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
        tracing::error!("a blocking job panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn every_job_is_run_whoever_sleeps_and_the_threads_end_with_the_pool() {
        let pool = BlockingPool::new("test", 3);
        let (done, dones) = channel();
        for round in 0..200_u64 {
            for job in 0..round % 7 {
                let done = done.clone();
                pool.spawn(move || done.send(job).unwrap());
            }
            let mut jobs: Vec<u64> = (0..round % 7).map(|_| dones.recv_timeout(LONG).unwrap()).collect();
            jobs.sort_unstable();
            assert_eq!(jobs, (0..round % 7).collect::<Vec<_>>());
        }
        // What is queued when the pool ends is still run; then nothing holds the sender any more.
        pool.spawn(move || done.send(7).unwrap());
        drop(pool);
        assert_eq!(dones.recv_timeout(LONG), Ok(7));
        assert!(dones.recv_timeout(LONG).is_err());
    }

    #[test]
    fn a_job_that_waits_holds_up_none_while_there_is_another_thread() {
        let pool = BlockingPool::new("test", 2);
        let (go, gone) = channel::<()>();
        let (done, dones) = channel();
        pool.spawn(move || gone.recv_timeout(LONG).unwrap());
        for job in 0..10 {
            let done = done.clone();
            pool.spawn(move || done.send(job).unwrap());
        }
        let jobs: Vec<i32> = (0..10).map(|_| dones.recv_timeout(LONG).unwrap()).collect();
        assert_eq!(jobs, (0..10).collect::<Vec<_>>());
        go.send(()).unwrap();
    }

    #[test]
    fn a_pool_tells_for_how_long_its_threads_have_been_at_their_jobs() {
        let pool = BlockingPool::new("test", 2);
        let (told, senders) = (Arc::new(Mutex::new(Vec::new())), [channel::<()>(), channel::<()>()]);
        let at_once = pool.clone();
        let lasts = move || (at_once.longest_job() > Duration::ZERO, at_once.stuck_for() > Duration::ZERO);
        told.lock().push(lasts());
        let (begun, begins) = channel();
        let [one, two] = senders.map(|(go, gone)| {
            let begun = begun.clone();
            pool.spawn(move || {
                begun.send(()).unwrap();
                gone.recv_timeout(LONG).unwrap();
            });
            begins.recv_timeout(LONG).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            told.lock().push(lasts());
            go
        });
        assert_eq!(*told.lock(), [(false, false), (true, false), (true, true)]);
        one.send(()).unwrap();
        two.send(()).unwrap();
        let mut ends = std::iter::repeat_with(|| std::thread::sleep(Duration::from_millis(1))).take(30_000);
        assert!(ends.any(|()| lasts() == (false, false)), "both are idle again");
    }

    #[test]
    fn a_job_that_panics_takes_no_thread_away() {
        let pool = BlockingPool::new("test", 1);
        pool.spawn(|| panic!("on purpose"));
        let (done, dones) = channel();
        pool.spawn(move || done.send(()).unwrap());
        assert_eq!(dones.recv_timeout(LONG), Ok(()));
    }

    #[test]
    fn callers_do_short_jobs_themselves_but_leave_a_thread_and_stop_when_jobs_are_slow() {
        let (short, closed) = (micros(SHORT), micros(CLOSED));
        let door = Door::new(2);
        assert!(door.lets_in(Short::Write, 1_000) && door.lets_in(Short::Write, 1_100));
        assert!(!door.lets_in(Short::Write, 1_200), "one thread is left");
        door.leave(Short::Write, 1_000, 1_200);
        assert!(door.lets_in(Short::Write, 1_300));
        door.leave(Short::Write, 1_300, 1_400);
        let late = 1_300 + short + 1;
        assert!(!door.lets_in(Short::Write, late), "one is inside and does not come back");
        door.leave(Short::Write, 1_100, late);
        assert!(
            !door.lets_in(Short::Write, late + 100) && !door.lets_in(Short::Write, late + closed - 1),
            "the device is slow"
        );
        assert!(door.lets_in(Short::Write, late + closed));
    }

    #[test]
    fn a_thread_does_not_do_short_jobs_for_long_without_a_pause() {
        let door = Door::new(2);
        let mut now = 1_000_000;
        for short in [Short::Write, Short::InMemory] {
            let mut done = 0;
            while door.lets_in(short, now) {
                door.leave(short, now, now + 100);
                now += 105;
                done += 1;
            }
            assert_eq!(done, 20, "2 ms of 105 µs each");
            now += micros(IN_A_ROW);
        }
        assert!(door.lets_in(Short::Write, now), "after a pause");
    }

    #[test]
    fn what_is_in_memory_does_not_wait_for_a_slow_device() {
        let door = Door::new(2);
        assert!(door.lets_in(Short::Write, 1_000));
        let late = 1_000 + micros(SHORT) + 1;
        assert!(!door.lets_in(Short::Write, late));
        assert!(door.lets_in(Short::InMemory, late), "a write hangs");
        door.leave(Short::InMemory, late, late + 5);
        door.leave(Short::Write, 1_000, late);
        assert!(!door.lets_in(Short::Write, late + 100), "closed");
        assert!(door.lets_in(Short::InMemory, late + 100));
        let long = late + 100 + micros(SHORT) + 1;
        door.leave(Short::InMemory, late + 100, long);
        assert!(door.lets_in(Short::Write, late + micros(CLOSED)), "of writes that says nothing");
        assert!(!door.lets_in(Short::InMemory, long + 100), "the kernel has waited for something");
        assert!(door.lets_in(Short::InMemory, long + micros(CLOSED)));
    }

    #[test]
    fn pools_behind_one_door_have_threads_of_their_own_and_leave_a_thread_of_the_runtime_together() {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let _inside = runtime.enter();
        let one = BlockingPool::new("one", 1);
        let two = BlockingPool::new("two", 1).behind_the_door_of(&one);
        let leave = one.here().expect("nobody is inside");
        assert!(two.here().is_none(), "one thread is left");
        drop(leave);
        let (go, gone) = channel::<()>();
        one.spawn(move || gone.recv_timeout(LONG).unwrap());
        let (done, dones) = channel();
        two.spawn(move || done.send(()).unwrap());
        assert_eq!(dones.recv_timeout(LONG), Ok(()), "a thread that waits is not its own");
        go.send(()).unwrap();
    }

    #[test]
    fn outside_of_a_runtime_nothing_is_done_on_the_callers_thread() {
        assert!(
            BlockingPool::new("test", 1).here().is_none(),
            "outside of a runtime there is no thread to spare"
        );
    }
}
