//! What waits for a partition's log: the appends of a leader, and the inbox of a follower. One job at a time works a queue off, a part
//! at once, on a disk thread, or on the thread that brought the item where that is short work. Whatever becomes of the job, also when
//! it panics, the queue goes on: nobody else would take anything out of it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{LogGuard, Replica};

/// Items in the order they came, and whether somebody works them off.
pub(super) struct Queue<T> {
    items: VecDeque<T>,
    is_worked_off: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { items: VecDeque::new(), is_worked_off: false }
    }
}

impl<T> Queue<T> {
    /// Puts an item in. Whether the caller has to begin to work it off.
    pub(super) fn push(&mut self, item: T) -> bool {
        self.items.push_back(item);
        !std::mem::replace(&mut self.is_worked_off, true)
    }

    /// The newest item.
    pub(super) fn last(&mut self) -> Option<&mut T> {
        self.items.back_mut()
    }

    /// The only item.
    pub(super) fn only(&self) -> Option<&T> {
        self.items.front().filter(|_| self.items.len() == 1)
    }

    /// Takes so many out, or all that there are.
    pub(super) fn take(&mut self, most: usize) -> impl Iterator<Item = T> + '_ {
        let taken = self.items.len().min(most);
        self.items.drain(..taken)
    }

    /// A part is done. Whether there is more to do.
    fn goes_on(&mut self) -> bool {
        self.is_worked_off = !self.items.is_empty();
        self.is_worked_off
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }
}

/// One of the two queues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Appends,
    Inbox,
}

/// Whose thread works.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// It may wait for an fsync.
    Disk,
    /// One of the runtime's: it may not.
    Caller,
}

impl Replica {
    /// Something waits that nobody works off yet.
    pub(super) fn begin_to_work_off(self: &Arc<Self>, queue: Waiting) {
        if !self.work_off_here(queue) {
            self.work_off_on_disk_thread(queue);
        }
    }

    /// Works it off on this very thread, if that is short work and finds the log's lock free. Otherwise it is a disk thread's.
    fn work_off_here(self: &Arc<Self>, queue: Waiting) -> bool {
        let Some(_leave) = self.threads.pool.here() else { return false };
        let Some(log) = self.log.try_lock() else { return false };
        let looked = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            self.pass(super::Trap::Look);
            match queue {
                Waiting::Appends => self.appends_are_short(&log),
                Waiting::Inbox => self.inbox_is_short(&log),
            }
        }));
        // The thread may be its lane's: whatever it panicked over is a disk thread's.
        let is_short = looked.unwrap_or(false);
        if is_short {
            self.work_off(queue, LogGuard { replica: self, log: Some(log) }, Thread::Caller);
        }
        is_short
    }

    fn work_off_on_disk_thread(self: &Arc<Self>, queue: Waiting) {
        let replica = self.clone();
        self.threads.pool.spawn(move || replica.work_off(queue, replica.log(), Thread::Disk));
    }

    /// Works a part of it off.
    fn work_off(self: &Arc<Self>, queue: Waiting, log: LogGuard<'_>, thread: Thread) {
        let worked = catch_unwind(AssertUnwindSafe(|| match queue {
            Waiting::Appends => self.append_what_waits(log, thread),
            Waiting::Inbox => self.take_in_what_came(log, thread),
        }));
        if worked.is_ok() {
            return self.go_on(queue);
        }
        let replica = self.clone();
        self.threads.pool.spawn(move || {
            replica.give_up();
            replica.go_on(queue);
        });
    }

    /// What is left queues again behind the other partitions' jobs.
    fn go_on(self: &Arc<Self>, queue: Waiting) {
        let has_more = match queue {
            Waiting::Appends => self.appends.lock().waiting.goes_on(),
            Waiting::Inbox => self.inbox.lock().goes_on(),
        };
        if has_more {
            self.work_off_on_disk_thread(queue);
        }
    }
}
