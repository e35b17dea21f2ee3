"""What is told to an operator holds together: alerts and dashboards."""

import json
import re
import unittest

from processes import ROOT

DEPLOY = ROOT / "deploy"


def cases():
    """(alert, whether the case has it fire) of every case of rules_test.yml."""
    found = []
    for line in (DEPLOY / "alerts/rules_test.yml").read_text().splitlines():
        if named := re.search(r"\balertname: (\w+)", line):
            found.append([named[1], False])
        if re.match(r"\s+- exp_labels: ", line):
            found[-1][1] = True
    return [tuple(case) for case in found]


class Told(unittest.TestCase):
    def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(self):
        alerts = re.findall(r"^ +- alert: (\w+)$", (DEPLOY / "alerts/rules.yml").read_text(), re.M)
        self.assertGreater(len(alerts), 20)
        self.assertEqual(len(alerts), len(set(alerts)))
        known = set(cases())
        for fires in (True, False):
            self.assertEqual([alert for alert in alerts if (alert, fires) not in known], [], f"fires: {fires}")
        self.assertEqual({alert for alert, _ in known}, set(alerts))

    def test_every_dashboard_says_what_it_is(self):
        boards = {path.name: json.loads(path.read_text()) for path in (DEPLOY / "grafana").glob("*.json")}
        self.assertEqual({name: (board["uid"], board["title"]) for name, board in boards.items()},
                         {"cluster.json": ("esker-cluster", "Esker: cluster"), "tiers.json": ("esker-tiers", "Esker: tiers")})
        for name, board in boards.items():
            titles = [panel["title"] for panel in board["panels"]]
            self.assertEqual(len(titles), len(set(titles)), name)
            self.assertNotIn(board["title"], titles, name)
