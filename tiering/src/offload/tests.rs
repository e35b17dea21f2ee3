//! Leaders, zombies, crashes and store faults in random order, at the grain of single store requests: the
//! invariants 1–6 of tests/README.md hold after every step. Positive controls switch a defence off and must be caught.

mod cost;
mod led;
mod lives;
mod straddling;
mod unclean;
mod world;

use proptest::prelude::*;

use world::{Defence, Violation, run};

const STEPS: usize = 600;

fn check(seed: u64, defence: Defence) -> Result<(), Violation> {
    run(seed, STEPS, defence)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_invariants_hold_under_random_events(seed in any::<u64>()) {
        if let Err(violation) = check(seed, Defence::On) {
            prop_assert!(false, "ESKER_SEED={seed}: {violation}");
        }
    }
}

/// The twin that replays one seed: `ESKER_SEED=… cargo test -p tiering one_seed_is_replayed -- --nocapture`.
#[test]
fn one_seed_is_replayed() {
    let seed = std::env::var("ESKER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    if let Err(violation) = check(seed, Defence::On) {
        panic!("ESKER_SEED={seed}: {violation}");
    }
}

fn is_caught(defence: Defence) {
    let caught = (0..200).find_map(|seed| check(seed, defence).err());
    let violation = caught.expect("a world without this defence breaks an invariant");
    println!("{defence:?}: {violation}");
}

#[test]
fn without_put_if_absent_it_is_caught() {
    is_caught(Defence::NoPutIfAbsent);
}

#[test]
fn without_the_verification_after_the_upload_it_is_caught() {
    is_caught(Defence::NoVerification);
}

#[test]
fn without_the_bound_at_the_high_watermark_it_is_caught() {
    is_caught(Defence::NoHighWatermark);
}

#[test]
fn without_the_old_rows_until_the_new_ones_are_there_it_is_caught() {
    is_caught(Defence::CutsLost);
}

#[test]
fn without_epochs_it_is_caught() {
    is_caught(Defence::NoEpochs);
}
