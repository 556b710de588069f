"""Beginning a state: all of it or none, and never with something else afterwards."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cryoflux.data.prepared import open_prepared
from cryoflux.errors import StateError, StateTamperedError
from cryoflux.log_state import LogState
from cryoflux.registry.versions import FIRST_TASK, Versions
from cryoflux.runs import inputs
from cryoflux.runs.inputs import begin, check_folder, check_origin, stored_origins, too_small
from cryoflux.state import StateFolder
from node_log import TASK, NodeLog
from plain_log import StoredLog
from small_context import BETTER, OtherTask, ToyTask

OLD = {
    "data_name": "stdlib-docs",
    "data_digest": "d" * 64,
    "model_name": "all-MiniLM-L6-v2",
    "model_source": "s" * 64,
    "version": "0" * 64,
    "dropped": {"train": 3},
}
"""as the first version wrote it: of the one task that there was"""
NEWER = {"rules": {}, "similar": {}, "near": 0, "hiding": 0, "cut": 0, "longer_ppm": None, "found": []}
"""what the old form could not say"""


RULES = {"holdout": "given", "audit": "given", "copies": "fold/v1"}
SIMILAR = {"rule": "cosine/v1", "least_milli": 850, "encoder": "e" * 64, "dropped": 3}


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def started(state: StateFolder, task: ToyTask):
    return begin(state, task.name, task.beginning(lambda *_: None), stored_origins(state))


def test_a_new_state_was_begun_with_nothing(state) -> None:
    assert stored_origins(state) == {}


def test_what_was_begun_is_read_back(state) -> None:
    origin = started(state, ToyTask())
    assert stored_origins(state) == {"toy": origin}
    assert Versions(state.path).head_digest("toy") == origin.version
    assert Versions(state.path).open(origin.version).digest == origin.version
    data = open_prepared(state.data(origin.data_digest), origin.data_name)
    assert (data.name, data.count("holdout-2")) == ("toy-data", 96)


def test_another_task_is_begun_beside_the_first_one(state) -> None:
    first = started(state, ToyTask())
    content = state.origin.read_bytes()
    second = started(state, OtherTask())
    assert stored_origins(state) == {"toy": first, "other": second}
    assert state.origin.read_bytes() != content
    assert {Versions(state.path).head_digest(name) for name in ("toy", "other")} == {first.version}, (
        "both begin with the same losses, and so with the same version"
    )


def test_the_old_form_is_of_the_first_task(state) -> None:
    state.path.mkdir()
    state.origin.write_text(json.dumps(OLD))
    (origin,) = stored_origins(state).values()
    assert list(stored_origins(state)) == [FIRST_TASK]
    assert asdict(origin) == OLD | NEWER


def test_a_leak_guard_is_read_back(state) -> None:
    state.path.mkdir()
    state.origin.write_text(
        json.dumps(OLD | {"rules": RULES | {"similar": SIMILAR}, "similar": {"audit": 3}})
    )
    (origin,) = stored_origins(state).values()
    assert (origin.rules["similar"], origin.similar) == (SIMILAR, {"audit": 3})


def test_a_task_that_is_begun_beside_the_old_form_leaves_the_first_one_as_it_was(state) -> None:
    state.path.mkdir()
    state.origin.write_text(json.dumps(OLD))
    started(state, ToyTask())
    found = stored_origins(state)
    assert set(found) == {FIRST_TASK, "toy"}
    assert asdict(found[FIRST_TASK]) == OLD | NEWER


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b"7",
        b"{}",
        b'{"tasks": []}',
        b'{"tasks": {"toy": 7}}',
        b'{"tasks": {"toy": {}}}',
        b'{"tasks": {"toy": {"surprise": 1}}}',
        b"\xff\xfe",
        json.dumps(OLD | {"rules": {"holdout": "given"}}).encode(),
        json.dumps(OLD | {"rules": RULES | {"similar": "cosine/v1"}}).encode(),
        json.dumps(OLD | {"rules": RULES | {"similar": {"rule": "cosine/v1", "least_milli": 850}}}).encode(),
        json.dumps(OLD | {"rules": {"similar": SIMILAR}}).encode(),
        json.dumps(OLD | {"found": "CSV"}).encode(),
        json.dumps(OLD | {"found": [7]}).encode(),
    ],
)
def test_what_cannot_be_an_origin_is_damaged(state, content) -> None:
    state.path.mkdir()
    state.origin.write_bytes(content)
    with pytest.raises(StateTamperedError, match=r"origin\.json is damaged"):
        stored_origins(state)


PLACES = [
    (inputs, "store"),
    (Versions, "draft"),
    (Versions, "keep"),
    (Versions, "point_head"),
    (inputs, "write_atomic"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("where", "name"), PLACES, ids=[name for _, name in PLACES])
def test_half_a_beginning_is_none(state, monkeypatch, where, name, after) -> None:
    whole = getattr(where, name)

    def dies(*arguments, **options):
        if after:
            whole(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(where, name, dies)
        with pytest.raises(KeyboardInterrupt):
            started(state, ToyTask())
    written = after and name == "write_atomic"
    assert set(stored_origins(state)) == ({"toy"} if written else set())
    if not written:
        check_folder(state)  # what was half done is in nobody's way
        origin = started(state, ToyTask())
        assert stored_origins(state) == {"toy": origin}
    origin = stored_origins(state)["toy"]
    assert open_prepared(state.data(origin.data_digest), "").count("train") == 40
    assert Versions(state.path).open(origin.version).folder.is_dir()
    assert Versions(state.path).head_digest("toy") == origin.version


def test_half_a_data_set_is_written_anew(state) -> None:
    beginning = ToyTask().beginning(lambda *_: None)
    half = state.data(f".{beginning.data_digest}")
    half.mkdir(parents=True)
    (half / "train.jsonl").write_text("half")
    (half / "stray").write_text("x")
    started(state, ToyTask())
    folder = state.data(beginning.data_digest)
    assert {path.name for path in folder.iterdir()} == set(beginning.files)
    assert not half.exists()


def test_a_folder_that_may_become_a_state_holds_nothing_else(state) -> None:
    check_folder(state)
    state.path.mkdir()
    check_folder(state)
    for name in ("account.db", "account.db-wal", "meter.lock", "keys", ".hidden"):
        (state.path / name).touch()
    check_folder(state)
    (state.path / "thesis.docx").touch()
    with pytest.raises(StateError, match=r"thesis\.docx"):
        check_folder(state)


def test_a_file_is_no_state(state) -> None:
    state.path.touch()
    with pytest.raises(StateError, match="is a file"):
        check_folder(state)


def test_a_log_without_an_origin_is_not_begun_anew(state) -> None:
    started(state, ToyTask())
    state.receipts.touch()
    state.origin.unlink()
    with pytest.raises(StateTamperedError, match="is missing"):
        check_folder(state)


@pytest.mark.parametrize("field", ["data_digest", "version"])
def test_the_log_says_what_a_task_began_with(run, field) -> None:
    run.attempt(BETTER)
    run.attempt(BETTER)
    origins = stored_origins(run.state)
    check_origin(run.state, origins, run.context.memory)
    document = json.loads(run.state.origin.read_bytes())
    document["tasks"]["toy"][field] = "f" * 64
    run.state.origin.write_text(json.dumps(document))
    with pytest.raises(StateTamperedError, match="names another"):
        check_origin(run.state, stored_origins(run.state), run.context.memory)


def test_a_task_that_the_log_knows_has_an_origin(run) -> None:
    run.attempt(BETTER)
    with pytest.raises(StateTamperedError):
        check_origin(run.state, {}, run.context.memory)
    check_origin(run.state, {}, LogState())


def test_a_budget_that_is_too_small_is_told_with_what_is_held() -> None:
    alone, beside = too_small(5_000_000, 20_000_000), too_small(5_000_000, 20_000_000, 7_000_000)
    assert "5.0 J" in alone.what
    assert alone.why.startswith("An attempt reserves 20.0 J")
    assert "7.0 J more, left over" in beside.why


def test_a_node_that_made_no_attempt_begins_with_the_genesis_that_it_named(run, tmp_path) -> None:
    log = StoredLog(tmp_path / "node")
    said = NodeLog(log).introduce().statement.predicate
    origin = replace(stored_origins(run.state)["toy"], version=said.genesis.digest)
    check_origin(run.state, {TASK: origin}, log.state)
    with pytest.raises(StateTamperedError, match="genesis that its node has named"):
        check_origin(run.state, {TASK: replace(origin, version="f" * 64)}, log.state)
    log.close()
