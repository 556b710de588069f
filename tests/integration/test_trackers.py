"""Attempts in trackers: what each has got, read back with its own library or from its own files."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cryoflux.errors import ExitCode, UsageError
from cryoflux.integrations.codecarbon import COLUMNS, EmissionsFile
from cryoflux.integrations.trackers import TRACKERS
from cryoflux.integrations.tracking import numbers_of, sentence_of
from cryoflux.queries.tracked import run_name, tracked_attempts
from cryoflux.settings import EnergySettings
from running import exit_code_of
from synthetic_state import open_state
from waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def needs(*packages):
    for package in packages:
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            pytest.skip(f"{package} is not installed")


@pytest.fixture
def state(tmp_path):
    """Kept, stopped by the screen, rejected."""
    made = open_state(tmp_path / "state")
    made.metered = True
    made.write_origin()
    made.attempt(0.05)
    made.screen_out()
    made.attempt(0.0005)
    return made.finish()


@pytest.fixture
def attempts(state):
    return list(tracked_attempts(state))


@pytest.fixture
def hand_on(monkeypatch, tmp_path, state):
    """``cryoflux export --to``, as it is typed; its exit code."""

    def run(to, *words, code=0):
        monkeypatch.chdir(tmp_path)
        assert exit_code_of(monkeypatch, "export", "--to", to, "--state", state, *words) == code

    return run


def test_the_rows_are_those_of_an_export(attempts, state, monkeypatch, capsys):
    assert exit_code_of(monkeypatch, "export", "--format", "jsonl", "--state", state) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["number"] for row in rows] == [1, 2, 3]
    for one, row in zip(attempts, rows, strict=True):
        assert {name: row[name] for name in one.row} == dict(one.row)


def test_what_sources_counted_is_gross_and_by_source(attempts):
    (first, *_) = attempts
    assert [source.kind for source in first.gross] == ["cpu"] * len(first.gross)
    assert sum(source.joules for source in first.gross) >= first.row["joules"]


def test_modelled_joules_say_so_as_a_number_and_in_words(attempts):
    for one in attempts:
        assert numbers_of(one)["modelled"] == float(one.row["tier"] == "modelled")
        assert one.row["tier"] in sentence_of(one)


@pytest.mark.parametrize("words", [("--follow",), ("--at", "runs"), ("--to", "wandb", "--what", "versions")])
def test_options_that_do_not_belong_together_are_refused(monkeypatch, state, words):
    assert exit_code_of(monkeypatch, "export", "--state", state, *words) == ExitCode.USAGE


@pytest.mark.parametrize("name", sorted(set(TRACKERS) - {"codecarbon"}))
def test_a_library_that_is_missing_is_named(monkeypatch, name):
    from cryoflux.integrations.trackers import open_tracker

    for package in ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "tensorboard.compat.proto"):
        monkeypatch.setitem(sys.modules, package, None)
    for package in ("trackio", "wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as caught:
        open_tracker(name, "run", None, EnergySettings())
    assert "pip install" in caught.value.hint


def test_tensorboard_reads_each_attempt_as_a_step(hand_on, attempts, tmp_path):
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    hand_on("tensorboard", "--at", "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    read = EventAccumulator(str(folder)).Reload()
    assert folder.name == run_name(tmp_path / "state")
    steps = {event.step: event.value for event in read.Scalars("cryoflux/joules")}
    assert steps == {one.row["number"]: pytest.approx(one.row["joules"]) for one in attempts}
    assert {event.step for event in read.Scalars("cryoflux/delta")} == {1, 3}
    for name in ("joules_lo", "joules_hi", "delta_lo_95", "delta_hi_95", "modelled", "kept"):
        assert f"cryoflux/{name}" in read.Tags()["scalars"]
    texts = [event.tensor_proto.string_val[0].decode() for event in read.Tensors("cryoflux/attempt")]
    assert texts == [sentence_of(one) for one in attempts]
    assert read.SummaryMetadata("cryoflux/attempt").plugin_data.plugin_name == "text"

    files = sorted(folder.iterdir())
    hand_on("tensorboard", "--at", "runs")
    assert sorted(folder.iterdir()) == files, "exported twice, it is the same"


def test_trackio_keeps_each_attempt_as_a_step(tmp_path, state, attempts):
    needs("trackio")
    command = [sys.executable, "-m", "cryoflux", "export", "--to", "trackio", "--state", str(state)]
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "kept"), "HF_HUB_OFFLINE": "1"}
    for already in (0, 3):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert f"sent: {3 - already} attempts" in done.stderr
    with closing(sqlite3.connect(tmp_path / "kept" / "cryoflux.db")) as database:
        found = database.execute("SELECT step, metrics, run_name FROM metrics ORDER BY step").fetchall()
    assert [step for step, _, _ in found] == [1, 2, 3]
    for (_, metrics, name), one in zip(found, attempts, strict=True):
        told = json.loads(metrics)
        assert name == run_name(state)
        assert (told["joules"], told["outcome"], told["tier"]) == (
            one.row["joules"],
            one.row["outcome"],
            one.row["tier"],
        )


def wandb_records(content):
    """The records of a file of wandb: a heading of seven bytes, then a log as LevelDB writes it."""
    at, parts = 7, []
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield b"".join(parts)
            parts = []


def test_wandb_has_a_run_on_the_disk_and_uploads_nothing(tmp_path, state, attempts):
    needs("wandb")
    command = [sys.executable, "-m", "cryoflux", "export", "--to", "wandb", "--at", "kept"]
    done = subprocess.run(
        [*command, "--state", str(state)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "kept" / "wandb").glob("offline-run-*/run-*.wandb")
    assert f"wandb sync {path.parent.relative_to(tmp_path)}" in " ".join(done.stderr.split())
    from wandb.proto import wandb_internal_pb2

    rows = []
    for data in wandb_records(path.read_bytes()):
        kept = wandb_internal_pb2.Record()
        kept.ParseFromString(data)
        if kept.HasField("history"):
            rows.append({(i.key or i.nested_key[0]): json.loads(i.value_json) for i in kept.history.item})
    assert path.stem == f"run-{run_name(state)}", "each export is the same run"
    assert [row["_step"] for row in rows] == [1, 2, 3]
    assert [row["joules"] for row in rows] == [one.row["joules"] for one in attempts]
    assert [row["outcome"] for row in rows] == [one.row["outcome"] for one in attempts]


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


def test_mlflow_takes_a_run_over_a_server(tmp_path, state, attempts, hand_on, capsys):
    needs("mlflow")
    address = f"http://127.0.0.1:{free_port()}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--port",
        address.rpartition(":")[2],
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    with (tmp_path / "server.txt").open("wb") as out:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out)
        try:
            until(lambda: answers(f"{address}/health") or server.poll() is not None, "a server of MLflow")
            assert server.poll() is None, (tmp_path / "server.txt").read_text()
            hand_on("mlflow", "--at", address)
            hand_on("mlflow", "--at", address)
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=address)
            experiment = client.get_experiment_by_name("cryoflux")
            (run,) = client.search_runs([experiment.experiment_id])
            assert (run.info.run_name, run.info.status) == (run_name(state), "FINISHED")
            history = client.get_metric_history(run.info.run_id, "joules")
            assert len(history) == len(attempts), "exported twice, it is one run"
            assert {one.step: one.value for one in history} == {
                one.row["number"]: one.row["joules"] for one in attempts
            }
            assert run.data.tags["attempt.1"].lower().startswith("kept: ")
            assert run.data.tags["tier"] == attempts[0].row["tier"]
            assert run.info.run_id in capsys.readouterr().err.replace("\n", "")
        finally:
            server.terminate()
            server.wait()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


class Collector:
    """What takes OTLP over HTTP, and keeps it."""

    def __init__(self, status=200):
        kept = self.kept = defaultdict(list)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                kept[self.path].append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def metrics_in(bodies):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    asked = ExportMetricsServiceRequest()
    asked.ParseFromString(bodies[-1])
    (resource,) = asked.resource_metrics
    return {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}


def spans_in(bodies):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for body in bodies:
        asked = ExportTraceServiceRequest()
        asked.ParseFromString(body)
        found += [
            span for one in asked.resource_spans for scope in one.scope_spans for span in scope.spans
        ]  # fmt: skip
    return found


def plain(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def test_opentelemetry_counts_gross_joules_and_tells_signed_ones_under_their_own_name(hand_on, attempts):
    needs("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
    with Collector() as collector:
        hand_on("opentelemetry", "--at", collector.address)
        hand_on("opentelemetry", "--at", collector.address)
    metrics = metrics_in(collector.kept["/v1/metrics"])
    gross = metrics["hw.energy"]
    assert gross.unit == "J"
    assert gross.sum.is_monotonic
    told = sum(point.as_double for point in gross.sum.data_points)
    assert told == pytest.approx(sum(source.joules for one in attempts for source in one.gross))
    for point in gross.sum.data_points:
        about = plain(point.attributes)
        assert about["hw.type"] == "cpu"
        assert about["hw.id"] == "cpu"
        assert about["cryoflux.tier"] == attempts[0].row["tier"]
    net = metrics["cryoflux.net_energy"]
    assert not net.sum.is_monotonic
    assert sum(p.as_double for p in net.sum.data_points) == pytest.approx(
        sum(one.row["joules"] for one in attempts)
    )
    spans = spans_in(collector.kept["/v1/traces"])
    assert len(spans) == 2 * len(attempts)
    assert len({(span.trace_id, span.span_id) for span in spans}) == len(attempts), (
        "told twice, it is the same"
    )
    about = plain(spans[0].attributes)
    row = attempts[0].row
    assert (about["cryoflux.outcome"], about["cryoflux.joules"]) == (row["outcome"], row["joules"])
    assert about["cryoflux.delta_lo_95"] <= about["cryoflux.delta"] <= about["cryoflux.delta_hi_95"]
    assert about["cryoflux.tier"] == row["tier"]
    assert spans[0].start_time_unix_nano < spans[0].end_time_unix_nano


def test_a_collector_that_refuses_is_said(hand_on):
    needs("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
    with Collector(status=400) as collector:
        hand_on("opentelemetry", "--at", collector.address, code=ExitCode.CANNOT_STORE)


def test_the_csv_has_the_columns_of_codecarbon_and_leaves_empty_what_is_not_known(
    hand_on, attempts, tmp_path
):
    hand_on("codecarbon", "--at", "emissions.csv")
    with (tmp_path / "emissions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["run_id"] for row in rows] == [one.row["task_id"] for one in attempts]
    for row, one in zip(rows, attempts, strict=True):
        assert float(row["energy_consumed"]) * 3.6e6 == pytest.approx(one.row["joules"], abs=1e-6)
        assert row["emissions"] == row["country_name"] == row["cpu_model"] == ""
        assert row["tracking_mode"] == f"process, net of idle, {one.row['tier']}"
    before = (tmp_path / "emissions.csv").read_bytes()
    hand_on("codecarbon", "--at", "emissions.csv")
    assert (tmp_path / "emissions.csv").read_bytes() == before, "exported twice, it is the same"


def test_what_a_file_lacks_is_added_to_it_and_rows_of_others_stay(attempts, tmp_path):
    place = tmp_path / "emissions.csv"
    others = ",".join(["2026-01-01T00:00:00", "theirs", "r", *[""] * (len(COLUMNS) - 3)])
    place.write_text(",".join(COLUMNS) + "\n" + others)
    for some in (attempts[:2], attempts):
        file = EmissionsFile("run", str(place))
        for one in some:
            if not file.knows(one):
                file.attempt(one)
        file.close()
    with place.open(newline="") as stream:
        found = [row["run_id"] for row in csv.DictReader(stream)]
    assert found == ["r", *(one.row["task_id"] for one in attempts)]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "notes", "\0"])
def test_a_file_of_something_else_is_not_written_over(hand_on, tmp_path, content):
    (tmp_path / "emissions.csv").write_text(content)
    hand_on("codecarbon", "--at", "emissions.csv", code=ExitCode.USAGE)
    assert (tmp_path / "emissions.csv").read_text() == content


def test_a_dash_is_stdout_where_there_is_a_text_and_refused_elsewhere(
    hand_on, attempts, tmp_path, capfdbinary
):
    hand_on("codecarbon", "--at", "-")
    told = capfdbinary.readouterr().out.decode().splitlines()
    assert [row["run_id"] for row in csv.DictReader(told)] == [one.row["task_id"] for one in attempts]
    for to in sorted(set(TRACKERS) - {"codecarbon"}):
        hand_on(to, "--at", "-", code=ExitCode.USAGE)
    assert not (tmp_path / "-").exists()


def test_emissions_follow_from_a_factor_that_was_set(attempts, tmp_path):
    from cryoflux.energy.derived import Rates

    file = EmissionsFile("run", str(tmp_path / "e.csv"), Rates(carbon_g_per_kwh=400.0))
    file.attempt(attempts[0])
    file.close()
    with (tmp_path / "e.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["emissions"]) == pytest.approx(attempts[0].row["joules"] / 3.6e6 * 0.4)


def test_codecarbon_itself_goes_on_with_the_file(hand_on, tmp_path):
    needs("codecarbon")
    from dataclasses import fields

    import pandas as pd
    from codecarbon.output_methods.emissions_data import EmissionsData
    from codecarbon.output_methods.file import FileOutput

    assert tuple(field.name for field in fields(EmissionsData)) == COLUMNS
    hand_on("codecarbon", "--at", "emissions.csv")
    told = {field.name: 0 if field.type in {float, "float"} else "x" for field in fields(EmissionsData)}
    FileOutput("emissions.csv", str(tmp_path)).out(EmissionsData(**told), None)
    assert not list(tmp_path.glob("*.bak"))
    table = pd.read_csv(tmp_path / "emissions.csv")
    assert len(table) == 4
    assert table["energy_consumed"].iloc[:3].gt(0).all()


def test_a_growing_log_is_followed_and_nothing_is_told_twice(tmp_path):
    made = open_state(tmp_path / "state")
    made.write_origin()
    made.attempt(0.05)
    left = [made.screen_out, lambda: made.attempt(0.0005)]

    def waits():
        if not left:
            return False
        left.pop(0)()
        return True

    found = list(tracked_attempts(tmp_path / "state", waits))
    assert [one.row["number"] for one in found] == [1, 2, 3]
