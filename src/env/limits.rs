//! What the operating system lets this process have.

use std::io;

use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit};

/// Raises the number of files that the process may hold open to what the system grants at most, and says how many that
/// is. A broker keeps the files of its partitions and every connection open; the usual default is 1024.
///
/// # Errors
/// When the system refuses.
pub fn raise_open_files() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

/// How much nicer than the rest of the process a background thread is: it gets about a quarter of a core that another wants,
/// and all of one that nobody wants.
const BACKGROUND_NICENESS: i32 = 5;

/// Lets the threads of the hot path go before the calling one. On Linux a priority belongs to a thread; where the system
/// refuses, the thread runs as all do.
pub fn run_in_background() {
    let now = getpriority_process(None).unwrap_or(0);
    if let Err(error) = setpriority_process(None, (now + BACKGROUND_NICENESS).min(19)) {
        tracing::warn!(%error, "a background thread keeps the priority of the others");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_background_thread_is_nicer_and_the_others_stay_as_they_are() {
        let before = getpriority_process(None).unwrap();
        #[allow(clippy::disallowed_methods)]
        let background = std::thread::spawn(|| {
            run_in_background();
            getpriority_process(None).unwrap()
        });
        assert_eq!(background.join().unwrap(), (before + BACKGROUND_NICENESS).min(19));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn the_limit_of_open_files_goes_as_far_as_it_may() {
        let granted = raise_open_files().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, granted);
    }
}
