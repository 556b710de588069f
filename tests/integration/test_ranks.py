"""Ranks of one node that measure at the same time: one baseline, and no joule is charged twice."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryoflux.digests import sha256_hex
from energy_fakes import powercap_zone
from running import cryoflux, ended, start

IDLE_W, WORKING_W = 20, 100
RANK = """
import sys, time
from pathlib import Path
Path(sys.argv[1]).touch()
end = time.process_time() + 1.5
while time.process_time() < end: pass
"""


class Node(threading.Thread):
    """Moves the counter of a package: at its idle power until a rank has begun to work."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.powercap = folder / "powercap"
        self.working = folder / "working"
        self.net_uj = 0.0
        self._counter = powercap_zone(self.powercap, "intel-rapl:0", "package-0") / "energy_uj"
        self._stopping = threading.Event()

    def run(self) -> None:
        energy_uj, before_s = 0.0, time.monotonic()
        with self._counter.open("r+b", buffering=0) as counter:
            while not self._stopping.wait(0.01):
                watts = WORKING_W if self.working.exists() else IDLE_W
                now_s = time.monotonic()
                energy_uj += watts * (now_s - before_s) * 1e6
                self.net_uj += (watts - IDLE_W) * (now_s - before_s) * 1e6
                before_s = now_s
                counter.seek(0)
                counter.write(b"%020d\n" % energy_uj)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@contextmanager
def node_in(folder: Path) -> Iterator[Node]:
    node = Node(folder)
    node.start()
    try:
        yield node
    finally:
        node.stop()


def test_what_ranks_of_a_node_are_charged_is_no_more_than_the_machine_drew_above_one_baseline(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with node_in(tmp_path) as node:
        common = {
            "CRYOFLUX_POWERCAP_ROOT": str(node.powercap),
            "CRYOFLUX_NVML": "false",
            "CRYOFLUX_BASELINE_SECONDS": "1",
            "XDG_STATE_HOME": str(home),
            "SLURM_JOB_ID": "4711",
            "SLURM_STEP_ID": "0",
        }
        work = [sys.executable, "-c", RANK, node.working]
        ranks = [
            start("energy", "measure", "--json", "--", *work, cold=True, **common, SLURM_LOCALID=str(n))
            for n in (0, 1)
        ]
        found = [json.loads(outcome.stdout) for outcome in map(ended, ranks)]
        node.working.unlink()
        baseline = home / "cryoflux" / "baseline.json"
        learned = baseline.read_bytes()
        alone = cryoflux("energy", "measure", "--json", "--", "true", cold=True, **common)
    charged = [rank["energy"]["uj"] for rank in found]
    assert all(uj > 0 for uj in charged)
    assert all(rank["energy"]["tier"] == "counter" for rank in found)
    # Blocks of both begin at different moments, so a twentieth may lie on either side.
    assert sum(charged) <= 1.05 * node.net_uj
    assert all(rank["energy"]["uj"] < rank["machine_net"]["uj"] for rank in found)
    # One of them learned, the other waited for it, and a third found it.
    assert {one["baseline_digest"] for one in [*found, *alone.events]} == {sha256_hex(learned)}
    assert baseline.read_bytes() == learned
    assert [rank["job"] for rank in found] == [
        {"scheduler": "slurm", "id": 4711, "step": 0, "rank": None, "local_rank": n} for n in (0, 1)
    ]
