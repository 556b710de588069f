"""The daemon on a Unix socket: its owner's alone, and never in the way of another."""

from __future__ import annotations

import signal

from test_agent_daemon import daemon, start

from cryoflux.agent.client import AgentClient
from waiting import CEILING_S


def test_a_unix_socket_serves_its_owner_alone_and_is_gone_at_the_end(tmp_path):
    path = tmp_path / "agent.sock"
    with daemon(tmp_path / "s", "--credit", "grant", "--socket", str(path)) as agent:
        assert agent.url == f"unix://{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        client = AgentClient(agent.url, timeout=CEILING_S)
        client.grant(5_000_000, request_id="g", note="")
        taken = client.take(2_000_000, request_id="a")
        client.release(taken.id)
        assert client.bucket_uj() == 5_000_000
        client.close()
        assert agent.end() == (0, "")
    assert not path.exists()


def test_a_stale_socket_is_replaced_and_a_live_one_or_a_file_is_not(tmp_path):
    path = tmp_path / "agent.sock"
    with daemon(tmp_path / "first", "--socket", str(path)) as agent:
        agent.end(signal.SIGKILL)
    assert path.is_socket()
    with daemon(tmp_path / "second", "--socket", str(path)):
        done = start("--state", str(tmp_path / "third"), "--socket", str(path))
        assert done.returncode == 2
        assert f"--agent unix://{path}" in done.stderr
        client = AgentClient(f"unix://{path}", timeout=CEILING_S)
        assert client.bucket_uj() >= 0
        client.close()
    (tmp_path / "file").write_text("mine")
    for options in (["--socket", str(tmp_path / "file")], ["--socket", str(tmp_path / ("x" * 200))]):
        done = start("--state", str(tmp_path / "fourth"), *options)
        assert done.returncode == 2
        assert [line.split(":")[0].strip() for line in done.stderr.splitlines()] == ["error", "why", "next"]
    assert (tmp_path / "file").read_text() == "mine"
