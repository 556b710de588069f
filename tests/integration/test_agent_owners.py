"""Who caused the joules, as Prometheus reads it from a daemon: the busy one by name, and the whole."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_agent_daemon import ENVIRONMENT, daemon

from waiting import until

NAME = "cryoflux_owner_net_energy_joules"
BURN = "import sys\nwhile True: pass"


def scraped(agent):
    """Rows of the owners with their µJ, and the devices' net energy, of one scrape."""
    families = {one.name: one.samples for one in text_string_to_metric_families(agent.get("/metrics"))}
    assert NAME in families
    rows = {tuple(sorted(one.labels.items())): round(one.value * 1e6) for one in families[NAME]}
    assert len(rows) == len(families[NAME])
    return rows, sum(round(one.value * 1e6) for one in families["cryoflux_net_energy_joules"])


@pytest.fixture
def burner():
    """A process that computes, in a session and so in a process group of its own."""
    with subprocess.Popen([sys.executable, "-c", BURN], start_new_session=True) as process:
        yield process
        process.kill()


def test_who_burns_is_named_and_all_rows_are_the_whole(tmp_path, burner, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "CRYOFLUX_METRICS_OWNERS", "3")
    with daemon(tmp_path) as agent:

        def found():
            rows, whole_uj = scraped(agent)
            assert sum(rows.values()) == whole_uj
            named = {dict(labels)["owner"]: (dict(labels)["kind"], uj) for labels, uj in rows.items()}
            assert named.pop("")[0] == "other"
            assert len(named) == len(rows) - 1 <= 3
            # Where the machine is divided into control groups, it is the one that the tests run in.
            due = [uj for owner, (kind, uj) in named.items() if kind == "cgroup" or owner == str(burner.pid)]
            return due and max(due) > 0

        until(found, "the joules of who burns them")


def test_nobody_is_named_where_that_is_not_wanted(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "CRYOFLUX_METRICS_OWNERS", "0")
    with daemon(tmp_path) as agent:
        assert f"{NAME}{{" not in agent.get("/metrics")
