"""The four clients over SASL_SSL on three brokers and MinIO: each reads what each has written, before and after the
leader is killed, with most segments only in the cold tier."""

from concurrent.futures import ThreadPoolExecutor

from case import ClusterCase, slow
from clients import CLIENTS, consume, consume_as_two, produce, verify, write_config
from dev import Admin, esker
from processes import Minio, free_ports, wait_until

RECORDS, PARTITIONS = 16_000, 3
TIERED = {"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1}
# Each client by another mechanism; Node and Java share one.
MECHANISMS = {"java": "SCRAM-SHA-512", "python": "SCRAM-SHA-256", "go": "PLAIN", "node": "SCRAM-SHA-512"}


class Matrix(ClusterCase):
    def secure_cluster(self):
        """Three brokers with SASL_SSL listeners, and a user with a config file for each client."""
        minio = Minio(self.processes)
        dev = self.dev(3, tier=f"s3://{Minio.BUCKET}/test", env=minio.environment(minio.address), settings={
            "listeners": "SASL_SSL://127.0.0.1:{port}", "security.bootstrap.user": "admin:admin-secret",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500,
        })
        self.assertNotIn("loopback only", dev.output())
        ca = dev.data / "certs/ca.crt"
        folder = self.processes.dir
        self.admin_config = write_config(folder / "admin.config", "SASL_SSL", "SCRAM-SHA-512", "admin", "admin-secret", ca)
        command_config = folder / "admin.properties"
        command_config.write_text(self.admin_config.read_text().replace("ssl.ca=", "ssl.truststore.location="))
        self.command_config = command_config
        self.configs = {}
        for client, mechanism in MECHANISMS.items():
            esker("user", "add", client, "--password", f"{client}-secret", "--bootstrap-server", dev.bootstrap,
                  "--command-config", command_config)
            self.configs[client] = write_config(folder / f"{client}.config", "SASL_SSL", mechanism, client,
                                                f"{client}-secret", ca)
        self.admin = Admin(dev.bootstrap, {
            "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "admin",
            "sasl.password": "admin-secret", "ssl.ca.location": str(ca)})
        return dev

    @slow
    def test_every_client_reads_what_every_client_wrote_before_and_after_a_kill(self):
        dev = self.secure_cluster()
        produced = {}
        for client in CLIENTS:
            dev.topic_create(f"by-{client}", PARTITIONS, configs=TIERED, client_config=self.command_config)
            produced[client] = produce(client, dev.bootstrap, f"by-{client}", RECORDS, f"1-{client}",
                                       self.configs[client])
        self.wait_cold(dev, RECORDS)
        self.read_all(dev, produced, "before the kill")
        victim = self.admin.partition("by-java", 0)[0]
        dev.kill(victim)
        for client in CLIENTS:
            produced[client] += produce(client, dev.bootstrap, f"by-{client}", RECORDS // 4, f"2-{client}",
                                        self.configs[client])
        self.read_all(dev, produced, "while the leader is gone")
        dev.restart(victim)
        for client in CLIENTS:
            self.admin.wait_for_isr(f"by-{client}", PARTITIONS, 3)
        self.wait_cold(dev, RECORDS * 5 // 4)
        self.read_all(dev, produced, "after its return", groups=False)

    def wait_cold(self, dev, records):
        for client in CLIENTS:
            wait_until(f"70 % of by-{client} is local on no broker",
                       lambda: dev.cold_offsets(f"by-{client}", PARTITIONS) >= 0.7 * records, 120, 0.5)

    def read_all(self, dev, produced, when, groups=True):
        """Each client reads each topic; then two members of a group share each topic."""
        for writer, expected in produced.items():
            def read(reader, writer=writer, expected=expected):
                records = consume(self.processes, reader, dev.bootstrap, f"by-{writer}", expected.count,
                                  config=self.configs[reader])
                verify(records, expected, f"{when}: {reader} reads {writer}")

            with ThreadPoolExecutor(2) as pool:
                list(pool.map(read, CLIENTS))
        if groups:
            names = list(CLIENTS)
            for index, writer in enumerate(names):
                config = self.configs[writer]
                members = [writer, writer] if index % 2 else [writer, names[(index + 2) % 4]]
                records = consume_as_two(self.processes, members, dev.bootstrap, f"by-{writer}",
                                         produced[writer].count, f"group-{writer}-{when.split()[0]}", config=config)
                verify(records, produced[writer], f"{when}: two members read {writer}", redelivery=True)

    @slow
    def test_wrong_credentials_and_strangers_are_refused(self):
        dev = self.secure_cluster()
        dev.topic_create("t", 1, configs={}, client_config=self.command_config)
        ca = dev.data / "certs/ca.crt"
        for name, arguments in {
            "wrong password": ("SASL_SSL", "SCRAM-SHA-512", "java", "nonsense", ca),
            "unknown user": ("SASL_SSL", "PLAIN", "mallory", "java-secret", ca),
            "no SASL": ("SSL", None, None, None, ca),
            "no TLS": ("SASL_PLAINTEXT", "PLAIN", "java", "java-secret", None),
        }.items():
            with self.subTest(name):
                config = write_config(self.processes.dir / "bad.config", *arguments)
                text = config.read_text().replace("ssl.ca=", "ssl.truststore.location=")
                config.write_text(text)
                done = esker("topic", "list", "--bootstrap-server", dev.bootstrap, "--command-config", config, check=False)
                self.assertNotEqual(done.returncode, 0, name)
        self.assertIn("t", esker("topic", "list", "--bootstrap-server", dev.bootstrap, "--command-config",
                                 self.command_config).stdout)


class Plain(ClusterCase):
    def test_a_group_goes_on_where_it_stopped_also_after_the_cluster_restarts(self):
        dev = self.dev(3)
        dev.topic_create("t", 3)
        produced = produce("python", dev.bootstrap, "t", 900, "a")
        first = consume(self.processes, "python", dev.bootstrap, "t", 900, group="g")
        verify(first, produced, "first")
        self.assertEqual(dev.stop(), 0)
        dev.start()
        more = produce("python", dev.bootstrap, "t", 300, "b")
        second = consume(self.processes, "python", dev.bootstrap, "t", 300, group="g")
        verify(second, more, "only what is new")

    def test_a_group_survives_the_death_of_its_coordinator(self):
        dev = self.dev(3)
        dev.topic_create("t", 3)
        produced = produce("python", dev.bootstrap, "t", 900, "a")
        verify(consume(self.processes, "python", dev.bootstrap, "t", 900, group="g"), produced, "first")
        admin = Admin(dev.bootstrap)
        wait_until("the offsets topic is there", lambda: "__consumer_offsets" in admin.metadata().topics)
        admin.wait_for_isr("__consumer_offsets", len(admin.metadata().topics["__consumer_offsets"].partitions), 3)
        from wire import Connection, text
        import struct

        with Connection(dev.brokers()[1][1]) as connection:
            answer = connection.call(10, 1, text("g") + b"\0")
        coordinator = struct.unpack_from(">i", answer, 4 + 2 + 2)[0]
        dev.kill(coordinator)
        more = produce("python", dev.bootstrap, "t", 300, "b")
        second = consume(self.processes, "python", dev.bootstrap, "t", 300, group="g")
        verify(second, more, "only what is new, from another coordinator")


class Listeners(ClusterCase):
    @slow
    def test_every_client_speaks_to_every_kind_of_listener(self):
        ports = free_ports(4)
        protocols = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
        address = {protocol: f"127.0.0.1:{port}" for protocol, port in zip(protocols, ports)}
        dev = self.dev(1, settings={
            "listeners": ",".join(f"{protocol}://{at}" for protocol, at in address.items()),
            "security.bootstrap.user": "user:secret", "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        })
        ca = dev.data / "certs/ca.crt"
        dev.bootstrap = address["PLAINTEXT"]
        for index, client in enumerate(CLIENTS):
            for turn, protocol in enumerate(protocols):
                mechanism = None
                if protocol.startswith("SASL"):
                    mechanism = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"][(index + turn) % 3]
                with self.subTest(client=client, protocol=protocol, mechanism=mechanism):
                    config = write_config(self.processes.dir / f"{client}-{protocol}.config", protocol, mechanism, "user",
                                          "secret", ca if protocol.endswith("SSL") else None)
                    topic = f"{client}-{protocol}"
                    dev.topic_create(topic, 2)
                    produced = produce(client, address[protocol], topic, 300, "s", config)
                    verify(consume(self.processes, client, address[protocol], topic, 300, config=config), produced, topic)
