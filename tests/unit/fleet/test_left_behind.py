"""What a dead run had lent: repaid once, at what is known of it, and no word stays behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.config import Settings
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.interface import lent_request
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.words import LastWord, LastWords
from cryoflux.quantities import SO_FAR
from cryoflux.receipts.charged import NEVER_RESERVED, WORKER_LOST
from fleet_fakes import INTENT, LENT_UJ, LOG, FakeStation
from synthetic_parts import digest_of

BASELINE, SESSION = digest_of("baseline"), "session/1"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[LocalAgent]:
    settings = Settings.model_validate({"energy": {"credit": "grant"}})
    with closing(LocalAgent(settings, tmp_path / "state", background=False)) as found:
        found.grant(1_000_000_000, request_id="grant", note="")
        yield found


@pytest.fixture
def worker(tmp_path: Path) -> FakeStation:
    return FakeStation("w1", tmp_path / "w1")


def left(agent: LocalAgent, words: LastWords, settles: Callable[[str, str], str]) -> LeftBehind:
    return LeftBehind(agent, words, settles, BASELINE)


def away(_fleet: str, worker: str, request: str) -> str:
    raise FleetError("Its node is away.")


def lend(agent: LocalAgent, words: LastWords, request: str, uj: int = LENT_UJ, word: str = "") -> str:
    lent, intent = lent_request(request, "w1"), "" if request == SESSION else INTENT
    words.put(LastWord(lent=lent, word=word))
    agent.lend(uj, request_id=lent, log=LOG, intent=intent)
    return lent


def test_what_was_lent_is_repaid_once_whenever_whoever_repays_dies(agent, worker, tmp_path: Path) -> None:
    words = LastWords(tmp_path / "words")
    lend(agent, words, "a1")
    before_uj = agent.bucket_uj() + LENT_UJ
    parts = left(agent, words, lambda _fleet, _worker, request: worker.signed(request)).close("a1")
    assert [part.microjoules for part in parts] == [7_000_000]
    assert agent.bucket_uj() == before_uj - 7_000_000
    again = left(agent, LastWords(tmp_path / "words"), away).close("a1")  # it died before the receipt
    assert again == parts
    assert agent.bucket_uj() == before_uj - 7_000_000
    left(agent, words, away).forget(parts, "a1")
    assert words.all() == []


@pytest.mark.parametrize("damaged", [b"\xff", None], ids=["unreadable", "gone"])
def test_of_what_has_no_word_any_more_another_account_that_does_not_know_it_says_nothing(
    agent, tmp_path: Path, damaged: bytes | None
) -> None:
    """It may be the account of a worker of the same name elsewhere."""
    words = LastWords(tmp_path / "words")
    lend(agent, words, "a1")
    (path,) = (tmp_path / "words").iterdir()
    path.write_bytes(damaged) if damaged is not None else path.unlink()
    (part,) = left(agent, LastWords(tmp_path / "words"), lambda *_: "").close("a1")
    assert (part.flags, part.microjoules) == ([WORKER_LOST], LENT_UJ)


def test_what_the_coordinators_own_meter_signed_is_no_part_of_a_worker(agent, worker, tmp_path: Path) -> None:
    words = LastWords(tmp_path / "words")
    lend(agent, words, "a1")
    signed = worker.signed("a1")
    own_key = read_settlement(signed).meter_key
    (part,) = LeftBehind(agent, words, lambda *_: signed, BASELINE, own_key).close("a1")
    assert part.flags == [WORKER_LOST]


@pytest.mark.parametrize("damaged", [b"\xff", None], ids=["unreadable", "gone"])
def test_what_has_no_word_any_more_is_found_in_the_account(
    agent, worker, tmp_path: Path, damaged: bytes | None
) -> None:
    words = LastWords(tmp_path / "words")
    lent = lend(agent, words, "a1")
    lend(agent, LastWords(tmp_path / "other words"), "a2")
    (path,) = (tmp_path / "words").iterdir()
    path.write_bytes(damaged) if damaged is not None else path.unlink()
    words = LastWords(tmp_path / "words")
    behind = left(agent, words, lambda _fleet, _worker, request: worker.signed(request))
    (part,) = behind.close("a1")
    assert part.microjoules == 7_000_000
    assert [one.request_id for one in agent.lent("")] == [lent_request("a2", "w1")]
    assert words.get(lent).part == part
    behind.forget([part], "a1")
    assert words.all() == []


def test_what_no_worker_took_is_given_back_and_is_no_part_of_a_session(agent, tmp_path: Path) -> None:
    words, before_uj = LastWords(tmp_path / "words"), agent.bucket_uj()
    lend(agent, words, "a1")
    lend(agent, words, SESSION, 5_000_000)
    found = left(agent, words, lambda *_: "")
    (part,) = found.close("a1")
    assert part.flags == [NEVER_RESERVED]
    assert found.close(SESSION) == []
    assert agent.bucket_uj() == before_uj
    found.forget([part], "a1")
    assert words.all() == []


def test_a_word_of_what_was_never_lent_goes_and_so_does_one_whose_receipt_is_there(
    agent, tmp_path: Path
) -> None:
    words = LastWords(tmp_path / "words")
    words.put(LastWord(lent=lent_request("a1", "w1")))
    found = left(agent, words, away)
    assert found.close("a1") == []
    assert words.all() == []
    lend(agent, words, "a2")
    found.sweep()
    assert words.all() == []


@pytest.mark.parametrize(
    ("changes", "charged", "flags"),
    [
        ({}, 3_000_000, [SO_FAR]),
        ({"intent": digest_of("another")}, LENT_UJ, [WORKER_LOST]),
        ({"log": "another"}, LENT_UJ, [WORKER_LOST]),
    ],
)
@pytest.mark.parametrize("settles", [away, lambda *_: ""])
def test_where_its_account_does_not_say_the_last_word_counts_if_it_is_about_this(
    agent, worker, tmp_path: Path, settles, changes: dict, charged: int, flags: list[str]
) -> None:
    words = LastWords(tmp_path / "words")
    word = worker.signed("a1", 3_000_000, flags=[SO_FAR], **changes)
    lend(agent, words, "a1", word=word)
    (part,) = left(agent, words, settles).close("a1")
    if settles is not away and changes:
        charged, flags = 0, [NEVER_RESERVED]
    assert (part.microjoules, part.flags) == (charged, flags)
    assert part.microjoules == charged


def test_a_lie_about_a_settlement_costs_what_was_lent(agent, worker, tmp_path: Path) -> None:
    words = LastWords(tmp_path / "words")
    lend(agent, words, "a1")
    (part,) = left(agent, words, lambda *_: worker.signed("a2")).close("a1")
    assert (part.microjoules, part.flags) == (LENT_UJ, [WORKER_LOST])
