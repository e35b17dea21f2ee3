"""A bucket is set up, says whose it is, and encrypts as it is asked to."""

import base64

from case import ClusterCase
from clients import produce
from dev import esker
from processes import Minio, wait_until
from store_proxy import StoreProxy

TIERED = {"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1}
QUICK = {"remote.log.manager.task.interval.ms": 300, "log.retention.check.interval.ms": 500}
KEY = "esker-test-key"


class TierSetup(ClusterCase):
    def setUp(self):
        super().setUp()
        secret = base64.b64encode(bytes(range(32))).decode()
        self.minio = Minio(self.processes, {"MINIO_KMS_SECRET_KEY": f"{KEY}:{secret}"})

    def init(self, url, *arguments, check=True):
        return esker("tier", "init", url, *arguments, "--endpoint", f"http://{self.minio.address}",
                     "--access-key", Minio.USER, "--secret-key", Minio.PASSWORD, check=check)

    def refused(self, url, *arguments):
        done = self.init(url, *arguments, check=False)
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
