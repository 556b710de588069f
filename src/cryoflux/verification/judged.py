"""What is wrong with a judgement: its verdict, by the log before it, and the files that it names.

Which losses two models have on a holdout is the word of whoever judged; where models were evaluated, anybody
who has them can evaluate them again. That the verdict follows from the losses, and the bar from the verdicts
before, is arithmetic.
"""

from __future__ import annotations

__all__ = ["judged_and_deciding", "judged_files", "subject_complaint", "wrong_judgement"]

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryoflux.data.documents import plain_text
from cryoflux.data.fold import fold
from cryoflux.data.lowest_hash import may_differ
from cryoflux.decision.rules import BUDGETED, Thresholds, Verdict, decide
from cryoflux.digests import sha256_hex
from cryoflux.errors import ConfigError
from cryoflux.files import read_regular
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.judgement_parts import JudgedKind, JudgedTokens
from cryoflux.receipts.log_key import other_subjects
from cryoflux.receipts.profiles import DOCUMENT_F32, F32, HANDED_OVER
from cryoflux.receipts.statement import Judgement, Measurement, Outcome
from cryoflux.receipts.sums import evidence_of
from cryoflux.sentences import say
from cryoflux.state import StateFolder
from cryoflux.verification.pairing import MOST_EXAMPLES, read_losses
from cryoflux.verification.read_sets import ReadSets
from cryoflux.verification.result import Finding, failed, unknown
from cryoflux.verification.topics import Topic

_MOST_BYTES = 1 << 28


def wrong_judgement(said: Judgement, memory: LogState, *, past: bool) -> Iterator[str]:
    """What is wrong with a judgement's verdict.

    Args:
        said: what it says.
        memory: what the log had come to before it.
        past: whether the log is here from its beginning.
    """
    rule, bar, accepted = said.decision.rule, said.decision.bar, said.outcome is Outcome.ACCEPTED
    if rule.name != BUDGETED:
        yield f"judges by the rule {rule.name!r}; what others made is judged by {BUDGETED} alone"
        return
    if said.outcome in {Outcome.ABORTED, Outcome.CARRIED}:
        yield f"is {said.outcome.value}, which no judgement can be"
    if accepted != said.decision.accepted:
        yield f"outcome {said.outcome.value} and decision accepted={said.decision.accepted} disagree"
    if (said.kind == "losses") != (said.measured.profile == HANDED_OVER):
        yield f"is of {said.kind.value}, and names the profile {said.measured.profile!r}"
    yield from _misstated(said)
    if past:
        yield from _wrong_bar(said, memory)
    unit = said.measured.metric.unit
    least = (rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli)
    try:
        verdict = decide(rule.name, evidence_of(said.measured), Thresholds(*least, bar.needed_milli, unit))
    except (ConfigError, ArithmeticError, ValueError) as error:
        yield f"its verdict cannot be made again: {error}"
        return
    if _outcome(verdict) is not said.outcome or verdict.reason != said.reason:
        yield f"is {said.outcome.value} ({say(said.reason)}), but {rule.name} gives: {say(verdict.reason)}"


def _misstated(said: Judgement) -> Iterator[str]:
    energy = said.energy
    if energy is not None and not energy.lo_microjoules <= energy.microjoules <= energy.hi_microjoules:
        yield "states joules outside of their own range"
    of_models = (said.apart, said.tokens, said.base.onto or None, said.new.onto or None)
    if said.kind is JudgedKind.LOSSES and any(part is not None for part in of_models):
        yield "is of losses, and tells of models or of training examples"
    if said.kind is JudgedKind.MODELS and said.measured.profile not in {F32, DOCUMENT_F32}:
        yield f"names the profile {said.measured.profile!r}, in which models are not judged"
    if said.tokens is not None:
        yield from _miscounted(said.tokens, said.measured)


def _miscounted(tokens: JudgedTokens, measured: Measurement) -> Iterator[str]:
    """What of tokens cannot be: of each document one has to be said at least, and no more than are read."""
    if tokens.cut > measured.count:
        yield f"says that {tokens.cut} of its {measured.count} examples were cut"
    documents = measured.count if measured.profile == DOCUMENT_F32 else 0
    if not documents <= tokens.targets <= documents * tokens.most:
        of_each = f"of {tokens.most} tokens each at most"
        yield f"says {tokens.targets} target tokens of its {documents} documents, {of_each}"


def subject_complaint(entry: Entry, said: Judgement) -> str:
    """Whether a judgement is about something else than the new one of its two; empty where it is not."""
    found = [(subject.name, subject.digest.sha256) for subject in other_subjects(entry)]
    return "" if found == [(said.new.name, said.new.sha256)] else "its subject is not the new one of the two"


def _outcome(verdict: Verdict) -> Outcome:
    if verdict.accepted:
        return Outcome.ACCEPTED
    return Outcome.UNDECIDED if verdict.undecided else Outcome.REJECTED


def _wrong_bar(said: Judgement, memory: LogState) -> Iterator[str]:
    rule, bar, holdout = said.decision.rule, said.decision.bar, said.measured.sha256
    try:
        due = memory.judging_bar(holdout, rule)
    except ValueError as error:
        yield f"its error budget is none: {error}"
        return
    if (bar.looks, bar.kept) != (due.looks, due.kept):
        yield (
            f"says that its holdout gave {bar.looks} verdicts, {bar.kept} of them acceptances; by the log it "
            f"gave {due.looks}, {due.kept} of them acceptances"
        )
    elif bar != due:
        asked = f"asks for evidence of {bar.needed_milli}/1000"
        yield f"{asked}, but its error budget for {due.needed_milli}/1000"
    promised = memory.judged.get(holdout)
    if promised is not None and rule.alpha_ppm > promised.alpha_ppm:
        yield (
            f"allows itself {rule.alpha_ppm} ppm of error, where {promised.alpha_ppm} were promised: an "
            "error budget may be tightened, never widened"
        )
    for name, known in memory.tasks.items():
        if holdout in known.holdouts:
            yield f"judges on a holdout that decides on updates of {name}, which does not count its verdicts"


def judged_files(state: Path, said: Judgement) -> Iterator[Finding]:
    """What is wrong with the losses and the holdout that a judgement names, as they lie here.

    Args:
        state: where they lie.
        said: what it says.
    """
    folder, measured = StateFolder(state), said.measured
    where = f"evidence/{measured.per_example}.bin"
    if measured.count > MOST_EXAMPLES:
        yield unknown(where, f"is of more than {MOST_EXAMPLES} examples, which are not read here")
        return
    try:
        losses = read_losses(folder.losses(measured.per_example), measured.per_example, measured.count)
    except ValueError as error:
        yield failed(where, f"{error} (a judgement on {said.name})")
    else:
        if losses.evidence(hits=measured.hits is not None) != evidence_of(measured):
            yield failed(where, f"its losses do not add up to the sums of the judgement on {said.name}")
    yield from _holdout(folder, said)


def _holdout(folder: StateFolder, said: Judgement) -> Iterator[Finding]:
    path, measured = folder.judged(said.measured.sha256), said.measured
    where = path.relative_to(folder.path).as_posix()
    try:
        content = read_regular(path, _MOST_BYTES)
    except OSError:
        yield unknown(where, f"is not here: on what {said.name} was judged stays open")
        return
    if sha256_hex(content) != measured.sha256:
        yield failed(where, "is not the holdout that was signed")
    elif (lines := content.count(b"\n")) != measured.count:
        yield failed(where, f"has {lines} lines, and {measured.count} examples were signed")


def judged_and_deciding(
    folder: StateFolder, memory: LogState, read_sets: Sequence[ReadSets]
) -> Iterator[Finding]:
    """Examples that judge what others made and decide on updates too, which does not count those verdicts.

    Args:
        folder: where they lie.
        memory: what the log has come to.
        read_sets: the data sets of its tasks, as far as they are here.
    """
    holdouts = [
        (sets, file, _by_fold(sets, file))
        for sets in read_sets
        for file in sets.holdouts
        if file in sets.lines
    ]
    for digest in memory.judged if holdouts else ():
        path = folder.judged(digest)
        try:
            content = read_regular(path, _MOST_BYTES)
        except OSError:
            continue  # a question of each judgement on it
        if sha256_hex(content) != digest:
            continue  # a failure of each
        judging = {fold(text): text for text in _texts(content)}
        for sets, file, deciding in holdouts:
            if shared := judging.keys() & deciding.keys():
                sure = any(not may_differ([judging[one], deciding[one]]) for one in shared)
                where = path.relative_to(folder.path).as_posix()
                detail = f"{len(shared)} of its examples decide on updates in {sets.where}/{file}"
                finding = failed if sure else unknown
                yield finding(where, f"{detail}, which does not count their verdicts", Topic.HOLDOUT)


def _by_fold(sets: ReadSets, file: str) -> dict[str, str]:
    """Folded text → text, of a set's examples."""
    lines = zip(sets.folds[file], sets.lines[file], strict=True)
    return {folded: line.text for folded, line in lines if line.written}


def _texts(content: bytes) -> Iterator[str]:
    """The texts of what two were judged on: of examples and of documents in any shape; ids are none."""
    for line in content.splitlines():
        try:
            row = json.loads(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            continue  # what was judged is what its owner signed, whatever it is
        if isinstance(row, dict):
            yield plain_text(row)
