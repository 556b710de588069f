"""CryoFlux beside MLflow, W&B, trackio, CodeCarbon, zeus and model-signing: each used on the same small job.

    python benchmarks/compare_tools.py --env bench/compare

makes an environment for each tool, where there is none yet, and says how long that took and what it weighs.
Then each follows the same training (`compare_jobs.py`) in an empty folder, with an empty home and a proxy
that refuses and remembers whom it was asked for. Said of each: seconds and CPU-seconds beside those of the
job alone, processes at once, processes that are left, files and bytes that it leaves, whom it called, and
what it says of the job. Of ``--times`` runs the one that took the least CPU time counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
HERE = "127.0.0.1"
JOBS = Path(__file__).with_name("compare_jobs.py")
PACKAGES = {
    "cryoflux": [str(ROOT)],
    # 1.1.1 imports OpenSSL, and does not ask for it.
    "signing": ["model-signing", "pyopenssl"],
    **{name: [name] for name in ("mlflow", "wandb", "trackio", "codecarbon", "zeus")},
}
"""tool → what is installed for it; the job's own scikit-learn comes afterwards, and is not counted"""


@dataclass(frozen=True, slots=True)
class Installed:
    """What it took to install a tool."""

    seconds: float
    megabytes: float
    packages: int


@dataclass(frozen=True, slots=True)
class Followed:
    """What it took to follow the job."""

    wall_s: float
    cpu_s: float
    processes: int
    """at once, the job among them"""
    left: int
    """still there when the job had ended"""
    files: int
    kilobytes: float
    called: tuple[str, ...]
    """hosts that the proxy was asked for"""
    said: dict[str, Any]


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def install(tool: str, env: Path) -> Installed | None:
    """Make the environment of a tool; none where it was there."""
    if (env / "done").exists():
        return None
    subprocess.run([sys.executable, "-m", "venv", env], check=True)
    pip = [str(env / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    before, began = _bytes(env), time.perf_counter()
    subprocess.run([*pip, "install", "--quiet", "--no-cache-dir", *PACKAGES[tool]], check=True)
    seconds, size = time.perf_counter() - began, _bytes(env) - before
    listed = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True, text=True)
    packages = len(json.loads(listed.stdout)) - 2  # pip and setuptools came with the environment
    subprocess.run([*pip, "install", "--quiet", "scikit-learn"], check=True)
    (env / "done").touch()
    return Installed(seconds, size / 1e6, packages)


@contextmanager
def refusing_proxy() -> Iterator[tuple[int, list[str]]]:
    """A proxy that connects nobody: its port, and the hosts that it was asked for."""
    asked: list[str] = []
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    caller.settimeout(2)
                    try:
                        words = caller.recv(4096).split(b"\r\n", 1)[0].decode("ascii", "replace").split()
                        caller.sendall(b"HTTP/1.1 502 Refused\r\nContent-Length: 0\r\n\r\n")
                    except OSError:
                        continue
                    asked.append(words[1] if len(words) > 1 else "?")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)


def _family(root: int) -> set[int]:
    """A process, what descends from it, and what is of its session."""
    parents: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("ascii", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in {"Z", "X"}:
            parents[int(path.parent.name)] = (int(fields[1]), int(fields[3]))
    found = {pid for pid, (_, session) in parents.items() if session == root}
    while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return found


def follow(tool: str, python: Path, folder: Path) -> Followed:
    """Do the job beside a tool, in an empty folder."""
    home, work = folder / "home", folder / "work"
    home.mkdir(parents=True)
    work.mkdir()
    with refusing_proxy() as (port, asked):
        refusing = f"http://{HERE}:{port}"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), refusing)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **proxies,
            **{name.lower(): url for name, url in proxies.items()},
            "NO_PROXY": HERE,
        }
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        child = subprocess.Popen(
            [python, JOBS, tool],
            cwd=work,
            env=env,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("wb"),
            start_new_session=True,
        )
        most, seen = 1, set[int]()
        while child.poll() is None:
            seen |= (now := _family(child.pid))
            most = max(most, len(now))
            time.sleep(0.02)
        wall_s = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        time.sleep(1)  # what is sent after the end is sent, too
        left = {pid for pid in seen if Path(f"/proc/{pid}").exists()}
        for pid in left:
            os.kill(pid, signal.SIGTERM)
        said = json.loads(child.stdout.read() if child.stdout else b"{}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "stderr"]
    hosts = tuple(sorted({one.rpartition(":")[0] or one for one in asked}))
    return Followed(wall_s, cpu_s, most, len(left), len(files), _bytes(folder) / 1e3, hosts, said)


def best(tool: str, python: Path, times: int, scratch: Path) -> Followed:
    """The run that took the least CPU time."""
    runs = []
    for n in range(times):
        folder = scratch / f"{tool}-{python.parent.parent.name}-{n}"
        runs.append(follow(tool, python, folder))
    return min(runs, key=lambda run: run.cpu_s)


def main() -> None:
    """Install, follow, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--env", type=Path, default=Path("bench") / "compare", help="environments go there")
    parser.add_argument("--only", default=",".join(PACKAGES), help="tools, with commas between them")
    parser.add_argument("--times", type=int, default=3, help="runs of the job beside each")
    parser.add_argument("--out", type=Path, help="everything as JSON, too")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    heading = ("tool", "install s", "MB", "packages", "wall s", "CPU-s", "more CPU-s", "processes", "left")
    print(" | ".join([*heading, "files", "kB", "called"]))
    with TemporaryDirectory() as scratch:
        for tool in options.only.split(","):
            env = (options.env / tool).resolve()
            made = install(tool, env)
            python = env / "bin" / "python"
            alone = best("nothing", python, options.times, Path(scratch))
            run = best(tool, python, options.times, Path(scratch))
            took = (
                (f"{made.seconds:.0f}", f"{made.megabytes:.0f}", f"{made.packages}") if made else ("-",) * 3
            )
            times = (f"{run.wall_s:.1f}", f"{run.cpu_s:.1f}", f"{run.cpu_s - alone.cpu_s:+.1f}")
            counts = (
                run.processes,
                run.left,
                run.files - alone.files,
                round(run.kilobytes - alone.kilobytes),
            )
            print(" | ".join([tool, *took, *times, *map(str, counts), ", ".join(run.called) or "nobody"]))
            print(f"  {json.dumps(run.said)[:600]}", flush=True)
            found[tool] = {"installed": made and asdict(made), "run": asdict(run), "alone": asdict(alone)}
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
