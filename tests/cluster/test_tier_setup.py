"""A bucket is set up, says whose it is, and encrypts as it is asked to; wrong keys and unknown authorities are told."""

import base64
import os
import re

from case import ClusterCase
from clients import consume, produce, verify
from dev import esker
from processes import Minio, wait_until
from security import Authority
from store_proxy import StoreProxy

TIERED = {"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1}
QUICK = {"remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500}
KEY = "esker-test-key"


class TierSetup(ClusterCase):
    def setUp(self):
        super().setUp()
        secret = base64.b64encode(bytes(range(32))).decode()
        self.minio = Minio(self.processes, {"MINIO_KMS_SECRET_KEY": f"{KEY}:{secret}"})

    def init(self, url, *arguments, check=True, endpoint=None, secret=Minio.PASSWORD, env=None):
        return esker("tier", "init", url, *arguments, "--endpoint", endpoint or f"http://{self.minio.address}",
                     "--access-key", Minio.USER, "--secret-key", secret, check=check, env=dict(os.environ, **(env or {})))

    def refused(self, url, *arguments, **more):
        done = self.init(url, *arguments, check=False, **more)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def test_a_new_bucket_gets_what_was_asked_for_and_a_second_run_changes_nothing(self):
        asked = ("s3://fresh/prod", "--cluster-id", "one", "--versioning", "on", "--encryption", "aws:kms",
                 "--kms-key-id", KEY)
        said = self.init(*asked).stdout
        for line in ("bucket fresh is there", "versions of deleted objects are kept", "removed after 7 days",
                     f"objects are encrypted with aws:kms, key {KEY}", "belongs to cluster one from now on"):
            self.assertIn(line, said)
        again = self.init(*asked).stdout
        for line in ("bucket fresh was there", "versions of deleted objects are kept", "belongs to cluster one\n"):
            self.assertIn(line, again)
        # What is not asked for stays as it is.
        kept = self.init("s3://fresh/prod", "--cluster-id", "one").stdout
        self.assertIn("versions of deleted objects are kept", kept)
        self.assertIn(f"objects are encrypted with aws:kms, key {KEY}", kept)

    def test_lifecycle_rules_and_the_public_access_block_are_sent_as_amazon_takes_them(self):
        proxy = StoreProxy(self.minio.address)
        self.addCleanup(proxy.close)
        theirs = "<Rule><ID>theirs</ID><Filter><Prefix>x/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>"
        proxy.settings = {"lifecycle": f"<LifecycleConfiguration>{theirs}</LifecycleConfiguration>"}
        asked = ("s3://fresh/prod", "--versioning", "on", "--noncurrent-days", "5")
        for again in range(2):
            said = self.init(*asked, endpoint=f"http://{proxy.address}").stdout
            for line in ("removed after 2 days (1 rules of others stay)", "versions of deleted objects are removed after 5 days",
                         "public access is blocked"):
                self.assertIn(line, said)
            rules = re.findall("<Rule>.*?</Rule>", proxy.settings["lifecycle"])
            self.assertEqual(len(rules), 2, rules)
            kept, ours = sorted(rules, key=lambda rule: "esker" in rule)
            for part in ("<ID>theirs</ID>", "<Prefix>x/</Prefix>", "<Expiration><Days>3</Days></Expiration>"):
                self.assertIn(part, kept)
            for part in ("<Status>Enabled</Status>", "<Prefix></Prefix>", "<DaysAfterInitiation>2</DaysAfterInitiation>",
                         "<NoncurrentDays>5</NoncurrentDays>"):
                self.assertIn(part, ours)
            # Nothing of ours ever expires an object itself.
            self.assertNotIn("<Expiration>", ours)
            block = proxy.settings["publicAccessBlock"]
            for part in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"):
                self.assertIn(f"<{part}>true</{part}>", block)

    def test_a_wrong_secret_is_told_and_only_the_tier_waits(self):
        said = self.refused("s3://fresh/prod", secret="not-the-secret")
        for word in ("cannot create bucket fresh", "SignatureDoesNotMatch", "Check your key"):
            self.assertIn(word, said)
        store = f"s3://{Minio.BUCKET}/prod"
        env = {**self.minio.environment(self.minio.address), "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
        said = esker("tier", "ls", "--store", store, check=False, env=dict(os.environ, **env))
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("SignatureDoesNotMatch", said.stderr)
        dev = self.dev(1, settings=QUICK, tier=store, env=env)
        dev.topic_create("t", 1, configs=TIERED)
        produced = produce("python", dev.bootstrap, "t", 6000, "s")
        verify(consume(self.processes, "python", dev.bootstrap, "t", 6000), produced, "without the tier")
        why = "nothing is uploaded.*\n?.*SignatureDoesNotMatch.*Check your key"
        wait_until("the broker says why nothing goes up", lambda: re.search(why, dev.broker_logs(1000)), 30, 0.2)
        self.assertNotIn("not-the-secret", dev.broker_logs(1000) + said.stderr)
        self.assertEqual(dev.local_start("t", 0, 1), 0, "nothing goes locally before it is in the tier")
        # With the right one it goes up by itself.
        self.assertEqual(dev.stop(), 0)
        dev.env["AWS_SECRET_ACCESS_KEY"] = Minio.PASSWORD
        dev.start()
        wait_until("most is cold", lambda: dev.cold_offsets("t", 1) >= 4000, 60, 0.3)

    def test_a_store_with_a_certificate_of_ones_own_authority(self):
        authority = Authority(self.processes.dir / "authority")
        certs = self.processes.dir / "certs"
        certs.mkdir()
        for made, name in zip(authority.issue("store", "/CN=store", ["IP:127.0.0.1"]), ("public.crt", "private.key")):
            made.rename(certs / name)
        self.processes.stop(self.minio.process)
        self.minio.start("--certs-dir", certs)
        endpoint, trusted = f"https://{self.minio.address}", {"SSL_CERT_FILE": str(authority.crt)}
        self.assertIn("UnknownIssuer", self.refused("s3://fresh/prod", endpoint=endpoint))
        self.assertIn("bucket fresh is there", self.init("s3://fresh/prod", endpoint=endpoint, env=trusted).stdout)
        env = {**self.minio.environment(self.minio.address), "AWS_ENDPOINT": endpoint, "AWS_ENDPOINT_URL": endpoint,
               "AWS_ALLOW_HTTP": "false"}
        dev = self.dev(1, settings=QUICK, tier="s3://fresh/prod", env=env)
        dev.topic_create("t", 1, configs=TIERED)
        produced = produce("python", dev.bootstrap, "t", 6000, "s")
        wait_until("the broker says what it does not trust", lambda: "UnknownIssuer" in dev.broker_logs(1000), 60, 0.2)
        self.assertEqual(dev.stop(), 0)
        dev.env.update(trusted)
        dev.start()
        wait_until("most is cold", lambda: dev.cold_offsets("t", 1) >= 4000, 60, 0.3)
        verify(consume(self.processes, "python", dev.bootstrap, "t", 6000), produced, "read back over TLS")

    def test_a_bucket_of_another_cluster_is_not_touched(self):
        self.init("s3://fresh/prod", "--cluster-id", "one")
        asked = ("--cluster-id", "two", "--versioning", "on")
        self.assertIn("belongs to cluster one", self.refused("s3://fresh/prod", *asked))
        self.assertIn("belongs to cluster one", self.refused("s3://fresh/prod"))
        # Settings are the whole bucket's, so another prefix is refused too, unless that is meant.
        self.assertIn("s3://fresh/prod belongs to one", self.refused("s3://fresh/other", *asked))
        self.assertIn("versions of deleted objects are not kept",
                      self.init("s3://fresh/prod", "--cluster-id", "one").stdout)
        self.assertIn("belongs to cluster two from now on", self.init("s3://fresh/other", *asked, "--shared").stdout)
        # Bad input is named.
        self.assertIn("--kms-key-id is for --encryption aws:kms", self.refused("s3://fresh", "--kms-key-id", "k"))
        self.assertIn("only a bucket is set up", self.refused("file:///nowhere"))
        self.assertIn("unknown", self.refused("gs://bucket"))

    def test_brokers_refuse_the_bucket_of_another_cluster(self):
        self.init(f"s3://{Minio.BUCKET}/prod", "--cluster-id", "one")
        dev = self.dev(1, settings={**QUICK, "cluster.id": "two"}, tier=f"s3://{Minio.BUCKET}/prod",
                       env=self.minio.environment(self.minio.address), wait=False)
        wait_until("the broker says why it does not start",
                   lambda: "it belongs to cluster one, and this is cluster two" in dev.output() + dev.broker_logs(),
                   60, 0.2)
        self.assertFalse([f for f in (self.processes.dir / "minio" / Minio.BUCKET).rglob("*") if "two" in f.parts])
        self.processes.stop(dev.process, 60)
        self.devs.remove(dev)

    def test_every_upload_asks_for_the_encryption_that_is_configured(self):
        proxy = StoreProxy(self.minio.address)
        self.addCleanup(proxy.close)
        dev = self.dev(1, settings={**QUICK, "tier.store.sse": "aws:kms", "tier.store.sse.kms.key.id": KEY},
                       tier=f"s3://{Minio.BUCKET}/prod", env=self.minio.environment(proxy.address))
        dev.topic_create("t", 1, configs=TIERED)
        produce("python", dev.bootstrap, "t", 6000, "s")
        wait_until("most is cold", lambda: dev.cold_offsets("t", 1) >= 4000, 60, 0.3)
        with proxy.lock:
            puts = [r for r in proxy.requests if r.method in ("PUT", "POST") and "partNumber" not in r.query
                    and "uploadId" not in r.query and "delete" not in r.query]
        self.assertTrue(any(r.is_segment() for r in puts))
        for request in puts:
            self.assertEqual(request.headers.get("x-amz-server-side-encryption"), "aws:kms", request.path)
            self.assertEqual(request.headers.get("x-amz-server-side-encryption-aws-kms-key-id"), KEY, request.path)
        # MinIO keeps no plain byte of it: the segment's batches are not in its files.
        objects = (self.processes.dir / "minio" / Minio.BUCKET).rglob("*.seg")
        stored = b"".join(f.read_bytes() for folder in objects for f in folder.rglob("*") if f.is_file())
        self.assertGreater(len(stored), 1000)
        self.assertNotIn(b"ESKERSEG", stored, "a footer in plain text")
