"""Judgements that say more than their losses show: each is refuted, by `verify` and by `verify.sh`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import cryoflux
from cryoflux.receipts.bundle import Extras, write_bundle
from cryoflux.receipts.judgement_parts import JudgedKind, JudgedTokens, StatedEnergy
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.profiles import DOCUMENT_F32
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import Judgement, JudgementStatement, Outcome
from cryoflux.state import StateFolder
from cryoflux.verification.result import Status
from judged_losses import COUNT, base_losses, better_by
from shell_bundles import bare_tools, needs_tools, run_script
from verifying import verify_target

Forgery = Callable[[Judgement], Judgement]


def decided(said: Judgement, **changes: object) -> Judgement:
    return said.but(decision=said.decision.but(**changes))


def barred(said: Judgement, **changes: object) -> Judgement:
    return decided(said, bar=said.decision.bar.but(**changes))


def ruled(said: Judgement, **changes: object) -> Judgement:
    return decided(said, rule=said.decision.rule.but(**changes))


def measured(said: Judgement, **changes: object) -> Judgement:
    return said.but(measured=said.measured.but(**changes))


def kept(said: Judgement) -> Judgement:
    return decided(said.but(outcome=Outcome.ACCEPTED), accepted=True)


def renamed(said: Judgement) -> Judgement:
    return said.but(reason=said.reason.but(code="evidence.delta"))


def of_documents(said: Judgement, targets: int) -> Judgement:
    documents = measured(said.but(kind=JudgedKind.MODELS), profile=DOCUMENT_F32)
    return documents.but(tokens=JudgedTokens(most=5, cut=0, targets=targets))


FORGED: dict[str, tuple[Forgery, str, str]] = {
    "kept though nothing was shown": (kept, "gives: ", "gives false"),
    "an outcome of its own": (
        lambda s: s.but(outcome=Outcome.REJECTED),
        "gives: ",
        "its rule says otherwise",
    ),
    "carried": (lambda s: s.but(outcome=Outcome.CARRIED), "no judgement can be", "its rule says otherwise"),
    "a look left out": (lambda s: barred(s, looks=0), "by the log it gave 1", "counts the looks"),
    "another reason": (renamed, "gives: ", "reason is not the one"),
    "a wider error budget": (lambda s: ruled(s, alpha_ppm=900_000), "never widened", "more error than"),
    "another rule": (lambda s: ruled(s, name="whitepaper/v1"), "evidence/v2 alone", "another rule than"),
    "a profile of its own": (lambda s: measured(s, profile="f32/v1"), "names the profile", "names a profile"),
    "joules outside of their range": (
        lambda s: s.but(energy=StatedEnergy(microjoules=5, lo_microjoules=9, hi_microjoules=4)),
        "outside of their own range",
        "outside of their own range",
    ),
    "tokens of losses": (
        lambda s: s.but(tokens=JudgedTokens(most=5, cut=COUNT + 1)),
        "of its 300 examples were cut",
        "more was cut than it was judged on",
    ),
    "target tokens of no document": (
        lambda s: s.but(tokens=JudgedTokens(most=5, cut=0, targets=1)),
        "1 target tokens of its 0 documents",
        "its documents cannot have",
    ),
    "fewer target tokens than documents": (
        lambda s: of_documents(s, COUNT - 1),
        "299 target tokens of its 300 documents",
        "its documents cannot have",
    ),
    "more target tokens than are read": (
        lambda s: of_documents(s, 5 * COUNT + 1),
        "1501 target tokens of its 300 documents, of 5 tokens each at most",
        "its documents cannot have",
    ),
    "another model than its subject": (
        lambda s: s.but(new=s.new.but(name="somebody else's")),
        "its subject is not the new one",
        "its subject is not the new one",
    ),
    "sums that cannot be": (lambda s: measured(s, delta_squared_sum="1"), "too small", "too small"),
}
"""what is said → how, what `verify` finds, what `verify.sh` finds"""


def forged(state: Path, forgery: Forgery) -> Path:
    """A log whose second judgement, signed with its own key, says something else than it should."""
    base, other = base_losses(), state.with_name("other")
    cryoflux.judge_losses(base, better_by(base, 0.0, 5), state=other)
    for seed in (5, 6):
        cryoflux.judge_losses(base, better_by(base, 0.0, seed), state=state)
    last = read_entries(state)[-1].statement
    assert isinstance(last, JudgementStatement)
    said = last.predicate

    def build(sequence: int, prev: str) -> JudgementStatement:
        return last.but(predicate=forgery(said.but(sequence=sequence, prev=prev)))

    with closing(ReceiptLog.open(other)) as log:
        log.append(build)
    losses = StateFolder(state).losses(said.measured.per_example)
    StateFolder(other).losses(said.measured.per_example).write_bytes(losses.read_bytes())
    return other


def complaints(state: Path, status: Status = Status.FAIL) -> list[str]:
    return [f"{c.number} {c.subject} {c.detail}" for c in verify_target(state).checks if c.status is status]


def bundle_says(state: Path, tmp_path: Path) -> tuple[int, str]:
    write_bundle(state, tmp_path / "bundle", Extras())
    (tmp_path / "tools").mkdir()
    return run_script(tmp_path / "bundle", bare_tools(tmp_path / "tools"))


def test_what_is_forged_here_holds_where_nothing_is_changed(tmp_path: Path) -> None:
    assert complaints(forged(tmp_path / "s", lambda said: said)) == []


@pytest.mark.parametrize("targets", [COUNT, 5 * COUNT])
def test_target_tokens_that_documents_can_have_are_taken(targets: int, tmp_path: Path) -> None:
    assert complaints(forged(tmp_path / "s", lambda said: of_documents(said, targets))) == []


@needs_tools
def test_and_the_script_takes_them_too(tmp_path: Path) -> None:
    code, said = bundle_says(forged(tmp_path / "s", lambda said: of_documents(said, 5 * COUNT)), tmp_path)
    assert code == 0, said


@pytest.mark.parametrize(("forgery", "words", "_"), FORGED.values(), ids=list(FORGED))
def test_what_a_judgement_cannot_say_is_refuted(forgery: Forgery, words: str, _: str, tmp_path: Path) -> None:
    found = complaints(forged(tmp_path / "s", forgery))
    assert any(words in line for line in found), found


@needs_tools
@pytest.mark.parametrize(("forgery", "_", "words"), FORGED.values(), ids=list(FORGED))
def test_and_without_cryoflux_too(forgery: Forgery, _: str, words: str, tmp_path: Path) -> None:
    code, said = bundle_says(forged(tmp_path / "s", forgery), tmp_path)
    assert code == 1
    assert words in said, said


def test_a_lower_bar_than_the_looks_ask_for_is_refuted(tmp_path: Path) -> None:
    found = complaints(forged(tmp_path / "s", lambda said: barred(said, needed_milli=1)))
    assert any("but its error budget for" in line for line in found), found


def test_other_losses_and_another_holdout_than_were_signed_are_refuted(tmp_path: Path) -> None:
    base, state = base_losses(), StateFolder(tmp_path / "s")
    cryoflux.judge_losses(base, better_by(base, 0.1), state=state.path)
    said = read_entries(state.path)[0].judgement
    assert said is not None
    losses, ids = state.losses(said.measured.per_example), state.judged(said.measured.sha256)
    whole = losses.read_bytes()
    losses.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert any("not those that were signed" in line for line in complaints(state.path))
    losses.unlink()
    assert any("missing" in line for line in complaints(state.path))
    losses.write_bytes(whole)
    ids.write_bytes(ids.read_bytes() + b'"x"\n')
    assert any("not the holdout that was signed" in line for line in complaints(state.path))
    ids.unlink()
    assert complaints(state.path) == []
    assert any("was judged stays open" in line for line in complaints(state.path, Status.UNKNOWN))


def test_a_look_cannot_be_taken_back_by_deleting_its_entry(tmp_path: Path) -> None:
    base, state = base_losses(), tmp_path / "s"
    for seed in range(3):
        cryoflux.judge_losses(base, better_by(base, 0.0, seed), state=state)
    with closing(sqlite3.connect(state / "receipts.db")) as db:
        db.executescript("DROP TRIGGER entries_delete; DELETE FROM entries WHERE idx = 2;")
    with pytest.raises(cryoflux.CryoFluxError):
        cryoflux.judge_losses(base, better_by(base, 0.0, 9), state=state)
    assert complaints(state)
