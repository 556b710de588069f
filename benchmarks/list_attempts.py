"""What a list of 10,000 attempts costs here, and one of as many runs in MLflow and trackio, at the same time.

    python benchmarks/list_attempts.py --env bench/compare --runs 10000

Each tool has one log of so many runs, each with its outcome, Δ and joules, and is asked for the 100 newest
and for all of them, as its own pages and clients ask: of MLflow ``search_runs`` through its client, from
sqlite and from its HTTP server (pages of 100 and 1,000); of trackio the list of runs that its dashboard asks
for, which has no pages and no figures; of ours the page of attempts from its server, and `open_log`, which
reads the log anew. Said are wall milliseconds of the first answer, their median over ``--times`` later ones,
and the CPU milliseconds of those, the server's among them. The tools are asked in turns, so that a busy
machine is busy for all. The environments are those of `compare_tools.py`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

Question = Callable[[], int]
"""asks once, and says how many runs came back"""


def _cpu_s(pid: int) -> float:
    """CPU time of a process and of all that descend from it."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(_cpu_s(int(child)) for child in children)


def fill_mlflow(folder: Path, runs: int) -> None:
    """So many finished runs, through its own store."""
    stores: Any = importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    entities: Any = importlib.import_module("mlflow.entities")
    store = stores.SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    experiment = store.create_experiment("attempts")
    for n in range(runs):
        at = 1_780_000_000_000 + n * 60_000
        run = store.create_run(experiment, "me", at, [], f"attempt {n + 1}")
        values = {"delta": 0.8 / (n + 1), "joules": 10.0 + n % 40, "loss": 2.0 / (n + 1)}
        metrics = [entities.Metric(key, value, at, 0) for key, value in values.items()]
        words = [entities.Param("recipe", f"carry-{n % 3}")]
        store.log_batch(run.info.run_id, metrics, words, [entities.RunTag("outcome", "kept")])
        store.update_run_info(run.info.run_id, entities.RunStatus.FINISHED, at + 50_000, None)


def ask_mlflow(folder: Path, address: str) -> dict[str, Question]:
    """The newest 100, and all, in pages of 1,000."""
    client: Any = importlib.import_module("mlflow").MlflowClient(address or f"sqlite:///{folder}/mlflow.db")
    (experiment,) = (e.experiment_id for e in client.search_experiments() if e.name == "attempts")

    def newest() -> int:
        return len(client.search_runs([experiment], max_results=100))

    def every() -> int:
        count, token = 0, None
        while True:
            page = client.search_runs([experiment], max_results=1000, page_token=token)
            count, token = count + len(page), page.token
            if not token:
                return count

    return {"newest 100": newest, "all": every}


def fill_trackio(_folder: Path, runs: int) -> None:
    """So many runs of one step, through its own storage."""
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    for n in range(runs):
        values = {"delta": 0.8 / (n + 1), "joules": 10.0 + n % 40, "loss": 2.0 / (n + 1)}
        storage.bulk_log(
            project="attempts",
            run=f"attempt-{n + 1}",
            metrics_list=[values],
            steps=[0],
            config={"recipe": f"carry-{n % 3}", "outcome": "kept"},
        )


def ask_trackio(_folder: Path, _address: str) -> dict[str, Question]:
    """The list that its dashboard asks for, without any figure of a run; it has no pages."""
    server: Any = importlib.import_module("trackio.server")
    return {"all": lambda: len(server.get_runs_for_project("attempts"))}


def fill_cryoflux(folder: Path, runs: int) -> None:
    """A log of so many attempts, an intent and a receipt each, as runs write them."""
    importlib.import_module("long_state").grow(folder / "state", 2 * runs)


def ask_cryoflux(folder: Path, address: str) -> dict[str, Question]:
    """The page of attempts over HTTP; without a server every attempt, the log read anew each time."""
    if address:
        client: Any = importlib.import_module("httpx2").Client(base_url=address, timeout=600)

        def listed() -> int:
            answer = client.get("/attempts").raise_for_status()
            return len(set(re.findall(r'href="/attempts/([0-9]+)"', answer.text)))

        return {"page of attempts": listed}
    open_log = importlib.import_module("cryoflux").open_log

    def every() -> int:
        return sum(one.outcome is not None for one in open_log(folder / "state"))

    return {"all, the log read anew": every}


FILL = {"mlflow": fill_mlflow, "trackio": fill_trackio, "cryoflux": fill_cryoflux}
ASK = {"mlflow": ask_mlflow, "trackio": ask_trackio, "cryoflux": ask_cryoflux}


def serve_questions(tool: str, folder: Path, address: str, server: int) -> None:
    """Answer a line of input each: ask once, and say what it cost."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    questions = ASK[tool](folder, address)
    print(json.dumps(list(questions)), file=answers, flush=True)
    for line in sys.stdin:
        ask = questions[line.strip()]
        before, wall, cpu = _cpu_s(server) if server else 0.0, time.perf_counter(), time.process_time()
        count = ask()
        spent = time.process_time() - cpu + (_cpu_s(server) - before if server else 0.0)
        said = {"runs": count, "wall_ms": 1e3 * (time.perf_counter() - wall), "cpu_ms": 1e3 * spent}
        print(json.dumps(said), file=answers, flush=True)


class Asked:
    """A process that asks one tool."""

    def __init__(self, name: str, python: Path, arguments: list[str], env: dict[str, str]) -> None:
        self.name = name
        command = [str(python), __file__, "--inside", *arguments]
        self.process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.questions: list[str] = self._said()
        self.found: dict[str, list[dict[str, float]]] = {one: [] for one in self.questions}

    def _said(self) -> Any:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, question: str) -> None:
        """Ask once, and keep what it cost."""
        if self.process.stdin is not None:
            self.process.stdin.write(f"{question}\n")
            self.process.stdin.flush()
        self.found[question].append(self._said())

    def lines(self) -> Iterator[str]:
        """A row for each question."""
        for question, (first, *later) in self.found.items():
            wall, cpu = (statistics.median(one[key] for one in later) for key in ("wall_ms", "cpu_ms"))
            figures = (f"{first['runs']:.0f}", f"{first['wall_ms']:.1f}", f"{wall:.1f}", f"{cpu:.1f}")
            yield " | ".join([self.name, question, *figures])


def _python(env: Path, tool: str) -> Path:
    return Path(sys.executable) if tool == "cryoflux" else (env / tool / "bin" / "python").absolute()


def _serving(tool: str, python: Path, folder: Path) -> list[str]:
    """The command of a tool's own server over what was written; one worker, and the port comes behind it."""
    if tool == "mlflow":
        database = f"sqlite:///{folder}/mlflow.db"
        return [str(python), "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
    return [str(python), "-m", "cryoflux", "dashboard", "--no-open", "--state", str(folder / "state")]


def _serve(
    command: list[str], folder: Path, variables: dict[str, str]
) -> tuple[subprocess.Popen[bytes], str]:
    """A server that listens, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen([*command, "--port", str(port)], env=variables, stdout=log, stderr=log)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.2)
        else:
            time.sleep(5)  # its workers begin
            return process, f"http://127.0.0.1:{port}"
    raise SystemExit(f"{command} does not listen")


def compare(options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
    """Fill, ask in turns, print the rows."""
    asked: list[Asked] = []
    for tool in options.only.split(","):
        own, python = folder / tool, _python(options.env, tool)
        own.mkdir()
        kept = dict(os.environ)
        if tool != "cryoflux":
            kept.pop("PYTHONPATH", None)
        variables = {**kept, "HOME": str(own), "TRACKIO_DIR": str(own / "trackio"), "DO_NOT_TRACK": "true"}
        began = time.perf_counter()
        subprocess.run(
            [python, __file__, "--inside", tool, own, "--fill", str(options.runs)],
            env=variables, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        print(f"{tool}: {options.runs} runs written in {time.perf_counter() - began:.0f} s", flush=True)
        asked.append(Asked(tool, python, [tool, str(own)], variables))
        if tool != "trackio":  # its server is a program of its own, and answers what is asked here
            server, address = _serve(_serving(tool, python, own), own, variables)
            stack.callback(server.terminate)
            arguments = [tool, str(own), "--address", address, "--server", str(server.pid)]
            asked.append(Asked(f"{tool} over HTTP", python, arguments, variables))
    for _ in range(1 + options.times):
        for one in asked:
            for question in one.questions:
                one.ask(question)
    print("tool | question | runs | first, ms | then, ms | CPU, ms")
    for one in asked:
        one.process.terminate()
        print("\n".join(one.lines()))


def main() -> None:
    """Compare the lists, or be the inside of one tool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--env", type=Path, default=Path("bench") / "compare", help="environments of the tools"
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5, help="questions after the first")
    parser.add_argument("--only", default=",".join(ASK), help="tools, with commas between them")
    parser.add_argument("--inside", nargs=2, metavar=("TOOL", "FOLDER"), help="be the process of one tool")
    parser.add_argument("--fill", type=int, help="inside: write so many runs, and end")
    parser.add_argument("--address", default="", help="inside: of a server")
    parser.add_argument("--server", type=int, default=0, help="inside: its process")
    options = parser.parse_args()
    if options.inside is None:
        with TemporaryDirectory() as folder, ExitStack() as stack:
            compare(options, Path(folder), stack)
        return
    tool, place = options.inside[0], Path(options.inside[1])
    if options.fill is not None:
        FILL[tool](place, options.fill)
    else:
        serve_questions(tool, place, options.address, options.server)


if __name__ == "__main__":
    main()
