"""A cluster of one's own that does not come to run leaves neither a process, nor a token, nor a folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cryoflux.fleet import cluster
from cryoflux.state import StateFolder

SLEEPS = [sys.executable, "-c", "import time; time.sleep(10**6)"]


@pytest.mark.parametrize("where", ["Popen", "write_atomic"])
def test_one_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    popen, write = subprocess.Popen, cluster.write_atomic

    def start(_command: list[str], **options: object) -> subprocess.Popen[bytes]:
        if where == "Popen":
            raise KeyboardInterrupt
        begun.append(popen(SLEEPS, **options))
        return begun[-1]

    def written(path: Path, content: bytes, **options: object) -> None:
        if begun:
            raise KeyboardInterrupt
        write(path, content, **options)

    monkeypatch.setattr(cluster, "find_spec", lambda _: object())
    monkeypatch.setattr(cluster.subprocess, "Popen", start)
    monkeypatch.setattr(cluster, "write_atomic", written)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(KeyboardInterrupt):
        cluster.start_cluster(StateFolder(tmp_path / "state"), 2, 10001)
    assert [*(tmp_path / "temporary").iterdir()] == []
    assert {path.name for path in (tmp_path / "state" / "fleet").iterdir()} <= {"cluster.log"}
    assert all(process.poll() is not None for process in begun)
