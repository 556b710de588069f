"""The examples are of this daemon: its metrics, its options, a unit that systemd takes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_agent_daemon import daemon, start

from cryoflux.agent.prometheus import METRICS

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_query_of_the_dashboard_names_what_a_daemon_exports(tmp_path):
    with daemon(tmp_path) as agent:
        text = agent.get("/metrics")
    exported = {
        sample.name: set(sample.labels) for f in text_string_to_metric_families(text) for sample in f.samples
    }
    exported |= {"cryoflux_meter_flags": {"flag"}}  # it has rows where something is wrong
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    named = set()
    for target in targets:
        names = re.findall(r"cryoflux_\w+", target["expr"])
        assert len(names) == 1, target
        assert names[0] in exported, target
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= exported[names[0]] | {
            "instance"
        }, target
        assert set(re.findall(r"[{,](\w+)=~?", target["expr"])) <= exported[names[0]] | {"instance"}, target
        named |= set(names)
    assert named == set(METRICS)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_one_that_systemd_takes_and_finds_safe():
    unit = EXAMPLES / "cryoflux-agent.service"
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


def test_the_command_of_the_unit_is_one_that_exists():
    unit = (EXAMPLES / "cryoflux-agent.service").read_text()
    line = re.search(r"^ExecStart=/usr/bin/env cryoflux (.+)$", unit, re.MULTILINE)
    words = line[1].split()
    done = start(*words[1:], "--help")
    assert done.returncode == 0
    for option in words:
        assert not option.startswith("--") or option in done.stdout
