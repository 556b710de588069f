"""A reservation says which receipt log it is an attempt of, and goes on saying it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.energy.account.audit import Held, fault_of, open_audited
from cryoflux.energy.account.bucket import Bucket, ReservationConflictError
from cryoflux.energy.account.charge import Charge
from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.quantities import Energy, Tier
from energy_fakes import FakeClock

OURS, THEIRS = (f"cryoflux.dev/log/{letter * 64}" for letter in "ab")
INTENT = "0123456789abcdef" * 4


def charge(uj):
    energy = Energy(uj, uj, uj, Tier.MODELLED)
    return Charge(energy, energy, ("cpu-model",), "0" * 64, "concave/v1", 10)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "account.db"


@pytest.fixture
def bucket(path):
    with closing(Bucket(path, FakeClock())) as opened:
        opened.grant(10_000, request_id="g")
        yield opened


def marked(path):
    with open_audited(path) as account:
        return list(account.unexplained())


def edit(path, script):
    """Change the file behind the account's back, with its triggers put back in place afterwards."""
    with closing(sqlite3.connect(path)) as db:
        kept = db.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        db.executescript("".join(f"DROP TRIGGER {sql.split()[2]};" for (sql,) in kept))
        db.executescript(script)
        for (sql,) in kept:
            db.execute(sql)
        db.commit()


def test_the_log_of_a_reservation_is_kept_through_its_whole_life(bucket, path):
    taken = bucket.take(100, request_id="a", log=OURS)
    assert taken.log == OURS
    assert bucket.take(100, request_id="a", log=OURS) == taken
    assert bucket.record(taken.id).reservation == bucket.find("a").reservation == taken
    assert [record.reservation for record in bucket.open_records()] == [taken]
    assert marked(path) == [Held("a", None, OURS)]
    assert bucket.settle(taken.id, charge(70))[0] == taken
    bucket.close()
    again = Bucket(path, FakeClock())
    assert again.find("a").reservation == taken
    again.close()
    assert marked(path) == [Held("a", 70, OURS)]


def test_a_reservation_is_an_attempt_of_no_log_unless_it_is_said(bucket):
    assert bucket.take(100, request_id="a").log == ""
    assert bucket.find("a").reservation.log == ""
    assert bucket.entries()[-1].note == ""


@pytest.mark.parametrize(("first", "then"), [(OURS, THEIRS), (OURS, ""), ("", OURS)])
@pytest.mark.parametrize("ending", ["open", "settled", "released"])
def test_a_request_that_comes_again_for_another_log_is_refused(bucket, first, then, ending):
    taken = bucket.take(100, request_id="a", log=first)
    if ending == "settled":
        bucket.settle(taken.id, charge(70))
    elif ending == "released":
        bucket.release(taken.id)
    before = bucket.entries()
    with pytest.raises(ReservationConflictError, match="'a' was used before, for an attempt of another log"):
        bucket.take(100, request_id="a", log=then)
    assert bucket.entries() == before
    assert bucket.find("a").reservation == taken


@pytest.mark.parametrize("log", ["x" * 201, "zeile\n", "a\tb", "µ", "\0", "\x7f", "\ud800"])
def test_what_cannot_be_the_origin_of_a_log_is_refused_and_changes_nothing(bucket, log):
    with pytest.raises(UsageError) as caught:
        bucket.take(100, request_id="a", log=log)
    assert len(caught.value.lines()) == 3
    assert bucket.find("a") is None
    assert bucket.available_uj() == 10_000


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_any_printable_origin_comes_back_as_it_went_in(tmp_path_factory, log):
    path = tmp_path_factory.mktemp("account") / "account.db"
    with closing(Bucket(path, FakeClock())) as bucket:
        bucket.grant(1, request_id="g")
        bucket.take(1, request_id="a", log=log)
    with open_audited(path) as account:
        assert account.charged("a") == ("a", None, log)
        assert (account.count(log), account.count(f"{log}x")) == (1, 0)


def test_the_log_of_a_reservation_cannot_be_changed(bucket, path):
    bucket.take(100, request_id="a", log=OURS)
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="is final"):
        db.execute("UPDATE reservations SET log = ''")


def test_the_announcement_of_an_attempt_is_kept_with_its_log(bucket, path):
    taken = bucket.take(100, request_id="a", log=OURS, intent=INTENT)
    assert (taken.log, taken.intent) == (OURS, INTENT)
    assert bucket.take(100, request_id="a", log=OURS, intent=INTENT) == taken
    assert bucket.entries()[-1].note == f"{OURS} {INTENT}"
    for other in ("", "f" * 64):
        with pytest.raises(ReservationConflictError, match="for an attempt that was announced elsewhere"):
            bucket.take(100, request_id="a", log=OURS, intent=other)
    bucket.close()
    again = Bucket(path, FakeClock())
    assert again.settle(taken.id, charge(70))[0] == again.find("a").reservation == taken
    again.close()
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="is final"):
        db.execute("UPDATE reservations SET intent = ''")
    assert marked(path) == [Held("a", 70, OURS)]


@pytest.mark.parametrize("intent", ["0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", "announced"])
def test_what_is_no_leaf_hash_announces_nothing(bucket, intent):
    with pytest.raises(UsageError) as caught:
        bucket.take(100, request_id="a", log=OURS, intent=intent)
    assert len(caught.value.lines()) == 3
    assert bucket.find("a") is None


@pytest.mark.parametrize("to", ["''", "'" + "f" * 64 + "'"])
def test_an_announcement_that_was_edited_is_found(bucket, path, to):
    bucket.take(100, request_id="a", log=OURS, intent=INTENT)
    bucket.close()
    edit(path, f"UPDATE reservations SET intent = {to}")
    for look in (lambda: Bucket(path, FakeClock()), lambda: open_audited(path)):
        with pytest.raises(StateTamperedError, match="not what a take looks like"):
            look()


# What somebody does who has been charged for an attempt that no receipt is to tell of

EDITS = {
    "mark-removed": "UPDATE reservations SET log = '' WHERE request_id = '{name}'",
    "mark-of-another-log": f"UPDATE reservations SET log = '{THEIRS}' WHERE request_id = '{{name}}'",
    "mark-invented": f"UPDATE reservations SET log = '{OURS}' WHERE request_id = 'none'",
    "note-removed": "UPDATE entries SET note = '' WHERE request_id = 'take:{name}'",
}


@pytest.mark.parametrize("name", ["open", "paid"])
@pytest.mark.parametrize("script", EDITS.values(), ids=EDITS)
def test_a_mark_that_was_edited_is_found_by_who_opens_and_by_who_verifies(bucket, path, script, name):
    bucket.take(100, request_id="none")
    bucket.take(100, request_id="open", log=OURS)
    bucket.settle(bucket.take(100, request_id="paid", log=OURS).id, charge(70))
    bucket.close()
    edit(path, script.format(name=name))
    for look in (lambda: Bucket(path, FakeClock()), lambda: open_audited(path)):
        with pytest.raises(StateTamperedError, match="not what a take looks like"):
            look()


@pytest.mark.parametrize("use", ["settle", "release", "take"])
def test_a_mark_that_was_edited_meanwhile_stops_whoever_uses_the_reservation(bucket, path, use):
    taken = bucket.take(100, request_id="a", log=OURS)
    edit(path, "UPDATE reservations SET log = ''")
    do = {
        "settle": lambda: bucket.settle(taken.id, charge(5)),
        "release": lambda: bucket.release(taken.id),
        "take": lambda: bucket.take(100, request_id="a"),
    }
    before = bucket.entries()
    with pytest.raises(StateTamperedError, match="not what a take looks like"):
        do[use]()
    assert bucket.entries() == before


def test_an_account_without_the_column_is_none_whatever_format_it_says_to_have(bucket, path):
    bucket.take(100, request_id="a", log=OURS)
    bucket.close()
    for version in (1, 2):
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {version}")
        for look in (lambda: Bucket(path, FakeClock()), lambda: open_audited(path)):
            with pytest.raises(StateTamperedError, match="is not a joule account"):
                look()


def test_a_mark_in_the_ledger_is_shown_with_the_take(bucket, path):
    bucket.take(100, request_id="a", log=OURS)
    assert [(entry.kind, entry.note) for entry in bucket.entries()[-1:]] == [("take", OURS)]
    with closing(sqlite3.connect(path)) as db:
        assert fault_of(db) == ""
