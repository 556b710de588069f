"""Joules that another meter charges: held here, told apart for good, and charged at what that meter says."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from test_audit import change

from cryoflux.energy.account.audit import Held, open_audited
from cryoflux.energy.account.bucket import Bucket, ReservationConflictError
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import Standing
from cryoflux.energy.interface import is_lent, lent_request
from cryoflux.errors import BudgetError, StateTamperedError, UsageError
from cryoflux.quantities import Energy, Tier
from energy_fakes import FakeClock

LOG = "cryoflux.dev/log/ours"
INTENT = "ab" * 32
ATTEMPT = "lora_delta_1_7"
LENT = lent_request(ATTEMPT, "w1")
CHARGED = Energy(250, 200, 300, Tier.COUNTER, ("wrap",))


def charge(uj):
    energy = Energy(uj, uj - 5, uj + 5, Tier.MODELLED)
    return Charge(energy, energy, ("cpu-model",), "0" * 64, "concave/v1", 10)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "account.db"


@pytest.fixture
def bucket(path):
    with closing(Bucket(path, FakeClock())) as opened:
        opened.grant(1_000, request_id="g")
        yield opened


def test_a_request_id_says_what_is_lent_to_whom_and_for_what():
    assert LENT == "lora_delta_1_7/lent/w1"
    assert is_lent(LENT)
    assert is_lent(lent_request("session/0123_1_0", "w-2"))
    for name in (ATTEMPT, "session/0123_1_0", "a/lent/", "/lent/w1", "lent/w1", "a/lent/w/1", ""):
        assert not is_lent(name)


@pytest.mark.parametrize(("request_id", "worker"), [("", "w1"), ("a", ""), ("a", "w/1"), (LENT, "w2")])
def test_nothing_is_lent_under_a_name_that_could_mean_two_things(request_id, worker):
    with pytest.raises(UsageError) as caught:
        lent_request(request_id, worker)
    assert len(caught.value.lines()) == 3


def test_what_the_other_meter_did_not_charge_comes_back_and_its_figure_is_on_the_books(bucket):
    lent = bucket.lend(400, request_id=LENT, log=LOG, intent=INTENT)
    assert (bucket.available_uj(), bucket.standing()) == (600, Standing(600, 400, 1))
    bucket.repay(lent.id, CHARGED)
    assert (bucket.available_uj(), bucket.standing()) == (750, Standing(750, 0, 0))
    took, paid = bucket.entries()[-2:]
    assert (took.kind, took.reserved_change_uj, took.note) == ("take", 400, f"{LOG} {INTENT}")
    assert (paid.kind, paid.balance_change_uj, paid.reserved_change_uj) == ("settle", -250, -400)
    assert (paid.lo_uj, paid.hi_uj, paid.tier, paid.note) == (200, 300, "counter", "lent wrap")
    assert bucket.identity().holds


def test_more_than_was_lent_is_charged_all_the_same(bucket):
    lent = bucket.lend(400, request_id=LENT)
    bucket.repay(lent.id, Energy(1_100, 1_000, 1_200, Tier.MODELLED))
    assert bucket.available_uj() == -100
    assert bucket.identity().holds
    with pytest.raises(BudgetError):
        bucket.lend(1, request_id=lent_request("b", "w1"))


def test_the_last_word_of_a_worker_that_was_lost_is_a_charge_and_says_what_it_is(bucket):
    lent = bucket.lend(400, request_id=LENT)
    bucket.repay(lent.id, replace(CHARGED, hi_uj=900, flags=("so-far",)))
    paid = bucket.entries()[-1]
    assert (paid.balance_change_uj, paid.hi_uj, paid.note) == (-250, 900, "lent so-far")


def test_nothing_is_lent_that_is_not_there_and_it_is_exact_at_the_edge(bucket):
    bucket.take(100, request_id="a")
    with pytest.raises(BudgetError):
        bucket.lend(901, request_id=LENT)
    bucket.lend(900, request_id=LENT)
    with pytest.raises(BudgetError):
        bucket.take(1, request_id="b")


def test_a_repeat_lends_and_repays_once(bucket):
    lent = bucket.lend(400, request_id=LENT, log=LOG, intent=INTENT)
    assert bucket.lend(400, request_id=LENT, log=LOG, intent=INTENT) == lent
    assert bucket.available_uj() == 600
    first = bucket.repay(lent.id, CHARGED)
    assert bucket.repay(lent.id, Energy(999, 999, 999, Tier.MODELLED)) == first
    assert bucket.available_uj() == 750
    with pytest.raises(ReservationConflictError, match="settled already"):
        bucket.lend(400, request_id=LENT, log=LOG, intent=INTENT)


@pytest.mark.parametrize("changes", [{"uj": 401}, {"log": ""}, {"intent": "cd" * 32}], ids=str)
def test_a_repeat_that_means_another_thing_is_refused(bucket, changes):
    wanted = {"uj": 400, "log": LOG, "intent": INTENT}
    bucket.lend(**wanted, request_id=LENT)
    with pytest.raises(ReservationConflictError):
        bucket.lend(**{**wanted, **changes}, request_id=LENT)
    assert bucket.available_uj() == 600


def test_a_name_says_who_charges_it_whatever_is_asked_for(bucket):
    for wrong in (
        lambda: bucket.lend(1, request_id=ATTEMPT),
        lambda: bucket.take(1, request_id=LENT),
        lambda: bucket.withdraw(1, request_id=LENT),
    ):
        with pytest.raises(UsageError) as caught:
            wrong()
        assert len(caught.value.lines()) == 3
    assert bucket.available_uj() == 1_000


def test_what_was_lent_is_not_settled_nor_what_was_taken_repaid(bucket):
    lent, taken = bucket.lend(400, request_id=LENT), bucket.take(100, request_id=ATTEMPT)
    before = bucket.entries()
    with pytest.raises(ReservationConflictError, match="was lent to another meter"):
        bucket.settle(lent.id, charge(10))
    with pytest.raises(ReservationConflictError, match="was not lent"):
        bucket.repay(taken.id, CHARGED)
    assert bucket.entries() == before
    bucket.repay(lent.id, CHARGED)
    bucket.settle(taken.id, charge(10))
    with pytest.raises(ReservationConflictError, match="was lent to another meter"):
        bucket.settle(lent.id, charge(10))
    with pytest.raises(ReservationConflictError, match="was not lent"):
        bucket.repay(taken.id, CHARGED)
    assert bucket.available_uj() == 740


def test_what_no_worker_began_is_given_back_whole(bucket):
    lent = bucket.lend(400, request_id=LENT)
    bucket.release(lent.id)
    assert bucket.available_uj() == 1_000
    with pytest.raises(ReservationConflictError, match="released already"):
        bucket.repay(lent.id, CHARGED)


@pytest.mark.parametrize(
    "energy",
    [
        Energy(5, -1, 9, Tier.COUNTER),
        Energy(-5, -9, 9, Tier.COUNTER),
        Energy(5, 1, 2**53, Tier.COUNTER),
        replace(CHARGED, flags=("face-value",)),
        replace(CHARGED, flags=("lent",)),
        replace(CHARGED, flags=("two words",)),
        replace(CHARGED, flags=("",)),
        replace(CHARGED, flags=("\udc80",)),
        replace(CHARGED, flags=("x" * 101,)),
        replace(CHARGED, flags=tuple(f"f{number}" for number in range(51))),
    ],
    ids=str,
)
def test_what_no_meter_can_have_charged_is_not_repaid(bucket, energy):
    lent = bucket.lend(400, request_id=LENT)
    with pytest.raises(UsageError, match="no charge of a meter") as caught:
        bucket.repay(lent.id, energy)
    assert len(caught.value.lines()) == 3
    assert bucket.available_uj() == 600
    bucket.repay(lent.id, Energy(0, 0, 0, Tier.COUNTER))
    assert bucket.available_uj() == 1_000


def test_it_is_known_to_be_lent_after_a_restart_and_whatever_is_noted_of_it(path):
    with closing(Bucket(path, FakeClock())) as first:
        first.grant(1_000, request_id="g")
        lent = first.lend(400, request_id=LENT, log=LOG, intent=INTENT)
        first.note({lent.id: charge(123)})
    with closing(Bucket(path, FakeClock())) as again:
        record = again.find(LENT)
        assert (record.reservation, record.lent, record.owner) == (lent, True, None)
        assert record.charge.energy == Energy(0, 0, 400, Tier.MODELLED, ("lent",))
        assert again.open_of_processes(FakeClock.boot_id) == ()
        with pytest.raises(ReservationConflictError):
            again.settle(lent.id, charge(1))
        again.repay(lent.id, CHARGED)
        assert again.available_uj() == 750


def test_a_reservation_of_before_that_has_such_a_name_is_metered_as_it_was(bucket, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr("cryoflux.energy.account.refusals.is_lent", lambda _: False)
        before.setattr("cryoflux.energy.account.requests.is_lent", lambda _: False)
        old = bucket.take(100, request_id="job/lent/7")
    with pytest.raises(ReservationConflictError, match="for a reservation"):
        bucket.lend(100, request_id="job/lent/7")
    bucket.settle(old.id, charge(70))
    assert bucket.available_uj() == 930


def test_an_auditor_is_told_what_was_lent_and_no_source_of_another_machine_becomes_ours(path, bucket):
    bucket.repay(bucket.lend(400, request_id=LENT, log=LOG).id, CHARGED)
    bucket.lend(100, request_id=lent_request(ATTEMPT, "w2"), log=LOG)
    bucket.release(bucket.lend(100, request_id=lent_request(ATTEMPT, "w3"), log=LOG).id)
    assert bucket.settled_sources() == frozenset()
    with open_audited(path) as account:
        assert list(account.unexplained(LOG)) == [
            Held(LENT, 250, LOG),
            Held("lora_delta_1_7/lent/w2", None, LOG),
        ]


EDITS = {
    "measured-here-called-lent": (
        """UPDATE reservations SET charge = replace(charge, '"flags":[]', '"flags":["lent"]')
        WHERE request_id = 'paid'"""
    ),
    "lent-to-a-source-of-ours": (
        f"""UPDATE reservations SET charge = replace(charge, '"sources":[]', '"sources":["cpu-model"]')
        WHERE request_id = '{LENT}'"""
    ),
    "renamed": f"UPDATE reservations SET request_id = 'x' WHERE request_id = '{LENT}'",
    "cheaper": (
        f"""UPDATE reservations SET charge = replace(charge, '"uj":250', '"uj":25'),
        reserved_uj = reserved_uj WHERE request_id = '{LENT}'"""
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_what_was_repaid_is_found(path, edit):
    with closing(Bucket(path, FakeClock())) as bucket:
        bucket.grant(1_000, request_id="g")
        bucket.settle(bucket.take(100, request_id="paid").id, charge(70))
        bucket.repay(bucket.lend(400, request_id=LENT).id, CHARGED)
    Bucket(path, FakeClock()).close()
    change(path, edit)
    with pytest.raises(StateTamperedError):
        Bucket(path, FakeClock())
    with pytest.raises(StateTamperedError):
        open_audited(path)
