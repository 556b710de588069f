"""Small credits gather in one row, and an account of an older format loses nothing by being upgraded."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.energy.account.audit import fault_of, open_audited
from cryoflux.energy.account.bucket import Bucket, ReservationConflictError
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import Standing, identity, kept_sums, read_entries, read_pending, summed
from cryoflux.energy.account.tables import SCHEMAS, VERSION
from cryoflux.energy.processes import Owner
from cryoflux.errors import BudgetError, StateTamperedError
from cryoflux.quantities import Energy, Tier
from energy_fakes import FakeClock
from running import ended, python

MINUTE = 60
# What older versions wrote: a grant, two credits, one reservation in each state, the open one noted.
CHARGE = (
    '{{"baseline_digest":"00","cpu_us":10,"curve":"concave/v1","energy":{{"flags":["wrap"],"hi_uj":{hi},'
    '"lo_uj":{lo},"tier":"modelled","uj":{uj}}},"machine_net":{{"flags":["wrap"],"hi_uj":{hi},"lo_uj":{lo},'
    '"tier":"modelled","uj":{uj}}},"sources":["cpu-model"]}}'
)
NOTED, PAID = (CHARGE.format(uj=uj, lo=uj - 5, hi=uj + 5) for uj in (40, 70))
AT = "2023-11-14T22:13:20Z"
ENTRIES = [
    ("grant", "grant:g", None, 1000, 0, 1000, 0, None, None, None, AT, "--budget 1mJ"),
    ("credit", None, None, -20, 0, 980, 0, -25, -15, "modelled", AT, "wrap"),
    ("take", "take:paid", "r1", 0, 100, 980, 100, None, None, None, AT, ""),
    ("take", "take:back", "r2", 0, 100, 980, 200, None, None, None, AT, ""),
    ("take", "take:open", "r3", 0, 100, 980, 300, None, None, None, AT, ""),
    ("credit", None, None, 30, 0, 1010, 300, 25, 35, "modelled", AT, "wrap"),
    ("settle", "settle:r1", "r1", -70, -100, 940, 200, 65, 75, "modelled", AT, "wrap"),
    ("release", "release:r2", "r2", 0, -100, 940, 100, None, None, None, AT, ""),
]
RESERVATIONS = [
    ("r1", "paid", 100, "settled", 7, 100, "boot-1", PAID, 1_000_000_000, "boot-1"),
    ("r2", "back", 100, "released", 7, 100, "boot-1", None, 1_000_000_000, "boot-1"),
    ("r3", "open", 100, "open", 7, 100, "boot-1", NOTED, 1_000_000_000, "boot-1"),
]


def energy(uj, tier=Tier.MODELLED, flags=()):
    return Energy(uj, uj - 5, uj + 5, tier, flags)


def charge(uj):
    return Charge(energy(uj), energy(uj), ("cpu-model",), "0" * 64, "concave/v1", 10)


def old_account(path, format_=1):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMAS[format_])
        db.executemany(
            "INSERT INTO entries (kind, request_id, reservation, balance_change_uj, reserved_change_uj,"
            " balance_uj, reserved_uj, lo_uj, hi_uj, tier, at, note) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            ENTRIES,
        )
        db.executemany(
            "INSERT INTO reservations (id, request_id, reserved_uj, state, pid, start_ticks, boot_id, charge,"
            " noted_ns, noted_boot) VALUES (?,?,?,?,?,?,?,?,?,?)",
            RESERVATIONS,
        )
        if format_ > 1:
            db.execute("INSERT INTO sources VALUES ('cpu-model')")
        db.execute(f"PRAGMA user_version={format_}")
        db.execute("PRAGMA journal_mode=WAL")
        db.commit()
    return path


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "account.db"


@pytest.fixture
def bucket(path, clock):
    with closing(Bucket(path, clock)) as opened:
        opened.grant(1_000, request_id="g")
        yield opened


def kinds(bucket):
    return [entry.kind for entry in bucket.entries()]


def outside(path):
    """What somebody else sees of it: entries, what is pending, what does not add up."""
    with closing(sqlite3.connect(path)) as db:
        return [entry.kind for entry in read_entries(db)], read_pending(db), fault_of(db)


def test_two_hours_of_credits_are_few_entries_and_every_microjoule(bucket, clock, path):
    for second in range(2 * 3_600):
        bucket.tick(energy(second % 7 - 2))
        clock.forward(1)
    credited = sum(second % 7 - 2 for second in range(2 * 3_600))
    assert bucket.available_uj() == 1_000 + credited
    assert bucket.identity().holds
    assert kinds(bucket) == ["opening", "grant", *["credit"] * 7]
    bucket.close()
    seen, pending, fault = outside(path)
    assert (pending.readings, fault) == (0, "")
    assert seen == ["opening", "grant", *["credit"] * 8]


def test_pending_credit_can_be_taken_and_becomes_an_entry_before_the_take(bucket):
    bucket.tick(energy(30))
    bucket.tick(energy(40, flags=("wrap",)))
    assert kinds(bucket) == ["opening", "grant"]
    assert (bucket.available_uj(), bucket.identity().pending_uj) == (1_070, 70)
    bucket.take(1_070, request_id="all")
    assert kinds(bucket) == ["opening", "grant", "credit", "take"]
    credit = bucket.entries()[2]
    assert (credit.balance_change_uj, credit.lo_uj, credit.hi_uj) == (70, 60, 80)
    assert credit.note == f"wrap 2 readings since {AT}"
    assert bucket.available_uj() == bucket.identity().pending_uj == 0


def test_a_debt_that_is_pending_cannot_be_taken(bucket):
    bucket.tick(energy(-300))
    with pytest.raises(BudgetError, match="asked for"):
        bucket.take(701, request_id="a")
    assert kinds(bucket) == ["opening", "grant"]
    bucket.take(700, request_id="a")


def test_a_repeated_request_does_not_even_move_what_is_pending(bucket):
    taken = bucket.take(100, request_id="a")
    bucket.settle(taken.id, charge(70))
    opened = bucket.take(100, request_id="b")
    bucket.tick(energy(30))
    before = bucket.entries()
    bucket.grant(1_000, request_id="g")
    bucket.take(100, request_id="b")
    bucket.settle(taken.id, charge(99))
    assert bucket.entries() == before
    bucket.release(opened.id)
    assert kinds(bucket)[-2:] == ["credit", "release"]


def test_what_is_pending_takes_the_worst_tier_and_all_flags(bucket):
    for tier, flags in ((Tier.COUNTER, ()), (Tier.MODELLED, ("wrap",)), (Tier.COUNTER, ("gap",))):
        bucket.tick(energy(10, tier, flags))
    bucket.release(bucket.take(1, request_id="a").id)
    credit = bucket.entries()[2]
    assert (credit.tier, credit.note.split()[:2], credit.balance_change_uj) == (
        "modelled",
        ["gap", "wrap"],
        30,
    )


def test_a_tick_writes_credit_and_notes_or_nothing_at_all(bucket, path):
    taken = bucket.take(100, request_id="a")
    before = path.with_name("account.db-wal").read_bytes()
    bucket.tick()
    bucket.tick(Energy(0, 0, 0, Tier.COUNTER), {})
    assert path.with_name("account.db-wal").read_bytes() == before
    bucket.tick(energy(5), {taken.id: charge(33)})
    assert outside(path)[1].uj == 5
    assert bucket.record(taken.id).charge == charge(33)
    with pytest.raises(StateTamperedError):
        bucket.tick(energy(5), {taken.id: _Unwritable()})
    assert outside(path)[1].uj == 5


class _Unwritable:
    def to_json(self):
        return b"no text"  # refused by the table


def test_what_is_pending_outlives_its_process(path, clock):
    killed = Bucket(path, clock)
    killed.tick(energy(30))
    again = Bucket(path, clock)
    assert again.available_uj() == 30
    again.close()
    assert outside(path)[0] == ["opening", "credit"]
    killed._db.close()


def test_pending_credit_is_an_entry_after_a_quarter_of_an_hour_whatever_the_wall_clock_says(bucket, clock):
    for step in (0, -86_400, 86_400):
        clock.wall += step
        bucket.tick(energy(1))
    clock.forward(15 * MINUTE)
    bucket.tick(energy(1))
    assert kinds(bucket) == ["opening", "grant", "credit"]
    assert bucket.entries()[-1].balance_change_uj == 4


def test_ticks_are_on_the_disk_within_ten_seconds_and_takes_at_once(bucket, clock):
    commits = []
    modes = {1: "soon", 2: "at once"}

    def trace(text):
        if text == "COMMIT":
            commits.append(modes[bucket._db.execute("PRAGMA synchronous").fetchone()[0]])

    bucket._db.set_trace_callback(trace)
    bucket.take(1, request_id="a")
    for _ in range(25):
        bucket.tick(energy(1))
        clock.forward(1)
    bucket.take(1, request_id="b")
    assert commits == [
        "at once",
        *["soon"] * 10,
        "at once",
        *["soon"] * 9,
        "at once",
        *["soon"] * 4,
        "at once",
    ]


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.sampled_from(Tier), st.booleans()), max_size=20))
def test_any_credits_add_up_to_what_they_are(tmp_path_factory, credits_given):
    path = tmp_path_factory.mktemp("account") / "account.db"
    with closing(Bucket(path, FakeClock())) as bucket:
        for uj, tier, fold in credits_given:
            bucket.tick(energy(uj, tier))
            if fold:
                bucket._postings.fold()
        total = sum(uj for uj, _, _ in credits_given)
        assert bucket.available_uj() == bucket.identity().credited_uj == total
        assert bucket.identity().holds
    assert outside(path)[2] == ""


# Older formats

older = pytest.mark.parametrize("format_", [1, 2, 3, 4])


@older
def test_an_account_of_an_older_format_keeps_everything(tmp_path, clock, format_):
    path = old_account(tmp_path / "account.db", format_)
    with closing(Bucket(path, clock)) as bucket:
        assert bucket.identity().holds
        assert bucket.available_uj() == 840
        assert bucket.standing() == Standing(840, 100, 1)
        (record,) = bucket.open_records()
        assert bucket.open_of_processes("boot-1") == (record,)
        assert (record.reservation.request_id, record.owner) == ("open", Owner(7, 100, "boot-1"))
        assert record.charge.energy.uj == 40
        assert bucket.settled_sources() == {"cpu-model"}
        assert [(e.kind, e.balance_uj) for e in bucket.entries()[1:]] == [(e[0], e[5]) for e in ENTRIES]
        bucket.tick(energy(60))
        bucket.settle("r3", charge(40))
        assert bucket.available_uj() == 960
    with open_audited(path) as account:
        assert list(account.unexplained()) == [("paid", 70, ""), ("open", 40, "")]


@older
def test_what_was_taken_before_is_an_attempt_of_no_log_and_what_is_taken_then_may_be(
    tmp_path, clock, format_
):
    path = old_account(tmp_path / "account.db", format_)
    with closing(Bucket(path, clock)) as bucket:
        assert {bucket.find(name).reservation.log for name in ("paid", "back", "open")} == {""}
        with pytest.raises(ReservationConflictError, match="another log"):
            bucket.take(100, request_id="open", log="ours")
        bucket.settle(bucket.take(200, request_id="new", log="ours").id, charge(90))
        bucket.release("r3")
        assert bucket.identity().holds
        assert bucket.available_uj() == 850
    with open_audited(path) as account:
        assert list(account.unexplained()) == [("paid", 70, ""), ("new", 90, "ours")]


def schema(path):
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql NOTNULL")
        return {(kind, name, " ".join(sql.split())) for kind, name, sql in rows}


@older
def test_an_upgraded_account_is_made_as_a_new_one_is(tmp_path, clock, format_):
    old, new = old_account(tmp_path / "old.db", format_), tmp_path / "new.db"
    for path in (old, new, old):
        Bucket(path, clock).close()
    assert schema(old) == schema(new)
    assert version(old) == version(new) == VERSION


@older
def test_an_account_of_an_older_format_can_be_verified_without_being_changed(tmp_path, format_):
    path = old_account(tmp_path / "account.db", format_)
    before = path.read_bytes()
    with open_audited(path) as account:
        assert list(account.unexplained()) == [("paid", 70, ""), ("open", None, "")]
        assert account.charged("back") is None
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["account.db"]  # noqa: PTH208 - bare names


@older
@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ("balance_change_uj = 9000 WHERE kind = 'grant'", "does not follow"),
        ("note = 'ours' WHERE kind = 'take'", "what a take looks like"),
    ],
)
def test_an_edited_account_of_an_older_format_is_refused_as_it_is(tmp_path, clock, format_, edit, says):
    path = old_account(tmp_path / "account.db", format_)
    with closing(sqlite3.connect(path)) as db:
        (trigger,) = db.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'entries_are_final_update'"
        ).fetchone()
        db.execute("DROP TRIGGER entries_are_final_update")
        db.execute(f"UPDATE entries SET {edit}")
        db.execute(trigger)
        db.commit()
    before = path.read_bytes()
    with pytest.raises(StateTamperedError, match=says):
        Bucket(path, clock)
    assert path.read_bytes() == before


def version(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


# For every statement of the upgrade, a process that opens a copy of an account and dies when that statement
# begins; at last one that comes to the end.
DIES = """
import itertools, os, shutil, signal, sqlite3, sys
from pathlib import Path
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.clock import SystemClock

def upgrade_and_die(path, last):
    opened, seen = sqlite3.connect, itertools.count(1)
    def connect(*args, **options):
        connection = opened(*args, **options)
        if args[0] != ":memory:":
            die = lambda _: next(seen) == last and os.kill(os.getpid(), signal.SIGKILL)
            connection.set_trace_callback(die)
        return connection
    child = os.fork()
    if not child:
        sqlite3.connect = connect
        try:
            Bucket(path, SystemClock())
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for last in itertools.count(1):
    path = Path(shutil.copy(sys.argv[1], Path(sys.argv[2]) / f"{last}.db"))
    ended = upgrade_and_die(path, last)
    print(ended)
    if ended != -signal.SIGKILL:
        break
"""


@older
def test_a_kill_at_any_statement_of_the_upgrade_leaves_the_old_account_or_the_new(tmp_path, clock, format_):
    old, outcomes = old_account(tmp_path / "old.db", format_), []
    died = ended(python("-c", DIES, old, tmp_path, light=True))
    *killed, last = map(int, died.stdout.split())
    assert (set(killed), last, died.stderr) == ({-signal.SIGKILL}, 0, "")
    for number in range(1, len(killed) + 2):
        path = tmp_path / f"{number}.db"
        outcomes.append(version(path))
        with closing(sqlite3.connect(path)) as db:
            assert fault_of(db) == ""
            assert identity(db).available_uj == 840
        with closing(Bucket(path, clock)) as bucket:
            assert bucket.available_uj() == 840
            assert kept_sums(bucket._db) == summed(bucket._db)
            assert [record.reservation.id for record in bucket.open_records()] == ["r3"]
    assert outcomes == sorted(outcomes)
    assert (outcomes[0], outcomes[-1]) == (format_, VERSION)
    assert len(outcomes) > 15
