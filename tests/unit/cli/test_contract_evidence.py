"""Evidence of a contract in words: every code that an evaluation shows has some."""

from __future__ import annotations

import inspect
import re

import pytest

from contract_world import World
from cryoflux.cli.contract_evidence import in_words
from cryoflux.cli.contract_words import print_verdict
from cryoflux.network.contracts import evaluation
from cryoflux.receipts.contract_parts import ContractEvidence
from cryoflux.registry.composition import list_digest

TERMS = World().agree().terms
CODES = sorted(
    {
        *re.findall(r'(?:_shows\(|code=|code = |text, )"([a-z-]+)"', inspect.getsource(evaluation)),
        *("look", "no-look", "not-opened"),
    }
)


def words(code: str, value: str = "", **said: str) -> str:
    return in_words(ContractEvidence(code=code, value=value, **said), TERMS)


@pytest.mark.parametrize("code", CODES)
def test_no_code_is_shown_as_it_is(code: str) -> None:
    found = words(code, "1796021580", origin=TERMS.seller)
    assert not found.startswith(f"{code} ")
    assert "{" not in found
    assert "-" not in code or code not in found


def test_all_codes_are_found_in_what_evaluates() -> None:
    assert {"not-agreed", "window-open", "look-due", "tested-at", "was-available", "asked"} <= set(CODES)


def test_times_are_said_with_their_zone_and_none_as_none() -> None:
    assert words("window-open", "1796021580").startswith("the window ends at 2026-11-30T06:53:00Z, and ")
    unseen = words("not-agreed", "0", origin=TERMS.buyer)
    assert unseen.endswith("no head of it that a quorum cosigned is here")


def test_who_it_is_and_which_entry() -> None:
    found = words("second-look", leaf="ab" * 32, origin=TERMS.buyer)
    assert found == "the buyer has looked a second time, which does not count (entry abababab…)"
    assert words("available", "breached").endswith("what was offered could not be had")
    assert words("base", list_digest(())) == "compared with the genesis, without an update"
    assert words("base", "c" * 64) == f"compared with the list {'c' * 16}…"
    assert words("had-by-another", "c" * 64, origin="log.example/x").startswith("log.example/x had")


def test_what_a_later_version_shows_is_shown_as_it_came() -> None:
    assert words("heard-of", "12") == "heard-of 12"
    assert words("window-open", "soon") == "window-open soon"


def test_no_opening_is_awaited_for_what_none_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    world = World().agree()
    world.deliver(0)
    world.look(0)
    world.open()
    print_verdict(world.terms, world.evaluate())
    said = capsys.readouterr().out
    assert "available: fulfilled (the buyer's word, which no opening verifies)" in said
    assert "until its guest holdout is opened" not in said
