"""What an account was charged, told one reservation at a time, from memory that does not grow with it."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from account_lookups import LOG, task_of, write_account
from cryoflux.energy.account import audit
from cryoflux.energy.account.audit import Held, fault_of, open_audited
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.account.charge import Charge
from cryoflux.errors import StateTamperedError, StorageError
from cryoflux.quantities import Energy, Tier
from energy_fakes import FakeClock

OURS, THEIRS = "cryoflux.dev/log/ours", "cryoflux.dev/log/theirs"


def charge(uj):
    energy = Energy(uj, uj, uj, Tier.MODELLED)
    return Charge(energy, energy, ("cpu-model",), "0" * 64, "concave/v1", 10)


def spend(bucket, name, log, ending):
    taken = bucket.take(100, request_id=name, log=log)
    if ending is None:
        bucket.release(taken.id)
    elif ending >= 0:
        bucket.settle(taken.id, charge(ending))


@pytest.fixture
def path(tmp_path):
    with closing(Bucket(tmp_path / "account.db", FakeClock())) as bucket:
        bucket.grant(10_000, request_id="g")
        for name, log, ending in [
            ("z", OURS, 70),
            ("index_9_9", "", 50),
            ("back", OURS, None),
            ("b", THEIRS, 0),
            ("a", OURS, -1),
        ]:
            spend(bucket, name, log, ending)
    return tmp_path / "account.db"


def test_each_reservation_is_told_with_its_log_and_those_given_back_are_not_there(path):
    with open_audited(path) as account:
        assert account.charged("z") == Held("z", 70, OURS)
        assert account.charged("a") == Held("a", None, OURS)
        assert account.charged("b").uj == 0
        assert account.charged("back") is account.charged("no such") is account.charged("") is None
        assert [account.count(log) for log in (OURS, THEIRS, "", "other")] == [2, 1, 1, 0]


def test_they_are_gone_through_in_the_order_in_which_they_were_taken(path):
    with open_audited(path) as account:
        assert [held.request_id for held in account.unexplained()] == ["z", "index_9_9", "b", "a"]
        assert list(account.unexplained(OURS)) == [("z", 70, OURS), ("a", None, OURS)]
        assert list(account.unexplained("")) == [("index_9_9", 50, "")]
        assert [account.charged(held.request_id) == held for held in account.unexplained()] == [True] * 4


def test_the_file_stays_as_it_is_and_nothing_lies_beside_it(path):
    before = path.read_bytes()
    with open_audited(path):
        assert [found.name for found in path.parent.iterdir()] == ["account.db"]
    assert path.read_bytes() == before


def test_what_is_told_is_what_was_checked_whatever_a_meter_writes_meanwhile(path):
    with open_audited(path) as account, closing(Bucket(path, FakeClock())) as bucket:
        bucket.settle(bucket.find("a").reservation.id, charge(30))
        bucket.take(100, request_id="new", log=OURS)
        bucket._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert (account.charged("a").uj, account.charged("new"), account.count(OURS)) == (None, None, 2)
        path.write_bytes(b"")
        assert account.charged("z").uj == 70


def test_it_can_be_closed_twice_and_says_nothing_then(path):
    account = open_audited(path)
    account.close()
    account.close()
    with pytest.raises(sqlite3.ProgrammingError):
        account.charged("z")


def test_a_disk_that_is_full_is_no_tampering(path, monkeypatch):
    monkeypatch.setattr(audit, "_SCRATCH", f"{audit._SCRATCH} PRAGMA max_page_count = 3;")
    with closing(Bucket(path, FakeClock())) as bucket:
        for number in range(40):
            bucket.take(1, request_id=f"{number}", log="x" * 200)
    with pytest.raises(StorageError, match=r"temporary file: .*full") as caught:
        open_audited(path)
    assert len(caught.value.lines()) == 3


ENDINGS = st.one_of(st.none(), st.integers(-1, 200))


@given(
    st.dictionaries(st.text(max_size=8), st.tuples(st.sampled_from(["", OURS, THEIRS]), ENDINGS), max_size=12)
)
def test_any_account_is_told_as_it_was_spent(tmp_path_factory, spendings):
    path = tmp_path_factory.mktemp("account") / "account.db"
    with closing(Bucket(path, FakeClock())) as bucket:
        bucket.grant(10_000, request_id="g")
        for name, (log, ending) in spendings.items():
            spend(bucket, name, log, ending)
    due = [
        (name, None if ending < 0 else ending, log)
        for name, (log, ending) in spendings.items()
        if ending is not None
    ]
    with open_audited(path) as account:
        assert list(account.unexplained()) == due
        assert {name: account.charged(name) for name in spendings} == {
            **dict.fromkeys(spendings),
            **{held[0]: held for held in due},
        }
        for log in ("", OURS, THEIRS):
            assert account.count(log) == sum(held[2] == log for held in due)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_are_found_or_change_nothing_that_is_told(path, seed):
    with open_audited(path) as account:
        due = list(account.unexplained())
    content, drawn = path.read_bytes(), random.Random(seed)
    refused = 0
    for _ in range(100):
        flipped = bytearray(content)
        for _ in range(drawn.randint(1, 4)):
            flipped[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
        path.write_bytes(flipped)
        try:
            with open_audited(path) as account:
                assert list(account.unexplained()) == due
                assert [account.charged(held.request_id) for held in due] == due
        except StateTamperedError:
            refused += 1
    assert refused > 10


# An index is how a reservation is found, and it can be edited too


def without_index(path, table, change):
    """Change a table, and not the index that SQLite made for its request ids."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        triggers = db.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for (sql,) in triggers:
            db.execute(f"DROP TRIGGER {sql.split()[2]}")
        db.execute("PRAGMA writable_schema = ON")
        indexes = db.execute(
            "SELECT * FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NULL"
            " AND NOT (name LIKE '%_1' AND tbl_name = 'reservations')",
            (table,),
        ).fetchall()
        (made,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        bare = made.replace("request_id TEXT NOT NULL UNIQUE", "request_id TEXT NOT NULL").replace(
            "request_id TEXT UNIQUE", "request_id TEXT"
        )
        db.executemany("DELETE FROM sqlite_schema WHERE name = ?", [(index[1],) for index in indexes])
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (bare, table))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(change)
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (made, table))
        db.executemany("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", indexes)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for (sql,) in triggers:
            db.execute(sql)


@pytest.mark.parametrize("table", ["reservations", "entries"])
def test_an_index_that_does_not_agree_with_its_table_is_found(path, table):
    names = {"reservations": ("index_9_9", "index_9_8"), "entries": ("take:index_9_9", "take:index_9_8")}
    with closing(sqlite3.connect(path)) as db:  # the table and its index
        db.execute("DROP TRIGGER entries_are_final_update")
        was, other = names[table]
        db.execute(f"UPDATE {table} SET request_id = ? WHERE request_id = ?", (other, was))
        db.execute(
            "CREATE TRIGGER entries_are_final_update BEFORE UPDATE ON entries\n"
            "  BEGIN SELECT RAISE(ABORT, 'entries are final'); END"
        )
        db.commit()
    # and then the table alone, back to what it was
    without_index(path, table, f"UPDATE {table} SET request_id = '{was}' WHERE request_id = '{other}'")
    with pytest.raises(StateTamperedError, match=f"table {table} and its indexes do not agree"):
        open_audited(path)


def test_a_charge_that_hides_behind_the_request_id_of_another_is_found(path):
    without_index(path, "reservations", "UPDATE reservations SET request_id = 'z' WHERE request_id = 'b'")
    without_index(path, "entries", "UPDATE entries SET request_id = 'take:z' WHERE request_id = 'take:b'")
    with pytest.raises(StateTamperedError, match="the request id 'z' was given two reservations"):
        open_audited(path)
    with closing(sqlite3.connect(path)) as db:
        assert "do not agree" in fault_of(db)


GROWING = """
import resource, sys
from pathlib import Path
from cryoflux.energy.account.audit import open_audited
log, tasks = sys.argv[2], sys.argv[3:]
with open_audited(Path(sys.argv[1])) as account:
    assert all(account.charged(task).log == log for task in tasks)
    assert account.count(log) == sum(1 for _ in account.unexplained(log))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_account(tmp_path):
    peaks = []
    for attempts in (3_000, 30_000):
        path = tmp_path / f"{attempts}.db"
        write_account(path, attempts)
        tasks = [task_of(number) for number in range(0, attempts, attempts // 1_000)]
        command = [sys.executable, "-c", GROWING, str(path), LOG, *tasks]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] - peaks[0] < 8 * 1024, peaks  # KiB
