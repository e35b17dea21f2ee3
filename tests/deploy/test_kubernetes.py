"""The Helm chart: rendered, checked against Kubernetes' own schemas, and refused where values do not fit together."""

import http.server
import json
import os
import re
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from machines import ESKER, Machines, machines_work, wait_until
from tools import BIN, CACHE, DEPLOY, asked, run

CHART = DEPLOY / "helm/esker"
HELM = CACHE / "bin/helm"
VERSIONS = ["1.31", "1.35", "1.37"]
VALUES = {"clusterId": "MkU3OEVBNTcwNTJENDM2Qg", "tier.url": "s3://bucket/prod", "tier.existingSecret": "store",
          "tls.existingSecret": "tls", "auth.existingSecret": "first-user"}


def helm(command, values=None, check=True, version="1.35.0"):
    # Strings stay strings, numbers numbers: the schema tells them apart.
    flags = []
    for key, value in (VALUES if values is None else values).items():
        flags += ["--set-string" if isinstance(value, str) else "--set-json", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    names = ["prod"] if command == "template" else []
    return run(HELM, command, *names, CHART, "--namespace", "kafka", "--kube-version", version, *flags, check=check)


def rendered(**values):
    """The resources by kind and name, parsed by kubernetes-validate's own YAML."""
    text = helm("template", {**VALUES, **values}).stdout
    done = subprocess.run([BIN / "python", "-c", "import sys, yaml, json; json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], "
                           "sys.stdout)"], input=text, text=True, capture_output=True, check=True)
    return {(d["kind"], d["metadata"]["name"]): d for d in json.loads(done.stdout)}


class Chart(unittest.TestCase):
    def test_the_chart_is_clean(self):
        self.assertIn("0 chart(s) failed", run(HELM, "lint", CHART, "--strict", "--kube-version", "1.35.0",
                                               *[f"--set-string={k}={v}" for k, v in VALUES.items()]).stdout)

    def test_every_resource_fits_kubernetes_schemas_of_three_versions(self):
        for name, values in {"least": VALUES, "most": {**VALUES, "replicas": "5", "priorityClassName": "high"}}.items():
            values = {k: int(v) if v.isdigit() else v for k, v in values.items()}
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(helm("template", values).stdout)
                file.flush()
                for version in VERSIONS:
                    with self.subTest(f"{name} {version}"):
                        said = run(BIN / "kubernetes-validate", "-k", version, "--strict", file.name).stdout
                        self.assertEqual(said.count(" passed "), 7, said)

    def test_a_field_that_kubernetes_does_not_have_is_found(self):
        """The control of the test above."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(helm("template").stdout.replace("podManagementPolicy:", "podManagmentPolicy:"))
            file.flush()
            self.assertNotEqual(run(BIN / "kubernetes-validate", "-k", "1.35", "--strict", file.name, check=False).returncode, 0)

    def test_a_rolling_restart_waits_until_the_broker_is_in_every_isr(self):
        resources = rendered()
        stateful = resources["StatefulSet", "prod"]["spec"]
        self.assertEqual(stateful["updateStrategy"], {"type": "RollingUpdate"})
        self.assertEqual(stateful["ordinals"], {"start": 1})
        self.assertGreaterEqual(stateful["minReadySeconds"], 10)
        container = stateful["template"]["spec"]["containers"][0]
        self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/readyz?in-sync")
        self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/livez")
        self.assertEqual(resources["PodDisruptionBudget", "prod"]["spec"]["maxUnavailable"], 1)
        headless = resources["Service", "prod-headless"]["spec"]
        self.assertTrue(headless["publishNotReadyAddresses"], "the quorum must find brokers that are not ready")
        self.assertEqual(headless["clusterIP"], "None")

    def test_a_pod_has_no_rights_beyond_its_volumes(self):
        pod = rendered()["StatefulSet", "prod"]["spec"]["template"]["spec"]
        container = pod["containers"][0]
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual(container["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                        "capabilities": {"drop": ["ALL"]}})
        self.assertFalse(pod["automountServiceAccountToken"])
        self.assertFalse(pod["enableServiceLinks"], "ESKER_…_PORT would be taken for a property")

    def test_the_network_policy_opens_four_ports_and_no_more(self):
        policy = rendered()["NetworkPolicy", "prod"]["spec"]
        ports = [(port["port"], port["protocol"]) for rule in policy["ingress"] for port in rule["ports"]]
        self.assertEqual(ports, [(9092, "TCP"), (9093, "UDP"), (9644, "TCP"), (9645, "TCP")])
        self.assertTrue(all(rule.get("from") for rule in policy["ingress"]))
        self.assertEqual([(port["port"], port["protocol"]) for rule in policy["egress"] for port in rule["ports"]],
                         [(53, "UDP"), (53, "TCP"), (9093, "UDP"), (443, "TCP")])

    def test_metrics_without_a_password_are_a_matter_of_one_value(self):
        for anonymous in (False, True):
            resources = rendered(**{"metrics.anonymous": anonymous})
            self.assertIn(f"\nadmin.metrics.anonymous={str(anonymous).lower()}\n", resources["ConfigMap", "prod"]["data"]["esker.properties"])
            annotations = resources["StatefulSet", "prod"]["spec"]["template"]["metadata"]["annotations"]
            told = {key: value for key, value in annotations.items() if key.startswith("prometheus.io/")}
            self.assertEqual(told, {"prometheus.io/scrape": "true", "prometheus.io/port": "9644", "prometheus.io/path": "/metrics"}
                             if anonymous else {})

    def test_no_secret_is_in_a_manifest(self):
        kinds = {kind for kind, _ in rendered()}
        self.assertNotIn("Secret", kinds)

    def test_bad_values_are_refused_with_their_names(self):
        for change, said in [
            ({"clusterId": ""}, "clusterId"),
            ({"clusterId": "prod"}, "clusterId"),
            ({"tier.url": "file:///tmp"}, "tier.url"),
            ({"tls.existingSecret": ""}, "tls.existingSecret"),
            ({"auth.existingSecret": ""}, "auth.existingSecret"),
            ({"replicas": 2}, "voters: 3 voters need as many brokers"),
            ({"replicas": 1, "voters": 1}, "replicationFactor: 3 replicas need as many brokers, replicas is 1"),
            ({"minInsyncReplicas": 3}, "no broker could be restarted"),
            ({"voters": 2}, "voters"),
            ({"replicsa": 3}, "replicsa"),
            ({"settings.listeners": "x"}, "settings"),
            ({"settings.log\\.dirs": "/tmp"}, "log.dirs is set by the chart"),
            ({"settings.admin\\.metrics\\.anonymous": "true"}, "admin.metrics.anonymous is set by the chart"),
            ({"metrics.anonymous": "yes"}, "anonymous"),
            ({"storage.size": "big"}, "storage.size"),
        ]:
            with self.subTest(str(change)):
                if "settings.listeners" in change:
                    said = "listeners is set by the chart"
                done = helm("template", {**VALUES, **change}, check=False)
                self.assertNotEqual(done.returncode, 0, done.stdout)
                self.assertIn(said.split(".")[-1] if done.stdout.count(said) == 0 else said, done.stdout)

    def test_an_older_kubernetes_is_refused(self):
        done = helm("template", check=False, version="1.30.0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("kubeVersion", done.stdout)


class Api:
    """As much of a Kubernetes API as helm asks for when it looks up what is there: over HTTP, on a port of its own."""

    def __init__(self, case):
        self.stateful_set, self.asked = None, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.split("?")[0]
                outer.asked.append(path)
                answer = outer.answer(path)
                body = json.dumps(answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                                             "code": 404}).encode()
                self.send_response(200 if answer else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        folder = tempfile.TemporaryDirectory(prefix="esker-kubernetes-")
        case.addCleanup(folder.cleanup)
        case.addCleanup(self.server.server_close)
        case.addCleanup(self.server.shutdown)
        self.config = Path(folder.name) / "config"
        self.config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{self.server.server_address[1]}"}}],
            "users": [{"name": "x", "user": {}}], "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}))

    def answer(self, path):
        if path == "/version":
            return {"major": "1", "minor": "35", "gitVersion": "v1.35.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            version = {"groupVersion": "apps/v1", "version": "v1"}
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": "apps", "versions": [version], "preferredVersion": version}]}
        if path == "/api/v1":
            return {"kind": "APIResourceList", "groupVersion": "v1", "resources": []}
        if path == "/apis/apps/v1":
            return {"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [
                {"name": "statefulsets", "singularName": "statefulset", "namespaced": True, "kind": "StatefulSet", "verbs": ["get"]}]}
        if path == "/apis/apps/v1/namespaces/kafka/statefulsets/prod":
            return self.stateful_set
        return None


class Live(unittest.TestCase):
    """What an upgrade of a release that runs is refused: `lookup` against an API that has it."""

    def upgrade(self, api, **changes):
        values = {**VALUES, **changes}
        flags = []
        for key, value in values.items():
            flags += ["--set-string" if isinstance(value, str) else "--set-json", f"{key}={value}"]
        return run(HELM, "template", "prod", CHART, "--namespace", "kafka", "--dry-run=server", "--kube-version", "1.35.0",
                   *flags, check=False,
                   env={**os.environ, "KUBECONFIG": str(api.config)})

    def test_an_upgrade_of_a_cluster_that_runs_is_refused_what_would_break_it(self):
        api = Api(self)
        fresh = self.upgrade(api)
        self.assertEqual(fresh.returncode, 0, fresh.stdout)
        self.assertTrue([path for path in api.asked if path.endswith("statefulsets/prod")], "the control: it was looked for")
        # What the chart itself made is what runs, with five brokers.
        resources = rendered(replicas=5)
        api.stateful_set = resources["StatefulSet", "prod"]
        same = self.upgrade(api, replicas=5)
        self.assertEqual(same.returncode, 0, same.stdout)
        for changes, said in [
            ({"replicas": 5, "clusterId": "AAAAAAAAAAAAAAAAAAAAAA"}, 'release prod runs cluster "MkU3OEVBNTcwNTJENDM2Qg"'),
            ({"replicas": 5, "voters": 5}, "voters: the quorum was formed with 3"),
            ({"replicas": 3}, "replicas: there are 5 brokers; drain those above 3"),
        ]:
            with self.subTest(str(changes)):
                refused = self.upgrade(api, **changes)
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn(said, refused.stdout)
        self.assertEqual(self.upgrade(api, replicas=7).returncode, 0, "more brokers")
        api.stateful_set["metadata"]["annotations"]["esker/drained-to"] = "3"
        drained = self.upgrade(api, replicas=3)
        self.assertEqual(drained.returncode, 0, drained.stdout)
        self.assertNotEqual(self.upgrade(api, replicas=4).returncode, 0, "drained to another number")
        # Something else of this name, which the chart did not make.
        del api.stateful_set["metadata"]["annotations"]
        self.assertIn("is not of this chart", self.upgrade(api).stdout)


class Run(unittest.TestCase):
    """The pods' very command, variables and files, as processes."""

    def test_the_pods_command_serves_and_becomes_ready(self):
        values = {"tier.endpoint": "http://127.0.0.1:9", "networkPolicy.enabled": False}
        resources = rendered(**values)
        stateful = resources["StatefulSet", "prod"]["spec"]
        pod = stateful["template"]["spec"]
        container = pod["containers"][0]
        machines = Machines(self, "pods")
        os.chmod(machines.processes.dir, 0o755)
        config = machines.processes.dir / "esker.properties"
        config.write_text(resources["ConfigMap", "prod"]["data"]["esker.properties"])
        tls = machines.folder("tls")
        operator = machines.add("operator", "prod-bootstrap.kafka.svc")
        operator.run(ESKER, "certs", "ca", "--dir", tls)
        pods = {}
        for ordinal in range(stateful["ordinals"]["start"], stateful["ordinals"]["start"] + stateful["replicas"]):
            name = f"prod-{ordinal}"
            host = f"{name}.{stateful['serviceName']}.kafka.svc"
            operator.run(ESKER, "certs", "node", "--dir", tls, "--id", ordinal, "--host", host)
            pods[name] = machines.add(name, host)
        (tls / "ca.key").unlink()  # the authority's key is not in the pods' secret
        for file in tls.iterdir():
            os.chown(file, 65532, 65532)
        secrets = {"first-user": {"bootstrap-user": "admin:first-password"}}
        for name, machine in pods.items():
            data = machines.folder(f"data-{name}")
            os.chown(data, 65532, 65532)
            places = {"data": data, "config": config, "tls": tls}
            machine.mounts = {mount["mountPath"]: places[mount["name"]] for mount in container["volumeMounts"]}
            machine.mounts["/usr/local/bin/esker"] = ESKER
            labels = {"apps.kubernetes.io/pod-index": name.split("-")[1], "topology.kubernetes.io/zone": f"zone-{name[-1]}"}
            env = {}
            for variable in container["env"]:
                value = variable.get("value")
                if value is None and "secretKeyRef" in variable["valueFrom"]:
                    ref = variable["valueFrom"]["secretKeyRef"]
                    value = secrets[ref["name"]][ref["key"]]
                elif value is None:
                    path = variable["valueFrom"]["fieldRef"]["fieldPath"]
                    value = name if path == "metadata.name" else labels[re.match(r"metadata\.labels\['(.*)'\]$", path)[1]]
                env[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: env[found[1]], value)
            env.update({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"})
            user = pod["securityContext"]
            machine.start(["setpriv", f"--reuid={user['runAsUser']}", f"--regid={user['runAsGroup']}", "--clear-groups",
                           "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "/usr/local/bin/esker",
                           *container["args"]], env=env)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = container[probe]["httpGet"]["path"]
            for machine in pods.values():
                wait_until(f"{probe} of {machine.name}",
                           lambda: machine.run("/usr/local/bin/esker", "health", path, check=False).returncode == 0, 120, 0.5)
        properties = machines.processes.dir / "client.properties"
        properties.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=admin\n"
                              f"sasl.password=first-password\nssl.truststore.location={tls}/ca.crt\n")
        at = ["--bootstrap-server", f"prod-1.{stateful['serviceName']}.kafka.svc:9092", "--command-config", properties]
        # Metrics and the console, from another machine: by the headless service's ports alone.
        ports = {port["name"]: port["targetPort"] for port in resources["Service", "prod-headless"]["spec"]["ports"]}
        listening = {port["name"]: port["containerPort"] for port in container["ports"]}
        host = f"prod-2.{stateful['serviceName']}.kafka.svc"
        plain, console = (f"{scheme}://{host}:{listening[ports[name]]}" for scheme, name in (("http", "admin"), ("https", "console")))
        first = (f"{console}/metrics", tls / "ca.crt", "admin:first-password", 200, "esker_uptime_seconds")
        wait_until("the first user is known to broker 2", lambda: len(set(asked(operator, *first))) == 1, 60, 0.5)
        for url, user, status, said in [
            (f"{plain}/livez", "", 200, ""),
            (f"{plain}/metrics", "", 403, "no TLS"),
            (f"{plain}/", "admin:first-password", 403, "no TLS"),
            (f"{console}/metrics", "", 401, ""),
            (f"{console}/metrics", "admin:wrong", 401, ""),
            (f"{console}/metrics", "admin:first-password", 200, "esker_uptime_seconds"),
            (f"{console}/", "admin:first-password", 200, "<!doctype html>"),
        ]:
            with self.subTest(f"{url} {user}"):
                self.assertEqual(*asked(operator, url, tls / "ca.crt", user, status, said))
        operator.run(ESKER, "topic", "create", "t", *at)
        self.assertIn(" 1 2 3 ", " " + " ".join(sorted(re.findall(r"┆ (\d \d \d) +│", operator.run(
            ESKER, "topic", "describe", "t", *at).stdout)[0].split())) + " ")


class WithoutNamespaces(unittest.TestCase):
    def test_the_pods_command(self):
        self.skipTest("no network or mount namespaces")


def load_tests(loader, tests, pattern):
    """One test that is skipped in place of the one that needs namespaces."""
    kept = unittest.TestSuite()
    for each in (Chart, Live, Run if machines_work() else WithoutNamespaces):
        kept.addTests(loader.loadTestsFromTestCase(each))
    return kept


if __name__ == "__main__":
    unittest.main()
