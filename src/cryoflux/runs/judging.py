"""Judging what others made: which of two is better on a holdout, with a receipt like any other.

Nothing is trained here, and no head moves. What is counted is every verdict that the state's log has given on
a holdout, in this call and in those before: the bar of the next one rises with them (`decision.budget`), so
that asking often does not turn noise into an improvement. Joules are what somebody states; no meter of this
state has seen them, and the receipt says so.
"""

from __future__ import annotations

__all__ = [
    "judge_given",
    "judge_losses",
    "judge_paired",
    "refuse_odd_names",
    "with_settings",
]

import math
import os
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryoflux.config import Settings, load_settings
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.interval import anytime_interval, odds_against
from cryoflux.decision.rules import BUDGETED, Thresholds, Verdict, decide
from cryoflux.digests import sha256_hex
from cryoflux.errors import ConfigError, UsageError
from cryoflux.evaluation.given_losses import (
    GivenLosses,
    PairedLosses,
    given_losses,
    pair_given,
    read_given_losses,
)
from cryoflux.evaluation.losses import write_evidence
from cryoflux.evaluation.machine import software
from cryoflux.files import lock_exclusively, read_regular, storage_errors, write_atomic
from cryoflux.log_state import LogState
from cryoflux.quantities import MICRO, NANO, NATS
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.judgement_parts import JudgedSide
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import (
    Bar,
    Decision,
    Judgement,
    JudgementStatement,
    Measurement,
    Metric,
    Outcome,
    Rule,
    Sha256Digest,
    Subject,
)
from cryoflux.receipts.sums import evidence_of, sums_of
from cryoflux.runs.by_hand import refuse_open, witnesses_of
from cryoflux.runs.judgements import Judged, Terms
from cryoflux.runs.stated_energy import StatedJoules, stated_energy
from cryoflux.sentences import brief, say
from cryoflux.state import StateFolder

_LONGEST_NAME = 500
_MOST_MIN_DELTA = 1_000_000
_Place = str | os.PathLike[str]
_Hits = Mapping[str, bool] | Iterable[bool]
_Losses = _Place | Mapping[str, float] | Iterable[float]
"""a file; or id → loss; or losses in the order of the holdout: a list, an array, a tensor"""


def judge_losses(
    base: _Losses,
    new: _Losses,
    *,
    state: _Place | None = None,
    name: str = "",
    energy: StatedJoules = None,
    metric: str = "loss",
    unit: str = NATS,
    min_delta: float | None = None,
    correct: tuple[_Hits, _Hits] | None = None,
) -> Judged:
    """Say which of two is better, by the losses that somebody computed on a holdout, and sign a receipt.

    Args:
        base: losses of what is there: a file with ``{"id": …, "loss": …}`` a line, id → loss, or losses in
            the order of the holdout (a list, an array, a tensor).
        new: losses of what was made from it, on the same examples.
        state: the state whose log it goes into, made where it is not there; ``state`` by default.
        name: of what is judged.
        energy: what making the new one has cost: a measurement, its file, joules as a number or text.
        metric: what the losses measure.
        unit: of a loss.
        min_delta: smallest mean Δ that counts, in ``unit``; 0.002 by default.
        correct: which examples base and new got right, in the form of their losses, where those are not in
            files that say so.

    Raises:
        DataError: the losses are none, or not of the same examples.
        UsageError: a file is missing, or the state cannot be written to.
        StateError: something is at work in the state, or it cannot be continued.
    """
    if correct is not None and not (isinstance(correct, list | tuple) and len(correct) == 2):
        raise UsageError(
            "What was right was not said of two.",
            why="It is counted of base and of new, example by example.",
            hint="Hand over correct=(of_base, of_new), each in the form of its losses.",
        )
    before, after = correct or (None, None)
    sides = _given(base, "base", before), _given(new, "new", after)
    refuse_odd_names(name, metric, unit)
    settings = load_settings({"state": state if state is None else str(state)}).settings
    given = Metric(name=metric, unit=unit)
    return judge_given(*sides, settings, name=name, energy=energy, metric=given, min_delta=min_delta)


def judge_given(
    base: GivenLosses,
    new: GivenLosses,
    settings: Settings,
    *,
    name: str,
    energy: StatedJoules,
    metric: Metric,
    min_delta: float | None,
) -> Judged:
    """The same of losses that were read, by the settings of a command; see `judge_losses`."""
    terms = Terms(
        name=name or new.name,
        base=JudgedSide(name=base.name, sha256=base.sha256),
        new=JudgedSide(name=new.name, sha256=new.sha256),
        metric=metric,
        energy=stated_energy(energy),
    )
    return judge_paired(pair_given(base, new), with_settings(terms, settings, min_delta), settings)


def with_settings(terms: Terms, settings: Settings, min_delta: float | None) -> Terms:
    """The terms with what the settings say of an improvement.

    Args:
        terms: without it.
        settings: of the command.
        min_delta: smallest mean Δ, in the metric's unit; that of the settings where none is given.

    Raises:
        ConfigError: it is negative or no number.
    """
    least = settings.decision.min_delta if min_delta is None else min_delta
    if isinstance(least, bool) or not isinstance(least, int | float) or abs(least) > _MOST_MIN_DELTA:
        least = math.nan
    if not (math.isfinite(least) and least >= 0):
        raise ConfigError(
            f"The smallest Δ is no number from 0 to {_MOST_MIN_DELTA:,}.",
            why="An improvement is a loss that is lower by at least so much.",
            hint="Give a number from 0 on: --min-delta 0.002.",
        )
    return replace(
        terms,
        min_delta_nano=round(least * NANO),
        min_accuracy_gain_ppm=round(settings.decision.min_accuracy_gain * MICRO),
        alpha_ppm=max(1, round(settings.decision.error_budget * MICRO)),
    )


def _given(losses: _Losses, which: str, correct: _Hits | None) -> GivenLosses:
    if isinstance(losses, str | os.PathLike):
        return read_given_losses(Path(losses))
    return given_losses(which, losses, correct)


def judge_paired(paired: PairedLosses, terms: Terms, settings: Settings) -> Judged:
    """Give the verdict on losses that are paired, and sign its receipt.

    Args:
        paired: losses of both, example by example.
        terms: what was said before.
        settings: which state it is, and which witnesses its log has.

    Raises:
        UsageError: the holdout decides on updates of a task of this state.
        StateError: something is at work in the state, or it cannot be continued.
        StorageError: the disk is full, read-only, or refuses.
    """
    refuse_odd_names(terms.name, terms.base.name, terms.new.name, terms.metric.name, terms.metric.unit)
    path = Path(settings.run.state)
    state = StateFolder(path)
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with (
        lock_exclusively(state.lock, holder="cryoflux judge"),
        closing(ReceiptLog.open(path)) as log,
        witnesses_of(settings, path) as witnessing,
    ):
        memory, judged = LogState(), []
        for entry in log.entries():
            memory.take(entry)
            if entry.judgement is not None and entry.judgement.measured.sha256 == paired.sha256:
                judged.append((entry, entry.judgement))
        promised = memory.judged.get(paired.sha256)
        promised_ppm = promised.alpha_ppm if promised is not None else terms.alpha_ppm
        for entry, said in judged:
            if _is_same(said, paired, terms, promised_ppm):
                _store(state, paired)
                return _judged(entry, paired, path, again=True)
        refuse_open(memory, state)
        _refuse_deciding(memory, paired.sha256, state)
        made = _verdict(paired, terms, memory)
        # What the entry names lies there before it: a crash in between leaves files that nobody names.
        _store(state, paired)
        entry = log.append(lambda sequence, prev: _statement(paired, terms, made, sequence, prev))
        if witnessing is not None:
            witnessing.published(binding=False)
            witnessing.finish()
    return _judged(entry, paired, path)


def _is_same(said: Judgement, paired: PairedLosses, terms: Terms, promised_ppm: int) -> bool:
    """Whether exactly this was asked before: to ask it again tells nothing new."""
    rule, measured = said.decision.rule, said.measured
    least = (rule.min_delta, rule.min_accuracy_gain_ppm)
    about = (said.name, said.kind, said.base, said.new, said.apart, said.energy)
    if about != (terms.name, terms.kind, terms.base, terms.new, terms.apart, terms.energy):
        return False
    # Whoever promises less error asks something else.
    if rule.alpha_ppm > min(terms.alpha_ppm, promised_ppm):
        return False
    return (
        (measured.sha256, measured.per_example) == (paired.sha256, sha256_hex(_evidence_file(paired)))
        and (measured.metric, measured.profile, measured.hits is not None)
        == (terms.metric, terms.profile, paired.hits)
        and least == (terms.min_delta_nano, terms.min_accuracy_gain_ppm)
    )


def _evidence_file(paired: PairedLosses) -> bytes:
    return write_evidence(paired.base, paired.new)


def refuse_odd_names(*names: str) -> None:
    """Make sure that names can stand in a receipt.

    Raises:
        UsageError: one cannot.
    """
    for name in names:
        if not isinstance(name, str):
            raise UsageError(
                f"A name is {type(name).__name__}, and no text.",
                why="It stands in the receipt, for people to read.",
                hint="Give texts for name, metric and unit.",
            )
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"The name {name[:20]!r}… is no Unicode text.",
                why="What is signed is read by others, on other machines.",
                hint="Give another one: --name NAME.",
            ) from error
        if len(name) > _LONGEST_NAME:
            raise UsageError(
                f"The name {name[:20]!r}… has {len(name):,} characters.",
                why=f"A receipt holds names of up to {_LONGEST_NAME}.",
                hint="Give a shorter one: --name NAME.",
            )


def _store(state: StateFolder, paired: PairedLosses) -> None:
    """Put down what a judgement names; what lies there under that name with other bytes is mended."""
    evidence = write_evidence(paired.base, paired.new)
    files = {state.losses(sha256_hex(evidence)): evidence, state.judged(paired.sha256): paired.holdout}
    for path, content in files.items():
        with suppress(OSError):
            if read_regular(path, len(content)) == content:
                continue
        write_atomic(path, content)


def _refuse_deciding(memory: LogState, holdout: str, state: StateFolder) -> None:
    for name, known in memory.tasks.items():
        if holdout in known.holdouts:
            raise UsageError(
                f"This holdout decides on updates of {name} in {state.path}.",
                why="Another verdict would spend its error budget, and nobody would count it there.",
                hint="Judge in a state of its own: --state judged.",
            )


@dataclass(frozen=True, slots=True)
class _Made:
    """A verdict with what it rests on."""

    rule: Rule
    bar: Bar
    evidence: Evidence
    verdict: Verdict
    per_example: str

    @property
    def outcome(self) -> Outcome:
        if self.verdict.accepted:
            return Outcome.ACCEPTED
        return Outcome.UNDECIDED if self.verdict.undecided else Outcome.REJECTED


def _verdict(paired: PairedLosses, terms: Terms, memory: LogState) -> _Made:
    base, new = paired.base, paired.new
    correct = (base.correct, new.correct) if paired.hits else (None, None)
    evidence = pair_losses(base.nano_nats, new.nano_nats, *correct)
    promised = memory.judged.get(paired.sha256)
    rule = Rule(
        name=BUDGETED,
        min_delta=terms.min_delta_nano,
        min_accuracy_gain_ppm=terms.min_accuracy_gain_ppm,
        z_milli=0,
        alpha_ppm=min(terms.alpha_ppm, promised.alpha_ppm) if promised is not None else terms.alpha_ppm,
    )
    bar = memory.judging_bar(paired.sha256, rule)
    least = (rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli)
    thresholds = Thresholds(*least, bar.needed_milli, terms.metric.unit)
    verdict = decide(rule.name, evidence, thresholds)
    return _Made(rule, bar, evidence, verdict, sha256_hex(_evidence_file(paired)))


def _statement(
    paired: PairedLosses, terms: Terms, made: _Made, sequence: int, prev: str
) -> JudgementStatement:
    measured = Measurement(
        profile=terms.profile,
        metric=terms.metric,
        sha256=paired.sha256,
        count=made.evidence.count,
        per_example=made.per_example,
        **sums_of(made.evidence),
    )
    said = Judgement(
        sequence=sequence,
        prev=prev,
        name=terms.name,
        kind=terms.kind,
        base=terms.base,
        new=terms.new,
        measured=measured,
        decision=Decision(rule=made.rule, bar=made.bar, accepted=made.verdict.accepted),
        outcome=made.outcome,
        reason=made.verdict.reason,
        software=software(terms.libraries),
        judged_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        apart=terms.apart,
        energy=terms.energy,
        tokens=terms.tokens,
    )
    subject = Subject(name=terms.new.name, digest=Sha256Digest(sha256=terms.new.sha256))
    return JudgementStatement(subject=[subject], predicate=said)


def _judged(entry: Entry, paired: PairedLosses, state: Path, *, again: bool = False) -> Judged:
    said = entry.judgement
    if said is None:
        raise ValueError("no judgement")
    evidence, count, energy = evidence_of(said.measured), said.measured.count, said.energy
    accuracy = evidence.base_correct / count, evidence.new_correct / count
    rule, bar, tokens = said.decision.rule, said.decision.bar, said.tokens
    return Judged(
        kept=said.decision.accepted,
        undecided=said.outcome is Outcome.UNDECIDED,
        delta=evidence.delta_mean,
        interval=anytime_interval(evidence, bar.needed_milli),
        unit=said.measured.metric.unit,
        count=count,
        accuracy=accuracy if paired.hits else None,
        look=bar.looks + 1,
        joules=energy.microjoules / MICRO if energy is not None else None,
        outcome=said.outcome.word,
        reason=say(said.reason),
        why=brief(said.reason),
        receipt=entry.leaf_hash,
        entry=entry.index,
        state=state,
        error_budget=rule.alpha_ppm / MICRO,
        odds=odds_against(bar.needed_milli),
        most_tokens=tokens.most if tokens else None,
        cut=tokens.cut if tokens else None,
        targets=(tokens.targets or None) if tokens else None,
        again=again,
    )
