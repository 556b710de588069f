"""What `examples/fleet/fleet.sbatch` does with a job, by stand-ins for Slurm, Ray and the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from waiting import CEILING_S, until

FILE = Path(__file__).resolve().parents[2] / "examples" / "fleet" / "fleet.sbatch"
ADDRESSES = {"first": "127.0.0.1", "second": "127.0.0.2", "third": "127.0.0.3"}

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not all(map(shutil.which, ("bash", "openssl", "awk"))), reason="needs these three"),
]

# one task of a job, on this machine: the node's name is in its environment, its output where it was asked for
SRUN = """#!/bin/bash
out=/dev/stdout
while [[ $1 == --* ]]; do
  case $1 in --output=*) out=${1#--output=} ;; --nodelist=*) export NODE=${1#--nodelist=} ;; esac
  shift
done
exec "$@" >"$out" 2>&1
"""
SCONTROL = """#!/bin/bash
tr , '\\n' <<<"$3"
"""
HOSTNAME = f"""#!{sys.executable}
import os
print({ADDRESSES!r}[os.environ["NODE"]], "10.9.8.7")
"""
# listens where a head would, and says what it was started with
RAY = f"""#!{sys.executable}
import json, os, signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
environment = {{name: value for name, value in os.environ.items() if name.startswith("RAY_")}}
told = {{"arguments": sys.argv[1:], "environment": environment}}
if "--head" in sys.argv and os.environ.get("HEAD_FAILS"):
    sys.exit("the port is taken")
open_ports = []
for argument in sys.argv:
    name, _, value = argument.partition("=")
    if name in ("--port", "--ray-client-server-port"):
        open_ports.append(socket.create_server(("127.0.0.1", int(value))))
path = os.path.join(os.environ["TOLD"], os.environ["NODE"])
with open(path + ".part", "w") as file:
    json.dump(told, file)
os.rename(path + ".part", path)
signal.sigwait([signal.SIGTERM])
open(os.path.join(os.environ["TOLD"], os.environ["NODE"] + ".ended"), "w").close()
"""
# a run that goes on until it is told to stop, where STAYS is set
CRYOFLUX = f"""#!{sys.executable}
import json, os, pathlib, signal, subprocess, sys, time
told = pathlib.Path(os.environ["TOLD"])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
while not all((told / node).exists() for node in {list(ADDRESSES)!r}):
    time.sleep(0.01)
token, certificate = (pathlib.Path(os.environ[n]) for n in ("RAY_AUTH_TOKEN_PATH", "RAY_TLS_SERVER_CERT"))
names = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"],
    capture_output=True, text=True, check=True).stdout
secret = (token.parent, token, certificate.with_name("tls.key"))
modes = [oct(path.stat().st_mode & 0o777) for path in secret]
values = {{"arguments": sys.argv[1:], "token": token.read_text(), "names": names, "modes": modes}}
(told / "run.part").write_text(json.dumps(values))
(told / "run.part").rename(told / "run")
if os.environ.get("STAYS"):
    signal.sigwait([signal.SIGTERM])
    (told / "stopped").touch()
sys.exit(int(os.environ["CODE"]))
"""


class Job:
    """The file, as a job of Slurm on three nodes that are this machine."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.told = folder / "job", folder / "told"
        stand_ins = folder / "bin"
        for path in (self.folder, self.told, stand_ins):
            path.mkdir()
        for name, text in (
            ("srun", SRUN),
            ("scontrol", SCONTROL),
            ("hostname", HOSTNAME),
            ("ray", RAY),
            ("cryoflux", CRYOFLUX),
        ):
            (stand_ins / name).write_text(text)
            (stand_ins / name).chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            self.ports = [str(one.getsockname()[1]), str(other.getsockname()[1])]
        self.process = subprocess.Popen(
            ["bash", str(FILE)],
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                "PATH": f"{stand_ins}:{os.environ['PATH']}",
                "TOLD": str(self.told),
                "SLURM_JOB_ID": f"test-{os.getpid()}",
                "SLURM_JOB_NODELIST": ",".join(ADDRESSES),
                "SLURM_CPUS_ON_NODE": "7",
                "PORT": self.ports[0],
                "CLIENT_PORT": self.ports[1],
                "CODE": "0",
            }
            | environment,
        )

    def said(self, name: str) -> dict:
        return json.loads((self.told / name).read_text())

    def end(self) -> tuple[int, str]:
        errors = self.process.communicate(timeout=CEILING_S)[1]
        (Path(tempfile.gettempdir()) / f"ray-test-{os.getpid()}").rmdir()
        return self.process.returncode, errors


def test_a_job_is_a_head_a_worker_on_every_other_node_and_one_run(tmp_path):
    job = Job(tmp_path, CODE="5")
    code, errors = job.end()
    assert code == 5, errors
    head, run = job.said("first"), job.said("run")
    assert {"--head", "--num-cpus=0", "--include-dashboard=false"} <= set(head["arguments"])
    assert not any("joule_meter" in argument for argument in head["arguments"])
    for node in ("second", "third"):
        arguments = job.said(node)["arguments"]
        assert f"--address=127.0.0.1:{job.ports[0]}" in arguments
        assert f"--node-ip-address={ADDRESSES[node]}" in arguments
        assert {'--resources={"joule_meter": 1}', "--num-cpus=7"} <= set(arguments)
    assert run["arguments"][:5] == ["run", "--fleet", f"ray://127.0.0.1:{job.ports[1]}", "--workers", "2"]


def test_all_of_a_job_have_one_token_and_tls_by_which_every_node_is_known(tmp_path):
    job = Job(tmp_path)
    code, errors = job.end()
    assert code == 0, errors
    run = job.said("run")
    assert len(run["token"]) == 64
    assert run["modes"] == ["0o700", "0o600", "0o600"]
    assert all(f"IP Address:{address}" in run["names"] for address in ADDRESSES.values()), run["names"]
    first, *others = (job.said(node)["environment"] for node in ADDRESSES)
    assert all(other == first for other in others)
    asked = {"RAY_AUTH_MODE": "token", "RAY_USE_TLS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    assert asked.items() <= first.items()


def test_a_job_leaves_no_token_and_no_process_behind(tmp_path):
    job = Job(tmp_path)
    job.end()
    assert list(job.folder.iterdir()) == []
    assert all((job.told / f"{node}.ended").exists() for node in ADDRESSES)


def test_the_end_of_a_job_is_told_to_the_run_which_is_waited_for(tmp_path):
    job = Job(tmp_path, STAYS="1", CODE="3")
    until((job.told / "run").exists, "the run")
    job.process.send_signal(signal.SIGTERM)
    code, errors = job.end()
    assert (code, (job.told / "stopped").exists()) == (3, True), errors
    assert list(job.folder.iterdir()) == []


def test_a_head_that_does_not_start_ends_the_job_with_what_it_said(tmp_path):
    job = Job(tmp_path, HEAD_FAILS="1")
    code, errors = job.end()
    assert code == 1
    assert "the port is taken" in errors
    assert not (job.told / "run").exists()
    assert list(job.folder.iterdir()) == []
