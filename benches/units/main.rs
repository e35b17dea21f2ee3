//! Time of each unit of the hot path, with criterion: `cargo bench --bench units`. `tests/costs` counts their instructions.

use criterion::Criterion;

mod cases;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, make) in cases::CASES {
        // Only what is asked for is made: a case may write a log.
        criterion.bench_function(name, |bencher| {
            let mut unit = make();
            bencher.iter(&mut unit);
        });
    }
    criterion.final_summary();
}
