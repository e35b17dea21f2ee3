"""What the deploy tests share: where things are, and the tools that `tests/tools/install deploy` brings."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("TESTS_CACHE", Path.home() / ".cache/esker"))
DEPLOY = ROOT / "deploy"
# Tools from Python packages: hadolint, shellcheck, kubernetes-validate.
BIN = CACHE / "deploy-python/bin"

# Processes, MinIO and the like are those of the cluster tests.
sys.path.insert(0, str(ROOT / "tests/cluster"))


def run(*command, check=True, timeout=120, **more):
    """Runs a command to its end; its output and errors together."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=timeout, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done
