"""A node's beginning: it says who it is and enters a guest holdout before it has made an attempt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from cryoflux.config import load_settings
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.reading import read_entries
from cryoflux.runs.own_seed import node_seed, with_own_seed
from cryoflux.witness.cosigned import log_key_of
from json_rule import complaints
from node_process import serving_node
from running import SURE, Outcome, cryoflux

pytestmark = pytest.mark.process
KNOWN = tiny.sentences(300, 1)
FRESH = [row for row in tiny.sentences(900, 2) if row not in KNOWN]
ATTEMPT = (*SURE, "--budget", "90J", "--attempts", 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, what it is trained on, and what judges others."""
    folder = tmp_path_factory.mktemp("files")
    tiny.write_csv(folder / "train.csv", KNOWN)
    tiny.write_csv(folder / "guests.csv", FRESH)
    tiny.make_model(folder / "model")
    return folder


def begun(files: Path, state: Path, *words: object) -> Outcome:
    train = ("--model", files / "model", "--train", files / "train.csv")
    return cryoflux("node", "init", "--name", "new", *train, *words, "--state", state)


def kinds(state: Path) -> list[str]:
    return [entry.kind for entry in read_entries(state)]


def seeds(entries: list[Entry]) -> list[tuple[int, int]]:
    """Of attempts: of the choice, and what it would be of the training where no chain goes on."""
    return [(said.schedule.seed, said.seed) for entry in entries if (said := entry.intent) is not None]


@pytest.fixture(scope="module")
def trained(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that began as one, and has made an attempt."""
    state = tmp_path_factory.mktemp("trained") / "state"
    found = begun(files, state, "--guest", files / "guests.csv", "--no-witnesses")
    assert found.code == 0, found.stderr
    made = cryoflux("run", *ATTEMPT, "--state", state)
    assert made.code == 0, made.stderr
    return state


def test_a_new_state_begins_with_who_it_is_and_nothing_was_tried(files: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    found = begun(files, state, "--guest", files / "guests.csv", "--json")
    assert found.code == 0, found.stderr
    said = json.loads(found.stdout)
    assert kinds(state) == ["node", "guest-holdout", "session"]
    assert said["guest_holdout"]["examples"] >= 200
    entered = {name: said["guest_holdout"][name] for name in ("root", "examples")}
    assert said["unused_guest_holdouts"] == [entered], "which a contract may name"
    assert complaints(said) == []
    (session,) = [one.session for one in read_entries(state) if one.session is not None]
    assert round(said["joules_spent"] * 1e6) == session.energy.microjoules > 0
    (row,) = json.loads(cryoflux("energy", "ledger", "--state", state, "--json").stdout)["entries"][-1:]
    assert row["balance_uj"] == 100_000_000 - session.energy.microjoules
    assert cryoflux("verify", state).code == 0
    with serving_node(state) as served:
        assert served is not None


def test_what_it_is_trained_on_judges_nothing(files: Path, trained: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    found = begun(files, state, "--guest", files / "train.csv")
    assert found.code == 2
    assert "0 examples that could judge" in found.stderr
    assert not state.exists(), "nothing was begun, so it has cost nothing"
    assert begun(files, state).code == 0
    for there in (state, trained):
        before = kinds(there)
        assert begun(files, there, "--guest", files / "train.csv", "--url", "http://here:1").code == 2
        assert kinds(there) == before, "nor is anything said in a log that is there"
    assert begun(files, state, "--guest", files / "guests.csv").code == 0, "with the right file it goes on"
    assert kinds(state)[2:] == ["guest-holdout", "session"]
    assert cryoflux("verify", state).code == 0


SLIPS = {
    "a file that is not there": (("--guest", "nosuch.csv"), "nosuch.csv"),
    "a capital letter": (("--name", "North"), "cryoflux node init --name north"),
    "a space": (("--name", "q q"), "cryoflux node init --name q-q"),
    "no letter at all": (("--name", "…"), "cryoflux node init --name north"),
    "no name": (("--name", ""), "The node has no name yet."),
    "no address": (("--url", "here:8790"), "is no address that others can hear of"),
    "an address that readers pass over": (
        ("--url", "http://127.1:8790"),
        "is no address that others can hear",
    ),
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=list(SLIPS))
def test_a_slip_of_the_pen_begins_no_state(
    slip: tuple[tuple[str, str], str], files: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    words, said = slip
    found = begun(files, state, *words)
    assert found.code == 2
    assert said in found.stderr
    assert "regex" not in found.stderr
    assert not state.exists()


def test_witnesses_that_cannot_be_read_begin_no_state(files: Path, tmp_path: Path) -> None:
    state, train = tmp_path / "state", ("--model", files / "model", "--train", files / "train.csv")
    nobody = str(tmp_path / "nobody.policy")
    found = cryoflux("node", "init", "--name", "new", *train, "--state", state, CRYOFLUX_TRUST=nobody)
    assert found.code == 2
    assert "nobody.policy cannot be read" in found.stderr
    assert not state.exists()


def test_a_state_that_is_none_is_begun_by_nobody_who_does_not_say_with_what(tmp_path: Path) -> None:
    found = cryoflux("node", "init", "--name", "new", "--state", tmp_path / "state")
    assert found.code == 2
    assert "cryoflux node init --train FILE" in found.stderr
    assert not (tmp_path / "state").exists()


def test_it_is_begun_once_and_with_one_thing(files: Path, trained: Path) -> None:
    other = tiny.write_csv(trained.parent / "other.csv", tiny.sentences(300, 9))
    entries = kinds(trained)
    found = cryoflux("node", "init", "--train", other, "--state", trained)
    assert found.code == 2
    assert "belongs to the data set" in found.stderr
    assert begun(files, trained).code == 0, "what it was begun with may be said again"
    assert kinds(trained) == entries


def test_a_round_before_the_first_attempt_says_what_comes_first(files: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    begun(files, state, "--guest", files / "guests.csv")
    found = cryoflux("node", "round", "--state", state)
    assert found.code == 2
    assert "no attempt of lora_delta yet" in found.stderr
    assert "cryoflux run --attempts 1" in found.stderr


def test_a_node_goes_by_a_seed_of_its_own_and_all_is_made_again(trained: Path) -> None:
    own = node_seed(log_key_of(trained).name)
    assert seeds(read_entries(trained)) == [(own, (own * 1_000_003 + 1) % 2**53)]
    said = json.loads(cryoflux("node", "init", "--state", trained, "--json").stdout)
    assert said["seed"] == own
    found = cryoflux("verify", trained, "--recompute", 1)
    assert found.code == 0, found.stdout


def test_a_plain_run_stays_what_it_was_and_a_node_that_began_so_is_told(files: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    model = ("--model", files / "model", "--train", files / "train.csv")
    assert cryoflux("run", *model, *ATTEMPT, "--state", state).code == 0
    assert seeds(read_entries(state)) == [(0, 1)], "the same for everybody who repeats it"
    told = cryoflux("node", "init", "--name", "late", "--guest", files / "guests.csv", "--state", state)
    assert told.code == 0, told.stderr
    assert "it began with seed 0" in told.stdout
    assert cryoflux("run", *ATTEMPT, "--policy", "uniform/v1", "--state", state).code == 0
    assert seeds(read_entries(state))[1][0] == node_seed(log_key_of(state).name)
    assert cryoflux("verify", state).code == 0


def test_a_seed_that_somebody_chose_is_the_seed(trained: Path, tmp_path: Path) -> None:
    memory = LogState()
    for entry in read_entries(trained):
        memory.take(entry)
    origin = log_key_of(trained).name
    for chosen in ({"seed": "0"}, {"seed": "7"}):
        sourced = load_settings(chosen, environ={}, folder=tmp_path)
        assert with_own_seed(sourced, memory, origin).run.seed == int(chosen["seed"])
    sourced = load_settings({}, environ={}, folder=tmp_path)
    assert with_own_seed(sourced, memory, origin).run.seed == node_seed(origin)
    assert with_own_seed(sourced, LogState(), origin).run.seed == 0


def test_two_nodes_with_the_same_settings_begin_with_one_version_and_two_seeds(
    files: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        assert begun(files, tmp_path / name).code == 0
    said = [read_entries(tmp_path / name)[0].statement.predicate for name in ("one", "two")]
    assert said[0].genesis == said[1].genesis
    assert len({node_seed(log_key_of(tmp_path / name).name) for name in ("one", "two")}) == 2
