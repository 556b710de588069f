"""Many clients, kills, full disks, foreign locks and wrong clocks: not a microjoule is minted."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

import account_kills
import account_storm
from cryoflux.database import SharedTransactions
from cryoflux.energy.account.bucket import Bucket, ReservationConflictError
from cryoflux.energy.account.charge import Charge
from cryoflux.errors import BudgetError, StorageError
from cryoflux.quantities import Energy, Tier
from waiting import until

# What is forked here is a process that will be killed; later Pythons warn of its parent's threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
J = 1_000_000


def energy(uj):
    return Energy(uj, uj, uj, Tier.COUNTER)


def charge(uj):
    return Charge(energy(uj), energy(uj), ("rapl:package-0",), "0" * 64, "", 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "account.db"


@pytest.fixture
def clock():
    return account_kills.SteppedClock()


@pytest.fixture
def bucket(path, clock):
    with closing(Bucket(path, clock)) as opened:
        opened.grant(100 * J, request_id="g")
        yield opened


# Many at once


def test_many_clients_of_one_daemon_get_what_there_is_and_no_more(tmp_path):
    told = account_storm.storm(tmp_path, 8, 25, 2, budget_uj=60 * J)
    assert account_storm.differences(tmp_path / "account.db", told) == []
    assert sum(len(one.takes) for one in told) > 100


def test_many_threads_of_one_process_share_their_commits_and_nothing_else(tmp_path):
    told = account_storm.direct(tmp_path, 16, 60, budget_uj=10 * J)
    assert account_storm.differences(tmp_path / "account.db", told) == []
    assert {bool(said[2]) for one in told for said in one.takes} == {True, False}


def test_the_comparison_finds_what_was_told_otherwise(tmp_path):
    told = account_storm.direct(tmp_path, 2, 20, budget_uj=1000 * J)
    request, uj, _ = told[0].takes[3]
    told[0].takes[3] = (request, uj, "another reservation")
    assert account_storm.differences(tmp_path / "account.db", told)


def _take_and_end(path, name, queue):
    bucket = Bucket(Path(path), account_kills.SteppedClock())
    told = account_storm.Told()
    account = account_storm.DirectAccount(bucket)
    account_storm.client(name, 40, account, lambda *said: account_storm._remember(told, *said))
    bucket.close()
    queue.put(told)


def test_processes_on_one_file_are_as_exact_as_threads(path, bucket):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_take_and_end, args=(path, f"c{n}", queue)) for n in range(4)]
    for worker in workers:
        worker.start()
    told = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
        worker.close()
    queue.close()
    queue.join_thread()
    assert account_storm.differences(path, told) == []


def test_the_same_request_at_once_takes_once(bucket):
    barrier = threading.Barrier(12)
    got = []

    def work():
        barrier.wait()
        got.extend(bucket.take(7 * J, request_id="same").id for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert bucket.available_uj() == 93 * J


def test_a_refusal_in_a_shared_commit_harms_nobody_else(bucket):
    gate, started = threading.Event(), threading.Event()
    outcome = {}

    def hold():
        started.set()
        gate.wait()

    def work(name, uj):
        try:
            outcome[name] = bucket.take(uj, request_id=name).reserved_uj
        except (BudgetError, ReservationConflictError) as error:
            outcome[name] = type(error)

    first = threading.Thread(target=lambda: bucket._shared.run(hold))
    first.start()
    started.wait()
    wanted = [("a", 60 * J), ("b", 60 * J), ("c", 30 * J)]
    threads = [threading.Thread(target=work, args=one) for one in wanted]
    for thread in threads:
        thread.start()
    until(lambda: len(bucket._shared._queue) == len(wanted), "all that want joules")
    gate.set()
    for thread in (first, *threads):
        thread.join()
    assert outcome["c"] == 30 * J
    assert {outcome["a"], outcome["b"]} == {60 * J, BudgetError}
    assert bucket.available_uj() == 10 * J
    assert bucket.identity().holds


def test_a_thread_that_is_stopped_takes_nobody_with_it(bucket):
    shared: SharedTransactions = bucket._shared
    started, others = threading.Event(), []

    def stop():
        started.set()
        until(lambda: shared._queue, "another one that waits")
        raise KeyboardInterrupt

    def first():
        with suppress(KeyboardInterrupt):
            shared.run(stop)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    started.wait()
    threads.append(threading.Thread(target=lambda: others.append(bucket.take(J, request_id="a"))))
    threads[1].start()
    for thread in threads:
        thread.join()
    assert len(others) == 1
    assert bucket.available_uj() == 99 * J


# Kills


def test_kills_at_random_mint_nothing_and_lose_a_period_at_most(tmp_path, thorough):
    kills = 25 if thorough else 8
    killed = account_kills.kill(tmp_path, kills, seed=1)
    assert killed.wrong == []
    assert killed.kills == kills
    assert killed.credited_uj <= killed.flowed_uj
    assert killed.lost_most_uj <= account_kills.ZONE_UJ
    assert killed.takes


# What the machine does to it


def test_a_wall_clock_that_jumps_moves_labels_and_nothing_else(bucket, clock, monkeypatch):
    taken = []
    for day, name in ((0, "a"), (-1, "b"), (1, "c")):
        monkeypatch.setattr(clock, "wall_s", lambda day=day: 1.7e9 + day * 86_400)
        bucket.tick(energy(J))
        taken.append(bucket.take(10 * J, request_id=name))
    bucket.settle(taken[1].id, charge(4 * J))
    assert bucket.available_uj() == (100 + 3 - 20 - 4) * J
    assert [entry.seq for entry in bucket.entries()] == list(range(1, 10))
    assert len({entry.at for entry in bucket.entries() if entry.kind == "take"}) == 3
    assert {record.reservation for record in bucket.open_records()} == {taken[0], taken[2]}
    assert bucket.identity().holds


def refused_and_unchanged(bucket, says, hint):
    """Whatever writes is refused with advice, and the account stays what it was."""
    held = bucket.open_records()[0].reservation
    before = (bucket.entries(), bucket.identity(), bucket.open_records())
    for write in (
        lambda: bucket.tick(energy(3 * J), {held.id: charge(J)}),
        lambda: bucket.take(J, request_id="refused"),
        lambda: bucket.settle(held.id, charge(J)),
        lambda: bucket.release(held.id),
        lambda: bucket.grant(J, request_id="refused"),
    ):
        with pytest.raises(StorageError, match=says) as caught:
            write()
        assert hint in caught.value.hint
        assert (bucket.entries(), bucket.identity(), bucket.open_records()) == before


def goes_on(bucket):
    """What was kept by the caller is credited now, and the same requests are done."""
    left = bucket.available_uj()
    held = bucket.open_records()[0].reservation
    bucket.tick(energy(3 * J), {held.id: charge(J)})
    bucket.take(J, request_id="refused")
    bucket.settle(held.id, charge(J))
    assert bucket.available_uj() == left + (3 - 1 - 1) * J + held.reserved_uj
    assert bucket.identity().holds


def test_an_account_that_another_process_holds_is_left_alone_until_it_lets_go(bucket, path, monkeypatch):
    bucket.take(10 * J, request_id="held")
    for name in ("_PATIENCE_MS", "_TICK_PATIENCE_MS"):
        monkeypatch.setattr(f"cryoflux.energy.account.bucket.{name}", 20)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused_and_unchanged(bucket, "locked", "Wait for the other process")
        other.execute("ROLLBACK")
    goes_on(bucket)


@contextmanager
def no_file_may_grow_beyond(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_may_not_grow_loses_nothing(bucket, path):
    bucket.take(10 * J, request_id="held")
    with no_file_may_grow_beyond(path.with_name("account.db-wal").stat().st_size):
        refused_and_unchanged(bucket, "disk I/O error|full", "")
    goes_on(bucket)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder):
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


def test_a_disk_that_is_full_loses_nothing_and_needs_no_restart(small_disk, clock):
    with closing(Bucket(small_disk / "account.db", clock)) as bucket:
        bucket.grant(100 * J, request_id="g")
        bucket.take(10 * J, request_id="held")
        fill(small_disk)
        refused_and_unchanged(bucket, "full", "Free some space")
        (small_disk / "filler").unlink()
        goes_on(bucket)
        bucket.tick(energy(5 * J))
        fill(small_disk)
    with closing(sqlite3.connect(small_disk / "account.db")) as db:
        (small_disk / "filler").unlink()
        assert db.execute("SELECT sum(uj) FROM pending").fetchone() == (5 * J,)
    with closing(Bucket(small_disk / "account.db", clock)) as bucket:
        assert bucket.identity().holds


def test_a_disk_that_became_read_only_is_named(small_disk, clock):
    path = small_disk / "account.db"
    with closing(Bucket(path, clock)) as bucket:
        bucket.grant(J, request_id="g")
    before = path.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StorageError) as caught:
        Bucket(path, clock)
    assert "permissions" in caught.value.hint
    assert path.read_bytes() == before
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    with closing(Bucket(path, clock)) as bucket:
        assert bucket.available_uj() == J


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_may_not_be_written_is_named(tmp_path, clock):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    with pytest.raises(StorageError):
        Bucket(folder / "account.db", clock)


def test_takes_that_nobody_settles_are_all_on_the_books(tmp_path, thorough):
    takes = 30 if thorough else 12
    report = account_storm.left_open(tmp_path, takes, account_storm.daemon, account_storm.HttpAccount)
    assert (report["takes"], report["wrong"]) == (takes, [])
