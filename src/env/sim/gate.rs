//! Calls of a disk that do not come back, until it is said.

use std::path::Path;

use parking_lot::{Condvar, Mutex};

use super::disk::DiskCall;

/// Where calls hang; whoever is stuck keeps its thread.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<Stuck>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct Stuck {
    /// Calls on paths that contain this hang; all of them, or of one kind.
    at: Option<(Option<DiskCall>, String)>,
    /// Threads that are stuck.
    threads: usize,
}

impl Stuck {
    fn holds(&self, call: DiskCall, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.at
            .as_ref()
            .is_some_and(|(kind, part)| kind.is_none_or(|kind| kind == call) && path.contains(part))
    }
}

impl Gate {
    pub(super) fn close(&self, call: Option<DiskCall>, path: &str) {
        self.state.lock().at = Some((call, path.to_owned()));
    }

    pub(super) fn open(&self) {
        self.state.lock().at = None;
        self.opened.notify_all();
    }

    pub(super) fn stuck(&self) -> usize {
        self.state.lock().threads
    }

    pub(super) fn holds(&self, call: DiskCall, path: &Path) -> bool {
        self.state.lock().holds(call, path)
    }

    pub(super) fn pass(&self, call: DiskCall, path: &Path) {
        let mut state = self.state.lock();
        if !state.holds(call, path) {
            return;
        }
        state.threads += 1;
        while state.holds(call, path) {
            self.opened.wait(&mut state);
        }
        state.threads -= 1;
    }
}
