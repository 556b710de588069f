"""What is said to whoever asked for more than there is: every figure exact, and what to type."""

from __future__ import annotations

import json
import re

import pytest

from cryoflux.agent.taken import too_little
from cryoflux.energy.account.ledger import Standing

J = 1_000_000
CURL = "curl -s http://127.0.0.1:8787"


def said(uj, standing, credit_uw=0, *, grants_only=False):
    return too_little(uj, standing, credit_uw, grants_only=grants_only, curl=CURL)


def test_a_single_microjoule_that_is_missing_is_seen():
    reason = said(120 * J, Standing(120 * J - 1, 0, 0))
    assert reason.what == "120 J were asked for; 119.999999 J can be taken."
    assert '"joules": 1,' in reason.hint
    assert "/v1/reservations" not in reason.hint


@pytest.mark.parametrize(
    ("open_", "words"),
    [(1, "1 open reservation holds 30 J of it"), (4009, "4009 open reservations hold 30 J")],
)
def test_what_is_reserved_is_named(open_, words):
    reason = said(120 * J, Standing(10 * J, 30 * J, open_))
    assert f"the balance is 40 J, and {words}" in reason.what
    assert (reason.balance_uj, reason.available_uj, reason.reserved_uj) == (40 * J, 10 * J, 30 * J)
    assert "GET /v1/reservations" in reason.hint


@pytest.mark.parametrize(
    ("credit_uw", "words", "enough_in_s"),
    [
        (50 * J, "At the 50 W that are credited now it would be enough in 3 s.", 2.4),
        (1 * J, "At the 1 W that are credited now it would be enough in 2 min.", 120),
        (1_000, "At the 0.001 W that are credited now it would be enough in 33 h.", 120_000),
        (0, "Nothing is credited now: the machine draws no more than at rest.", None),
        (-5 * J, "Nothing is credited now: the machine draws no more than at rest.", None),
    ],
)
def test_when_it_would_be_enough(credit_uw, words, enough_in_s):
    reason = said(120 * J, Standing(0, 0, 0), credit_uw)
    assert reason.why == f"A take is all or nothing. {words}"
    assert reason.enough_in_s == enough_in_s


def test_where_only_grants_count_nobody_is_told_to_wait():
    reason = said(120 * J, Standing(-5 * J, 0, 0), grants_only=True)
    assert "granted joules alone" in reason.why
    assert "-5 J can be taken" in reason.what
    assert reason.enough_in_s is None


def test_the_command_that_it_names_grants_what_is_missing_each_time_anew():
    hints = [said(120 * J, Standing(-5 * J, 0, 0)).hint for _ in range(2)]
    grants = [json.loads(re.search(rf"{CURL}/v1/grant -d '([^']+)'", hint)[1]) for hint in hints]
    assert [grant["joules"] for grant in grants] == [125, 125]
    assert len({grant["request_id"] for grant in grants}) == 2
