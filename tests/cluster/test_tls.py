"""TLS on client listeners against openssl's client and the real ones: versions, ciphers, client certificates, keys of every
form, stores of Java, principals by mapping rules, re-authentication."""

import os
import re
import subprocess
import time
import urllib.request

from case import ClusterCase, slow
from clients import CLIENTS, Consumer, consume, produce, verify, write_config
from dev import esker
from processes import ESKER, free_ports, wait_until
from security import Authority, Sasl, openssl
from wire import Connection


# What openssl says when the server ends a handshake for its version.
OLD = "protocol version|unsupported protocol|alert handshake failure|unknown option"


def handshake(address, ca, *arguments):
    """openssl's client: (whether the handshake and one answer after it came, what it says). A refusal of a client's
    certificate in TLS 1.3 comes after the client believes that it is through; so it asks for the versions and waits."""
    # ApiVersions v0, answered at once on a listener without SASL too.
    question = bytes.fromhex("0000000d" "0012" "0000" "00000001" "0003") + b"tls"
    command = ["openssl", "s_client", "-connect", address, "-CAfile", str(ca), "-verify_return_error", "-quiet", "-no_ign_eof",
               *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.stdin.write(question)
        process.stdin.flush()
        answer = os.read(process.stdout.fileno(), 4)  # ends with the connection
    except OSError:
        answer = b""
    finally:
        try:
            process.stdin.close()
        except BrokenPipeError:  # it has ended, and not taken the question
            pass
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        told = process.stderr.read().decode(errors="replace")
        process.stdout.close()
        process.stderr.close()
    return len(answer) == 4, told


class Tls(ClusterCase):
    def cluster(self, **settings):
        ports = free_ports(4)
        self.plain, self.ssl, self.sasl_ssl = (f"127.0.0.1:{port}" for port in ports[:3])
        dev = self.dev(1, settings={
            "listeners": f"PLAINTEXT://{self.plain},SSL://{self.ssl},SASL_SSL://{self.sasl_ssl}",
            "security.bootstrap.user": "admin:admin-secret", "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.reload.interval.ms": 200, "connection.failed.authentication.delay.ms": 20, **settings,
        })
        self.own_ca = dev.data / "certs/ca.crt"
        self.addCleanup(self.unharmed, dev)
        return dev

    def serves(self, what, address, ca, *arguments):
        done, told = handshake(address, ca, *arguments)
        self.assertTrue(done, f"{what}: {told}")

    def refuses(self, what, alert, address, ca, *arguments):
        done, told = handshake(address, ca, *arguments)
        self.assertFalse(done, what)
        if alert:
            self.assertRegex(told.lower(), alert, what)

    def test_versions_and_ciphers_are_todays(self):
        self.cluster()
        weak = ["-cipher", "ALL:@SECLEVEL=0"]
        for address in (self.ssl, self.sasl_ssl):
            self.serves("1.3", address, self.own_ca, "-tls1_3")
            self.serves("1.2", address, self.own_ca, "-tls1_2")
            self.refuses("1.1", OLD, address, self.own_ca, "-tls1_1", *weak)
            self.refuses("1.0", OLD, address, self.own_ca, "-tls1", *weak)
        for suite in ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"):
            self.serves(suite, self.ssl, self.own_ca, "-tls1_3", "-ciphersuites", suite)
        for suite in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"):
            self.serves(suite, self.ssl, self.own_ca, "-tls1_2", "-cipher", suite)
        for suite in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256", "AES256-SHA",
                      "ECDHE-ECDSA-AES128-CCM", "NULL"):
            self.refuses(suite, "handshake failure|no cipher", self.ssl, self.own_ca, "-tls1_2", "-cipher",
                         f"{suite}:@SECLEVEL=0")
        other = Authority(self.processes.dir / "other")
        self.refuses("a client that trusts another CA", "verify error|certificate verify failed", self.ssl, other.crt)
        with Connection(self.ssl) as connection:
            connection.send(bytes.fromhex("0000000d" "0012" "0000" "00000001" "0003") + b"tls")
            self.assertTrue(connection.is_closed(), "plaintext on a TLS listener")
        self.assertEqual(Sasl(self.sasl_ssl, self.own_ca).plain("admin", "admin-secret")[0], 0, "the next one is served")

    def test_keys_of_every_form_are_read_and_exchanged_while_connections_go_on(self):
        folder = self.processes.dir / "own"
        authority = Authority(folder)
        hosts = ["IP:127.0.0.1", "DNS:localhost"]
        pairs = {"rsa": authority.issue("rsa", "/CN=node", hosts), "ec": authority.issue("ec", "/CN=node", hosts, "ec")}
        crt, key = folder / "live.crt", folder / "live.key"

        def forms(kind):
            source = pairs[kind][1]
            if kind == "rsa":
                yield "PKCS#8", openssl("pkcs8", "-topk8", "-nocrypt", "-in", source).stdout
                yield "PKCS#1", openssl("rsa", "-in", source, "-traditional").stdout
            else:
                yield "PKCS#8", openssl("pkcs8", "-topk8", "-nocrypt", "-in", source).stdout
                yield "SEC1", openssl("ec", "-in", source).stdout

        def install(kind, text):
            for path, data in ((crt, pairs[kind][0].read_bytes()), (key, text)):
                fresh = path.with_suffix(".new")
                fresh.write_bytes(data)
                os.replace(fresh, path)

        install("rsa", next(forms("rsa"))[1])
        dev = self.cluster(**{"ssl.keystore.certificate.location": str(crt), "ssl.keystore.key.location": str(key)})
        with Sasl(self.sasl_ssl, authority.crt) as old:
            self.assertEqual(old.plain("admin", "admin-secret")[0], 0)
            for kind, algorithm in (("ec", "ECDHE-ECDSA-AES128-GCM-SHA256"), ("rsa", "ECDHE-RSA-AES128-GCM-SHA256")):
                for form, text in forms(kind):
                    with self.subTest(kind=kind, form=form):
                        install(kind, text)
                        wait_until(f"{kind} {form} is in use", lambda: handshake(
                            self.ssl, authority.crt, "-tls1_2", "-cipher", algorithm)[0], 30, 0.2)
                        self.assertTrue(old.metadata_works(), "a connection from before goes on")
            key.write_text("no key")
            time.sleep(1)
            self.serves("a broken file changes nothing", self.ssl, authority.crt)
        # With a passphrase: from the configuration, a file, the environment.
        sealed = openssl("pkcs8", "-topk8", "-in", pairs["ec"][1], "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256",
                         "-passout", "pass:planted-passphrase").stdout
        install("ec", sealed)
        (folder / "pass").write_text("planted-passphrase\n")
        for name, value in (("ssl.key.password", "planted-passphrase"), ("ssl.key.password.location", str(folder / "pass"))):
            with self.subTest(name):
                dev.reconfigure(1, name, value)
                self.serves(name, self.ssl, authority.crt)
                path = dev.data / "broker-1/broker.properties"
                path.write_text("".join(l + "\n" for l in path.read_text().splitlines() if not l.startswith(f"{name}=")))
        self.assertEqual(dev.stop(), 0)
        # Neither: the control that it is needed.
        refused = self.start_alone(path)
        self.assertIn("passphrase", refused)
        dev.env["ESKER_SSL_KEY_PASSWORD"] = "planted-passphrase"
        dev.start()
        self.serves("from the environment", self.ssl, authority.crt)
        self.assertNotIn("planted-passphrase", dev.broker_logs(100_000) + dev.output() + refused)
        self.assertFalse(any(b"planted-passphrase" in p.read_bytes() for p in dev.data.rglob("*") if p.is_file()),
                         "what comes from the environment is written nowhere")

    def start_alone(self, path):
        """What a broker says that does not start."""
        done = subprocess.run([ESKER, "server", "--config", path], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def test_a_certificate_that_is_about_to_expire_is_told_and_a_new_one_is_used(self):
        folder = self.processes.dir / "short"
        esker("certs", "ca", "--dir", folder)
        (console,) = free_ports(1)
        live = {ending: folder / f"live.{ending}" for ending in ("crt", "key")}

        def install(days):
            for old in folder.glob("node-1.*"):
                old.unlink()
            esker("certs", "node", "--dir", folder, "--id", 1, "--host", "127.0.0.1", "--days", days)
            for ending, path in live.items():
                os.replace(folder / f"node-1.{ending}", path)

        install(5)
        told = esker("certs", "show", "--dir", folder, check=False)
        self.assertNotEqual(told.returncode, 0)
        self.assertIn("expires in less than 30 days: live.crt", told.stderr)
        self.assertRegex(told.stdout, r"live\.crt .*node-1\.esker.* 127\.0\.0\.1 .* 4 ")
        dev = self.cluster(**{
            "ssl.keystore.certificate.location": str(live["crt"]), "ssl.keystore.key.location": str(live["key"]),
            "peer.ssl.ca.location": str(folder / "ca.crt"), "peer.ssl.certificate.location": str(live["crt"]),
            "peer.ssl.key.location": str(live["key"]), "admin.listeners": f"http://127.0.0.1:{console}",
            "admin.metrics.anonymous": "true",
        })

        def days(which):
            with urllib.request.urlopen(f"http://127.0.0.1:{console}/metrics", timeout=10) as answer:
                text = answer.read().decode()
            told = re.search(rf'^esker_certificate_expiry_timestamp_seconds{{[^}}]*"{which}"[^}}]*}} (\S+)', text, re.M)
            return (float(told[1]) - time.time()) / 86_400

        for which in ("listener", "peer"):
            self.assertTrue(4.9 < days(which) <= 5.1, which)
        for which in ("listeners' certificate", "peer certificate"):
            wait_until(f"a warning: {which}", lambda: re.search(f"WARN.*{which} expires soon", dev.broker_logs(1000)), 20, 0.2)
        said = len(re.findall("expires soon", dev.broker_logs(100_000)))
        with Sasl(self.sasl_ssl, folder / "ca.crt") as old:
            self.assertEqual(old.plain("admin", "admin-secret")[0], 0)
            install(400)
            for which in ("listener", "peer"):
                wait_until("the metric is of the new one", lambda: days(which) > 399, 30, 0.2)
            wait_until("it is in use", lambda: "new certificates are in use" in dev.broker_logs(1000), 30, 0.2)
            wait_until("and to peers", lambda: "new peer certificates are in use" in dev.broker_logs(1000), 30, 0.2)
            self.assertTrue(old.metadata_works(), "a connection from before goes on")
        self.serves("the new one", self.ssl, folder / "ca.crt")
        esker("certs", "show", "--dir", folder)
        self.assertEqual(len(re.findall("expires soon", dev.broker_logs(100_000))), said, "a fresh one is no warning")

    def test_client_certificates_are_asked_for_as_configured_and_name_their_holders(self):
        folder = self.processes.dir / "clients"
        authority, stranger = Authority(folder), Authority(self.processes.dir / "stranger")
        admin, bob = authority.issue("admin", "/O=Esker/CN=Admin"), authority.issue("bob", "/O=Esker/CN=Bob")
        nobody = authority.issue("nobody", "/O=Elsewhere/CN=x")
        foreign = stranger.issue("foreign", "/O=Esker/CN=Admin")
        dev = self.cluster(**{
            "ssl.client.auth": "required", "ssl.truststore.location": str(authority.crt),
            "ssl.principal.mapping.rules": "RULE:^CN=(.*),O=Esker$/$1/L",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",
        })

        def certificate(pair):
            return ["-cert", pair[0], "-key", pair[1]]

        for version in ("-tls1_2", "-tls1_3"):
            self.serves("a certificate", self.ssl, self.own_ca, version, *certificate(admin))
            self.refuses("no certificate", None, self.ssl, self.own_ca, version)
            self.refuses("another's certificate", None, self.ssl, self.own_ca, version, *certificate(foreign))
            self.refuses("an unmapped name", None, self.ssl, self.own_ca, version, *certificate(nobody))
        dev.topic_create("t", 2)
        configs = {}
        for name, pair in (("admin", admin), ("bob", bob)):
            both = folder / f"{name}.pem"
            both.write_bytes(pair[1].read_bytes() + pair[0].read_bytes())
            base = f"security.protocol=SSL\nssl.ca={self.own_ca}\n"
            configs[name] = folder / f"{name}.config"
            configs[name].write_text(base + f"ssl.certificate={pair[0]}\nssl.key={pair[1]}\n")
            configs[name, "java"] = folder / f"{name}-java.config"
            configs[name, "java"].write_text(base + f"ssl.keystore.type=PEM\nssl.keystore.location={both}\n")
        for client in CLIENTS:
            config = configs["admin", "java"] if client == "java" else configs["admin"]
            sent = produce(client, self.ssl, "t", 50, f"by-{client}", config)
            self.assertEqual(sent.count, 50, client)
        with self.assertRaisesRegex(AssertionError, "(?i)authoriz"):
            produce("python", self.ssl, "t", 1, "bob", configs["bob"], timeout=60)
        for name, value, without in (("ssl.client.auth", "requested", True), ("ssl.client.auth", "none", True)):
            dev.reconfigure(1, name, value)
            self.assertEqual(handshake(self.ssl, self.own_ca)[0], without, value)
        dev.reconfigure(1, "ssl.client.auth", "requested")
        self.refuses("requested, and another's", None, self.ssl, self.own_ca, *certificate(foreign))
        self.serves("requested, and a good one", self.ssl, self.own_ca, *certificate(bob))
        self.exchange_the_client_ca(authority, stranger, certificate(bob), certificate(foreign))

    def exchange_the_client_ca(self, old, new, of_old, of_new):
        """Whom clients' certificates must be from changes without a restart, and without an end of connections."""
        with Sasl(self.sasl_ssl, self.own_ca) as connection:
            self.assertEqual(connection.plain("admin", "admin-secret")[0], 0)
            fresh = old.crt.with_suffix(".new")
            fresh.write_bytes(new.crt.read_bytes())
            os.replace(fresh, old.crt)
            wait_until("the new authority's are taken", lambda: handshake(self.ssl, self.own_ca, *of_new)[0], 30, 0.2)
            self.refuses("the old authority's", None, self.ssl, self.own_ca, *of_old)
            self.assertTrue(connection.metadata_works(), "a connection from before goes on")

    @slow
    def test_java_takes_its_trust_from_jks_pkcs12_and_pem(self):
        dev = self.cluster()
        dev.topic_create("t", 1)
        stores = {"PEM": self.own_ca}
        for kind in ("JKS", "PKCS12"):
            stores[kind] = self.processes.dir / f"trust.{kind.lower()}"
            subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", self.own_ca, "-keystore",
                            stores[kind], "-storetype", kind, "-storepass", "changeit"], check=True, capture_output=True)
        sent = None
        for kind, path in stores.items():
            with self.subTest(kind):
                config = self.processes.dir / f"{kind}.config"
                password = "" if kind == "PEM" else "ssl.truststore.password=changeit\n"
                config.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=admin\n"
                                  f"sasl.password=admin-secret\nssl.truststore.type={kind}\n"
                                  f"ssl.truststore.location={path}\n{password}")
                more = produce("java", self.sasl_ssl, "t", 100, kind, config)
                sent = sent + more if sent else more
                verify(consume(self.processes, "java", self.sasl_ssl, "t", sent.count, config=config), sent, kind)

    @slow
    def test_sessions_are_renewed_by_clients_that_can(self):
        """`connections.max.reauth.ms` (KIP-368): who re-authenticates goes on, who does not is cut off."""
        dev = self.cluster(**{"connections.max.reauth.ms": 8000})
        dev.topic_create("t", 1)
        readers, sent = {}, None
        for client, mechanism in (("java", "SCRAM-SHA-256"), ("python", "PLAIN"), ("node", "SCRAM-SHA-512")):
            config = write_config(self.processes.dir / f"{client}.config", "SASL_SSL", mechanism, "admin", "admin-secret",
                                  self.own_ca)
            readers[client] = Consumer(self.processes, client, self.sasl_ssl, "t", 200, config=config, timeout=150)
        plain = produce("python", self.plain, "t", 100, "a")
        for client, reader in readers.items():
            wait_until(f"{client} has begun", lambda: len(reader.records()) >= 100, 60, 0.2)
        with Sasl(self.sasl_ssl, self.own_ca) as quiet:
            error, lifetime = quiet.plain("admin", "admin-secret")
            self.assertEqual((error, lifetime), (0, 8000))
            time.sleep(20)
            sent = plain + produce("python", self.plain, "t", 100, "b")
            for client, reader in readers.items():
                verify(reader.wait(120), sent, client)
            # Each would have been cut off twice or more. (On a slow machine one may be late once.)
            self.assertLess(dev.broker_logs(100_000).count("the session has ended"), 2 * len(readers))
            self.assertFalse(quiet.metadata_works(), "who does not renew it is cut off")
        wait_until("it is said why", lambda: "the session has ended" in dev.broker_logs(10_000), 10)
