"""Times in cosignatures that are ahead of the verifier's clock, which may be the wrong one itself.

Such a time would look fresh for ever, so it does not count where an age is asked for. Where none is, two
honest witnesses are not said to have kept silent because a clock was set back.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.claims.check import check_claim
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.receipts.checkpoint import KeyType, cosign, parse_note, verifier_key, with_signatures
from cryoflux.verification.result import Check, Status
from cryoflux.verification.witnessing import Demand
from cryoflux.witness.policy import parse_policy
from synthetic_state import make_state
from verifying import verify_target

NOW_S = 1_800_000_000
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode() * 32) for name in "abc"}


def demand(max_age_s: int | None = None) -> Demand:
    keys = {
        n: verifier_key(f"witness.example/{n}", key.public_key(), KeyType.WITNESS) for n, key in KEYS.items()
    }
    lines = [f"witness {name} {key}" for name, key in keys.items()]
    return Demand(parse_policy("\n".join([*lines, "group g 2 a b c", "quorum g"]).encode()), NOW_S, max_age_s)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_state(tmp_path / "state").path


def cosigned(state: Path, **times: int) -> None:
    path = state / "log" / "checkpoint"
    note = path.read_bytes()
    point = parse_note(note).checkpoint
    lines = [cosign(point, f"witness.example/{name}", KEYS[name], at) for name, at in times.items()]
    path.write_bytes(with_signatures(note, lines))


def lines_of_both(state: Path, asked: Demand) -> list[list[Check]]:
    """Step 12 of the log, and of a claim about it."""
    claim = make_claim(state, "kept >= 1", ClaimScope(last=1)).content
    found = check_claim(claim, Path("claim.json"), demand=asked).report
    return [[c for c in r.checks if c.number == 12] for r in (verify_target(state, demand=asked), found)]


def said(checks: list[Check], status: Status) -> str:
    return "; ".join(check.detail for check in checks if check.status is status)


def test_honest_witnesses_are_not_called_silent_by_a_clock_that_was_set_back(state: Path) -> None:
    cosigned(state, a=NOW_S + 3600, b=NOW_S + 3600)
    for checks in lines_of_both(state, demand()):
        assert said(checks, Status.FAIL) == ""
        assert "a's time is 3600 s ahead of this machine's clock" in said(checks, Status.UNKNOWN)
        assert "cosigned by a, b" in said(checks, Status.OK)
        assert " 0 s ago" not in said(checks, Status.OK)
    assert verify_target(state, demand=demand()).exceptions


def test_where_an_age_is_asked_for_they_do_not_count_and_it_is_said_why(state: Path) -> None:
    cosigned(state, a=NOW_S + 3600, b=NOW_S)
    for checks in lines_of_both(state, demand(max_age_s=10**9)):
        assert "cosigned by b; a's time is 3600 s ahead of this machine's clock" in said(checks, Status.FAIL)


def test_a_quorum_that_needs_no_such_time_leaves_no_question(state: Path) -> None:
    cosigned(state, a=NOW_S + 3600, b=NOW_S, c=NOW_S + 300)
    for checks in lines_of_both(state, demand()):
        assert [check.status for check in checks] == [Status.OK]
        assert "cosigned by b, c" in checks[0].detail


def test_a_cosignature_without_a_time_is_none(state: Path) -> None:
    cosigned(state, a=0, b=NOW_S)
    for checks in lines_of_both(state, demand()):
        assert "cosigned by b; a's cosignature says no time" in said(checks, Status.FAIL)
