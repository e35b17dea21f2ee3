"""The procedures of deploy/scripts on a running cluster: machines are namespaces, brokers are real, a client writes all the
time, and nothing it was told is written may be gone."""

import json
import shutil
import unittest

from cluster import CLUSTER_ID, ESKER, STORE, Cluster, wait_until
from machines import machines_work


class Procedures(unittest.TestCase):
    def cluster(self, name, **more):
        cluster = Cluster(self, name, **more)
        cluster.start_all()
        return cluster

    def test_a_rolling_upgrade_goes_on_only_when_everything_is_in_sync(self):
        cluster = self.cluster("upgrade")
        cluster.topic("t")
        writer = cluster.writer("t")
        new = cluster.dir / "esker-new"
        new.write_bytes(ESKER.read_bytes() + b"\n")  # another file, the same program
        new.chmod(0o755)

        self.assertIn("is not a program", cluster.script("rolling-upgrade", cluster.client, 1, 2, 3, check=False).stdout)
        # A driver that does not get through is told as what it is, before anything is touched.
        cluster.driver.unreachable.add(3)
        said = cluster.script("rolling-upgrade", new, 1, 2, 3, check=False).stdout
        self.assertRegex(said, "broker 3 is not ready: .*no way to the machine of broker 3; nothing was changed")
        cluster.driver.unreachable.clear()
        self.assertEqual(cluster.driver.calls, [])

        said = cluster.script("rolling-upgrade", new, 1, 2, 3).stdout
        self.assertIn("all brokers run esker", said)
        self.assertEqual(cluster.driver.order("install", "stop", "start"),
                         [(verb, id) for id in (1, 2, 3) for verb in ("install", "stop", "start")])
        self.assertEqual(len({cluster.digest(id) for id in (1, 2, 3)}), 1)
        writer.check(self)

        # One broker down: the next upgrade is refused before it touches anything.
        cluster.kill(3)
        wait_until("the ISR is short", lambda: not cluster.whole(), 60, 0.3)
        calls = len(cluster.driver.calls)
        self.assertIn("not all replicas are in sync", cluster.script("rolling-upgrade", new, 1, 2, check=False).stdout)
        self.assertEqual(len(cluster.driver.calls), calls)

    def test_a_dead_broker_is_replaced_by_an_empty_one_that_fills_itself_from_the_tier(self):
        cluster = self.cluster("replace", store=True, settings={"leader.imbalance.check.interval.seconds": 1,
                                                                 "leader.imbalance.per.broker.percentage": 0})
        cluster.topic("t")
        cluster.topic("cold", remote_storage_enable="true", segment_bytes=16_384, local_retention_ms=1000)
        writer = cluster.writer("t")
        told = json.loads(cluster.program("state.py", "write", "cold").stdout.splitlines()[-1])
        wait_until("most of it is nowhere but in the tier", lambda: min(self.local_starts(cluster, 2, "cold")) > 0, 120, 0.5)
        before = self.local_starts(cluster, 2, "cold")
        refused = cluster.script("replace-broker", 2, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("broker 2 is alive", refused.stdout)
        # A driver that does not get through says nothing about the broker: its peers know that it lives.
        cluster.driver.unreachable.add(2)
        refused = cluster.script("replace-broker", 2, check=False, GIVEN_UP_WITHIN="3")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("no way to the machine of broker 2", refused.stdout)
        self.assertIn("the cluster holds it for alive", refused.stdout)
        # Nor does a look that shows it fenced, when its lease has just lapsed: some seconds later it is alive.
        looks = cluster.dir / "looks"
        refused = cluster.script("replace-broker", 2, check=False, GIVEN_UP_WITHIN="4", LOOK_AGAIN="6",
                                 ESKER=str(self.lapsed(cluster, 2, looks, 5)))
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("the cluster holds it for alive", refused.stdout)
        self.assertEqual((looks.read_text().split()[0], "alive" in looks.read_text()), ("fenced", True))
        cluster.driver.unreachable.clear()
        self.assertEqual(cluster.driver.calls, [])
        cluster.kill(2)
        self.assertIn("broker 2 is back and in sync", cluster.script("replace-broker", 2, LOOK_AGAIN="2").stdout)
        self.assertEqual(cluster.driver.order("replace", "start"), [("replace", 2), ("start", 2)])
        # Only the hot tail was copied; the rest it reads from the tier when it leads.
        after = self.local_starts(cluster, 2, "cold")
        self.assertTrue(all(now >= then > 0 for now, then in zip(after, before)), f"{before} {after}")
        wait_until("it leads again", lambda: self.led_by(cluster, "cold", 2), 90, 0.5)
        found = json.loads(cluster.program("state.py", "read", "cold", json.dumps(told)).stdout.splitlines()[-1])
        self.assertEqual((found["records"], found["wrong"]), (told["records"], 0))
        writer.check(self)

    def lapsed(self, cluster, id, looks, seconds):
        """`esker`, but for so long after the first look at the cluster it shows this broker fenced; notes what each look has shown."""
        program = cluster.dir / "esker-lapsed"
        program.write_text(f"""#!/bin/sh
[ "$1 $2" = "cluster describe" ] || exec {ESKER} "$@"
table=$({ESKER} "$@") || exit 1
[ -e {looks}.first ] || date +%s >{looks}.first
if [ $(($(date +%s) - $(cat {looks}.first))) -lt {seconds} ]; then
  table=$(printf '%s' "$table" | sed '/^│ *{id} /s/alive /fenced/')
fi
printf '%s\\n' "$table" | grep '^│ *{id} ' | grep -Eo 'alive|fenced' >>{looks}
printf '%s\\n' "$table"
""")
        program.chmod(0o755)
        return program

    def local_starts(self, cluster, broker, topic):
        """The first offset on a broker's disk, per partition; 0 where nothing is."""
        folders = [cluster.brokers[broker].folder / f"data/data/{topic}-{partition}" for partition in range(3)]
        return [min((int(file.stem) for file in folder.glob("*.log")), default=0) for folder in folders]

    def led_by(self, cluster, topic, broker):
        rows = [line.replace("│", "┆").split("┆") for line in cluster.esker("topic", "describe", topic).splitlines()]
        return sum(row[2].strip() == str(broker) for row in rows if len(row) > 5 and row[1].strip().isdigit())

    def test_a_broker_is_added_gets_its_share_and_is_removed_again(self):
        cluster = self.cluster("add")
        cluster.topic("t", partitions=4)
        writer = cluster.writer("t")
        cluster.machine(4)
        cluster.set_up(4)
        cluster.script("add-broker", 4)
        self.assertEqual(self.replicas_on(cluster, "t", 4), 3, "of twelve replicas")

        said = cluster.script("remove-broker", 4).stdout
        self.assertIn("broker 4 holds nothing, has ended and is forgotten", said)
        self.assertEqual(self.replicas_on(cluster, "t", 4), 0)
        self.assertIsNone(cluster.brokers[4].process)
        writer.check(self)

        calls = len(cluster.driver.calls)
        refused = cluster.script("remove-broker", 3, check=False)
        self.assertIn("nothing was changed", refused.stdout)
        self.assertEqual(len(cluster.driver.calls), calls)
        del cluster.brokers[4]
        self.assertIn("3 replicas, and 2 brokers are left", cluster.esker("reassign", "--away-from", 3, check=False))

    def replicas_on(self, cluster, topic, broker):
        rows = [line.replace("│", "┆").split("┆") for line in cluster.esker("topic", "describe", topic).splitlines()]
        return sum(str(broker) in row[4].split() for row in rows if len(row) > 5 and row[1].strip().isdigit())

    def test_certificates_and_the_authority_are_rotated_without_a_restart(self):
        cluster = self.cluster("rotate")
        cluster.topic("t")
        writer = cluster.writer("t")
        hosts = [f"{id}=broker-{id}" for id in (1, 2, 3)]
        refused = cluster.script("rotate-certificates", cluster.certs, "1", check=False)
        self.assertIn("is not ID=HOST", refused.stdout)
        self.assertFalse((cluster.certs / "new").exists())

        before = self.shown(cluster, 1)
        self.assertIn("rotated", cluster.script("rotate-certificates", cluster.certs, *hosts).stdout)
        wait_until("clients see the new certificate", lambda: self.shown(cluster, 1) != before, 30)
        second = self.shown(cluster, 1)
        old_authority = (cluster.certs / "ca.crt").read_bytes()
        cluster.script("rotate-certificates", "--new-ca", cluster.certs, *hosts)
        wait_until("clients see the new authority's certificate", lambda: self.shown(cluster, 1) != second, 30)
        self.assertNotEqual((cluster.certs / "ca.crt").read_bytes(), old_authority)
        self.assertEqual(cluster.driver.order("stop", "start"), [], "no broker was restarted")
        # Connections that are made from now on are by the new authority alone, also between brokers.
        cluster.kill(2)
        cluster.start(2)
        wait_until("a broker that starts anew is in sync", lambda: cluster.healthy(2, "/readyz?in-sync"), 90, 0.5)
        cluster.esker("topic", "list")
        writer.check(self)

    def shown(self, cluster, id):
        """The certificate that a broker shows to clients."""
        program = ("import ssl, sys; context = ssl.create_default_context(); context.check_hostname = False; "
                   "context.verify_mode = ssl.CERT_NONE; import socket; "
                   "s = context.wrap_socket(socket.create_connection((sys.argv[1], 9092), 10)); "
                   "print(ssl.DER_cert_to_PEM_cert(s.getpeercert(True)))")
        return cluster.operator.run("python3", "-c", program, f"broker-{id}").stdout

    def test_a_cluster_whose_brokers_are_all_gone_comes_back_from_its_bucket(self):
        cluster = self.cluster("restore", store=True)
        cluster.topic("t", remote_storage_enable="true", segment_bytes=16_384, local_retention_ms=1000)
        cluster.topic("hot", partitions=1)
        cluster.esker("user", "add", "alice", input="alice-secret\n")
        told = json.loads(cluster.program("state.py", "write", "t").stdout.splitlines()[-1])
        endpoint = ["--endpoint", "http://minio:9000"]
        dry_run = lambda: cluster.operator.run(ESKER, "tier", "restore-cluster", "--store", STORE, "--dry-run", *endpoint,  # noqa: E731
                                               env=cluster.store_env, check=False).stdout
        wait_until("the bucket knows users and groups", lambda: "2 users, 1 ACLs" in dry_run() and
                   "1 groups with 3 committed offsets" in dry_run(), 90, 0.5)
        tiered = lambda: cluster.operator.run(ESKER, "tier", "ls", "t", "--store", STORE, *endpoint, env=cluster.store_env).stdout  # noqa: E731
        wait_until("most is in the tier", lambda: tiered().count(".seg") + tiered().count("│ live") >= 9 or
                   tiered().count(" live ") >= 9, 90, 0.5)

        live = cluster.script("restore-cluster", STORE, *endpoint, check=False)
        self.assertNotEqual(live.returncode, 0)
        self.assertIn("live, or restored already; nothing was changed", live.stdout)

        for id in cluster.brokers:
            cluster.kill(id)
            cluster.wipe(id)
        for id in cluster.brokers:
            cluster.start(id)
        cluster.wait_ready()
        self.assertIn("a dry run: nothing was changed", dry_run())
        said = cluster.script("restore-cluster", STORE, *endpoint).stdout
        self.assertIn("hot is there, and empty", said)
        self.assertIn(f"cluster {CLUSTER_ID} is back", said)
        found = json.loads(cluster.program("state.py", "read", "t", json.dumps(told)).stdout.splitlines()[-1])
        print(f"({found['records']} of {told['records']} records were in the tier) ", end="", flush=True)
        self.assertGreater(found["records"], told["records"] // 3)
        self.assertEqual(found["wrong"], 0, "every partition is the beginning of what was written")
        for partition, offset in told["committed"].items():
            self.assertEqual(found["committed"][partition], min(offset, found["ends"][partition]))
        self.assertEqual(found["acls"], told["acls"])
        alice = cluster.dir / "alice.properties"
        alice.write_text(cluster.client.read_text().replace("username=admin", "username=alice").replace("admin-secret", "alice-secret"))
        cluster.esker("topic", "list", client=alice)

        again = cluster.script("restore-cluster", STORE, *endpoint, check=False)
        self.assertIn("nothing was changed", again.stdout)
        other = cluster.operator.run(ESKER, "tier", "restore-cluster", "--store", "s3://cold/elsewhere", *endpoint,
                                     "--bootstrap-server", cluster.bootstrap, "--command-config", cluster.client,
                                     env=cluster.store_env, check=False)
        self.assertIn("the store holds the backup of no cluster", other.stdout)
        # A bucket of another cluster, and a cluster that these brokers are not.
        drive = cluster.machines.folder("bucket-data") / "cold"
        shutil.copytree(drive / "prod" / CLUSTER_ID, drive / "another" / "AAAAAAAAAAAAAAAAAAAAAA")
        for store, more, said in (("s3://cold/another", [], f"not {CLUSTER_ID}: it is another cluster's bucket"),
                                  (STORE, ["--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA"], "not AAAAAAAAAAAAAAAAAAAAAA")):
            wrong = cluster.script("restore-cluster", store, *endpoint, *more, check=False)
            self.assertNotEqual(wrong.returncode, 0)
            self.assertIn(said, wrong.stdout)
        self.assertEqual(json.loads(cluster.program("state.py", "read", "t", json.dumps(told)).stdout.splitlines()[-1]), found)


class WithoutNamespaces(unittest.TestCase):
    def test_the_procedures(self):
        self.skipTest("no network or mount namespaces")


def load_tests(loader, tests, pattern):
    """One test that is skipped in place of all where the machine gives no namespaces."""
    return loader.loadTestsFromTestCase(Procedures if machines_work() else WithoutNamespaces)


if __name__ == "__main__":
    unittest.main()
