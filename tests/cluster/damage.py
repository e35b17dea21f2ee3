"""Damages the files of a broker's log directory, stopped or running, in the ways that disks do.

    python damage.py DATA TOPIC [--kind KIND] [--seed N]

Kinds: what `KINDS` lists; without one a random one is taken. Prints what was done.
"""

import argparse
import os
import random
from pathlib import Path

# kind → (which files, what is done to one of them, whether it may be done to a running broker)
KINDS = {
    "flipped-bit": ("*.log", "flip", True),
    "zeroed-block": ("*.log", "zero", True),
    "flipped-index": ("*.index", "flip", True),
    "flipped-time-index": ("*.timeindex", "flip", True),
    "cut-tail": ("last", "cut", False),
    "cut-segment": ("not last", "cut", False),
    "lost-segment": ("not last", "remove", False),
    "lost-index": ("*.index", "remove", False),
    "flipped-epochs": ("leader-epoch-checkpoint", "flip", False),
    "lost-epochs": ("leader-epoch-checkpoint", "remove", False),
    "flipped-producers": ("*.snapshot", "flip", False),
    "flipped-aborted": ("*.txnindex", "flip", False),
    "flipped-high-watermarks": ("../replication-offset-checkpoint", "flip", False),
    "flipped-recovery-points": ("../recovery-point-offset-checkpoint", "flip", False),
    "flipped-log-starts": ("../log-start-offset-checkpoint", "flip", False),
    "lost-recovery-points": ("../recovery-point-offset-checkpoint", "remove", False),
}


def damage(data, topic, chance, kind=None, running=False):
    """Does something to a partition of the topic (or to all partitions' checkpoint) under the log directory. Returns what, or None when there
    is nothing of that kind."""
    kind = kind or chance.choice([k for k, (_, _, live) in KINDS.items() if live or not running])
    which, what, _ = KINDS[kind]
    folders = sorted(Path(data).glob(f"{topic}-*"))
    files = []
    for folder in folders:
        if which in ("last", "not last"):
            segments = sorted(folder.glob("*.log"))
            files += segments[-1:] if which == "last" else segments[:-1]
        else:
            files += sorted(folder.glob(which)) if not which.startswith("../") else [folder / which]
    files = sorted({f.resolve() for f in files if f.is_file() and f.stat().st_size})
    if not files:
        return None
    file = chance.choice(files)
    size = file.stat().st_size
    if what == "remove":
        file.unlink()
        return f"{kind}: {file.parent.name}/{file.name}"
    if what == "cut":
        left = chance.randrange(size)
        os.truncate(file, left)
        return f"{kind}: {file.parent.name}/{file.name} from {size} to {left}"
    at = chance.randrange(size)
    with open(file, "r+b") as opened:
        opened.seek(at)
        if what == "zero":
            opened.write(bytes(min(512, size - at)))
        else:
            byte = opened.read(1)[0]
            opened.seek(at)
            opened.write(bytes([byte ^ 1 << chance.randrange(8)]))
    return f"{kind}: {file.parent.name}/{file.name} at {at} of {size}"


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("topic")
    arguments.add_argument("--kind", choices=sorted(KINDS))
    arguments.add_argument("--seed", type=int, default=None)
    given = arguments.parse_args()
    print(damage(given.data, given.topic, random.Random(given.seed), given.kind) or "nothing of that kind is there")
