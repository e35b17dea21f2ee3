"""A bad network between brokers: each has a TUN interface, and this process carries the packets from one to the other, or not.

    python links.py SPACE=ADDRESS…      (names of network namespaces; makes an interface `peers` in each)

Says `ready`, then takes lines of standard input until it ends: `PLACE PLACE KEY=VALUE…` for what goes from the first to the second (`*`:
any), where a place is the number of a namespace in the order given, from 1. Keys: `loss`, `twice` (shares of packets), `delay`, `jitter` (ms; packets
overtake each other where there is jitter). A line replaces what was said of these two before.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

NEW_NET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 0x0001, 0x1000
GOOD = {"loss": 0.0, "twice": 0.0, "delay": 0.0, "jitter": 0.0}
MOST = 50_000  # packets on their way; what comes then is lost, as at any full queue


def interface(space):
    """A TUN interface in a namespace, as a descriptor that stays good outside of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/var/run/netns/{space}") as entered:
        if libc.setns(entered.fileno(), NEW_NET):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"peers", IFF_TUN | IFF_NO_PI))
    return tun


def carry(places):
    """`places`: (namespace, address) of each."""
    taps = [interface(space) for space, _ in places]
    number = {tap: i + 1 for i, tap in enumerate(taps)}
    behind = {socket.inet_aton(address): i + 1 for i, (_, address) in enumerate(places)}
    rules = {}
    for (space, address) in places:
        for command in (["addr", "add", f"{address}/24", "dev", "peers"], ["link", "set", "peers", "up"]):
            subprocess.run(["ip", "-n", space, *command], check=True)
    print("ready", flush=True)
    os.set_blocking(0, False)
    queue, sent, text = [], 0, ""
    while True:
        wait = max(queue[0][0] - time.monotonic(), 0) if queue else None
        for source in select.select([0, *taps], [], [], wait)[0]:
            if source == 0:
                more = os.read(0, 65536).decode()
                if not more:
                    return
                *lines, text = (text + more).split("\n")
                for line in lines:
                    learn(rules, line.split(), range(1, len(places) + 1))
                continue
            for _ in range(64):
                try:
                    packet = os.read(source, 65536)
                except BlockingIOError:
                    break
                target = behind.get(packet[16:20])
                if packet[0] >> 4 != 4 or not target or len(queue) > MOST:
                    continue
                rule = rules.get((number[source], target), GOOD)
                if random.random() < rule["loss"]:
                    continue
                for _ in range(2 if random.random() < rule["twice"] else 1):
                    sent += 1
                    due = time.monotonic() + (rule["delay"] + random.random() * rule["jitter"]) / 1000
                    heapq.heappush(queue, (due, sent, taps[target - 1], packet))
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, tap, packet = heapq.heappop(queue)
            try:
                os.write(tap, packet)
            except OSError:
                pass  # a full or closed interface loses packets


def learn(rules, words, numbers):
    one, other, *said = words
    rule = {**GOOD, **{key: float(value) for key, value in (word.split("=") for word in said)}}
    for pair in [(a, b) for a in numbers for b in numbers if one in ("*", str(a)) and other in ("*", str(b))]:
        rules[pair] = rule


if __name__ == "__main__":
    carry([tuple(word.split("=")) for word in sys.argv[1:]])
