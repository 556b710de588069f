"""What the account keeps of itself is what it comes to when it is added up, kills included."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cryoflux.energy.account import checks
from cryoflux.energy.account.audit import fault_of, open_audited
from cryoflux.energy.account.bucket import Bucket, ReservationConflictError
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import identity, kept_sums, summed
from cryoflux.errors import BudgetError, StateTamperedError
from cryoflux.quantities import Energy, Tier
from energy_fakes import FakeClock

OPERATIONS = ("grant", "tick", "take", "withdraw", "lend", "settle", "repay", "release")


def energy(uj):
    return Energy(uj, uj - 5, uj + 5, Tier.MODELLED)


def charge(uj):
    return Charge(energy(uj), energy(uj), ("cpu-model",), "0" * 64, "concave/v1", 10)


def act(bucket, operation, uj, request):
    """One operation on an account; that there is too little, or nothing to end, is fine too."""
    held = bucket.open_records(most=1)
    with suppress(BudgetError, ReservationConflictError):
        match operation:
            case "grant":
                bucket.grant(uj, request_id=request)
            case "tick":
                bucket.tick(energy(uj - 3_000), {record.reservation.id: charge(uj) for record in held})
            case "take":
                bucket.take(uj, request_id=request)
            case "withdraw":
                bucket.withdraw(uj, request_id=request)
            case "lend":
                bucket.lend(uj, request_id=f"{request}/lent/w")
            case _ if held:
                end(bucket, operation, uj, held[0].reservation.id)


def end(bucket, operation, uj, reservation):
    match operation:
        case "settle":
            bucket.settle(reservation, charge(uj))
        case "repay":
            bucket.repay(reservation, Energy(uj, 0, 2 * uj, Tier.COUNTER))
        case "release":
            bucket.release(reservation)


def killed_in(path, statement, operation, uj, request):
    """Do it in a process that is killed when a statement of it begins; whether it came so far."""
    child = os.fork()
    if not child:
        try:
            bucket = Bucket(path, FakeClock())
            left = iter(range(statement))
            bucket._db.set_trace_callback(
                lambda _: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL)
            )
            act(bucket, operation, uj, request)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


class Kept(RuleBasedStateMachine):
    """Any sequence of operations, some of which are killed half-way."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "account.db"
        self.bucket = Bucket(self.path, FakeClock())
        self.crashes = 0

    @rule(
        operation=st.sampled_from(OPERATIONS), uj=st.integers(1, 9_000), request=st.sampled_from("abcdefgh")
    )
    def act(self, operation, uj, request):
        act(self.bucket, operation, uj, request)

    @precondition(lambda self: self.crashes < 5)
    @rule(
        operation=st.sampled_from(OPERATIONS),
        uj=st.integers(1, 9_000),
        request=st.sampled_from("abcdefgh"),
        statement=st.integers(1, 14),
    )
    def crash(self, operation, uj, request, statement):
        self.crashes += 1
        self.bucket.close()
        killed_in(self.path, statement, operation, uj, request)
        self.bucket = Bucket(self.path, FakeClock())

    @invariant()
    def what_is_kept_is_what_it_comes_to(self):
        with closing(sqlite3.connect(self.path)) as db:
            assert kept_sums(db) == summed(db)
            sums = identity(db)
            (count,) = db.execute("SELECT count(*) FROM reservations WHERE state = 'open'").fetchone()
        now = self.bucket.standing()
        assert sums.holds
        assert (now.available_uj, now.reserved_uj, now.open) == (sums.available_uj, sums.open_uj, count)

    def teardown(self):
        self.bucket.close()
        with closing(sqlite3.connect(self.path)) as db:
            assert fault_of(db) == ""
        self.folder.cleanup()


TestKept = Kept.TestCase
TestKept.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)


def test_a_kill_at_any_statement_of_a_withdrawal_takes_and_charges_it_or_neither(tmp_path):
    outcomes, killed, statement = [], True, 0
    while killed:
        path = tmp_path / f"{statement}.db"
        with closing(Bucket(path, FakeClock())) as bucket:
            bucket.grant(1_000, request_id="g")
            bucket.tick(energy(50))
        killed = killed_in(path, statement, "withdraw", 400, "w")
        statement += 1
        with closing(Bucket(path, FakeClock())) as bucket:
            now = bucket.standing()
            outcomes.append(now.available_uj)
            assert (now.reserved_uj, now.open) == (0, 0)
            assert bucket.withdraw(400, request_id="w").reserved_uj == 400
            assert bucket.available_uj() == 650
    assert set(outcomes) == {1_050, 650}
    assert outcomes == sorted(outcomes, reverse=True)
    assert len(outcomes) > 10


@pytest.fixture
def bucket(tmp_path):
    with closing(Bucket(tmp_path / "account.db", FakeClock())) as opened:
        opened.grant(1_000, request_id="g")
        yield opened


def test_a_withdrawal_is_charged_what_it_says_and_says_that_nobody_measured_it(bucket, tmp_path):
    taken = bucket.withdraw(120, request_id="w", log="ours")
    record = bucket.record(taken.id)
    assert (record.state, record.withdrawn) == ("settled", True)
    assert record.settled.energy == Energy(120, 120, 120, Tier.MODELLED, ("face-value",))
    assert record.settled.sources == ()
    assert bucket.settled_sources() == frozenset()
    assert [entry.kind for entry in bucket.entries()] == ["opening", "grant", "take", "settle"]
    assert bucket.settle(taken.id, charge(5))[1].energy.uj == 120
    with pytest.raises(ReservationConflictError):
        bucket.release(taken.id)
    with pytest.raises(BudgetError):
        bucket.withdraw(881, request_id="more")
    bucket.close()
    with open_audited(tmp_path / "account.db") as account:
        assert list(account.unexplained()) == [("w", 120, "ours")]


def test_a_request_id_withdraws_once_and_means_one_thing(bucket):
    taken = bucket.withdraw(120, request_id="w")
    assert bucket.withdraw(120, request_id="w") == taken
    held = bucket.take(120, request_id="r")
    for again in (
        lambda: bucket.withdraw(121, request_id="w"),
        lambda: bucket.withdraw(120, request_id="w", log="ours"),
        lambda: bucket.take(120, request_id="w"),
        lambda: bucket.withdraw(120, request_id="r"),
    ):
        with pytest.raises(ReservationConflictError):
            again()
    bucket.settle(held.id, charge(30))
    with pytest.raises(ReservationConflictError):
        bucket.withdraw(120, request_id="r")
    assert bucket.available_uj() == 1_000 - 120 - 30


@pytest.fixture
def many(bucket, monkeypatch, tmp_path):
    """A long account with more open reservations than are looked at when it is opened."""
    monkeypatch.setattr(checks, "TAIL", 8)
    for number in range(20):
        bucket.take(1, request_id=f"open-{number}")
    for number in range(9):
        bucket.grant(1, request_id=f"g-{number}")
    bucket.close()
    return tmp_path / "account.db"


def edit(path, script):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE sums SET entries = entries - 1 WHERE kind = 'take'",
        "UPDATE sums SET balance_uj = balance_uj + 1 WHERE kind = 'grant'",
        "UPDATE sums SET reserved_uj = 0 WHERE kind = 'take'",
        "DELETE FROM sums WHERE kind = 'take'",
    ],
)
def test_sums_that_were_edited_are_found_when_the_account_is_opened(many, script):
    edit(many, script)
    with pytest.raises(StateTamperedError, match="the sums are not those of its entries"):
        Bucket(many, FakeClock())


def test_sums_that_were_moved_from_kind_to_kind_are_found_by_whoever_verifies(many):
    edit(
        many, "UPDATE sums SET entries = entries + iif(kind = 'take', 1, -1) WHERE kind IN ('take', 'grant')"
    )
    Bucket(many, FakeClock()).close()
    with pytest.raises(StateTamperedError, match="the sums"):
        open_audited(many)


def test_of_many_open_reservations_one_that_was_edited_is_not_used_and_is_found_by_whoever_verifies(many):
    with closing(sqlite3.connect(many)) as db:
        (last,) = db.execute("SELECT max(id) FROM reservations WHERE state = 'open'").fetchone()
    edit(many, f"UPDATE reservations SET reserved_uj = 500 WHERE id = '{last}'")
    with closing(Bucket(many, FakeClock())) as bucket:
        before = bucket.standing()
        with pytest.raises(StateTamperedError):
            bucket.release(last)
        assert bucket.standing() == before
    with pytest.raises(StateTamperedError):
        open_audited(many)
