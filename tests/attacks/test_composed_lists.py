"""Lists of updates that are not the log's, and machines whose arithmetic is another one."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from archives import unpack
from cryoflux.errors import ModelError
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Receipt
from cryoflux.registry.compose import Adapter, LowRank, compose
from cryoflux.registry.composition import COMPOSE, MOST_TERMS, Composition, Term, folded, list_digest
from cryoflux.registry.made import MadeVersion
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from cryoflux.registry.parent_lists import updates_of
from cryoflux.tasks.lora import composing
from cryoflux.verification import lineage
from cryoflux.verification.again import Again
from cryoflux.verification.result import Check, Status
from running import cryoflux
from synthetic_parts import TASK, make_capsule, section, training
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

OLD = Path(__file__).parents[1] / "vectors" / "state-v1.tar.xz"
MACHINES = [
    {},
    {"NPY_DISABLE_CPU_FEATURES": "X86_V4"},
    {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"},
    {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"},
    {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"},
]
"""what makes libraries compute as another processor would; those that know nothing of one ignore it"""
ANOTHER = {"MKL_CBWR": "COMPATIBLE", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "avx2"}
MERGE = """
import hashlib, sys
import numpy as np
from cryoflux.registry.compose import Adapter, LowRank, WeightSums
draw = np.random.default_rng(7)
def some(*shape):
    return draw.standard_normal(shape).astype(np.float32)
base = {"w": some(384, 384), "c": some(11, 384)}
sums = WeightSums(base)
for _ in range(3):
    sums = sums.adding(Adapter({"w": LowRank(some(16, 384), some(384, 16), 16 / 3)}, {"c": some(11, 384)}))
print(hashlib.sha256(b"".join(sums.value(name).tobytes() for name in base)).hexdigest())
"""


def test_one_digest_under_every_instruction_set_and_number_of_threads() -> None:
    found = set()
    for machine in MACHINES:
        for threads in ("1", "2"):
            counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
            run = subprocess.run(
                [sys.executable, "-c", MERGE], env={**os.environ, **machine, **counts},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.add(run.stdout.strip())
    assert len(found) == 1


def test_an_honest_state_of_another_machines_arithmetic_is_not_accused(tmp_path: Path) -> None:
    """Of before receipts named a list: its float32 merge gives other last bits here and there."""
    unpack(OLD, tmp_path)
    outcome = cryoflux(
        "verify", tmp_path / "state-v1", "--no-memory", "--recompute", "2", cold=True, **ANOTHER
    )
    assert outcome.code == 0, outcome.stdout
    assert "refuted" not in outcome.stdout


def due(made: SyntheticState, adapter: str) -> Composition:
    return made.memory.tasks[TASK].composition.adopting(adapter)


def attempt(made: SyntheticState, gain: float = 0.02, lie: object = None, **fields: object) -> Entry:
    """An attempt whose receipt names the list of its candidate; ``lie`` makes another one of it."""
    intent = made.announce()
    subject = make_capsule(made.path, [gain, float(made.log.size)])
    composed = due(made, subject[0].digest.sha256)
    if callable(lie):
        composed = lie(composed)
    said = {"merge": COMPOSE, "genesis": composed.genesis, "list": composed.digest, **fields}
    told = {name: value for name, value in said.items() if value is not None}
    return made.conclude_attempt(
        intent, gain, subject=subject, training=training().but(section=section(**told))
    )


def step_8(state: Path) -> list[Check]:
    return [c for c in verify_target(state).checks if c.number == 8 and c.status is not Status.OK]


def without_an_update(composed: Composition) -> Composition:
    return Composition(genesis=composed.genesis, terms=composed.terms[1:])


def with_another_adapter(composed: Composition) -> Composition:
    term = Term(weight="1", adapter="c" * 64, parent=composed.terms[-1].parent)
    return Composition(genesis=composed.genesis, terms=(*composed.terms[:-1], term))


def with_another_weight(composed: Composition) -> Composition:
    last = composed.terms[-1]
    term = Term(weight="0.5", adapter=last.adapter, parent=last.parent)
    return Composition(genesis=composed.genesis, terms=(*composed.terms[:-1], term))


def with_another_parent(composed: Composition) -> Composition:
    term = Term(weight="1", adapter=composed.terms[-1].adapter, parent="d" * 64)
    return Composition(genesis=composed.genesis, terms=(*composed.terms[:-1], term))


def from_another_genesis(composed: Composition) -> Composition:
    return Composition(genesis="e" * 64, terms=composed.terms)


LIES = [
    without_an_update,
    with_another_adapter,
    with_another_weight,
    with_another_parent,
    from_another_genesis,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_list_that_is_not_the_one_of_the_log_is_found_by_the_log(
    lie: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_state(tmp_path / "state")
    attempt(made, 0.05)
    attempt(made, lie=lie)
    state = made.finish()
    (found,) = [c for c in verify_target(state).checks if c.status is Status.FAIL]
    assert (found.number, found.subject) == (8, "entry 3 (receipt a0002_2)")
    assert "its list of updates is not the one of the log" in found.detail
    monkeypatch.setattr(lineage, "list_findings", lambda *_: iter(()))
    assert verify_target(state).ok, "it passes once its defence is taken out"


def test_lists_that_follow_the_log_are_not_accused(tmp_path: Path) -> None:
    """From its first version on, after a rollback, and by whoever has the older versions no more."""
    made = open_state(tmp_path / "state")
    first = made.head
    attempt(made, 0.05)
    second = made.head
    attempt(made)
    made.move(second)
    assert [len(made.memory.tasks[TASK].composition.terms), made.head] == [1, second]
    attempt(made)
    base = made.head.digest
    attempt(made, lie=lambda composed: Composition.rebased(base, composed.terms[-1].adapter))
    assert made.memory.tasks[TASK].composition.genesis == base
    made.move(first)
    attempt(made)
    assert made.memory.tasks[TASK].composition.genesis == first.digest
    assert not step_8(made.finish())


def test_a_log_that_was_begun_before_lists_goes_on_from_its_head(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    head = made.head
    attempt(made)
    composed = made.memory.tasks[TASK].composition
    assert (composed.genesis, len(composed.terms)) == (head.digest, 1)
    made.attempt(0.02)
    assert made.memory.tasks[TASK].composition == Composition(genesis=made.head.digest)
    made.finish()


def test_a_step_back_from_lists_to_float32_is_said_once(tmp_path: Path) -> None:
    """An older program that was started by mistake does so too: nobody is accused."""
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    assert not step_8(made.path), "a log from before lists never named one"
    attempt(made)
    made.attempt(0.02)
    attempt(made)
    made.attempt(0.02)
    (asked,) = step_8(made.finish())
    assert (asked.status, asked.subject) == (Status.UNKNOWN, "entry 5 (receipt a0003_4)")
    assert "names no list of updates, as its task did before" in asked.detail


def test_a_list_is_added_up_one_update_at_a_time() -> None:
    """However many there are, and however large what they change in full."""
    size, live, most = 200_000, 0, 0

    class Large(Adapter):
        def __del__(self) -> None:
            nonlocal live
            live -= 1

    def read(_digest: str) -> Adapter:
        nonlocal live, most
        live += 1
        most = max(most, live)
        return Large({}, {"w": np.full(size, live, np.float32)})

    composed = Composition(genesis="a" * 64)
    for number in range(MOST_TERMS):
        composed = composed.adopting(f"{number:064x}")
    tracemalloc.start()
    compose(composed, {"w": np.ones(size, np.float32)}, read)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most <= 2
    assert peak < 20 * 4 * size, "the files of all updates, and each version on the way, are not held"


def test_a_fork_goes_on_from_its_head(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    attempt(made, 0.05)
    known = made.memory.tasks[TASK]
    taken = type(known).taken_up(known.handed_on(TASK), "0" * 64)
    assert taken.composition == Composition(genesis=made.head.digest)
    made.finish()


def test_a_list_that_goes_in_circles_in_a_log_ends(tmp_path: Path) -> None:
    """An owner may say that a version was made of one that was made of it."""
    made = open_state(tmp_path / "state")
    attempt(made, 0.05)
    first = made.head
    attempt(made)
    known = made.memory.tasks[TASK]
    composed = due(made, "a" * 64)
    known.put_head(first, MadeVersion(composed.genesis, made.head.digest, composed.terms[-1]), composed)
    known.put_head(made.head)
    assert len(known.composition.terms) <= MOST_TERMS
    made.finish()


@pytest.mark.parametrize("left_out", ["list", "genesis", "merge"])
def test_a_list_is_named_wholly_or_not_at_all(left_out: str, tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    attempt(made, 0.05, **{left_out: None})
    failed = {c.number for c in verify_target(made.finish()).checks if c.status is Status.FAIL}
    assert 5 in failed


def test_a_way_of_merging_of_another_version_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    attempt(made, 0.05, merge="compose/v9")
    (check,) = step_8(made.finish())
    assert check.status is Status.UNKNOWN
    assert "compose/v9" in check.detail


class Adder:
    """Gives what it is told for the sum of a list."""

    def __init__(self, state: Path, digest: str) -> None:
        self.model = state / "models" / digest

    def compose(self, composed: Composition, models: object, into: Path) -> Path:
        return self.model


@pytest.mark.parametrize("honest", [True, False])
def test_a_candidate_that_is_not_the_sum_of_its_list_is_refuted(honest: bool, tmp_path: Path) -> None:
    """No tolerance here: the sum is the same bytes on every machine."""
    made = open_state(tmp_path / "state")
    receipt = attempt(made, 0.05).statement.predicate
    assert isinstance(receipt, Receipt)
    state = made.finish()
    digest = receipt.result.digest if honest else receipt.base.digest
    report = verify_target(state, again=Again(lambda _: Adder(state, digest), losses=1))
    (check,) = [c for c in report.checks if c.number == 11]
    assert ("merge into another model" in check.detail) is not honest


def test_what_the_log_came_to_does_not_depend_on_who_folds_it(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    attempt(made, 0.05)
    attempt(made)
    again = LogState()
    for entry in made.entries:
        again.take(entry)
    assert again.tasks[TASK].composition == made.memory.tasks[TASK].composition
    assert len(again.tasks[TASK].composition.terms) == 2
    made.finish()


def test_a_round_composes_no_list_that_nobody_could_add_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 updates, of which 60 come again in each of 20 lists: few to fetch, and too many to go through.

    Adopted, it would be a head that no start, no fork and no verifier can make.
    """
    empty = list_digest(())
    known: dict[str, tuple[Term, ...]] = {empty: ()}

    def keep(*terms: Term) -> tuple[Term, ...]:
        known[list_digest(terms)] = terms
        return terms

    def one(number: int) -> Term:
        return Term(weight="1", adapter=f"{number:064x}", parent=empty)

    shared = keep(*map(one, range(60)))
    parent = keep(*(folded(keep(*folded(shared), one(100 + number)))[0] for number in range(20)))
    offer = OfferedUpdate(adapter="f" * 64, genesis="0" * 64, parent=parent)
    head = Composition(genesis="0" * 64)
    poisoned = after(head, [ListStep(kind=StepKind.MIX, update=offer, amount="1/2")])
    assert len(updates_of(poisoned.terms, known.__getitem__)) == 81
    update = Adapter(low_rank={"w": LowRank(np.ones((1, 2), np.float32), np.ones((2, 1), np.float32), 1.0)})
    monkeypatch.setattr(composing, "read_adapter", lambda _folder, _digest: update)
    genesis = {"w": np.ones((2, 2), np.float32)}
    models = composing.ListedModels(genesis, Path, known.__getitem__)
    with pytest.raises(ModelError, match="too many lists below it"):
        compose(poisoned, genesis, lambda _: update, known.__getitem__)
    with pytest.raises(ModelError, match="too many lists below it"):
        models.names(poisoned)
    assert models.names(Composition(genesis="0" * 64, terms=parent[:5])) == {"w"}
