"""The console in a real browser, and the REST API under it."""

import base64
import http.client
import json
import os
import shutil
import ssl
import subprocess
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from case import ClusterCase, slow
from clients import consume, produce
from dev import esker
from processes import free_ports, wait_until
from security import Authority
from test_operate import get

CACHE = Path(os.environ.get("TESTS_CACHE", Path.home() / ".cache/esker"))


needs_browser = unittest.skipUnless(
    shutil.which("chromium") and (CACHE / "browser/node_modules/playwright-core").exists(), "no Chromium, or no playwright-core")


def api(url, path, method="GET", body=None, headers=None):
    """(status, JSON)"""
    data = None if body is None else json.dumps(body).encode()
    headers = {"accept": "application/json", "content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(f"{url}/api/v1{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else text


# What every answer says to browsers.
HYGIENE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                               "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin", "cache-control": "no-store",
}
TIERED = {"remote.storage.enable": "true", "segment.bytes": 262144, "local.retention.bytes": 1}
RECORDS = 6000
FAST_TIER = {"remote.log.manager.task.interval.ms": "200", "log.retention.check.interval.ms": "500"}


class Console(ClusterCase):
    def with_both_tiers(self, settings=None):
        """Three brokers, and a topic whose oldest records are cold and whose newest are hot."""
        dev = self.dev(3, settings={**FAST_TIER, **(settings or {})})
        dev.topic_create("both", partitions=1, configs=TIERED)
        produce("python", dev.bootstrap, "both", RECORDS, "s")
        wait_until("the oldest records are cold", lambda: dev.cold_offsets("both", 1) > 0, 90)
        return dev

    def test_the_rest_api_tells_both_tiers_makes_topics_and_refuses_with_a_reason(self):
        dev = self.with_both_tiers()
        urls = dev.consoles()
        for url in urls.values():
            status, topic = api(url, "/topics/both")
            self.assertEqual(status, 200)
            offsets = topic["partitions"][0]["offsets"]
            self.assertEqual((offsets["log_start"], offsets["high_watermark"]), (0, RECORDS))
            self.assertGreater(offsets["local_start"], 0)
            self.assertGreaterEqual(offsets["tier_end"], offsets["local_start"])
            status, first = api(url, "/topics/both/partitions/0/records?offset=0&limit=10")
            self.assertEqual(status, 200, first)
            self.assertEqual([r["offset"] for r in first["records"]], list(range(10)))
            self.assertEqual({r["tier"] for r in first["records"]}, {"cold"})
            status, last = api(url, f"/topics/both/partitions/0/records?offset={RECORDS - 10}")
            self.assertEqual([r["offset"] for r in last["records"]], list(range(RECORDS - 10, RECORDS)))
            self.assertEqual({r["tier"] for r in last["records"]}, {"hot"})
        url = urls[1]
        consume(self.processes, "python", dev.bootstrap, "both", RECORDS)
        status, groups = api(url, "/groups")
        self.assertEqual(status, 200)
        self.assertTrue(all(group["lag"] == 0 or group["offsets"] for group in groups["groups"]))
        token = {"x-esker-csrf": "any"}
        new = {"name": "rest", "partitions": 2, "replication_factor": 3}
        self.assertEqual(api(url, "/topics", "POST", new)[0], 403, "without the header nothing is changed")
        self.assertEqual(api(url, "/topics", "POST", new, token)[0], 201)
        self.assertEqual(api(url, "/topics", "POST", new, token)[0], 409)
        for wrong, said in [({"partitions": 0}, "partition"), ({"replication_factor": 9}, "replica"),
                            ({"configs": {"retention.ms": "soon"}}, "retention.ms"),
                            ({"configs": {"remote.storage.enable": "true", "local.retention.ms": "5", "retention.ms": "4"}}, "local.retention.ms")]:
            status, answer = api(url, "/topics", "POST", {"name": "wrong", **wrong}, token)
            self.assertEqual(status, 422, answer)
            self.assertIn(said, answer["error"].lower())
        self.assertEqual(api(url, "/topics/wrong")[0], 404, "nothing was made")
        self.assertEqual(api(url, "/topics/rest", "DELETE", headers=token)[0], 204)
        self.assertEqual(api(url, "/topics/rest/partitions/0/records?offset=x")[0], 400)
        status, document = api(url, "/openapi.json")
        self.assertEqual(document["openapi"], "3.1.0")

    def secured(self, settings=None):
        return self.dev(1, settings={
            **(settings or {}),
            "listeners": "SASL_PLAINTEXT://127.0.0.1:{port}", "security.bootstrap.user": "admin:secret",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:admin"})

    def test_users_and_acls_hold_for_http_too(self):
        dev = self.secured()
        url = dev.consoles()[1]
        config = self.processes.dir / "admin.properties"
        config.write_text("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
                          "sasl.username=admin\nsasl.password=secret\n")
        esker("user", "add", "bob", "--password", "bobs", "--bootstrap-server", dev.bootstrap, "--command-config", config)
        dev.topic_create("t", client_config=config)

        def basic(user, password):
            return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

        self.assertEqual(api(url, "/topics")[0], 401)
        self.assertEqual(get(f"{url}/metrics")[0], 401)
        self.assertEqual(get(f"{url}/readyz")[0], 200)
        self.assertEqual(api(url, "/topics", headers=basic("admin", "wrong"))[0], 401)
        status, seen = api(url, "/topics", headers=basic("admin", "secret"))
        self.assertEqual((status, [t["name"] for t in seen["topics"] if not t["internal"]]), (200, ["t"]))
        self.assertEqual(get(f"{url}/metrics", headers=basic("admin", "secret"))[0], 200)
        status, seen = api(url, "/topics", headers=basic("bob", "bobs"))
        self.assertEqual((status, seen["topics"]), (200, []))
        for path in ("/cluster", "/metrics?names=esker_groups"):
            self.assertEqual(api(url, path, headers=basic("bob", "bobs"))[0], 403)
        self.assertEqual(get(f"{url}/metrics", headers=basic("bob", "bobs"))[0], 403)
        self.assertEqual(api(url, "/topics/t/partitions/0/records", headers=basic("bob", "bobs"))[0], 404)
        new = {"name": "bobs"}
        self.assertEqual(api(url, "/topics", "POST", new, {**basic("bob", "bobs"), "x-esker-csrf": "x"})[0], 403)

    def test_a_login_over_tls_is_bound_to_its_token_and_ends_with_the_log_out(self):
        secure, plain = free_ports(2)
        authority = Authority(self.processes.dir / "ca")
        certificate, key = authority.issue("admin", "/CN=localhost", ["IP:127.0.0.1"])
        self.secured({"admin.listeners": f"https://127.0.0.1:{secure},http://127.0.0.1:{plain}",
                      "ssl.keystore.certificate.location": certificate, "ssl.keystore.key.location": key})
        trusted = ssl.create_default_context(cafile=authority.crt)

        def ask(method, path, body=None, port=secure, **headers):
            """(status, headers, text)"""
            connection = (http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=trusted) if port == secure
                          else http.client.HTTPConnection("127.0.0.1", port, timeout=30))
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            for name, value in HYGIENE.items():
                self.assertEqual(answer.headers.get_all(name), [value], f"{method} {path}: {name}")
            return answer.status, answer.headers, text

        def log_in(password="secret", port=secure, **headers):
            return ask("POST", "/login", f"user=admin&password={password}", port, content_type="application/x-www-form-urlencoded", **headers)

        def cookie(answer, *more):
            """The cookie of a login, which has these attributes and no others."""
            self.assertEqual((answer[0], answer[1]["location"]), (303, "/"))
            value, *attributes = answer[1]["set-cookie"].split("; ")
            self.assertEqual(sorted(attributes), sorted(["Path=/", "HttpOnly", "SameSite=Strict", *more]))
            self.assertGreater(len(value), len("esker_session=") + 40)
            return value

        for path, status in [("/livez", 200), ("/login", 200), ("/assets/console.js", 200), ("/nothing", 401), ("/api/v1/topics", 401), ("/metrics", 401)]:
            self.assertEqual(ask("GET", path)[0], status, path)
        self.assertEqual(ask("GET", "/", accept="text/html")[1]["location"], "/login")
        for refused, status in [(log_in("wrong"), 401), (log_in(sec_fetch_site="cross-site"), 403)]:
            self.assertEqual((refused[0], refused[1]["set-cookie"]), (status, None))
        cookie(log_in(port=plain))
        one, other = cookie(log_in(), "Secure"), cookie(log_in(), "Secure")
        self.assertNotEqual(one, other)

        def token(of):
            status, _, text = ask("GET", "/api/v1/session", cookie=of)
            self.assertEqual(status, 200)
            session = json.loads(text)
            self.assertEqual((session["principal"], session["login"]), ("User:admin", True))
            return session["csrf"]

        def make(of, **headers):
            return ask("POST", "/api/v1/topics", json.dumps({"name": "made"}), cookie=of, content_type="application/json", **headers)[0]

        self.assertEqual(make(one), 403, "no token")
        self.assertEqual(make(one, x_esker_csrf="any"), 403, "a wrong token")
        self.assertEqual(make(one, x_esker_csrf=token(other)), 403, "the token of another login")
        self.assertEqual(ask("GET", "/api/v1/topics/made", cookie=one)[0], 404, "nothing was made")
        self.assertEqual(make(one, x_esker_csrf=token(one)), 201)
        self.assertEqual(ask("DELETE", "/api/v1/topics/made", cookie=one, x_esker_csrf=token(other))[0], 403)
        self.assertEqual(ask("GET", "/api/v1/topics/made", cookie=one)[0], 200, "it is still there")

        self.assertEqual(ask("POST", "/logout", cookie=one, x_esker_csrf=token(other))[0], 403, "nobody else logs one out")
        status, headers, _ = ask("POST", "/logout", cookie=one, x_esker_csrf=token(one))
        self.assertEqual((status, headers["location"]), (303, "/login"))
        self.assertIn("esker_session=; ", headers["set-cookie"])
        self.assertIn("Max-Age=0", headers["set-cookie"])
        for path in ("/api/v1/session", "/api/v1/topics", "/metrics"):
            self.assertEqual(ask("GET", path, cookie=one)[0], 401, "the cookie is worth nothing any more")
        token(other)

    @needs_browser
    @slow
    def test_a_browser_logs_in_with_a_cookie_that_no_script_reads(self):
        dev = self.secured()
        config = self.processes.dir / "admin.properties"
        config.write_text("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
                          "sasl.username=admin\nsasl.password=secret\n")
        dev.topic_create("t", client_config=config)
        seen = self.browse(dev.consoles()[1], "t", "admin", "secret", records=False)
        self.assertIn("do not fit", seen["refused"])
        self.assertTrue(seen["cookie"]["httpOnly"])
        self.assertEqual(seen["cookie"]["sameSite"], "Strict")

        self.assertEqual(seen["login_unlabelled"], 0)
        self.assertEqual({page: found for page, found in seen["contrast"].items() if found[0] < 4.5}, {}, "contrast (WCAG AA)")
        self.assertIn("login, dark", seen["contrast"])
        self.assertTrue(seen["deleted"])
        self.assertIn("/login", seen["logged_out"])

    def browse(self, url, topic, *login, records=True, group=""):
        """What the browser saw."""
        out = Path(os.environ.get("TESTS_SCREENSHOTS", self.processes.dir))
        script = Path(__file__).resolve().parent.parent / "browser/console.js"
        environment = dict(os.environ, NODE_PATH=str(CACHE / "browser/node_modules"), RECORDS="1" if records else "", GROUP=group)
        done = subprocess.run(["node", script, url, out, topic, *login], env=environment, capture_output=True, text=True,
                              timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    @needs_browser
    @slow
    def test_every_page_opens_in_a_browser_and_records_are_browsed_from_either_tier(self):
        dev = self.with_both_tiers()
        # Any replica finds the first record since a time, the leader or not.
        for broker, url in dev.consoles().items():
            status, page = api(url, "/topics/both/partitions/0/records?limit=1&timestamp=1577836801000")
            self.assertEqual((status, page.get("from")), (200, 0), f"broker {broker}: {page}")
        consumer = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "readers", "enable.auto.commit": False, "log_level": 0})

        def committed():
            try:
                return consumer.commit(offsets=[TopicPartition("both", 0, RECORDS - 1000)], asynchronous=False)
            except KafkaException:  # the coordinator is not there yet
                return None

        wait_until("the group has committed", committed, 60)
        consumer.close()
        seen = self.browse(dev.consoles()[1], "both", group="readers")
        self.assertEqual(seen["errors"], [])
        self.assertEqual(seen["late"], "topics", "what comes late for another page is not shown")
        self.assertEqual(seen["elsewhere"], [], "the console needs nothing from elsewhere")
        self.assertTrue(seen["made"])
        self.assertIn("active", seen["brokers"])
        self.assertIn("both", seen["topics"])
        self.assertIn("Cache hits", seen["tier"])
        for page in ("overview", "brokers", "topics", "groups", "tier"):
            self.assertEqual(seen[f"{page}_unlabelled"], 0, page)
        self.assertEqual(seen["group_unlabelled"], 0)
        self.assertIn("1,000 records behind", seen["group"])
        self.assertEqual([row[:5] for row in seen["group_offsets"]], [["both", "0", "5,000", "6,000", "1,000"]])
        self.assertIn("made-in-the-console", seen["asked"])
        self.assertEqual((seen["kept"], seen["deleted"]), (1, True))
        self.assertEqual(len(seen["contrast"]), 16, "eight pages, light and dark")
        self.assertEqual({page: found for page, found in seen["contrast"].items() if found[0] < 4.5}, {}, "contrast (WCAG AA)")
        self.assertIn("list price", seen["tier"])
        self.assertIn("cold tier 0 to", seen["picture"])
        self.assertEqual({row[1] for row in seen["first"]}, {"cold"})
        self.assertEqual({row[1] for row in seen["last"]}, {"hot"})
        self.assertEqual(seen["by_time"], seen["first"])
