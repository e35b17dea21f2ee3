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


ASK = """
import base64, ssl, sys, urllib.request
url, ca, user = sys.argv[1:]
request = urllib.request.Request(url, headers={"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {})
context = ssl.create_default_context(cafile=ca)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
try:
    answer = opener.open(request, timeout=30)
except urllib.error.HTTPError as refused:
    answer = refused
print(answer.status)
print(answer.read().decode())
"""


def asked(machine, url, ca, user, status, said):
    """What a machine is answered at a URL, and what it should be: `status`, with `said` somewhere in the text."""
    code, _, text = machine.run("python3", "-c", ASK, url, ca, user).stdout.partition("\n")
    return (int(code), said if said.lower() in text.lower() else text[:500]), (status, said)
