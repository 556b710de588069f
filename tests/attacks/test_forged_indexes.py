"""Indexes that keep ranks of documents which they have, and updates that their sections tell otherwise."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryoflux.digests import file_digest, write_checksums
from cryoflux.errors import ModelError, VerificationError
from cryoflux.receipts.statement import Section, Sha256Digest, Subject
from cryoflux.registry.versions import Versions
from cryoflux.tasks.index.again import IndexRecomputer
from cryoflux.tasks.index.inputs import used_encoder
from cryoflux.tasks.index.known_items import Query, as_line
from cryoflux.tasks.index.section import SECTION, IndexSection
from cryoflux.tasks.index.shelf import Manifest, Shelf, save_empty
from cryoflux.tasks.index.updating import FILES, Adding, UpdateSaid, apply_update, write_update
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.result import Status
from synthetic_parts import training
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

WIDE, QUERIES, TOKENS = 24, 5, 32
ENCODER = "ab" * 32
Change = dict[str, object]


def name(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-90, 91, (count, WIDE)).astype(np.int8)


def update(
    into: Path,
    base: Shelf,
    numbers: range,
    removed: tuple[int, ...] = (),
    *,
    fresh: bool = False,
    pinned: dict[str, int] | None = None,
    **manifest: object,
) -> Path:
    """An update as a run writes it; ``manifest`` forges fields of the index that it makes."""
    into.mkdir()
    stay = 0 if fresh else base.manifest.documents - len(removed)
    said = {
        "encoder": ENCODER,
        "tokens": TOKENS,
        "dimensions": WIDE,
        "documents": stay + len(numbers),
        "queries": {"holdout": QUERIES},
        "pinned": pinned or {},
    }
    with Adding(into) as adding:
        rows = [{"document": name(n).hex(), "place": f"{n}.md", "title": str(n)} for n in numbers]
        adding.put(rows, [vectors(1, n)[0].tobytes() for n in numbers])
    gone = [name(n).hex() for n in removed]
    queries = vectors(QUERIES, 9) if not base.manifest.encoder or fresh else None
    write_update(into, UpdateSaid("", Manifest(**{**said, **manifest}), fresh, gone), queries)
    return into


class Judge(IndexRecomputer):
    """Knows the vectors of the queries: no model is needed here."""

    def _same_vectors(self, shelf: Shelf, part: str, asked: object) -> None:
        pass


@pytest.fixture
def holdout(tmp_path: Path) -> Path:
    path = tmp_path / "holdout.jsonl"
    lines = [as_line(Query(f"query {n}", name(n), part=False)) for n in range(QUERIES)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@pytest.fixture
def base(tmp_path: Path) -> Shelf:
    """An index of forty documents."""
    (tmp_path / "empty").mkdir()
    save_empty(tmp_path / "empty")
    empty = Shelf(tmp_path / "empty")
    return made(tmp_path / "v1", empty, update(tmp_path / "u1", empty, range(40)))


def made(into: Path, of: Shelf, capsule: Path) -> Shelf:
    into.mkdir()
    apply_update(of, capsule, into)
    return Shelf(into)


def judged(judge: Judge, holdout: Path, *shelves: Shelf) -> list[list[int]]:
    return [judge.evaluate(shelf.folder, holdout)[0] for shelf in shelves]


def rank(base: Shelf, holdout: Path, tmp_path: Path) -> int:
    """Of the document of query 0, as an index keeps it."""
    judge = Judge(TOKENS, tmp_path)
    (loss, *_), *_ = judged(judge, holdout, base)
    return 0 if loss == 10**9 else round(10**9 / (10**9 - loss))


def test_a_rank_that_is_kept_from_before_is_the_bases(base: Shelf, holdout: Path, tmp_path: Path) -> None:
    kept = {"holdout/0": rank(base, holdout, tmp_path)}
    later = made(tmp_path / "v2", base, update(tmp_path / "u2", base, range(40, 44), (0,), pinned=kept))
    last = made(tmp_path / "v3", later, update(tmp_path / "u3", later, range(44, 45), pinned=kept))
    before, after = judged(Judge(TOKENS, tmp_path), holdout, base, later)
    assert after[0] == before[0], "neither merit nor fault"
    before, after = judged(Judge(TOKENS, tmp_path), holdout, later, last)
    assert after[0] == before[0]


@pytest.mark.parametrize("of_base", [False, True])
def test_a_rank_is_not_kept_of_a_document_that_is_there(
    base: Shelf, holdout: Path, tmp_path: Path, of_base: bool
) -> None:
    """Else each update could keep the best rank that a document ever had."""
    later = made(tmp_path / "v2", base, update(tmp_path / "u2", base, range(40, 44), pinned={"holdout/0": 1}))
    with pytest.raises(VerificationError, match="keeps the rank of query 0 of holdout, and has its document"):
        judged(Judge(TOKENS, tmp_path), holdout, *((later,) if of_base else (base, later)))


def test_a_rank_that_is_kept_is_not_made_up(base: Shelf, holdout: Path, tmp_path: Path) -> None:
    kept = {"holdout/0": rank(base, holdout, tmp_path) % 10 + 1}
    later = made(tmp_path / "v2", base, update(tmp_path / "u2", base, range(40, 44), (0,), pinned=kept))
    with pytest.raises(VerificationError, match="keeps another rank of query 0 of holdout"):
        judged(Judge(TOKENS, tmp_path), holdout, base, later)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"numbers": range(40, 42), "encoder": "cd" * 32}, "another model has embedded"),
        ({"numbers": range(39, 42)}, "adds what is there"),
        ({"numbers": range(40, 42), "removed": (99,)}, "takes out what is not there"),
        ({"numbers": range(40, 42), "removed": (3, 3)}, "takes out what is not there, or twice"),
        ({"numbers": range(42), "removed": (3,), "fresh": True}, "and takes something out"),
    ],
)
def test_an_update_that_no_folder_asks_for(base: Shelf, tmp_path: Path, how: Change, words: str) -> None:
    capsule = update(tmp_path / "u2", base, **how)
    (into := tmp_path / "made").mkdir()
    with pytest.raises(VerificationError, match=words):
        Judge(TOKENS, tmp_path).merge(base.folder, capsule, into)


@pytest.mark.parametrize(
    "how",
    [
        {"numbers": range(40, 42), "removed": (3,)},
        {"numbers": range(42), "fresh": True, "encoder": "cd" * 32},
        {"numbers": range(40, 42), "removed": tuple(range(40)), "encoder": "cd" * 32},
    ],
)
def test_an_honest_update_makes_an_index(base: Shelf, tmp_path: Path, how: Change) -> None:
    capsule = update(tmp_path / "u2", base, **how)
    (into := tmp_path / "made").mkdir()
    assert len(Shelf(Judge(TOKENS, tmp_path).merge(base.folder, capsule, into)).names) > 1


def test_an_index_that_was_cut_otherwise_is_refused(base: Shelf, holdout: Path, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="embedded by 32 tokens of a text, not by 64"):
        IndexRecomputer(64, tmp_path).evaluate(base.folder, holdout)


def test_no_model_is_fetched_because_a_state_names_it(
    base: Shelf, holdout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[bool] = []

    def download(_name: str, *, local_files_only: bool = False, **_: object) -> str:
        asked.append(local_files_only)
        raise OSError("it is not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    named = tmp_path / "named"
    shutil.copytree(base.folder, named)
    said = json.loads((named / "index.json").read_text())
    (named / "index.json").write_text(json.dumps({**said, "model": "somebody/a-model"}))
    with pytest.raises(OpenQuestion, match="what embedded it is not kept here"):
        IndexRecomputer(TOKENS, tmp_path).evaluate(named, holdout)
    with pytest.raises(ModelError):
        used_encoder(Shelf(named).manifest, Versions(tmp_path), {})
    assert asked == [True, True]


# What the section of a receipt says of an update


def told(made: SyntheticState, capsule: Path, **changes: object) -> list[str]:
    """What step 9 finds of a receipt whose section says something of an update."""
    write_checksums(capsule)
    subjects = [Subject(name=n, digest=Sha256Digest(sha256=file_digest(capsule / n))) for n in FILES]
    shutil.copytree(capsule, made.path / "capsules" / subjects[0].digest.sha256)
    fields = {"encoder": ENCODER, "documents": 41, "added": 2, "removed": 1, "pending": 0, **changes}
    section = Section(kind=SECTION, fields=fields)
    made.attempt(0.05, subject=subjects, training=training().but(section=section))
    checks = verify_target(made.finish()).checks
    found = [c.detail for c in checks if c.number == 9 and c.status is Status.FAIL]
    return [detail for detail in found if detail != "holds a line that is no example"]


@pytest.fixture
def capsule(base: Shelf, tmp_path: Path) -> Path:
    return update(tmp_path / "u2", base, range(40, 42), (7,))


@pytest.fixture
def state(tmp_path: Path) -> SyntheticState:
    made = open_state(tmp_path / "state")
    (made.path / "capsules").mkdir(exist_ok=True)
    return made


def test_a_section_that_says_what_its_update_does(state: SyntheticState, capsule: Path) -> None:
    assert told(state, capsule) == []


@pytest.mark.parametrize(
    "changes",
    [{"removed": 0}, {"added": 200}, {"documents": 9_999}, {"encoder": "cd" * 32}, {"removed": "1"}],
)
def test_a_section_that_says_something_else(state: SyntheticState, capsule: Path, changes: Change) -> None:
    (found,) = told(state, capsule, **changes)
    assert found.startswith(f"says {next(iter(changes))} ")


@pytest.mark.parametrize(
    "forge",
    [
        lambda said: [],
        lambda said: {**said, "removed": 1},
        lambda said: {**said, "manifest": None},
        lambda said: {"removed": []},
    ],
)
def test_an_update_that_is_none_is_no_traceback(
    state: SyntheticState, capsule: Path, forge: Callable[[dict[str, object]], object]
) -> None:
    said = json.loads((capsule / "update.json").read_text())
    (capsule / "update.json").write_text(json.dumps(forge(said)))
    (found,) = told(state, capsule)
    assert "its update cannot be read" in found


def test_deep_json_is_no_traceback(capsule: Path, state: SyntheticState) -> None:
    (capsule / "update.json").write_text("[" * 100_000)
    (found,) = told(state, capsule)
    assert "its update cannot be read" in found
    assert IndexSection().trained(Section(kind=SECTION, fields={})) == (0, ())
