"""An account that was edited by hand is found out before a joule is spent from it."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from cryoflux.energy.account import checks
from cryoflux.energy.account.audit import open_audited
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.tables import VERSION
from cryoflux.errors import StateError, StateTamperedError, StorageError
from cryoflux.quantities import Energy, Tier
from energy_fakes import FakeClock

ENTRY = (
    "INSERT INTO entries (kind, request_id, reservation, balance_change_uj, reserved_change_uj,"
    " balance_uj, reserved_uj, lo_uj, hi_uj, tier, at, note) SELECT {kind!r}, {key}, {reservation},"
    " {change}, {held}, balance_uj + {change}, reserved_uj + {held}, {lo}, {hi}, {tier}, at, ''"
    " FROM entries ORDER BY seq DESC LIMIT 1"
)
UNGUARDED = """DROP TRIGGER entries_are_final_update; DROP TRIGGER entries_are_final_delete;
DROP TRIGGER pending_stays; DROP TRIGGER log_is_final; DROP TRIGGER intent_is_final;"""


def charge(uj):
    energy = Energy(uj, uj - 5, uj + 5, Tier.MODELLED)
    return Charge(energy, energy, ("cpu-model",), "0" * 64, "concave/v1", 10)


def entry(kind, change, held=0, *, key="NULL", reservation="NULL", lo="NULL", hi="NULL", tier="NULL"):
    return ENTRY.format(**locals())


@pytest.fixture
def path(tmp_path):
    """An account with a settled, a released and an open reservation, and a credit."""
    with closing(Bucket(tmp_path / "account.db", FakeClock())) as bucket:
        bucket.grant(1_000, request_id="g")
        bucket.credit(Energy(-20, -30, 30, Tier.MODELLED))
        first, second, _ = (bucket.take(100, request_id=name) for name in ("paid", "back", "open"))
        bucket.settle(first.id, charge(70))
        bucket.release(second.id)
    return tmp_path / "account.db"


def change(path, script):
    """Edit the file behind the account's back, with its triggers put back in place afterwards.

    The one that keeps the sums stays: whoever adds an entry has the sums go with it.
    """
    with closing(sqlite3.connect(path)) as db:
        guards = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name <> 'entries_are_summed'"
        kept = db.execute(guards).fetchall()
        db.executescript(UNGUARDED)
        db.executescript(script)
        for (sql,) in kept:
            db.execute(sql)
        db.commit()


def settled(path):
    with open_audited(path) as account:
        return {held.request_id: held.uj for held in account.unexplained()}


def refused(path, says):
    before = path.read_bytes()
    for look in (lambda: Bucket(path, FakeClock()), lambda: settled(path)):
        with pytest.raises(StateTamperedError, match=says) as caught:
            look()
        assert len(caught.value.lines()) == 3
        assert caught.value.exit_code == 1
    assert path.read_bytes() == before


def test_what_was_settled_is_read_by_request_id_and_the_file_stays_as_it_is(path):
    before = path.read_bytes()
    assert settled(path) == {"paid": 70, "open": None}
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["account.db"]


def test_it_can_be_read_while_a_meter_has_it_open(path):
    with closing(Bucket(path, FakeClock())) as bucket:
        bucket.settle(bucket.find("open").reservation.id, charge(30))
        assert settled(path) == {"paid": 70, "open": 30}


FORGERIES = {
    "balance-from-nowhere": (
        """INSERT INTO entries (kind, request_id, balance_change_uj, reserved_change_uj, balance_uj,
        reserved_uj, at, note) SELECT 'credit', 'c1', 0, 0, 500000000, 0, at, '' FROM entries
        ORDER BY seq DESC LIMIT 1""",
        "does not follow",
    ),
    "settlement-that-pays": (entry("settle", 50, key="'x'"), "what a settle looks like"),
    "settled-twice": (
        entry("settle", -1, reservation="(SELECT id FROM reservations WHERE request_id = 'paid')"),
        "what a settle looks like",
    ),
    "grant-of-nothing": (entry("grant", 0, key="'grant:x'"), "what a grant looks like"),
    "second-opening": (entry("opening", 500), "what a opening looks like"),
    "credit-without-figure": (entry("credit", 500), "what a credit looks like"),
    "credit-outside-interval": (entry("credit", 500, lo=0, hi=9, tier="'counter'"), "what a credit looks"),
    "take-of-nobody": (entry("take", 0, 100, key="'take:x'", reservation="'x'"), "what a take looks like"),
    "release-of-nobody": (entry("release", 0, -100, key="'release:x'"), "what a release looks like"),
    "dearer-grant": ("UPDATE entries SET balance_change_uj = 5000 WHERE kind = 'grant'", "does not follow"),
    "entry-removed": ("DELETE FROM entries WHERE seq = 3", "entry 3 is missing"),
    "end-removed": ("DELETE FROM entries WHERE seq = 8", "missing at its end"),
    "end-removed-and-hidden": (
        "DELETE FROM entries WHERE seq = 8; UPDATE sqlite_sequence SET seq = 7",
        "released without an entry",
    ),
    "all-removed": ("DELETE FROM entries; DELETE FROM sqlite_sequence", "missing at its end"),
    "charge-changed": (
        """UPDATE reservations SET charge = replace(charge, '"uj":70', '"uj":69') WHERE charge NOTNULL""",
        "what a settle looks like",
    ),
    "charge-garbled": ("UPDATE reservations SET charge = '[]' WHERE charge NOTNULL", "cannot be read"),
    "charge-gone": ("UPDATE reservations SET charge = NULL", "settled without a charge"),
    "reopened": ("UPDATE reservations SET state = 'open'", "what a settle looks like"),
    "reservation-invented": (
        "INSERT INTO reservations SELECT 'x', 'x', 5, 'open', NULL, NULL, NULL, NULL, 0, '', '', ''",
        "not those that its entries took",
    ),
    "reservation-removed": ("DELETE FROM reservations", "what a take looks like"),
    "reservation-dearer": (
        "UPDATE reservations SET reserved_uj = 5 WHERE state = 'open'",
        "what a take looks like",
    ),
    "pending-from-nowhere": ("UPDATE pending SET uj = 500, hi_uj = 500", "comes from no reading"),
    "pending-of-no-tier": ("UPDATE pending SET readings = 1, since = 'x'", "cannot be read"),
    "pending-without-time": ("UPDATE pending SET readings = 1, tier = 'counter'", "not as it was made"),
    "pending-removed": ("DELETE FROM pending", "pending credit is not as it was made"),
    "source-forgotten": ("DELETE FROM sources", "sources are not those"),
    "source-invented": ("INSERT INTO sources VALUES ('wind')", "sources are not those"),
    "sums-edited": ("UPDATE sums SET entries = 9 WHERE kind = 'take'", "the sums are not those"),
    "sums-removed": ("DELETE FROM sums", "the sums are not those"),
    "sums-not-kept": ("DROP TRIGGER entries_are_summed", "trigger entries_are_summed is missing"),
    "further-trigger": (
        "CREATE TRIGGER odd AFTER INSERT ON entries BEGIN DELETE FROM reservations; END",
        "trigger odd is not as it was made",
    ),
}


@pytest.mark.parametrize(("script", "says"), FORGERIES.values(), ids=FORGERIES)
def test_every_forgery_is_refused_before_anything_is_spent(path, script, says):
    change(path, script)
    refused(path, says)


def test_a_trigger_that_was_dropped_or_replaced_is_missed(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER entries_are_final_delete")
    refused(path, "trigger entries_are_final_delete is missing")
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TRIGGER entries_are_final_delete BEFORE DELETE ON entries BEGIN SELECT 1; END")
    refused(path, "trigger entries_are_final_delete is not as it was made")


@pytest.mark.parametrize("version", [0, 1, 7])
def test_another_database_is_refused_and_stays_as_it_is(tmp_path, version):
    path = tmp_path / "account.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    refused(path, "is not a joule account")
    assert [found.name for found in tmp_path.iterdir()] == ["account.db"]


@pytest.mark.parametrize("version", [VERSION + 1, VERSION + 7])
def test_a_newer_format_is_no_tampering_and_stays_as_it_is(path, version):
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    for look in (lambda: Bucket(path, FakeClock()), lambda: settled(path)):
        says = f"account.db has format {version}; this CryoFlux reads formats 1 to {VERSION}."
        with pytest.raises(StateError, match=re.escape(says)) as caught:
            look()
        assert not isinstance(caught.value, StateTamperedError)
        assert len(caught.value.lines()) == 3
    assert path.read_bytes() == before


def test_an_empty_file_is_a_new_account_to_a_meter_and_none_to_a_reader(tmp_path):
    path = tmp_path / "account.db"
    with pytest.raises(StorageError):
        settled(path)
    path.write_bytes(b"")
    with pytest.raises(StateTamperedError, match="is not a joule account"):
        settled(path)
    Bucket(path, FakeClock()).close()
    assert settled(path) == {}


def test_a_torn_file_is_refused(path):
    content = bytearray(path.read_bytes())
    for offset in range(4096, len(content), 4096):
        content[offset : offset + 8] = b"\xff" * 8
    path.write_bytes(content)
    for look in (lambda: Bucket(path, FakeClock()), lambda: settled(path)):
        with pytest.raises(StateTamperedError, match=re.escape(str(path))):
            look()


def test_two_that_open_a_new_account_leave_no_gap(path):
    from cryoflux.energy.account.tables import SCHEMAS, VERSION

    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMAS[VERSION])
    with closing(Bucket(path, FakeClock())) as bucket:
        bucket.grant(5, request_id="h")
    Bucket(path, FakeClock()).close()


def test_reading_needs_nothing_but_the_standard_library():
    program = (
        "import sys, cryoflux.energy.account.audit; print(*(n for n in sys.argv[1:] if n in sys.modules))"
    )
    command = [sys.executable, "-c", program, "pydantic", "fastapi", "numpy", "httpx2", "rich"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


# An account that is longer than what is read when it is opened


OLD_FORGERIES = {
    "old-grant": "UPDATE entries SET balance_change_uj = 5000 WHERE kind = 'grant'",
    "old-entry-removed": "DELETE FROM entries WHERE seq = 3",
    "old-charge": FORGERIES["charge-changed"][0],
    "old-reservation-dearer": "UPDATE reservations SET reserved_uj = 101 WHERE request_id = 'paid'",
}


@pytest.fixture
def longer(path, monkeypatch):
    """The same with more entries behind than are read when it is opened."""
    monkeypatch.setattr(checks, "TAIL", 8)
    with closing(Bucket(path, FakeClock())) as bucket:
        for number in range(6):
            bucket.release(bucket.take(10, request_id=str(number)).id)
    return path


@pytest.mark.parametrize("script", OLD_FORGERIES.values(), ids=OLD_FORGERIES)
def test_what_was_edited_long_ago_is_found_by_whoever_verifies(longer, script):
    change(longer, script)
    Bucket(longer, FakeClock()).close()
    with pytest.raises(StateTamperedError):
        settled(longer)


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE entries SET balance_uj = 99999 WHERE seq = (SELECT max(seq) FROM entries)",
        "UPDATE entries SET balance_change_uj = 5 WHERE seq = 15",
        "DELETE FROM entries WHERE seq = 17",
        "UPDATE reservations SET state = 'settled' WHERE request_id = 'open'",
        "UPDATE reservations SET reserved_uj = 5 WHERE request_id = 'open'",
        "UPDATE reservations SET state = 'open' WHERE request_id = 'back'",
        "UPDATE reservations SET request_id = 'other' WHERE request_id = 'open'",
        "UPDATE pending SET uj = 500, hi_uj = 500",
    ],
)
def test_what_is_open_and_the_end_of_a_long_account_are_checked_at_once(longer, script):
    change(longer, script)
    refused(longer, "does not add up")


@pytest.mark.parametrize("use", ["settle", "release", "take"])
def test_a_reservation_that_was_edited_while_the_account_was_open_is_not_used(path, use):
    with closing(Bucket(path, FakeClock())) as bucket:
        held = bucket.find("open").reservation
        change(path, "UPDATE reservations SET reserved_uj = 99 WHERE state = 'open'")
        do = {
            "settle": lambda: bucket.settle(held.id, charge(5)),
            "release": lambda: bucket.release(held.id),
            "take": lambda: bucket.take(99, request_id="open"),
        }
        before = bucket.entries()
        with pytest.raises(StateTamperedError, match="what a take looks like"):
            do[use]()
        assert bucket.entries() == before


def test_a_settlement_that_was_edited_is_not_told_again(path):
    with closing(Bucket(path, FakeClock())) as bucket:
        paid = bucket.find("paid").reservation
        change(path, OLD_FORGERIES["old-charge"])
        with pytest.raises(StateTamperedError, match="what a settle looks like"):
            bucket.settle(paid.id, charge(70))


def test_pending_credit_that_was_edited_while_the_account_was_open_is_no_credit(path):
    with closing(Bucket(path, FakeClock())) as bucket:
        change(path, "UPDATE pending SET readings = 1, since = 'x', tier = 'wind'")
        before = bucket.entries()
        for use in (lambda: bucket.take(1, request_id="x"), lambda: bucket.credit(charge(1).energy)):
            with pytest.raises(StateTamperedError, match="pending credit cannot be read"):
                use()
        assert bucket.entries() == before
