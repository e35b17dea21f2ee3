//! A libFuzzer program with all targets in it; `FUZZ_TARGET` names the one that runs. `tests/fuzz/run` builds and starts it.
//!
//! A panic, an abort, an answer that is not what was read, or more memory than an input may take ends the program, and
//! libFuzzer keeps the input. The memory is bounded by an allocator that refuses: so an allocation by an announced length is
//! found even if nobody touches the pages. (The zstd library allocates beside it; its window is bounded in `record_batch`.)

#![no_main]

mod seeds;
mod targets;

use std::alloc::System;
use std::sync::OnceLock;

use cap::Cap;
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What one input may take, above what was taken before it: of the 64 KiB that an input has at most, the codec's budget
/// is one MiB, decompressed records are bounded by one, and a log on a simulated disk takes a few.
const MEMORY_BYTES: usize = 24 << 20;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

fn begin() {
    if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
        seeds::write(folder.as_ref()).expect("the seeds can be written");
        std::process::exit(0);
    }
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let Some((_, target)) = targets::ALL.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = targets::ALL.iter().map(|(known, _)| *known).collect();
        eprintln!("FUZZ_TARGET={name}: there are {}", known.join(", "));
        std::process::exit(2);
    };
    TARGET.get_or_init(|| *target);
    // libFuzzer's hook ends the program. The Parquet reader's panics are caught by who calls it; if not, the input fails all
    // the same. Telling of a panic takes memory of its own.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let theirs =
            panic.location().is_some_and(|at| ["/parquet-", "/arrow-"].iter().any(|c| at.file().contains(c)));
        if !theirs {
            let _ = MEMORY.set_limit(usize::MAX);
            hook(panic);
        }
    }));
    // What is made once is not the first input's memory.
    target(&[]);
}

fuzz_target!(init: begin(), |input: &[u8]| {
    let Some(target) = TARGET.get() else { return };
    MEMORY.set_limit(MEMORY.allocated() + MEMORY_BYTES).expect("above what there is");
    target(input);
    MEMORY.set_limit(usize::MAX).expect("above what there is");
});
