"""Guest holdouts that somebody enters: what may judge, and what is left out because the state knows it."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

import tiny
from contract_world import terms_of
from cryoflux.config import load_settings
from cryoflux.errors import DataError, UsageError
from cryoflux.network.contracts.looking import sums_of
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.guest import open_guest
from cryoflux.network_state import ContractTally
from cryoflux.receipts.contract_parts import AgreedTerms, AgreedWindows, look_name
from cryoflux.receipts.contract_statement import ContractLook
from cryoflux.receipts.reading import read_entries
from cryoflux.runs.by_hand import versions_by_hand
from cryoflux.runs.guests_by_hand import LEAST_GUESTS, Entered, GuestWishes, enter, retire
from cryoflux.runs.node_by_hand import ground_of
from cryoflux.state import StateFolder
from cryoflux.tasks.registry import find_task
from node_log import AT
from plain_log import model
from running import QUICK, cryoflux

pytestmark = pytest.mark.process
TASK = "lora_delta"
KNOWN = tiny.sentences(300, 1)
FRESH = [row for row in tiny.sentences(900, 2) if row not in KNOWN]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that has made an attempt."""
    folder = tmp_path_factory.mktemp("begun")
    train = tiny.write_csv(folder / "train.csv", KNOWN)
    model = tiny.make_model(folder / "model")
    options = ("--model", model, "--train", train, *QUICK, "--budget", "40J", "--attempts", 1)
    made = cryoflux("run", *options, "--max-steps", 4, "--state", folder / "state")
    assert made.code == 0, made.stderr
    return folder / "state"


@pytest.fixture
def state(begun: Path, tmp_path: Path) -> Path:
    return shutil.copytree(begun, tmp_path / "state", symlinks=True)


def entered(state: Path, rows: list[tuple[str, str]]) -> Entered:
    file = tiny.write_csv(state.parent / "guests.csv", rows)
    sourced = load_settings({"state": str(state)}, environ={}, folder=state.parent)
    with versions_by_hand(state, sourced.settings, "a test") as opened:
        data = ground_of(opened, find_task(TASK).from_settings(sourced)).data
        return enter(opened, TASK, GuestWishes(file), data)


def texts(state: Path) -> set[str]:
    """Of all that judges or is searched with."""
    network = NetworkFolder.of(state)
    (root,) = (path.name for path in network.guests.iterdir())
    lines = [*open_guest(network, root).examples, *network.search.read_bytes().splitlines()]
    return {json.loads(line)["text"] for line in lines}


def test_half_judges_and_half_is_searched_with(state: Path) -> None:
    found = entered(state, FRESH)
    assert abs(found.count - found.searched) <= 1
    assert found.count + found.searched + found.known == len(FRESH)
    network = NetworkFolder.of(state)
    judged = {json.loads(one)["text"] for one in open_guest(network, found.root).examples}
    searched = {json.loads(one)["text"] for one in network.search.read_bytes().splitlines()}
    assert judged.isdisjoint(searched)
    assert stat.S_IMODE(network.search.stat().st_mode) == 0o600


def test_nothing_of_a_second_one_is_searched_with(state: Path) -> None:
    """What is searched with stays what it was."""
    entered(state, FRESH)
    before = NetworkFolder.of(state).search.read_bytes()
    again = entered(state, tiny.sentences(500, 3))
    assert again.searched == 0
    assert NetworkFolder.of(state).search.read_bytes() == before


def test_a_file_that_was_entered_before_judges_nothing_again(state: Path) -> None:
    """Its texts were searched with, or may be known to others by now."""
    entered(state, FRESH[:300])
    with pytest.raises(DataError, match="that could judge"):
        entered(state, FRESH[:300])


def test_copies_and_near_copies_of_known_texts_are_left_out(state: Path) -> None:
    spelled = [(text.upper() + "  .", label) for text, label in KNOWN[:40]]
    longer = [(f"{text} and {text}", label) for text, label in KNOWN[40:80]]
    found = entered(state, [*KNOWN[80:120], *spelled, *longer, *FRESH])
    assert found.known >= 80
    kept = texts(state)
    assert kept.isdisjoint(text for text, _ in [*KNOWN, *spelled])


def test_a_row_that_is_there_twice_counts_once(state: Path) -> None:
    once = entered(state, [*FRESH, *FRESH])
    assert once.count + once.searched <= len(FRESH)
    assert len(texts(state)) == once.count + once.searched


def test_rows_of_no_class_of_the_model_are_left_out_and_counted(state: Path) -> None:
    found = entered(state, [*FRESH, *((f"{text} then", "plants") for text, _ in FRESH[:30])])
    assert found.strange == 30


def test_too_few_are_refused_and_nothing_is_entered(state: Path) -> None:
    before = [entry.leaf_hash for entry in read_entries(state)]
    with pytest.raises(DataError, match=f"and {LEAST_GUESTS} are needed") as refused:
        entered(state, [*KNOWN, *FRESH[: LEAST_GUESTS // 2], ("a text", "plants")])
    assert "1 are of no class of the model" in refused.value.why
    assert [entry.leaf_hash for entry in read_entries(state)] == before
    assert not NetworkFolder.of(state).path.exists()


def test_the_log_says_the_root_and_none_of_the_texts(state: Path) -> None:
    found = entered(state, FRESH)
    entry = list(read_entries(state))[-1]
    said = json.loads(entry.signed.payload)["predicate"]
    assert (said["root"], said["count"]) == (found.root, found.count)
    assert not any(text.encode() in entry.signed.payload for text in texts(state))
    assert StateFolder(state).head(TASK).exists()


def test_it_is_not_opened_while_windows_of_contracts_wait_for_a_look_unless_they_are_given_up(
    state: Path,
) -> None:
    guests = entered(state, FRESH)
    sourced = load_settings({"state": str(state)}, environ={}, folder=state.parent)
    with versions_by_hand(state, sourced.settings, "a test") as opened:
        first = int(opened.now().timestamp()) - 2500
        terms = terms_of(
            ("log.example/s", opened.origin),
            "",
            guest_root=guests.root,
            count=guests.count,
            windows=AgreedWindows(first=first, length_s=1000, count=3),  # the look at the first is overdue
        )
        tally = opened.memory.nodes[TASK].contracts[terms.digest] = ContractTally(terms)
        with pytest.raises(
            UsageError, match=rf"^Not looked at yet: window 2 of {terms.digest[:16]}.*window 3 "
        ):
            retire(opened, TASK, guests.root)
        losses = [2] * guests.count, [1] * guests.count
        sums = sums_of(terms, (model("base"), model("result")), losses)
        open_guest(NetworkFolder.of(state), guests.root).keep_sums(look_name(terms.digest, 1), sums)
        tally.looks.append(looked(terms, 1))
        with pytest.raises(UsageError, match=r"^Not looked at yet: window 3 ") as refused:
            retire(opened, TASK, guests.root)
        assert "--give-up-windows" in refused.value.hint
        found = retire(opened, TASK, guests.root, give_up_windows=True)
    assert (found.looks, found.contract_looks) == (0, 1)
    assert [(one.contract, one.window) for one in found.given_up] == [(terms.digest, 2)]


def looked(terms: AgreedTerms, window: int) -> ContractLook:
    digest = "a" * 64
    return ContractLook(
        sequence=0,
        prev=digest,
        task=TASK,
        contract=terms.digest,
        window=window,
        base=digest,
        result=digest,
        offer=digest,
        available=True,
        kept=(True,) * len(terms.clauses),
        upper_microjoules=1,
        sealed=digest,
        looked_at=AT,
    )
