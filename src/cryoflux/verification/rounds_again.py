"""With step 11: versions that rounds adopted composed again, and opened looks evaluated again.

A round names steps, and the list of what it adopted follows from them: added up again from its genesis, it
has to be the version that the head moved to, weights and files. The same holds of a recall. It costs one
addition for each update and no evaluation.

Of an opened guest holdout base and candidate of a look are composed again and evaluated on its examples. Sums
and root of the losses have to be those that were sealed and published: then the verdict itself is reproduced,
not only its seal.

As many of each are done as receipts are asked for, the newest first.
"""

from __future__ import annotations

__all__ = ["OPENED_AGAIN", "ROUNDS_AGAIN", "Hears", "check_rounds_again"]

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from cryoflux.digests import copy_listed, file_digest
from cryoflux.errors import VerificationError
from cryoflux.files import MOST_FILE_BYTES, copy_regular, read_regular
from cryoflux.receipts.guest_tree import guest_root
from cryoflux.receipts.profiles import PROFILE
from cryoflux.registry.kept_lists import is_whole
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.kept_again import losses_again, refuse_too_much
from cryoflux.verification.levels import Word
from cryoflux.verification.model_sources import ListedVersion, ModelSources, composed_in
from cryoflux.verification.open_question import (
    OPENINGS,
    NotHereQuestion,
    OpenQuestion,
    is_of_this_machine,
)
from cryoflux.verification.opened_looks import HeldLook, hold_look
from cryoflux.verification.recompute import RECOMPUTED, broken
from cryoflux.verification.recomputer import OtherFactories, Recomputer, RecomputerFactory, factory_for
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.rounds_told import MovedHead, OpenedLook, RoundsTold, TaskTold, rounds_told
from cryoflux.verification.walked import Walked
from cryoflux.verification.weights import version_digest

ROUNDS_AGAIN = NumberedStep(RECOMPUTED.number, "versions of rounds composed again", Knowledge.RECOMPUTED)
OPENED_AGAIN = NumberedStep(RECOMPUTED.number, "opened looks evaluated again", Knowledge.RECOMPUTED)
Hears = Callable[[OpenedLook, Word, Mapping[str, bool]], None]
"""is told of each opened look what came of it, and the paths of all that was not here, mostly nothing: with
each whether something is here in its place that cannot be it"""
_Did = tuple[list[Finding], str]
"""what is wrong or open, and the line where nothing is wrong"""


def check_rounds_again(
    walked: Walked,
    most: int,
    sources: ModelSources,
    factory: RecomputerFactory,
    others: OtherFactories,
    hears: Hears | None = None,
) -> list[Check]:
    """The newest versions that rounds and recalls made, and the newest looks that were opened.

    Args:
        walked: the log.
        most: of each.
        sources: where its versions are composed of.
        factory: makes what composes and evaluates.
        others: the same for tasks of other kinds.
        hears: is told what came of each look.
    """
    told, checks = rounds_told(walked, most), []
    again = _Again(sources, told, factory, others, hears or (lambda *_: None))
    for moved in reversed(told.moved):
        found = _guarded(moved.name, partial(again.composed, moved))
        checks += conclude(ROUNDS_AGAIN, *_counted(*found, told.heads, len(told.moved), "versions"))
    for look in reversed(told.looks):
        found = _guarded(look.name, partial(again.looked, look), partial(again.tell, look))
        checks += conclude(OPENED_AGAIN, *_counted(*found, told.opened, len(told.looks), "opened looks"))
    return checks


def _counted(findings: list[Finding], summary: str, of: int, done: int, what: str) -> _Did:
    more = f"; of {of} {what}, the newest {done} asked for" if summary and done < of else ""
    return findings, f"{summary}{more}"


def _guarded(
    name: str,
    run: Callable[[Path], _Did],
    tell: Callable[[Word, OpenQuestion | None], None] = lambda _word, _reason: None,
) -> _Did:
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        try:
            return run(Path(folder))
        except OpenQuestion as reason:
            tell(Word.OPEN, reason)
            return [unknown(name, f"cannot be made again here: {reason}")], ""
        except VerificationError as error:
            tell(Word.REFUTED, None)
            return [failed(name, broken(error))], ""
        except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
            tell(Word.OPEN, None)
            if is_of_this_machine(error):
                why = str(error) or type(error).__name__
                return [unknown(name, f"cannot be made again here: {why}")], ""
            return [failed(name, broken(error))], ""


class _Again:
    """All that making rounds of one log again takes."""

    def __init__(
        self,
        sources: ModelSources,
        told: RoundsTold,
        factory: RecomputerFactory,
        others: OtherFactories,
        hears: Hears,
    ) -> None:
        self._sources, self._told, self._hears = sources, told, hears
        self._factory, self._others = factory, others

    def _recomputer(self, task: TaskTold) -> Recomputer:
        state = self._sources.state.path
        return factory_for(task.training, self._factory, self._others, state)(task.cut)

    def _composed(self, listed: ListedVersion, recomputer: Recomputer, folder: Path) -> Path:
        return composed_in(folder, listed, self._sources, recomputer, self._told.configs)

    def tell(self, look: OpenedLook, word: Word, reason: OpenQuestion | None) -> None:
        """Tell what came of a look that did not come to its end.

        Args:
            look: it.
            word: what came of it.
            reason: why it is open, where it is for a reason.
        """
        lacks = dict[str, bool]()
        if isinstance(reason, NotHereQuestion):
            lacks = dict.fromkeys(self._lacking(look), False) | dict.fromkeys(reason.lacks, reason.is_false)
        self._hears(look, word, lacks)

    def _lacking(self, look: OpenedLook) -> list[str]:
        """All that is not here of a look: who hides several files is asked for all of them at once."""
        sources = self._sources
        found = [] if sources.examples(look.root).is_file() else [f"{OPENINGS}/{look.root}"]
        if not is_whole(sources.state.model(look.base.version.digest)):
            found += sources.lacking(look.base)
        return found + sources.lacking(look.candidate)

    def composed(self, moved: MovedHead, folder: Path) -> _Did:
        """Compose what a round adopted, or a recall left."""
        self._composed(moved.listed, self._recomputer(moved.task), folder / "version")
        how = "left by the recall" if moved.recalled else "adopted"
        said = f"composed again from its list of {moved.listed.composed.counted}: the version that was {how}"
        return [], f"{moved.name}: {Word.EXACT}, {said}"

    def looked(self, look: OpenedLook, folder: Path) -> _Did:
        """Evaluate base and candidate of a look again."""
        opened, profile = look.opened, look.opened.sums.profile
        if look.opened.look.profile != profile:
            raise VerificationError(f"its sums are opened in {profile}, and it was published in another one")
        refuse_too_much(look.task.cut, opened.count, profile)
        examples = self._examples(look, folder / "examples.jsonl")
        recomputer = self._recomputer(look.task)
        models = [
            self._base(look.base, recomputer, folder / "base"),
            self._composed(look.candidate, recomputer, folder / "candidate"),
        ]
        held = self._held(look, recomputer, models, examples)
        self._hears(look, held.word, {})
        if held.word is Word.REFUTED:
            return [failed(look.name, f"{Word.REFUTED}: {held.said}")], ""
        if held.word in {Word.OPEN, Word.TOLERATED}:
            return [unknown(look.name, held.said)], ""
        unit = f"{2 * opened.count} losses on {opened.count} opened examples"
        return [], f"{look.name}: {held.word}, {unit}: {held.said}"

    @staticmethod
    def _held(look: OpenedLook, recomputer: Recomputer, models: Sequence[Path], examples: Path) -> HeldLook:
        """What came of the comparison; in float64 where float32 differs too much."""
        opened, profile = look.opened, look.opened.sums.profile
        other = f"its examples are not the {opened.count} that were opened"
        held = HeldLook(Word.OPEN, "")
        for arithmetic in dict.fromkeys((profile, PROFILE)):
            base, new = (
                losses_again(recomputer, one, examples, arithmetic, opened.count, other=other)
                for one in models
            )
            held = hold_look(opened, base, new, profile)
            if held.word is not Word.REFUTED:
                break
        return held

    def _base(self, listed: ListedVersion, recomputer: Recomputer, into: Path) -> Path:
        """A copy of a version that is kept; else what its list adds up to."""
        if not is_whole(kept := self._sources.state.model(listed.version.digest)):
            return self._composed(listed, recomputer, into)
        copy_listed(kept, into)
        if (
            not compare_folder(into, listed.version.files).intact
            or version_digest(into) != listed.version.digest
        ):
            raise OpenQuestion("its base here is another than the one recorded")
        return into

    def _examples(self, look: OpenedLook, copy: Path) -> Path:
        """A copy of the examples of an opened guest holdout.

        Raises:
            OpenQuestion: they are not here.
            VerificationError: what was opened is not what was entered.
        """
        place = self._sources.examples(look.root)
        if not place.is_file():
            raise NotHereQuestion(
                f"examples of its guest holdout {look.root[:16]}… are not here; cryoflux node pull fetches "
                "those of a peer, one's own are in network/openings/",
                f"{OPENINGS}/{look.root}",
            )
        copy_regular(place, copy)
        if file_digest(copy) != look.examples:
            raise OpenQuestion(f"the examples here are others than were opened: restore {place.name}")
        lines = read_regular(copy, MOST_FILE_BYTES).removesuffix(b"\n").split(b"\n")
        if len(lines) != look.opened.count or guest_root(lines, look.opened.key) != look.root:
            raise VerificationError("the examples that were opened are not those whose root was entered")
        return copy
