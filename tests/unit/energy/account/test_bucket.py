"""The account adds up to the microjoule, whatever is asked of it, by however many at once."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from cryoflux.energy.account.bucket import Bucket, ReservationConflictError, UnknownReservationError
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.interface import lent_request
from cryoflux.energy.processes import Owner
from cryoflux.errors import BudgetError, StateTamperedError, UsageError
from cryoflux.quantities import Energy, Tier
from energy_fakes import FakeClock
from running import ended, python


def energy(uj):
    return Energy(uj, uj - 5, uj + 5, Tier.MODELLED, ("wrap",))


def charge(uj):
    return Charge(energy(uj), energy(uj), ("cpu-model",), "0" * 64, "concave/v1", 10)


@pytest.fixture
def bucket(tmp_path):
    opened = Bucket(tmp_path / "account.db", FakeClock())
    yield opened
    opened.close()


def test_a_refund_and_an_overdraft_are_both_on_the_books(bucket):
    bucket.grant(1_000, request_id="g")
    cheap, dear = (bucket.take(400, request_id=name) for name in ("a", "b"))
    assert bucket.available_uj() == 200
    bucket.settle(cheap.id, charge(100))
    bucket.settle(dear.id, charge(950))
    assert bucket.available_uj() == -50
    assert [(e.kind, e.balance_change_uj, e.reserved_change_uj) for e in bucket.entries()] == [
        ("opening", 0, 0),
        ("grant", 1_000, 0),
        ("take", 0, 400),
        ("take", 0, 400),
        ("settle", -100, -400),
        ("settle", -950, -400),
    ]
    assert bucket.identity().holds


def test_a_take_is_all_or_nothing_and_exact_at_the_edge(bucket):
    bucket.grant(1_000, request_id="g")
    with pytest.raises(BudgetError) as caught:
        bucket.take(1_001, request_id="a")
    assert len(caught.value.lines()) == 3
    bucket.take(1_000, request_id="a")
    with pytest.raises(BudgetError):
        bucket.take(1, request_id="b")


def test_repeating_a_request_changes_nothing_and_changing_one_is_an_error(bucket):
    bucket.grant(1_000, request_id="g")
    bucket.grant(1_000, request_id="g")
    taken = bucket.take(400, request_id="a")
    assert bucket.take(400, request_id="a") == taken
    first = bucket.settle(taken.id, charge(100))
    assert bucket.settle(taken.id, charge(999)) == first
    assert bucket.available_uj() == 900
    for wrong in (lambda: bucket.take(401, request_id="a"), lambda: bucket.grant(7, request_id="g")):
        with pytest.raises(ReservationConflictError):
            wrong()
    with pytest.raises(ReservationConflictError):
        bucket.release(taken.id)
    with pytest.raises(UnknownReservationError):
        bucket.settle("no such", charge(1))


@pytest.mark.parametrize("ending", ["settled", "released"])
def test_a_request_id_gives_joules_only_while_its_reservation_is_open(bucket, ending):
    bucket.grant(1_000, request_id="g")
    taken = bucket.take(400, request_id="a")
    assert bucket.take(400, request_id="a") == taken
    if ending == "settled":
        bucket.settle(taken.id, charge(100))
    else:
        bucket.release(taken.id)
    with pytest.raises(ReservationConflictError, match=f"'a' are {ending}") as caught:
        bucket.take(400, request_id="a")
    assert taken.id not in "".join(caught.value.lines())
    found = bucket.find("a")
    assert (found.reservation, found.state) == (taken, ending)


def test_a_conflict_is_told_in_the_words_of_who_asked(bucket):
    bucket.grant(1_000, request_id="once")
    with pytest.raises(ReservationConflictError, match="request id 'once'"):
        bucket.grant(7, request_id="once")


@pytest.mark.parametrize("uj", [0, -1, 2**53])
def test_amounts_that_are_none_are_refused(bucket, uj):
    with pytest.raises(UsageError):
        bucket.take(uj, request_id="a")
    with pytest.raises(UsageError):
        bucket.grant(uj, request_id="a")
    assert len(bucket.entries()) == 1


def test_what_was_noted_is_there_after_reopening(tmp_path):
    owner = Owner(7, 100, "boot-1")
    first = Bucket(tmp_path / "account.db", FakeClock())
    first.grant(1_000, request_id="g")
    taken = first.take(400, request_id="a", owner=owner)
    first.note({taken.id: charge(123)})
    first.close()
    again = Bucket(tmp_path / "account.db", FakeClock())
    (record,) = again.open_records()
    assert (record.reservation, record.owner, record.charge) == (taken, owner, charge(123))
    assert again.available_uj() == 600
    again.close()


def test_entries_cannot_be_changed_or_removed(bucket, tmp_path):
    bucket.grant(1_000, request_id="g")
    with sqlite3.connect(tmp_path / "account.db") as db:
        for statement in ("UPDATE entries SET balance_uj = 9", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="final"):
                db.execute(statement)
    db.close()
    assert bucket.available_uj() == 1_000


def test_a_file_that_is_not_the_account_is_refused(tmp_path):
    (tmp_path / "account.db").write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(StateTamperedError):
        Bucket(tmp_path / "account.db", FakeClock())


TAKE_MANY = """
import sys
from pathlib import Path
from cryoflux.energy.account import bucket
from cryoflux.energy.clock import SystemClock
from cryoflux.errors import BudgetError
bucket._PATIENCE_MS = 600_000  # the others are slow where the machine is busy
account, taken = bucket.Bucket(Path(sys.argv[1]), SystemClock()), 0
for number in range(200):
    try:
        if number % 2:
            taken += account.lend(7, request_id=f"{sys.argv[2]}/lent/{number}").reserved_uj
        else:
            taken += account.take(7, request_id=f"{sys.argv[2]}/{number}").reserved_uj
    except BudgetError:
        continue
account.close()
print(taken)
"""


def test_processes_at_once_can_never_take_and_lend_more_than_there_is(tmp_path):
    bucket = Bucket(tmp_path / "account.db", FakeClock())
    bucket.grant(5_000, request_id="g")
    takers = [python("-c", TAKE_MANY, tmp_path / "account.db", n, light=True) for n in range(8)]
    outcomes = [ended(taker) for taker in takers]
    assert [outcome.stderr for outcome in outcomes] == [""] * 8
    total = sum(int(outcome.stdout) for outcome in outcomes)
    sums = bucket.identity()
    assert total == 5_000 // 7 * 7 == sums.open_uj
    assert {record.lent for record in bucket.open_records()} == {True, False}
    assert sums.holds
    assert bucket.available_uj() == 5_000 % 7
    bucket.close()


class Account(RuleBasedStateMachine):
    """Any sequence of requests, against a model of three numbers."""

    taken = Bundle("taken")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "account.db"
        self.bucket = Bucket(self.path, FakeClock())
        self.balance = 0
        self.open = {}
        self.lent = set()
        self.ids = set()

    @rule(uj=st.integers(1, 10_000), name=st.sampled_from("abcdefgh"))
    def grant(self, uj, name):
        try:
            self.bucket.grant(uj, request_id=name)
        except ReservationConflictError:
            assert name in self.ids
        else:
            self.balance += 0 if name in self.ids else uj
            self.ids.add(name)

    @rule(uj=st.integers(-3_000, 3_000))
    def credit(self, uj):
        self.bucket.credit(energy(uj))
        self.balance += uj

    @rule(target=taken, uj=st.integers(1, 8_000), name=st.uuids())
    def take(self, uj, name):
        fits = uj <= self.balance - sum(self.open.values())
        try:
            reservation = self.bucket.take(uj, request_id=str(name))
        except BudgetError:
            assert not fits
            return None
        assert fits
        self.open[reservation.id] = uj
        return reservation.id

    @rule(target=taken, uj=st.integers(1, 8_000), name=st.uuids())
    def lend(self, uj, name):
        fits = uj <= self.balance - sum(self.open.values())
        try:
            reservation = self.bucket.lend(uj, request_id=lent_request(str(name), "w"))
        except BudgetError:
            assert not fits
            return None
        assert fits
        self.open[reservation.id] = uj
        self.lent.add(reservation.id)
        return reservation.id

    @rule(reservation=taken, uj=st.integers(0, 9_000))
    def repay(self, reservation, uj):
        if reservation is None:
            return
        try:
            self.bucket.repay(reservation, Energy(uj, uj // 2, 2 * uj, Tier.COUNTER))
        except ReservationConflictError:
            assert reservation not in self.open or reservation not in self.lent
        else:
            assert reservation in self.lent
            self.balance -= uj if reservation in self.open else 0
            self.open.pop(reservation, None)

    @rule(reservation=taken, uj=st.integers(0, 9_000))
    def settle(self, reservation, uj):
        if reservation is None:
            return
        try:
            self.bucket.settle(reservation, charge(uj))
        except ReservationConflictError:
            assert reservation not in self.open or reservation in self.lent
        else:
            assert reservation not in self.lent
            self.balance -= uj if reservation in self.open else 0
            self.open.pop(reservation, None)

    @rule(reservation=taken)
    def release(self, reservation):
        if reservation is None:
            return
        try:
            self.bucket.release(reservation)
        except ReservationConflictError:
            assert reservation not in self.open
        self.open.pop(reservation, None)

    @rule()
    def reopen(self):
        self.bucket.close()
        self.bucket = Bucket(self.path, FakeClock())

    @invariant()
    def adds_up(self):
        sums = self.bucket.identity()
        assert sums.holds
        assert sums.balance_uj == self.balance
        assert sums.open_uj == sum(self.open.values())
        assert self.bucket.available_uj() == self.balance - sum(self.open.values())
        lent = {record.reservation.id for record in self.bucket.open_records() if record.lent}
        assert lent == self.lent & self.open.keys()

    def teardown(self):
        self.bucket.close()
        self.folder.cleanup()


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
