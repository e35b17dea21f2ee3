"""The driver of the procedures under test: passes its words to the test over a socket, and its answer on."""

import json
import socket
import sys

path, *words = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as to_test:
    to_test.connect(path)
    to_test.sendall(json.dumps(words).encode() + b"\n")
    code, said = json.loads(to_test.makefile().read())
if said:
    print(said)
sys.exit(code)
