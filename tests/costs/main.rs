//! Instructions of each unit of the hot path, counted by callgrind, against a bound: a regression shows on any machine.
//!
//! Run without arguments it tests; `costs count CASE TIMES` is what it runs under valgrind. A count is the difference of two
//! runs, so that neither the start nor what the case prepares is in it. The bounds are for the development profile, in
//! which CI builds: half above what was measured there, which stands in benches/README.md.

use std::process::Command;

#[path = "../../benches/units/cases.rs"]
mod cases;

/// Most instructions per unit in the development profile, in the order of the cases.
const BOUNDS: [u64; 5] = [2_900, 530_000, 12_500, 85_000, 5_300];
/// The two runs whose difference is counted.
const TIMES: [u64; 2] = [50, 250];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, case, times] = arguments.as_slice()
        && mode == "count"
    {
        let (_, make) = cases::CASES.into_iter().find(|(name, _)| name == case).expect("a case");
        let mut unit = make();
        (0..times.parse().expect("a number")).for_each(|_| unit());
        return;
    }
    // As the test harness prints it; a filter of other tests leaves all out.
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let without = Command::new("valgrind").arg("--version").output().is_err();
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    for ((case, _), bound) in cases::CASES.into_iter().zip(BOUNDS) {
        let name = case.replace([' ', ','], "_");
        if !wanted(&name) {
            continue;
        }
        if without {
            ignored += 1;
            println!("test {name} ... ignored, no valgrind (tests/tools/install valgrind)");
            continue;
        }
        let verdict = match measure(case) {
            Ok(count) if count <= bound => Ok(count),
            Ok(count) => Err(format!("{count} instructions, the bound is {bound}")),
            Err(problem) => Err(problem),
        };
        match verdict {
            Ok(count) => {
                passed += 1;
                println!("test {name} ... ok ({count} instructions, the bound is {bound})");
            }
            Err(problem) => {
                failed += 1;
                println!("test {name} ... FAILED\n{problem}");
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out\n"
    );
    std::process::exit(i32::from(failed > 0));
}

/// Instructions per unit.
fn measure(case: &str) -> Result<u64, String> {
    let [few, many] = TIMES;
    let (less, more) = (instructions(case, few)?, instructions(case, many)?);
    if more <= less {
        return Err(format!("{less} instructions for {few} times, {more} for {many}: nothing was measured"));
    }
    Ok((more - less) / (many - few))
}

/// Of a whole run.
fn instructions(case: &str, times: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["count", case, &times.to_string()])
        .output()
        .map_err(|e| format!("valgrind does not start: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count =
        said.lines().find_map(|line| line.split_once("Collected :")).and_then(|(_, n)| n.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("callgrind says: {said}"))
}
