"""Books are the same integers in any order of pulling and by a second implementation, and give bounds."""

import random
import sqlite3
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.network.books import (
    LATER,
    SHARES,
    CapsuleTold,
    Confirmation,
    LogTold,
    NodeBook,
    RoundTold,
    ShareBound,
    books_of,
    share_that_holds,
)
from cryoflux.receipts.network_parts import MemberVerdict

NOW, DAY = 100 * 86_400, 86_400
VERDICTS = st.sampled_from(list(MemberVerdict))
NAMES = [f"log{number}" for number in range(6)]
LEAST = Fraction(1, 5)
"""nats a joule"""
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
        origins = {one: draw(st.sampled_from([one.partition("-")[0], "log5"])) for one in members}
        root = f"root{draw(st.integers(0, 2))}"
        adopted = [one for one, verdict in members.items() if verdict is MemberVerdict.ADOPTED]
        recalled = frozenset(one for one in adopted if draw(st.booleans()))
        withdrawn = bool(recalled) or draw(st.booleans())
        recorded = draw(moment | st.just(LATER))
        copied = {
            one: draw(st.sampled_from(every))
            for one, verdict in members.items()
            if verdict is MemberVerdict.COPIED
        }
        shown_alone = draw(st.sampled_from([*members, *members, ""]))
        said = (level, origins, withdrawn, recalled, copied, shown_alone)
        return RoundTold(root, draw(moment), recorded, members, *said)

    return [
        LogTold(
            name,
            tuple(
                CapsuleTold(one, draw(moment), draw(st.integers(0, 10**9)), draw(st.integers(0, 3)) == 3)
                for one in {
                    *capsules[name],
                    *draw(st.lists(st.sampled_from(every), max_size=1) if every else st.just([])),
                }
            ),
            tuple(one_round() for _ in range(draw(st.integers(0, 4)))),
            upper_uj=draw(st.integers(0, 10**12)),
            unrecorded=draw(st.integers(0, 1)),
            opened=draw(st.dictionaries(st.sampled_from(["r0", "r1"]), st.booleans(), max_size=2)),
            unmade=draw(st.dictionaries(st.sampled_from(["r0", "root1", "root2"]), moment, max_size=2)),
            convicted=draw(st.booleans()),
            broken=draw(st.integers(0, 3)) // 3,
        )
        for name in NAMES
    ]


_SQL = """
WITH believed AS (
    SELECT log FROM logs WHERE verifier AND NOT convicted AND NOT broken
    AND NOT EXISTS (SELECT 1 FROM opened WHERE opened.log = logs.log AND NOT reproduced)
), withheld AS (SELECT log, root FROM unmade WHERE opened <= :now - 86400
), findings AS (
    SELECT log, number, capsule, 'yes' AS finding FROM members JOIN rounds USING (log, number)
    WHERE verdict = 'adopted' AND shown_alone = capsule
    UNION ALL
    SELECT log, number, capsule, 'no' FROM members m JOIN rounds USING (log, number)
    WHERE verdict IN ('not-chosen', 'screened')
    AND (shown_alone = capsule OR NOT EXISTS (
        SELECT 1 FROM members b WHERE b.log = m.log AND b.number = m.number AND b.capsule <> m.capsule))
), said AS (
    SELECT o.log AS owner, o.capsule, m.log AS verifier, r.level,
           EXISTS (SELECT 1 FROM withheld h WHERE h.log = r.log AND h.root = r.root) AS withheld,
           CASE WHEN m.recalled OR EXISTS (SELECT 1 FROM copied c WHERE c.log = m.log AND c.copy = m.capsule)
           THEN 'neither' ELSE f.finding END AS verdict,
           ROW_NUMBER() OVER
           (PARTITION BY o.log, o.capsule, m.log ORDER BY r.recorded, r.root, r.number) AS word
    FROM offers o JOIN members m ON m.capsule = o.capsule
    JOIN rounds r ON r.log = m.log AND r.number = m.number
    JOIN findings f ON f.log = m.log AND f.number = m.number AND f.capsule = m.capsule
    WHERE m.log IN (SELECT log FROM believed) AND m.log <> o.log AND m.origin = o.log
    AND r.entered < o.committed AND o.committed <= r.recorded AND r.recorded < :later
), shown AS (
    SELECT owner, capsule, verifier, MIN(word) AS word FROM said WHERE NOT withheld
    GROUP BY owner, capsule, verifier
), words AS (
    SELECT s.owner, s.capsule, s.verifier, MIN(s.level) AS level,
           CASE WHEN COUNT(DISTINCT s.verdict) = 1 AND NOT MIN(s.withheld) THEN MIN(s.verdict)
           ELSE 'unreproduced' END AS verdict
    FROM said s LEFT JOIN shown f USING (owner, capsule, verifier)
    WHERE s.word <= COALESCE(f.word, s.word) GROUP BY s.owner, s.capsule, s.verifier
), levels AS (
    SELECT owner, capsule, level, ROW_NUMBER() OVER (PARTITION BY owner, capsule ORDER BY level DESC) AS place
    FROM words WHERE verdict = 'yes'
), counts AS (
    SELECT o.log, o.capsule, o.committed, o.upper, o.contested,
           COALESCE((SELECT level FROM levels v WHERE v.owner = o.log AND v.capsule = o.capsule
                     AND v.place = :quorum), 0) AS level,
           (SELECT COUNT(*) FROM words w WHERE w.owner = o.log AND w.capsule = o.capsule
            AND verdict = 'yes') AS yes,
           (SELECT COUNT(*) FROM words w WHERE w.owner = o.log AND w.capsule = o.capsule
            AND verdict = 'no') AS no,
           (SELECT COUNT(*) FROM words w WHERE w.owner = o.log AND w.capsule = o.capsule
            AND verdict = 'unreproduced') AS unreproduced
    FROM offers o
)
SELECT l.log,
       (SELECT COUNT(*) FROM counts c WHERE c.log = l.log AND NOT c.contested
        AND :now - 2592000 < c.committed AND c.committed <= :now
        AND (c.no >= :quorum OR (c.yes >= :quorum AND NOT l.convicted))),
       (SELECT COUNT(*) FROM counts c WHERE c.log = l.log AND NOT c.contested
        AND :now - 2592000 < c.committed AND c.committed <= :now
        AND c.yes >= :quorum AND NOT l.convicted),
       (SELECT COUNT(*) FROM counts c WHERE c.log = l.log AND NOT c.contested
        AND :now - 2592000 < c.committed AND c.committed <= :now
        AND NOT l.convicted AND c.upper > 0 AND 5 * c.level > c.upper * 1000),
       (SELECT COUNT(DISTINCT m.log || m.capsule) FROM offers o JOIN members m ON m.capsule = o.capsule
        JOIN rounds r ON r.log = m.log AND r.number = m.number
        WHERE o.log = l.log AND m.origin = o.log AND m.verdict = 'adopted' AND m.log <> o.log
        AND NOT m.recalled AND r.recorded < :later),
       (SELECT COUNT(DISTINCT m.log || m.capsule) FROM offers o JOIN members m ON m.capsule = o.capsule
        JOIN rounds r ON r.log = m.log AND r.number = m.number
        WHERE o.log = l.log AND m.origin = o.log AND m.recalled AND m.log <> o.log
        AND r.recorded < :later),
       (SELECT COALESCE(SUM(level), 0) FROM rounds r WHERE r.log = l.log AND NOT withdrawn),
       (SELECT COALESCE(SUM(unreproduced), 0) FROM counts c WHERE c.log = l.log),
       (SELECT COUNT(*) FROM withheld h WHERE h.log = l.log),
       (SELECT COUNT(*) FROM opened o WHERE o.log = l.log AND reproduced
        AND o.root NOT IN (SELECT root FROM withheld h WHERE h.log = l.log))
FROM logs l ORDER BY l.log
"""


def by_sql(logs: list[LogTold], quorum: int) -> list[tuple[object, ...]]:
    """The same by another road: tables and one query."""
    db = sqlite3.connect(":memory:")
    db.executescript(
        "CREATE TABLE logs (log, verifier, convicted, broken);"
        "CREATE TABLE offers (log, capsule, committed, upper, contested);"
        "CREATE TABLE rounds (log, number, root, entered, recorded, level, withdrawn, shown_alone);"
        "CREATE TABLE members (log, number, capsule, verdict, origin, recalled);"
        "CREATE TABLE copied (log, copy);"
        "CREATE TABLE opened (log, root, reproduced);"
        "CREATE TABLE unmade (log, root, opened);"
    )
    for log in logs:
        row = (log.origin, log.origin in VERIFIERS, log.convicted, log.broken > 0)
        db.execute("INSERT INTO logs VALUES (?, ?, ?, ?)", row)
        db.executemany(
            "INSERT INTO offers VALUES (?, ?, ?, ?, ?)",
            [(log.origin, o.capsule, o.committed_s, o.upper_uj, o.contested) for o in log.offers],
        )
        db.executemany(
            "INSERT INTO opened VALUES (?, ?, ?)", [(log.origin, *told) for told in log.opened.items()]
        )
        db.executemany(
            "INSERT INTO unmade VALUES (?, ?, ?)", [(log.origin, *told) for told in log.unmade.items()]
        )
        for number, one in enumerate(log.rounds):
            row = (log.origin, number, one.root, one.entered_s, one.recorded_s, one.level, one.withdrawn)
            db.execute("INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, one.shown_alone))
            members = [
                (log.origin, number, capsule, verdict.value, one.origins[capsule], capsule in one.recalled)
                for capsule, verdict in one.members.items()
            ]
            db.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?)", members)
            copies = [(log.origin, copy) for copy in one.copied.values() if one.recorded_s < LATER]
            db.executemany("INSERT INTO copied VALUES (?, ?)", copies)
    return db.execute(_SQL, {"now": NOW, "quorum": quorum, "later": LATER}).fetchall()


@given(networks(), st.integers(1, 3), st.randoms())
def test_the_same_integers_in_any_order_and_by_sql(
    logs: list[LogTold], quorum: int, chance: random.Random
) -> None:
    found = books_of(logs, VERIFIERS, quorum, NOW)
    shuffled = [*logs]
    chance.shuffle(shuffled)
    assert books_of(shuffled, reversed(VERIFIERS), quorum, NOW) == found
    assert rows(found) == by_sql(logs, quorum)


def rows(books: dict[str, NodeBook]) -> list[tuple[object, ...]]:
    """What the query says, of books."""
    return [
        (
            book.origin,
            book.decided,
            book.confirmed,
            book.paying(LEAST).held,
            sum(one.used_by for one in book.capsules),
            sum(one.recalled_by for one in book.capsules),
            book.certified_nano,
            sum(one.unreproduced_by for one in book.capsules),
            book.withheld,
            book.reproduced,
        )
        for book in books.values()
    ]


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
    members = {capsule: MemberVerdict.ADOPTED}
    return RoundTold("root", entered, recorded, members, 2_000_000, shown_alone=capsule)


def standing(logs: list[LogTold], quorum: int = 1) -> Confirmation:
    return books_of(logs, VERIFIERS, quorum, NOW)["seller"].capsules[0].standing


def test_sybils_that_praise_an_update_count_nowhere() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    crowd = [LogTold(f"sybil{n}", rounds=(adopted_alone("c"),)) for n in range(100)]
    assert standing([seller, *crowd]) is Confirmation.OPEN
    book = books_of([seller, *crowd], VERIFIERS, 1, NOW)["seller"]
    assert book.capsules[0].used_by == 100


def test_who_praises_himself_or_chose_his_holdout_late_confirms_nothing() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),), (adopted_alone("c"),))
    late = LogTold("log0", rounds=(adopted_alone("c", entered=NOW - DAY),))
    assert books_of([seller], ["seller"], 1, NOW)["seller"].capsules[0].standing is Confirmation.OPEN
    assert standing([seller, late]) is Confirmation.OPEN
    fair = LogTold("log0", rounds=(adopted_alone("c", entered=NOW - 2 * DAY),))
    assert standing([seller, fair]) is Confirmation.CONFIRMED


def test_a_verdict_that_no_quorum_has_seen_counts_nowhere() -> None:
    """A verifier could tell each reader another one."""
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    told = LogTold("log0", rounds=(adopted_alone("c", recorded=LATER),))
    record = books_of([seller, told], VERIFIERS, 1, NOW)["seller"].capsules[0]
    assert (record.standing, record.used_by) == (Confirmation.OPEN, 0)


def test_one_contradicted_verdict_voids_all_that_a_verifier_says() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    fair = LogTold("log0", rounds=(adopted_alone("c"),), opened={"r0": True})
    assert standing([seller, fair]) is Confirmation.CONFIRMED
    assert standing([seller, replace(fair, opened={"r0": True, "r1": False})]) is Confirmation.OPEN
    assert standing([seller, replace(fair, convicted=True)]) is Confirmation.OPEN


def test_verdicts_that_nobody_can_make_again_leave_an_update_open_after_a_day() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    one = LogTold("log0", rounds=(adopted_alone("c"),), opened={"root": True}, unmade={"root": NOW - DAY})
    book = books_of([seller, one], VERIFIERS, 1, NOW)
    found = book["seller"].capsules[0]
    assert (found.standing, found.unreproduced_by, found.used_by) == (Confirmation.OPEN, 1, 1)
    assert (book["log0"].opened, book["log0"].reproduced, book["log0"].withheld) == (1, 0, 1)
    assert not book["log0"].void, "nothing contradicts it"
    for early in (replace(one, unmade={"root": NOW - DAY + 1}), replace(one, unmade={"other": 0})):
        assert standing([seller, early]) is Confirmation.CONFIRMED
    refused = RoundTold("root", 1, NOW, {"c": MemberVerdict.SCREENED}, 0)
    assert standing([seller, replace(one, rounds=(refused,))]) is Confirmation.OPEN
    assert standing([seller, one, LogTold("log1", rounds=(adopted_alone("c"),))]) is Confirmation.CONFIRMED


def test_a_word_that_is_withheld_is_borne_out_by_a_later_one_that_says_the_same_and_by_no_other() -> None:
    """Else whoever tries an update on one guest holdout after the other could hide all but the lucky one."""
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    first = replace(adopted_alone("c", recorded=NOW - DAY // 2), level=50_000_000)
    refused = RoundTold("root", 1, NOW - DAY // 2, {"c": MemberVerdict.SCREENED}, 0)
    again = replace(adopted_alone("c"), root="another")

    def found(*rounds: RoundTold) -> tuple[Confirmation, int, int]:
        said = tuple(replace(one, origins={"c": "seller"}) for one in rounds)
        logs = [LogTold("log0", rounds=said, unmade={"root": NOW - DAY}), seller]
        books = books_of(logs, VERIFIERS, 1, NOW)
        assert rows(books) == by_sql(logs, 1)
        one = books["seller"].capsules[0]
        return one.standing, one.level, one.unreproduced_by

    assert found(first, again) == (Confirmation.CONFIRMED, 2_000_000, 0), "no more than both say"
    assert found(refused, replace(refused, root="another", recorded_s=NOW)) == (Confirmation.REFUTED, 0, 0)
    assert found(refused, again) == found(first, replace(refused, root="another", recorded_s=NOW))
    assert found(refused, again) == (Confirmation.OPEN, 0, 1)
    assert found(refused, first, again)[0] is Confirmation.OPEN
    assert found(replace(first, recalled=frozenset("c")), again)[0] is Confirmation.OPEN


def test_what_several_logs_may_have_been_first_to_offer_counts_for_none_of_them() -> None:
    names = ("seller", "rogue")
    both = [LogTold(name, (CapsuleTold("c", NOW - DAY, contested=True),)) for name in names]
    round_ = replace(adopted_alone("c"), origins={"c": "seller"})
    books = books_of([*both, LogTold("log0", rounds=(round_,))], VERIFIERS, 1, NOW)
    assert [books[name].decided for name in names] == [0, 0]
    found = books["seller"].capsules[0]
    assert (found.standing, found.contested, found.counted) == (Confirmation.CONFIRMED, True, False)


def test_who_adopted_a_copy_before_it_had_the_original_says_so_and_neither_counts() -> None:
    offers = (CapsuleTold("c", NOW - DAY), CapsuleTold("k", NOW - DAY + 60))
    logs = [LogTold(name, (one,)) for name, one in zip(("seller", "rogue"), offers, strict=True)]
    taken = replace(adopted_alone("k"), origins={"k": "rogue"})
    copied = {"members": {"c": MemberVerdict.COPIED}, "copied": {"c": "k"}, "origins": {"c": "seller"}}
    told = replace(adopted_alone("c", recorded=NOW + 1), level=0, **copied)
    before = books_of([*logs, LogTold("log0", rounds=(taken,))], VERIFIERS, 1, NOW)
    assert before["rogue"].confirmed == 1
    books = books_of([*logs, LogTold("log0", rounds=(taken, told))], VERIFIERS, 1, NOW)
    for name in ("seller", "rogue"):
        found = books[name].capsules[0]
        assert (found.standing, found.confirmed_by, found.refuted_by) == (Confirmation.OPEN, 0, 0)
        assert books[name].decided == 0
    other = LogTold("log1", rounds=(adopted_alone("c"),))
    assert standing([logs[0], LogTold("log0", rounds=(taken, told)), other]) is Confirmation.CONFIRMED


def test_who_recalls_what_it_adopted_takes_its_word_back_and_refutes_nothing() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    taken_back = replace(adopted_alone("c"), withdrawn=True, recalled=frozenset({"c"}))
    again = adopted_alone("c", recorded=NOW + 1)
    books = books_of([seller, LogTold("log0", rounds=(taken_back, again))], VERIFIERS, 1, NOW)
    found = books["seller"].capsules[0]
    assert (found.standing, found.confirmed_by, found.refuted_by) == (Confirmation.OPEN, 0, 0)
    assert (found.recalled_by, found.level, books["seller"].decided) == (1, 0, 0)
    assert books["log0"].certified_nano == 2_000_000, "of the round that nothing was recalled of"
    other = LogTold("log1", rounds=(adopted_alone("c"),))
    assert standing([seller, LogTold("log0", rounds=(taken_back,)), other]) is Confirmation.CONFIRMED


ADOPTED, NOT_CHOSEN = MemberVerdict.ADOPTED, MemberVerdict.NOT_CHOSEN


@pytest.mark.parametrize(
    ("members", "shown_alone", "found"),
    [
        ({"c": ADOPTED, "d": MemberVerdict.DUPLICATE, "e": MemberVerdict.SCREENED}, "c", "confirmed"),
        ({"c": ADOPTED, "d": NOT_CHOSEN}, "c", "confirmed"),
        ({"c": ADOPTED, "d": ADOPTED}, "", "open"),
        ({"c": ADOPTED}, "", "open"),  # beside another weight of an older one
        ({"c": NOT_CHOSEN, "d": MemberVerdict.SCREENED}, "c", "refuted"),
        ({"c": NOT_CHOSEN, "d": MemberVerdict.SCREENED}, "", "open"),
        ({"c": NOT_CHOSEN, "d": ADOPTED}, "d", "open"),
        ({"c": NOT_CHOSEN}, "", "refuted"),
    ],
)
def test_what_was_shown_alone_is_decided_and_what_was_passed_over_for_others_is_not(
    members: dict[str, MemberVerdict], shown_alone: str, found: str
) -> None:
    origins = dict.fromkeys(members, "seller")
    round_ = RoundTold("root", 1, NOW, members, 2_000_000, origins, shown_alone=shown_alone)
    logs = [LogTold("log0", rounds=(round_,)), LogTold("seller", (CapsuleTold("c", NOW - DAY),))]
    books = books_of(logs, VERIFIERS, 1, NOW)
    assert rows(books) == by_sql(logs, 1)
    one = books["seller"].capsules[0]
    assert (one.standing, one.used_by) == (found, members["c"] is ADOPTED)


def test_who_shows_an_update_to_one_guest_holdout_after_the_other_has_said_its_word() -> None:
    """Beside other offers, too: else it could go on until chance favours the update."""
    origins = {"c": "seller", "d": "seller"}
    missed = RoundTold("root", 1, NOW - 9, {"c": NOT_CHOSEN, "d": NOT_CHOSEN}, 0, origins, shown_alone="c")
    again = replace(adopted_alone("c"), root="another", origins={"c": "seller"})
    for first, found in ((missed, Confirmation.REFUTED), (replace(missed, shown_alone="d"), "confirmed")):
        logs = [LogTold("log0", rounds=(first, again)), LogTold("seller", (CapsuleTold("c", NOW - DAY),))]
        assert standing(logs) == found
        assert rows(books_of(logs, VERIFIERS, 1, NOW)) == by_sql(logs, 1)


def test_efficiency_is_not_known_where_a_record_is_missing() -> None:
    node = LogTold("log0", rounds=(adopted_alone("c"),), upper_uj=7, unrecorded=1)
    assert books_of([node], VERIFIERS, 1, NOW)["log0"].upper_uj is None


def test_who_offers_the_same_bytes_in_a_log_of_its_own_earns_nothing_by_it() -> None:
    first, copy = (LogTold(name, (CapsuleTold("c", NOW - DAY),)) for name in ("seller", "rogue"))
    round_ = replace(adopted_alone("c"), origins={"c": "seller"})
    books = books_of([first, copy, LogTold("log0", rounds=(round_,))], VERIFIERS, 1, NOW)
    assert [books[name].capsules[0].standing for name in ("seller", "rogue")] == [
        Confirmation.CONFIRMED,
        Confirmation.OPEN,
    ]
    assert [books[name].capsules[0].used_by for name in ("seller", "rogue")] == [1, 0]


def test_a_round_that_breaks_its_rule_voids_all_that_a_verifier_says() -> None:
    seller = LogTold("seller", (CapsuleTold("c", NOW - DAY),))
    assert standing([seller, LogTold("log0", rounds=(adopted_alone("c"),), broken=1)]) is Confirmation.OPEN


@pytest.mark.parametrize(("paid", "refused", "share"), [(59, 0, 950_000), (58, 1, 900_000), (4, 0, 0)])
def test_what_always_pays_is_said_as_a_share(paid: int, refused: int, share: int) -> None:
    names = [f"c{n}" for n in range(paid + refused)]
    seller = LogTold("seller", tuple(CapsuleTold(name, NOW - DAY, 9_000_000) for name in names))
    tried = [
        RoundTold("root", 1, NOW - n, {name: verdict}, level, {name: "seller"}, shown_alone=name)
        for n, name in enumerate(names)
        for verdict, level in [
            (MemberVerdict.ADOPTED, 2_000_000) if n < paid else (MemberVerdict.NOT_CHOSEN, 0)
        ]
    ]
    book = books_of([seller, LogTold("log0", rounds=tuple(tried))], VERIFIERS, 1, NOW)["seller"]
    # 0.002 nats over 9 J
    assert book.paying(Fraction(2, 10_000)) == ShareBound(paid + refused, paid, share)
    assert book.paying(Fraction(2, 9_000)).held == 0
