"""The cluster changes while it runs: a broker outside the metadata quorum, other replicas, other leaders, an orderly end."""

import json
import re
import signal
import threading
import time

import test_failover
from case import ClusterCase, slow
from clients import consume, produce
from dev import Admin, esker
from messages import ask
from processes import alive, kafka_tool, wait_until
from test_compaction import read
from wire import Connection, batches, record_batch

NOT_LEADER, TIMED_OUT = 6, 7
TOOLS = "org.apache.kafka.tools"


class Changes(ClusterCase):
    @slow
    def test_a_broker_that_is_no_voter_holds_replicas_and_partitions_move_to_it_and_back(self):
        """Three voters and a fourth broker. Kafka's own tools move a written partition, verify it, and elect leaders."""
        dev = self.dev(4)
        voters = (dev.data / "broker-4" / "broker.properties").read_text()
        self.assertNotIn("4@", next(line for line in voters.splitlines() if line.startswith("controller.quorum.voters")))
        admin = Admin(dev.bootstrap)
        dev.topic_create("four", replicas=4)
        admin.wait_for_isr("four", 1, 4)
        at = ["--bootstrap-server", dev.bootstrap]
        kafka_tool(f"{TOOLS}.TopicCommand", *at, "--create", "--topic", "t", "--replica-assignment", "1:2:3")
        produce("python", dev.bootstrap, "t", 2000, "a")

        writer = Background(lambda: produce("python", dev.bootstrap, "t", 1000, "b"))
        self.reassign(dev, at, [4, 2, 3], "--throttle", 50_000_000)
        wait_until("the replicas are 2, 3 and 4", lambda: admin.partition("t")[1:] == ([2, 3, 4], [2, 3, 4]), 60)
        self.assertEqual(admin.partition("t")[0], 4, "the first in the order that was asked for")
        verified = self.reassign(dev, at, [4, 2, 3], command="--verify")
        self.assertIn("is completed", verified)
        writer.join()
        self.assertEqual(len(consume(self.processes, "python", dev.bootstrap, "t", 3000)), 3000)
        wait_until("broker 1 holds nothing of it", lambda: dev.local_start("t", 0, 1) is None, 20)

        dev.kill(4)
        wait_until("another leads", lambda: admin.partition("t")[0] in (2, 3), 30)
        dev.restart(4)
        admin.wait_for_isr("t", 1, 3)
        admin.wait_for_isr("four", 1, 4)
        kafka_tool(f"{TOOLS}.LeaderElectionCommand", *at, "--election-type", "preferred", "--topic", "t", "--partition", 0)
        self.assertEqual(admin.partition("t")[0], 4)

    @slow
    def test_brokers_die_while_a_partition_moves_and_nothing_is_lost(self):
        """The leader dies in the middle of a throttled move, then the broker that is being added; both come back, and the move ends."""
        dev = self.dev(4)
        admin = Admin(dev.bootstrap)
        at = ["--bootstrap-server", dev.bootstrap]
        kafka_tool(f"{TOOLS}.TopicCommand", *at, "--create", "--topic", "t", "--replica-assignment", "1:2:3")
        writer = test_failover.Writer(dev.bootstrap, "t", width=4000)
        writer.start()
        self.addCleanup(writer.finish)
        wait_until("the writer writes", lambda: len(writer.acked) > 600)
        # So slow that it cannot be done before anybody dies.
        self.reassign(dev, at, [4, 2, 3], "--throttle", 20_000)
        wait_until("broker 4 is being added", lambda: 4 in admin.partition("t")[1], 30)
        leader = admin.partition("t")[0]
        dev.kill(leader)
        wait_until("another leads", lambda: admin.partition("t")[0] not in (leader, -1), 30)
        dev.restart(leader)
        dev.kill(4)
        self.assertEqual(admin.partition("t")[1], [1, 2, 3, 4], "the move is still under way")
        done = len(writer.acked)
        wait_until("the writer goes on", lambda: len(writer.acked) > done + 100, 60)
        dev.restart(4)
        self.reassign(dev, at, [4, 2, 3], "--additional", "--throttle", 50_000_000)
        wait_until("the replicas are 2, 3 and 4", lambda: admin.partition("t")[1:] == ([2, 3, 4], [2, 3, 4]), 90)
        self.assertIn("is completed", self.reassign(dev, at, [4, 2, 3], command="--verify"))
        done = len(writer.acked)
        wait_until("the writer goes on", lambda: len(writer.acked) > done + 100, 60)
        writer.finish()
        self.assertEqual(writer.failed, [])
        test_failover.Failover.check_all_there(self, dev.bootstrap, writer)

    def reassign(self, dev, at, replicas, *more, command="--execute"):
        plan = dev.data / "plan.json"
        plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": "t", "partition": 0, "replicas": replicas}]}))
        return kafka_tool(f"{TOOLS}.reassign.ReassignPartitionsCommand", *at, "--reassignment-json-file", plan, command,
                          *more)

    @slow
    def test_leaders_go_back_to_where_they_are_preferred_by_themselves(self):
        dev = self.dev(3, settings={"leader.imbalance.check.interval.seconds": 2})
        admin = Admin(dev.bootstrap)
        dev.topic_create("t", partitions=3)
        admin.wait_for_isr("t", 3, 3)
        preferred = self.leaders(admin)
        self.assertEqual(sorted(preferred), [1, 2, 3])
        dev.kill(2)
        wait_until("others lead what 2 led", lambda: 2 not in self.leaders(admin), 30)
        dev.restart(2)
        wait_until("2 leads again", lambda: self.leaders(admin) == preferred, 60)

    def leaders(self, admin):
        return [p.leader for _, p in sorted(admin.metadata("t").topics["t"].partitions.items())]

    @slow
    def test_a_broker_is_drained_and_removed_and_another_votes_in_its_place(self):
        """Four brokers, three of them voters. Broker 2, which leads the quorum or not, goes for good; 4 gets its vote."""
        dev = self.dev(4)
        admin = Admin(dev.bootstrap)
        at = ["--bootstrap-server", dev.bootstrap]
        dev.topic_create("t", partitions=6)
        admin.wait_for_isr("t", 6, 3)
        produce("python", dev.bootstrap, "t", 2000, "a")
        consume(self.processes, "python", dev.bootstrap, "t", 2000, group="g")

        def refused(*command):
            done = esker("cluster", *command, *at, check=False)
            self.assertNotEqual(done.returncode, 0, done.stdout)
            return done.stderr

        self.assertIn("is alive", refused("remove", 2))
        self.assertIn("there is no broker 9", refused("drain", 9))
        self.assertIn("voter already", refused("add-voter", 3))
        planned = esker("cluster", "drain", 2, "--dry-run", *at).stdout
        holds = lambda: sum(2 in p.replicas for t in admin.client.list_topics(timeout=10).topics.values()
                            for p in t.partitions.values())
        self.assertIn(f"{holds()} partitions would move away from broker 2", planned)
        self.assertGreater(holds(), 0)
        esker("cluster", "drain", 2, "--throttle", 100_000_000, *at, timeout=180)
        self.assertEqual(holds(), 0)
        dev.topic_create("later", partitions=12, replicas=3)
        self.assertEqual(holds(), 0, "no new replica on a drained broker")

        esker("cluster", "add-voter", 4, *at)
        said = esker("cluster", "describe", *at).stdout
        self.assertEqual(len(re.findall(r"┆ (?:leader|voter) ", said)), 4, said)
        dev.kill(2)
        wait_until("2 is fenced", lambda: "fenced" in esker("cluster", "describe", *at).stdout, 30)
        self.assertIn("esker cluster remove-voter 2", kafka_tool(f"{TOOLS}.ClusterTool", "unregister", *at, "--id", 2,
                                                                 check=False))
        esker("cluster", "remove", 2, *at)
        said = kafka_tool(f"{TOOLS}.MetadataQuorumCommand", *at, "describe", "--status")
        voters = next(line for line in said.splitlines() if line.startswith("CurrentVoters"))
        self.assertEqual(re.findall(r'"id": (\d+)', voters), ["1", "3", "4"], said)
        self.assertNotIn("│ 2 ", esker("cluster", "describe", *at).stdout)

        # 1 goes too: with 2 counted there would be no majority. 4 comes back as the voter that it is.
        dev.kill(4)
        dev.restart(4)
        admin.wait_for_isr("t", 6, 3)
        dev.kill(1)
        admin = Admin(dev.brokers()[3][1])
        wait_until("all have leaders", lambda: -1 not in self.leaders(admin) and 1 not in self.leaders(admin), 60)
        dev.bootstrap = f"{dev.brokers()[3][1]},{dev.brokers()[4][1]}"
        produce("python", dev.bootstrap, "t", 500, "b")
        self.assertEqual(len(consume(self.processes, "python", dev.bootstrap, "t", 2500)), 2500)

        # On its old disk 2 takes itself for a voter still, and nobody sends it the log: it comes back as a broker without a vote.
        dev.restart(2)
        said = esker("cluster", "describe", "--bootstrap-server", dev.bootstrap).stdout
        self.assertRegex(said, "│ 2 .*alive.*observer")

    @slow
    def test_a_minority_goes_on_reading_and_refuses_changes_until_the_others_are_back(self):
        dev = self.dev(3)
        admin = Admin(dev.bootstrap)
        dev.topic_create("t")
        admin.wait_for_isr("t", 1, 3)
        produce("python", dev.bootstrap, "t", 100, "a")
        alone = admin.partition("t")[0]
        others = [broker for broker in (1, 2, 3) if broker != alone]
        for broker in others:
            dev.kill(broker)
        batch = record_batch([(1, b"k", b"in vain")])
        with Connection(dev.brokers()[alone][1], 60) as connection:
            def write():
                topics = [{"Name": "t", "PartitionData": [{"Index": 0, "Records": batch}]}]
                answer = ask(connection, "Produce", 9, {"Acks": -1, "TimeoutMs": 1000, "TopicData": topics})
                return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]

            # The first may be taken in and never confirmed; without the lease none is taken.
            self.assertIn(write(), (NOT_LEADER, TIMED_OUT))
            wait_until("its lease has run out", lambda: write() == NOT_LEADER, 30, 0.1)
            for _ in range(3):
                error, high_watermark, records = connection.fetch("t", 0, 0)
                self.assertEqual((error, high_watermark, batches(records)[-1][1]), (0, 100, 99))
                told = ask(connection, "Metadata", 9, {"Topics": [{"Name": "t"}]})
                self.assertEqual([(topic["ErrorCode"], topic["Name"]) for topic in told["Topics"]], [(0, "t")])
                self.assertEqual(write(), NOT_LEADER)
            new = [{"Name": "new", "NumPartitions": 1, "ReplicationFactor": 1}]
            refused = ask(connection, "CreateTopics", 7, {"Topics": new, "TimeoutMs": 1000})["Topics"][0]
            self.assertEqual(refused["ErrorCode"], TIMED_OUT)
            # By the client's time, not by the broker's own ten seconds.
            self.assertIn("the metadata quorum is not available: no answer within the time of the request", refused["ErrorMessage"])
        for broker in others:
            dev.restart(broker)
        admin.wait_for_isr("t", 1, 3)
        # Whoever is told of a time-out does not know: the one that was left may lead the quorum, and has written it down.
        if "new" not in admin.metadata().topics:
            dev.topic_create("new", replicas=1)
        admin.wait_for_isr("new", 1, 1)
        produce("python", dev.bootstrap, "t", 100, "b")
        found = [record for record in read(dev.bootstrap, "t") if record[2] != "in vain"]
        self.assertEqual(len(found), 200)

    @slow
    def test_brokers_that_are_stopped_one_after_the_other_do_not_wait_for_a_quorum_that_is_gone(self):
        dev = self.dev(3)
        dev.topic_create("t", partitions=3)
        produce("python", dev.bootstrap, "t", 100, "a")
        begun = time.monotonic()
        for broker in (1, 2, 3):
            pid = dev.pid(broker)
            dev.signal(broker, signal.SIGTERM)
            wait_until(f"broker {broker} has ended", lambda: not alive(pid), 60)
            print(f"(broker {broker} ended after {time.monotonic() - begun:.1f} s) ", end="", flush=True)
        for broker in (1, 2, 3):
            self.assertIn("clean", "".join(f.name for f in dev.data.glob(f"broker-{broker}/data/.kafka_cleanshutdown")))


class Background(threading.Thread):
    """Runs something beside the test, and gives its error to who joins."""

    def __init__(self, job):
        super().__init__(daemon=True)
        self.job, self.error = job, None
        self.start()

    def run(self):
        try:
            self.job()
        except BaseException as error:  # raised again by join
            self.error = error

    def join(self, timeout=120):
        super().join(timeout)
        if self.error:
            raise self.error
