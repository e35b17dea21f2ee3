"""The REST API does what its OpenAPI document says: schemathesis makes requests of the document, good ones and bad ones.

The number of requests is bounded and their choice is always the same (no seed is drawn). A request that a client could not know to
be refused, a status or an answer that the document does not have, and a crash all fail the test.
"""

import subprocess

from case import ClusterCase, slow
from clients import produce
from processes import CACHE
from test_operate import get

SCHEMATHESIS = CACHE / "schemathesis/bin/schemathesis"
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
          "response_headers_conformance,unsupported_method")


class RestApi(ClusterCase):
    @slow
    def test_the_api_answers_as_its_document_says(self):
        dev = self.dev(1)
        dev.topic_create("events", partitions=2)
        produce("python", dev.bootstrap, "events", 100, "s")
        url = dev.consoles()[1]
        done = subprocess.run(
            [SCHEMATHESIS, "--no-color", "run", f"{url}/api/v1/openapi.json", "--url", f"{url}/api/v1", "--checks", CHECKS,
             "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--generation-deterministic", "--workers", "1",
             "--request-timeout", "30", "--header", "x-esker-csrf:test"],
            capture_output=True, text=True, timeout=300, cwd=self.processes.dir)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
        self.assertIn("9 selected / 9 total", done.stdout)
        self.assertEqual(get(f"{url}/livez")[0], 200)
