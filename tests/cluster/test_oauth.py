"""OAUTHBEARER: tokens of a small issuer, keys over HTTPS and from a file, by hand and with real clients, whose
connections outlive their tokens."""

import os
import subprocess
import threading
import time

from case import ClusterCase, slow
from clients import Consumer, produce, verify
from processes import ESKER, free_ports, wait_until
from security import Authority, Issuer, KeyServer, Sasl


class Tokens(ClusterCase):
    def cluster(self, **settings):
        """A broker with an HTTPS key set, a SASL_PLAINTEXT listener for raw bytes and a SASL_SSL one for clients."""
        folder = self.processes.dir / "issuer"
        authority = Authority(folder)
        self.issuer = Issuer(folder)
        certificate, key = authority.issue("keys", "/CN=keys", ["IP:127.0.0.1"])
        self.server = KeyServer(certificate, key, [self.issuer.jwk])
        self.addCleanup(self.server.close)
        ports = free_ports(3)
        self.raw, self.secure = f"127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[2]}"
        dev = self.dev(1, settings={
            "listeners": f"PLAINTEXT://127.0.0.1:{ports[0]},SASL_PLAINTEXT://{self.raw},SASL_SSL://{self.secure}",
            "security.bootstrap.user": "admin:admin-secret", "sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
            "sasl.oauthbearer.jwks.endpoint.url": self.server.url,
            "sasl.oauthbearer.jwks.endpoint.truststore.location": str(authority.crt),
            "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": 300,
            "sasl.oauthbearer.expected.audience": "other,esker", "sasl.oauthbearer.expected.issuer": self.issuer.issuer,
            "sasl.oauthbearer.clock.skew.seconds": 2, "connection.failed.authentication.delay.ms": 20,
            "audit.log.path": str(self.processes.dir / "audit.log"), **settings,
        })
        self.ca = dev.data / "certs/ca.crt"
        self.addCleanup(self.unharmed, dev)
        return dev

    def audit(self):
        return (self.processes.dir / "audit.log").read_text(errors="replace")

    def test_good_tokens_get_in_and_bad_ones_do_not(self):
        self.cluster()
        good = self.issuer.token()
        with Sasl(self.raw) as connection:
            error, lifetime = connection.bearer(good)
            self.assertEqual(error, 0)
            self.assertTrue(200_000 < lifetime <= 300_000, lifetime)
            self.assertTrue(connection.metadata_works())
        wait_until("the audit log has it", lambda: "User:alice" in self.audit(), 20)
        thief = Issuer(self.processes.dir / "thief")
        head, body, signature = good.split(".")
        cases = {
            "no algorithm": self.issuer.token(header={"alg": "none"}),
            "a shared secret": self.issuer.token(header={"alg": "HS256"}),
            "forged by another's key": thief.token(),
            "another body under a good signature": f"{head}.{self.issuer.token('admin').split('.')[1]}.{signature}",
            "no signature": f"{head}.{body}.",
            "wrong audience": self.issuer.token(aud="elsewhere"),
            "no audience": self.issuer.token(aud=None),
            "wrong issuer": self.issuer.token(iss="https://evil.test"),
            "expired": self.issuer.token(seconds=-3),
            "not valid yet": self.issuer.token(nbf=int(time.time()) + 60),
            "nobody's": self.issuer.token(sub=None),
            "no end": self.issuer.token(exp=None),
            "an unknown key": self.issuer.token(header={"kid": "nowhere"}),
            "no token at all": "x",
        }
        for what, token in cases.items():
            with self.subTest(what), Sasl(self.raw) as connection:
                self.assertEqual(connection.bearer(token)[0], 58)
                self.assertTrue(connection.is_closed())
        with Sasl(self.raw) as connection:
            self.assertEqual(connection.bearer(good, authzid="admin")[0], 58, "another's authorization id")
        wait_until("each failure is in the audit log",
                   lambda: self.audit().count("authentication failed") == len(cases) + 1, 20)
        for token in [good, *cases.values()]:
            if len(token) > 20:
                self.assertNotIn(token.rsplit(".", 1)[-1] or token, self.audit())
        with Sasl(self.raw) as connection:
            self.assertEqual(connection.bearer(self.issuer.token())[0], 0, "the next client is served")

    def test_a_session_ends_with_its_token_unless_another_is_shown_in_time(self):
        self.cluster()
        with Sasl(self.raw) as idle, Sasl(self.raw) as renewed, Sasl(self.raw) as other:
            error, lifetime = idle.bearer(self.issuer.token(seconds=8))
            self.assertEqual(error, 0)
            self.assertTrue(0 < lifetime <= 8000, lifetime)
            self.assertEqual(renewed.bearer(self.issuer.token(seconds=8))[0], 0)
            self.assertEqual(renewed.bearer(self.issuer.token(seconds=300))[0], 0)
            self.assertEqual(other.bearer(self.issuer.token())[0], 0)
            self.assertEqual(other.bearer(self.issuer.token("mallory"))[0], 58, "nobody becomes somebody else")
            time.sleep(9)
            self.assertFalse(idle.metadata_works())
            self.assertTrue(renewed.metadata_works())

    def test_new_keys_are_fetched_when_a_token_names_one_and_old_ones_stay_while_the_endpoint_fails(self):
        self.cluster()
        second = Issuer(self.processes.dir / "issuer", "k2")
        self.server.status = 500

        def taken(issuer):
            with Sasl(self.raw) as connection:
                return connection.bearer(issuer.token())[0] == 0

        asked = self.server.asked
        self.assertFalse(taken(second))
        wait_until("the endpoint is asked again", lambda: self.server.asked > asked, 20)
        self.assertTrue(taken(self.issuer))
        self.server.status, self.server.keys = 200, [second.jwk]
        wait_until("the new key is known", lambda: taken(second), 30, 0.3)
        self.assertFalse(taken(self.issuer), "what the set has no more is worth nothing")

    def test_without_a_key_set_the_broker_does_not_start(self):
        config = self.processes.dir / "broker.properties"
        base = (f"listeners=SASL_PLAINTEXT://127.0.0.1:0\nlog.dirs={self.processes.dir}/data\n"
                "sasl.enabled.mechanisms=OAUTHBEARER\n")
        for more, told in (("", "sasl.oauthbearer.jwks.endpoint.url"),
                           ("sasl.oauthbearer.jwks.endpoint.url=http://127.0.0.1/keys\n", "https://"),
                           ("sasl.oauthbearer.jwks.endpoint.url=file:///nowhere/keys.json\n", "/nowhere/keys.json")):
            config.write_text(base + more)
            done = subprocess.run([ESKER, "server", "--config", config], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(told, done.stderr)

    @slow
    def test_connections_of_real_clients_outlive_their_tokens(self):
        dev = self.cluster()
        token = self.processes.dir / "token"

        def renew():
            fresh = self.processes.dir / "token.new"
            fresh.write_text(self.issuer.token(seconds=20))
            os.replace(fresh, token)

        renew()
        stop = threading.Event()

        def keep_fresh():
            while not stop.wait(2):
                renew()

        renewing = threading.Thread(target=keep_fresh)
        renewing.start()
        try:
            dev.topic_create("t", 2)
            config = self.processes.dir / "oauth.config"
            config.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nssl.ca={self.ca}\n"
                              f"oauth.token.file={token}\n")
            readers = {client: Consumer(self.processes, client, self.secure, "t", 400, config=config, timeout=180)
                       for client in ("java", "python", "node")}
            first = produce("python", self.secure, "t", 200, "a", config)
            for client, reader in readers.items():
                wait_until(f"{client} has read the first records", lambda: len(reader.records()) >= 200, 60, 0.2)
            # Longer than the tokens that the connections began with.
            time.sleep(25)
            both = first + produce("java", self.secure, "t", 200, "b", config)
            for client, reader in readers.items():
                verify(reader.wait(120), both, client)
        finally:
            stop.set()
            renewing.join()
        log = dev.broker_logs(100_000)
        # Without a new token each of the three would have been cut off. (On a slow machine one may be late.)
        self.assertLess(log.count("the session has ended"), 2, log[-3000:])
