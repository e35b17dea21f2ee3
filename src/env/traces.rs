//! Spans and log lines on their way to a collector: bounded queues, from which `admin` exports.
//!
//! Of the requests one in so many is sampled; background work (an offload, a leadership) always. There is never a span for a
//! record. While nobody exports, nothing is kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// Spans, and lines, that wait for the exporter at most.
const QUEUE: usize = 4096;

/// A stretch of work that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// 16 bytes; spans of one trace share them.
    pub trace_id: [u8; 16],
    /// 8 bytes.
    pub span_id: [u8; 8],
    /// The span that this one is part of.
    pub parent: Option<[u8; 8]>,
    /// What was done.
    pub name: String,
    /// When it began, in nanoseconds of Unix time.
    pub begin_ns: u64,
    /// How long it took.
    pub duration: Duration,
    /// What else there is to say.
    pub attributes: Vec<(&'static str, String)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Unix time.
    pub wall_ms: i64,
    /// OTLP's severity number (5 debug, 9 info, 13 warn, 17 error).
    pub severity: u8,
    /// Where it comes from.
    pub target: String,
    /// The line, fields included.
    pub text: String,
}

/// What waits for the exporter.
#[derive(Debug, Default)]
pub struct Traces {
    on: AtomicBool,
    /// One request in so many is sampled; 0: none.
    one_in: AtomicU64,
    requests: AtomicU64,
    spans: Mutex<VecDeque<Span>>,
    lines: Mutex<VecDeque<LogLine>>,
    dropped: [AtomicU64; 2],
}

impl Traces {
    /// From now on spans and lines are kept, and one request in so many is sampled (0: none).
    pub fn switch_on(&self, one_in: u64) {
        self.one_in.store(one_in, Relaxed);
        self.on.store(true, Relaxed);
    }

    /// Whether anybody exports.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Whether this request is one of those that are traced.
    #[must_use]
    pub fn samples(&self) -> bool {
        let one_in = self.one_in.load(Relaxed);
        one_in > 0 && self.requests.fetch_add(1, Relaxed).is_multiple_of(one_in)
    }

    /// Keeps a span for the exporter.
    pub fn span(&self, span: Span) {
        if self.is_on() && !put(&self.spans, span) {
            self.dropped[0].fetch_add(1, Relaxed);
        }
    }

    /// Keeps a line of the log for the exporter.
    pub fn line(&self, line: LogLine) {
        if self.is_on() && !put(&self.lines, line) {
            self.dropped[1].fetch_add(1, Relaxed);
        }
    }

    /// Takes what waits.
    #[must_use]
    pub fn take(&self) -> (Vec<Span>, Vec<LogLine>) {
        (self.spans.lock().drain(..).collect(), self.lines.lock().drain(..).collect())
    }

    /// What was taken, but could not be exported.
    pub fn lost(&self, spans: usize, lines: usize) {
        self.dropped[0].fetch_add(spans as u64, Relaxed);
        self.dropped[1].fetch_add(lines as u64, Relaxed);
    }

    /// Spans and lines that nobody will see.
    #[must_use]
    pub fn dropped(&self) -> (u64, u64) {
        (self.dropped[0].load(Relaxed), self.dropped[1].load(Relaxed))
    }
}

/// Puts something into a bounded queue, unless it is full.
fn put<T>(queue: &Mutex<VecDeque<T>>, item: T) -> bool {
    let mut queue = queue.lock();
    let has_room = queue.len() < QUEUE;
    if has_room {
        queue.push_back(item);
    }
    has_room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine { wall_ms: 0, severity: 9, target: "t".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn nothing_is_kept_while_nobody_exports_and_a_full_queue_counts_what_it_drops() {
        let traces = Traces::default();
        traces.line(line("lost"));
        assert!(!traces.samples());
        traces.switch_on(3);
        assert_eq!((0..9).filter(|_| traces.samples()).count(), 3);
        for i in 0..QUEUE + 5 {
            traces.line(line(&i.to_string()));
        }
        assert_eq!(traces.dropped(), (0, 5));
        let (_, lines) = traces.take();
        assert_eq!((lines.len(), lines[0].text.as_str()), (QUEUE, "0"));
    }
}
