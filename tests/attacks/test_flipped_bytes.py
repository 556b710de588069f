"""One flipped byte anywhere in what was signed, or in what it names, is found and named."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import pytest

import bit_flips
from cryoflux.errors import StateTamperedError
from cryoflux.receipts.log import ReceiptLog
from cryoflux.verification.material import read_material
from cryoflux.verification.result import Check, Status
from row_bytes import Span, row_spans
from synthetic_state import SyntheticState
from verifying import artefact_checks, verify_target

SHORT_BYTES, FLIPS = 200, 80
ALONE = 20
"""so many of them with nothing else wrong; the others in several files at once"""


def flips(content: bytes, dice: random.Random) -> Iterator[bytes]:
    """Copies with one byte changed: at every place of what is short, else at 80 random ones and both ends."""
    every = range(len(content))
    for place in every if len(content) <= SHORT_BYTES else [*dice.sample(every, FLIPS), 0, len(content) - 1]:
        changed = bytearray(content)
        changed[place] ^= dice.randint(1, 255)
        yield bytes(changed)


def named(checks: tuple[Check, ...] | list[Check]) -> set[str]:
    return {check.subject for check in checks if check.status is Status.FAIL}


@contextmanager
def restored(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield content
    path.write_bytes(content)


def model(s: SyntheticState) -> str:
    return f"models/{s.head.digest}"


def adapter(s: SyntheticState) -> str:
    return f"capsules/{s.entries[7].statement.subject[0].digest.sha256}"


def evidence(s: SyntheticState) -> str:
    return f"evidence/{s.entries[7].statement.predicate.evaluation.per_example}.bin"


ARTEFACTS: dict[str, Callable[[SyntheticState], str]] = {
    "weights": lambda s: f"{model(s)}/model.safetensors",
    "model config": lambda s: f"{model(s)}/config.json",
    "model checksums": lambda s: f"{model(s)}/SHA256SUMS",
    "adapter": lambda s: f"{adapter(s)}/adapter_model.safetensors",
    "adapter config": lambda s: f"{adapter(s)}/adapter_config.json",
    "adapter checksums": lambda s: f"{adapter(s)}/SHA256SUMS",
    "evidence": evidence,
    "holdout": lambda s: f"data/{s.data.digest}/holdout.jsonl",
    "train": lambda s: f"data/{s.data.digest}/train.jsonl",
    "data checksums": lambda s: f"data/{s.data.digest}/SHA256SUMS",
}


# No two of one group have a folder or a line of a checksum file in common.
TOGETHER = (
    ("weights", "adapter", "evidence", "holdout"),
    ("model config", "adapter config", "train"),
    ("model checksums", "adapter checksums", "data checksums"),
)


@pytest.mark.parametrize("which", ARTEFACTS)
def test_a_flipped_byte_of_an_artefact_is_named(pristine: SyntheticState, which: str) -> None:
    where = ARTEFACTS[which](pristine)
    with restored(pristine.path / where) as content:
        for changed in islice(flips(content, random.Random(which)), ALONE):
            (pristine.path / where).write_bytes(changed)
            assert named(artefact_checks(pristine.path)) == {where}
    assert verify_target(pristine.path).ok


@pytest.mark.parametrize("group", TOGETHER, ids=lambda group: group[0])
def test_flipped_bytes_of_several_artefacts_are_each_named(
    pristine: SyntheticState, group: tuple[str, ...]
) -> None:
    with ExitStack() as opened:
        places = [ARTEFACTS[which](pristine) for which in group]
        contents = [opened.enter_context(restored(pristine.path / where)) for where in places]
        changes = [
            list(flips(content, random.Random(name))) for name, content in zip(group, contents, strict=True)
        ]
        for number in range(max(map(len, changes))):
            for where, changed in zip(places, changes, strict=True):
                (pristine.path / where).write_bytes(changed[number % len(changed)])
            assert named(artefact_checks(pristine.path)) == set(places)
    assert verify_target(pristine.path).ok


def named_of(state: Path, connection: sqlite3.Connection, envelopes: dict[int, bytes]) -> set[int]:
    """Which entries a check names where some have other envelopes."""
    for index, envelope in envelopes.items():
        connection.execute("UPDATE entries SET envelope = ? WHERE idx = ?", (envelope, index))
    found = named(verify_target(state).checks)
    return {index for index in envelopes if any(subject.startswith(f"entry {index}") for subject in found)}


def test_a_flipped_byte_of_an_envelope_is_named(state: Path, pristine: SyntheticState) -> None:
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    connection.execute("DROP TRIGGER entries_update")
    whole = {index: pristine.entries[index].envelope for index in (1, 6)}
    changes = {index: list(flips(envelope, random.Random(index))) for index, envelope in whole.items()}
    for index, other in ((1, 6), (6, 1)):
        for changed in changes[index][:ALONE]:
            said = named_of(state, connection, {index: changed, other: whole[other]})
            assert index in said
    for one, six in zip(changes[1][ALONE:], changes[6][ALONE:], strict=True):
        assert named_of(state, connection, {1: one, 6: six}) == {1, 6}
    connection.close()


PUBLISHED = ("log/checkpoint", "log/tile/0/000.p/8", "log/tile/entries/000.p/8")


def test_a_flipped_byte_of_the_published_log_is_named(state: Path) -> None:
    contents = {where: (state / where).read_bytes() for where in PUBLISHED}
    changes = {where: list(flips(content, random.Random(where))) for where, content in contents.items()}
    for where, content in contents.items():
        for changed in changes[where][:ALONE]:
            (state / where).write_bytes(changed)
            assert where in named(verify_target(state).checks)
        (state / where).write_bytes(content)
    for number in range(ALONE, max(map(len, changes.values()))):
        for where, changed in changes.items():
            (state / where).write_bytes(changed[number % len(changed)])
        assert named(verify_target(state).checks).issuperset(PUBLISHED)


def test_a_flipped_byte_of_the_database_file_is_found_or_changes_nothing_that_counts(
    state: Path, pristine: SyntheticState
) -> None:
    # Unused page space is not evidence; whatever still passes must say, byte for byte, what was signed.
    path = state / "receipts.db"
    content = path.read_bytes()
    found = 0
    for changed in flips(content, random.Random(5)):
        path.write_bytes(changed)
        if verify_target(state).ok:
            rows = read_material(state).rows
            assert [row.envelope for row in rows] == [entry.envelope for entry in pristine.entries]
        else:
            found += 1
    assert found > FLIPS / 4


def text_that_is_none(content: bytes, pristine: SyntheticState) -> int:
    return 8 * content.rindex(pristine.entries[4].leaf_hash.encode()) + 7


def number_of_a_row(content: bytes, pristine: SyntheticState) -> int:
    return 8 * (own(pristine, 6).start + 2) + 7  # after two bytes that say how long the row is


def type_of_a_value(content: bytes, pristine: SyntheticState) -> int:
    return 8 * (own(pristine, 2).start + 11)  # of the envelope, which becomes a text


def pointer_to_a_row(content: bytes, pristine: SyntheticState) -> int:
    leads = [span for span in row_spans(pristine.path / "receipts.db") if not span.own and 3 in span.rows]
    return 8 * (leads[-1].end - 3) + 3


def name_of_a_column(content: bytes, pristine: SyntheticState) -> int:
    return 8 * content.index(b"envelope BLOB") + 1


def own(pristine: SyntheticState, index: int) -> Span:
    return next(s for s in row_spans(pristine.path / "receipts.db") if s.own and index in s.rows)


@pytest.mark.parametrize(
    ("damaged", "named_so"),
    [
        (text_that_is_none, {"entry 4"}),
        (number_of_a_row, {"entry 6"}),
        (type_of_a_value, {"entry 2"}),
        (pointer_to_a_row, {"entries 2 to 3"}),
        (name_of_a_column, {"{state}"}),
    ],
)
def test_one_bit_of_a_database_names_the_entries_that_it_costs_and_no_others(
    state: Path,
    pristine: SyntheticState,
    damaged: Callable[[bytes, SyntheticState], int],
    named_so: set[str],
) -> None:
    path = state / "receipts.db"
    content = bytearray(path.read_bytes())
    bit = damaged(bytes(content), pristine)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    found = named([c for c in verify_target(state).checks if c.number in {1, 3, 4}])
    assert {subject for subject in found if not subject.startswith(("log/", "receipts.db"))} == {
        subject.format(state=state) for subject in named_so
    }


def test_every_entry_is_named_whose_bytes_are_hit_and_the_others_are_read_all_the_same(
    state: Path, pristine: SyntheticState
) -> None:
    path = state / "receipts.db"
    content, whole = path.read_bytes(), bit_flips.read_rows(path)
    spans = [span for span in row_spans(path) if span.own]
    assert {span.rows[0] for span in spans} == set(range(len(pristine.entries)))
    # The beginning of each row says its length, number and types: all of it is tried.
    beginnings = [(span, 8 * place + 7) for span in spans for place in range(span.start, span.start + 14)]
    dice = random.Random(11)
    for span, bit in beginnings + [(s, dice.randrange(8 * s.start, 8 * s.end)) for s in spans * 3]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        report, rows = verify_target(state), bit_flips.read_rows(path)
        assert len(rows) == len(whole)
        differing = {n for n, row in enumerate(rows) if row != whole[n]}
        assert report.ok == (not differing)
        assert differing <= bit_flips.named_entries(named(report.checks))
        # SQLite finds a row by halving a page: behind a damaged one it may miss one neighbour.
        assert span.rows[0] in differing or report.ok
        assert differing <= {span.rows[0], span.rows[0] + 1}


def test_a_flipped_envelope_is_refused_for_writing_too(state: Path, pristine: SyntheticState) -> None:
    path = state / "receipts.db"
    content = path.read_bytes()
    payload = pristine.entries[3].envelope[1000:1040]
    assert content.count(payload) == 1
    path.write_bytes(content.replace(payload, payload[:-1] + bytes([payload[-1] ^ 1])))
    with pytest.raises(StateTamperedError, match="Entry 3"):
        ReceiptLog.open(state)


LOCATED = {"base and head models", "adapters", "configurations", "holdout", "other data", "losses"}
"""kinds whose flips are located from signed digests alone"""


@pytest.fixture(scope="session")
def layered(tmp_path_factory: pytest.TempPathFactory) -> SyntheticState:
    return bit_flips.make_layered_state(tmp_path_factory.mktemp("flips") / "state")


@pytest.mark.parametrize("kind", bit_flips.KINDS)
def test_a_flipped_bit_is_named_and_located_or_changes_nothing(layered: SyntheticState, kind: str) -> None:
    """A few hundred random bits of a whole state; ``benchmarks/bit_flips.py`` does thousands."""
    tally = bit_flips.run(layered, 30, seed=2, kinds=[kind])[kind]
    assert tally.missed == []
    assert tally.detected + tally.harmless.total() == tally.flips == 30
    # A public key that became another one is not named: what it no longer verifies is.
    assert tally.named == tally.detected or kind == "public keys"
    if kind in LOCATED:
        assert tally.mislocated == 0
        assert tally.located >= 29


def test_flips_that_nothing_checks_would_be_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bit_flips.make_layered_state(tmp_path / "state")
    good = verify_target(made.path)
    monkeypatch.setattr(bit_flips, "verify_target", lambda _: good)
    kinds = ("tiles", "checkpoint", "adapters", "holdout", "losses")
    tallies = bit_flips.run(made, 25, seed=3, kinds=kinds)
    assert [len(tallies[kind].missed) for kind in kinds] == [5] * 5
