"""The main job on the embedded model and data, as `make run` starts it, with a smaller budget."""

import os
from pathlib import Path

from running import cryoflux


def test_the_embedded_defaults_learn_and_verify(tmp_path: Path) -> None:
    watts = str(6 * len(os.sched_getaffinity(0)))  # so that the joules of an attempt are soon spent
    options = ["--budget", "480J", "--attempts", "1", "--json"]
    outcome = cryoflux("run", *options, cwd=tmp_path, cold=True, CRYOFLUX_TDP_W=watts)
    assert outcome.summary["attempts"] == 1
    (attempt,) = outcome.of("attempt")
    assert attempt["joules_spent"] <= 120 * 1.05
    opened = outcome.of("opened")[0]
    assert opened["model"] == "all-MiniLM-L6-v2"
    assert opened["data"] == "stdlib-docs"
    assert outcome.summary["state"] == "state"
    verified = cryoflux("verify", "--spot-check", "64", cwd=tmp_path)
    assert verified.code == 0, verified.stdout
    assert "reproduced exactly on 64 of" in verified.stdout or attempt["decision"] == "aborted"
