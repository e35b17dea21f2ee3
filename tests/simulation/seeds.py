"""Runs of the simulation (src/simulation), each seed in a process whose every source of randomness stands still."""

import json
import os
import random
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = "simulation::tests::"
SEEDS = TESTS + "seeds_of_whole_brokers_leave_no_anomaly"
UNCLEAN = "simulation::unclean::unclean_elections_lose_only_what_was_in_no_tier"
TRACE = TESTS + "the_same_seed_writes_the_same_trace_to_the_last_byte"


def unit_tests(*arguments):
    """Builds the unit tests; the path of the program. With the arguments of another call of Cargo it is the very same one."""
    command = ["cargo", "test", *(arguments or ["--lib"]), "--no-run", "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    built = [m for m in messages if m.get("executable") and m["target"]["name"] == "esker" and m["target"]["kind"] == ["lib"]]
    return built[-1]["executable"]


def fresh(count):
    """Seeds that the code of the commit chooses, far from those that are counted."""
    tree = subprocess.run(["git", "rev-parse", "HEAD:src"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    rng = random.Random(tree)
    return [rng.randrange(10**6, 10**9) for _ in range(count)]


def commit():
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def stillness():
    """The library under which all randomness is the same in every process."""
    with TemporaryDirectory(prefix="esker-simulate-") as folder:
        library = Path(folder) / "getrandom.so"
        source = ROOT / "tests/simulation/getrandom.rs"
        subprocess.run(["rustc", "--edition", "2024", "--crate-type", "cdylib", "-O", "-o", library, source], check=True)
        yield library


class Seed:
    """What came of one seed."""

    def __init__(self, code, said):
        told = re.search(r"^seed \d+: (\d+) acknowledged, (\d+) checked, (\d+) batches .*; ?(.*)$", said, re.M)
        self.failed = code != 0
        self.said = said
        self.acknowledged, self.checked, self.compared = map(int, told.groups()[:3]) if told else (0, 0, 0)
        snapshots = re.search(r"^seed \d+: .* (\d+) snapshots taken, (\d+) sent,", said, re.M)
        self.snapshots, self.sent = map(int, snapshots.groups()) if snapshots else (0, 0)
        self.struck = {kind: int(times) for kind, times in re.findall(r"(\S+)=(\d+)", told[4])} if told else {}
        found = re.search(r'left: Some\("([a-z-]+):', said)
        # The anomaly that ended it, by its name.
        self.anomaly = found[1] if found else None


def play(program, library, seed, faults=None, defect=None, likely=None, timeout=600, test=SEEDS):
    more = {"ESKER_SIMULATION_SEED": str(seed), "LD_PRELOAD": str(library), "CARGO_MANIFEST_DIR": str(ROOT)}
    if faults is not None:
        more["ESKER_SIMULATION_FAULTS"] = str(faults)
    if likely:
        more["ESKER_SIMULATION_LIKELY"] = likely
    if defect:
        more["ESKER_DEFECT"] = defect
    try:
        done = subprocess.run([program, "--exact", test, "--nocapture", "--include-ignored"], env={**os.environ, **more}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        return Seed(1, f"it hangs: not done within {timeout} s")
    return Seed(done.returncode, done.stdout)
