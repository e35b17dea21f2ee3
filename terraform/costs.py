#!/usr/bin/env python3
"""The cost table of README.md and the arithmetic behind it: `terraform/costs.py` prints it.

Prices: us-east-1, on demand, July 2026, US dollars. A month has 730 hours. Change what differs for you and run it again.
"""

from math import ceil

HOURS = 730
# type: dollars an hour, GB of NVMe, Mbit/s of network that can be relied on
INSTANCES = {
    "im4gn.large": (0.18190, 937, 3_125),
    "im4gn.xlarge": (0.36379, 1_875, 6_250),
    "im4gn.2xlarge": (0.72758, 3_750, 12_500),
    "im4gn.4xlarge": (1.45517, 7_500, 25_000),
    "im4gn.8xlarge": (2.91034, 15_000, 50_000),
}
S3_STEPS = [(50_000, 0.023), (450_000, 0.022), (float("inf"), 0.021)]  # GB up to, dollars a GB and month
S3_PUT, S3_GET = 0.005 / 1000, 0.0004 / 1000
BETWEEN_ZONES = 0.02  # a GB: 0.01 out and 0.01 in
FIXED = (0.0225 + 6 * 0.01) * HOURS  # load balancer, two interface endpoints in three zones

FILL = 0.70  # of disks and of the network
REPLICAS = 3
HOT_HOURS = 4
DAYS = 30
READERS = 2  # each record is read twice, by consumers in the reader's own zone (KIP-392)
COLD_SHARE = 0.05  # of what is read
PUTS_PER_GB = 1000 / 16 + 6  # parts of 16 MB; begin, complete, manifest and its check
GETS_PER_GB = 1000 / 4

SIZES = {"small": 5, "medium": 50, "large": 250}  # MB/s in


def brokers(disk_gb, in_mb, out_mb):
    """Number and type of brokers, a multiple of three: (dollars a month, number, type). Of what costs about the same (3 %)
    the fewest."""
    choices = []
    for name, (price, nvme, network) in INSTANCES.items():
        for_disk = disk_gb / (nvme * FILL)
        for_network = max(in_mb, out_mb) * 8 / (network * FILL)
        count = max(3, 3 * ceil(max(for_disk, for_network) / 3))
        choices.append((count * price * HOURS, count, name))
    cheapest = min(choices)[0]
    return min((c for c in choices if c[0] <= cheapest * 1.03), key=lambda c: c[1])


def s3_storage(gb):
    cost, below = 0.0, 0
    for upto, price in S3_STEPS:
        part = min(gb - below, upto)
        if part <= 0:
            break
        cost += part * price
        below += part
    return cost


def month(mb, days=DAYS):
    """What a month costs, for Esker and for Kafka on NVMe alone: dictionaries of dollars."""
    gb_month = mb * 86_400 * 30 / 1000
    # Both: the leader's copy in, two replicas from broker to broker; two thirds of the producers are in another zone.
    between = gb_month * ((REPLICAS - 1) + 2 / 3) * BETWEEN_ZONES
    received = mb * REPLICAS
    sent = mb * (REPLICAS - 1 + READERS)
    hot_gb = mb * 3600 * HOT_HOURS / 1000 * REPLICAS
    kept_gb = mb * 86_400 * days / 1000
    cold_read = gb_month * READERS * COLD_SHARE
    cost, count, kind = brokers(hot_gb, received + mb * READERS * COLD_SHARE, sent + mb)
    esker = {"brokers": f"{count} × {kind}", "instances": cost, "storage": s3_storage(kept_gb),
             "requests": gb_month * PUTS_PER_GB * S3_PUT + cold_read * GETS_PER_GB * S3_GET, "zones": between, "fixed": FIXED}
    cost, count, kind = brokers(kept_gb * REPLICAS, received, sent)
    kafka = {"brokers": f"{count} × {kind}", "instances": cost, "storage": 0, "requests": 0, "zones": between, "fixed": FIXED}
    return esker, kafka


def table():
    rows = ["| | in | brokers | instances | S3 storage | S3 requests | between zones | fixed | **a month** |", "|---|---|---|---|---|---|---|---|---|"]
    for name, mb in SIZES.items():
        for what, costs in zip(("Esker", "Kafka, all NVMe"), month(mb)):
            money = " | ".join(f"${costs[key]:,.0f}" for key in ("instances", "storage", "requests", "zones", "fixed"))
            rows.append(f"| {name}: {what} | {mb} MB/s | {costs['brokers']} | {money} | **${total(costs):,.0f}** |")
    return "\n".join(rows)


def total(costs):
    return sum(value for value in costs.values() if not isinstance(value, str))


def by_days():
    """The medium size by days of retention."""
    rows = ["| days kept | Esker | Kafka, all NVMe |", "|---|---|---|"]
    for days in (0.5, 1, 3, 7, 30, 90):
        esker, kafka = (total(costs) for costs in month(SIZES["medium"], days))
        rows.append(f"| {days:g} | ${esker:,.0f} | ${kafka:,.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(), by_days(), sep="\n\n")
