"""Books are the same integers in any order of pulling and by a second implementation, and give bounds."""

import random
import sqlite3
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.network.books import (
    SHARES,
    CapsuleTold,
    LogTold,
    RoundTold,
    Standing,
    books_of,
    share_that_holds,
)
from cryoflux.receipts.network_parts import MemberVerdict

NOW, DAY = 100 * 86_400, 86_400
VERDICTS = st.sampled_from(list(MemberVerdict))
NAMES = [f"log{number}" for number in range(6)]
VERIFIERS = ["log0", "log1", "log2", "nobody"]


@st.composite
def networks(draw: st.DrawFn) -> list[LogTold]:
    capsules = {name: [f"{name}-{n}" for n in range(draw(st.integers(0, 3)))] for name in NAMES}
    every = [one for own in capsules.values() for one in own]
    moment = st.integers(NOW - 40 * DAY, NOW + DAY)

    def one_round() -> RoundTold:
        members = (
            draw(st.dictionaries(st.sampled_from(every), VERDICTS, min_size=1, max_size=2)) if every else {}
        )
        level = draw(st.sampled_from([0, 2_000_000, 50_000_000]))
        return RoundTold(f"root{draw(st.integers(0, 2))}", draw(moment), draw(moment), members, level)

    return [
        LogTold(
            name,
            tuple(CapsuleTold(one, draw(moment)) for one in capsules[name]),
            tuple(one_round() for _ in range(draw(st.integers(0, 4)))),
            upper_uj=draw(st.integers(0, 10**12)),
            unrecorded=draw(st.integers(0, 1)),
            opened=draw(st.dictionaries(st.sampled_from(["r0", "r1"]), st.booleans(), max_size=2)),
            convicted=draw(st.booleans()),
        )
        for name in NAMES
    ]


_SQL = """
WITH believed AS (
    SELECT log FROM logs WHERE verifier AND NOT convicted
    AND NOT EXISTS (SELECT 1 FROM opened WHERE opened.log = logs.log AND NOT reproduced)
), sizes AS (SELECT log, number, COUNT(*) AS size FROM members GROUP BY log, number),
words AS (
    SELECT o.log AS owner, o.capsule, m.log AS verifier, m.verdict,
           ROW_NUMBER() OVER
           (PARTITION BY o.log, o.capsule, m.log ORDER BY r.recorded, r.root, r.number) AS word
    FROM offers o JOIN members m ON m.capsule = o.capsule
    JOIN rounds r ON r.log = m.log AND r.number = m.number
    JOIN sizes s ON s.log = m.log AND s.number = m.number
    WHERE s.size = 1 AND m.log IN (SELECT log FROM believed) AND m.log <> o.log
    AND m.verdict IN ('adopted', 'not-chosen', 'screened')
    AND r.entered < o.committed AND o.committed <= r.recorded
), counts AS (
    SELECT o.log, o.capsule, o.committed,
           (SELECT COUNT(*) FROM words w WHERE w.owner = o.log AND w.capsule = o.capsule AND word = 1
            AND verdict = 'adopted') AS yes,
           (SELECT COUNT(*) FROM words w WHERE w.owner = o.log AND w.capsule = o.capsule AND word = 1
            AND verdict <> 'adopted') AS no
    FROM offers o
)
SELECT l.log,
       (SELECT COUNT(*) FROM counts c WHERE c.log = l.log
        AND :now - 2592000 < c.committed AND c.committed <= :now
        AND (c.no >= :quorum OR (c.yes >= :quorum AND NOT l.convicted))),
       (SELECT COUNT(*) FROM counts c WHERE c.log = l.log
        AND :now - 2592000 < c.committed AND c.committed <= :now
        AND c.yes >= :quorum AND NOT l.convicted),
       (SELECT COALESCE(SUM(level), 0) FROM rounds r WHERE r.log = l.log)
FROM logs l ORDER BY l.log
"""


def by_sql(logs: list[LogTold], quorum: int) -> list[tuple[str, int, int, int]]:
    """The same by another road: tables and one query."""
    db = sqlite3.connect(":memory:")
    db.executescript(
        "CREATE TABLE logs (log, verifier, convicted); CREATE TABLE offers (log, capsule, committed);"
        "CREATE TABLE rounds (log, number, root, entered, recorded, level);"
        "CREATE TABLE members (log, number, capsule, verdict); CREATE TABLE opened (log, reproduced);"
    )
    for log in logs:
        db.execute("INSERT INTO logs VALUES (?, ?, ?)", (log.origin, log.origin in VERIFIERS, log.convicted))
        db.executemany(
            "INSERT INTO offers VALUES (?, ?, ?)",
            [(log.origin, o.capsule, o.committed_s) for o in log.offers],
        )
        db.executemany(
            "INSERT INTO opened VALUES (?, ?)", [(log.origin, held) for held in log.opened.values()]
        )
        for number, one in enumerate(log.rounds):
            row = (log.origin, number, one.root, one.entered_s, one.recorded_s, one.level)
            db.execute("INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?)", row)
            members = [
                (log.origin, number, capsule, verdict.value) for capsule, verdict in one.members.items()
            ]
            db.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", members)
    return db.execute(_SQL, {"now": NOW, "quorum": quorum}).fetchall()


@given(networks(), st.integers(1, 3), st.randoms())
def test_the_same_integers_in_any_order_and_by_sql(
    logs: list[LogTold], quorum: int, chance: random.Random
) -> None:
    found = books_of(logs, VERIFIERS, quorum, NOW)
    shuffled = [*logs]
    chance.shuffle(shuffled)
    assert books_of(shuffled, reversed(VERIFIERS), quorum, NOW) == found
    told = [(book.origin, book.decided, book.confirmed, book.certified_nano) for book in found.values()]
    assert told == by_sql(logs, quorum)


@pytest.mark.parametrize(
    ("decided", "confirmed", "holds"),
    [(59, 59, 950_000), (58, 58, 900_000), (93, 92, 950_000), (92, 91, 900_000), (124, 122, 950_000),
     (123, 121, 900_000), (299, 299, 990_000), (298, 298, 950_000), (5, 5, 500_000), (4, 4, 0), (0, 0, 0)],
)  # fmt: skip
def test_a_bound_is_named_and_never_always(decided: int, confirmed: int, holds: int) -> None:
    assert share_that_holds(decided, confirmed) == holds


@given(st.integers(1, 120), st.data())
def test_who_holds_less_is_said_to_hold_more_at_most_one_time_in_twenty(
    decided: int, data: st.DataObject
) -> None:
    share = data.draw(st.sampled_from(SHARES))
    said = [k for k in range(decided + 1) if share_that_holds(decided, k) >= share * 1_000_000]
    if not said:
        return
    least = min(said)
    true = share - Fraction(1, 1000)
    chance = 0.0
    for k in range(least, decided + 1):
        ways = 1.0
        for i in range(k):
            ways = ways * (decided - i) / (i + 1)
        chance += ways * float(true) ** k * float(1 - true) ** (decided - k)
    assert chance <= 0.05 + 1e-9


def adopted_alone(capsule: str, *, entered: int = 1, recorded: int = NOW) -> RoundTold:
    return RoundTold("root", entered, recorded, {capsule: MemberVerdict.ADOPTED}, 2_000_000)


def standing(logs: list[LogTold], quorum: int = 1) -> Standing:
    return books_of(logs, VERIFIERS, quorum, NOW)["seller"].capsules[0].standing


def test_sybils_that_praise_an_update_count_nowhere() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    crowd = [LogTold(f"sybil{n}", rounds=(adopted_alone("c"),)) for n in range(100)]
    assert standing([seller, *crowd]) is Standing.OPEN
    book = books_of([seller, *crowd], VERIFIERS, 1, NOW)["seller"]
    assert book.capsules[0].used_by == 100


def test_who_praises_himself_or_chose_his_holdout_late_confirms_nothing() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),), (adopted_alone("c"),))
    late = LogTold("log0", rounds=(adopted_alone("c", entered=NOW - DAY),))
    assert books_of([seller], ["seller"], 1, NOW)["seller"].capsules[0].standing is Standing.OPEN
    assert standing([seller, late]) is Standing.OPEN
    fair = LogTold("log0", rounds=(adopted_alone("c", entered=NOW - 2 * DAY),))
    assert standing([seller, fair]) is Standing.CONFIRMED


def test_one_contradicted_verdict_voids_all_that_a_verifier_says() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    fair = LogTold("log0", rounds=(adopted_alone("c"),), opened={"r0": True})
    assert standing([seller, fair]) is Standing.CONFIRMED
    assert standing([seller, replace(fair, opened={"r0": True, "r1": False})]) is Standing.OPEN
    assert standing([seller, replace(fair, convicted=True)]) is Standing.OPEN


def test_a_member_of_a_larger_round_is_used_and_no_more() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    both = RoundTold("root", 1, NOW, {"c": MemberVerdict.ADOPTED, "d": MemberVerdict.ADOPTED}, 2_000_000)
    book = books_of([seller, LogTold("log0", rounds=(both,))], VERIFIERS, 1, NOW)["seller"]
    assert (book.capsules[0].standing, book.capsules[0].used_by) == (Standing.OPEN, 1)


def test_efficiency_is_not_known_where_a_record_is_missing() -> None:
    node = LogTold("log0", rounds=(adopted_alone("c"),), upper_uj=7, unrecorded=1)
    assert books_of([node], VERIFIERS, 1, NOW)["log0"].upper_uj is None
