//! What is logged, for tests of what an alarm says and how often.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// The lines that this thread logs from `listen` on until it is dropped. Not those of other threads, nor of tasks that run there.
#[derive(Debug)]
pub struct Told {
    lines: Lines,
    _guard: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Told {
    /// Listens to what is no mere detail (`INFO` and above).
    #[must_use]
    pub fn listen() -> Told {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_max_level(tracing::Level::INFO)
            .with_writer(lines.clone())
            .finish();
        Told { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines that contain this.
    #[must_use]
    pub fn with(&self, text: &str) -> Vec<String> {
        let bytes = self.lines.0.lock();
        String::from_utf8_lossy(&bytes)
            .lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        self.clone()
    }
}
