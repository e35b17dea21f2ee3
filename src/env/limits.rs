//! What the operating system lets this process have.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_goes_as_far_as_it_may() {
        let granted = raise_open_files().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, granted);
    }
}
