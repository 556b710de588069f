"""Where versions are composed of: geneses, updates and lists that lie here, each held to the name it has.

What is missing, or is another file than its name says, leaves a question open and says what to do: it is no
evidence against whoever signed.
"""

from __future__ import annotations

__all__ = ["ListedVersion", "ModelSources", "composed_in"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryoflux.digests import (
    Hashing,
    checksum_lines,
    copy_listed,
    file_digest,
    listed_digests,
    sha256_hex,
)
from cryoflux.errors import CryoFluxError, ModelError, VerificationError
from cryoflux.receipts.parts import Base
from cryoflux.registry.composition import Composition, Term, beginnings
from cryoflux.registry.kept_lists import is_whole, weight_files
from cryoflux.registry.made import KnownLists, MadeVersion, list_of, lists_on_the_way
from cryoflux.registry.mixture import ListStep, after
from cryoflux.registry.parent_lists import ListOf, adapter_place, parent_lists, updates_of
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.open_question import (
    CAPSULES,
    LISTS,
    NotHereQuestion,
    OpenQuestion,
    is_of_this_machine,
)
from cryoflux.verification.recomputer import Models, Recomputer
from cryoflux.verification.weights import version_digest, weights_of


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version that a log says the sum of."""

    version: Base
    composed: Composition
    on: str
    """digest of the version that it was made of"""
    made: Mapping[str, MadeVersion]
    """how that came about, and what came before"""
    steps: Sequence[ListStep] = ()
    """that made it; of a rejected one, too"""
    genesis: Base | None = None
    """as the log has it; none where it does not say"""
    never: str = ""
    """an adapter that was taken out of it"""

    def lists(self) -> dict[str, tuple[Term, ...]]:
        """The lists that its updates may name as their parents, as far as the log has them."""
        found: KnownLists = {}
        for never in {"", self.never}:
            found |= lists_on_the_way(self.made, self.on, never=never)
        start = list_of(self.made, self.on) or Composition(genesis=self.composed.genesis)
        with suppress(ModelError):  # then its steps make no list, which is said elsewhere
            after(start, self.steps, folds=found)
        for step in self.steps:
            found |= beginnings(step.update.parent)
        return found


@dataclass(frozen=True, slots=True)
class ModelSources:
    """What lies here of what a log speaks of."""

    state: StateFolder
    examples: Callable[[str], Path]
    """file of an opened guest holdout, by its root"""
    configs: Mapping[str, str] = field(default_factory=dict)
    """adapter → digest of its settings, where a log signs them that whoever judged it says it had it of"""
    shown: Callable[[str], Path] | None = None
    """folder of an update as whoever judged it shows it, where others' logs are judged. There settings that
    neither its own log nor `configs` signs are nobody's word: nothing is refuted by them"""

    @classmethod
    def of(cls, state: Path) -> ModelSources:
        """Those of a state, for its own log."""

        def examples(root: str) -> Path:
            folder = state / "network"
            opened = folder / "openings" / root / "examples.jsonl"
            return opened if opened.is_file() else folder / "guest" / root / opened.name

        return cls(StateFolder(state), examples)

    def update(self, adapter: str, configs: Mapping[str, str]) -> Path:
        """The folder of an update.

        Raises:
            OpenQuestion: it is not here, or is another one.
        """
        path, signed = f"{CAPSULES}/{adapter}", configs.get(adapter) or self.configs.get(adapter)
        places = list(self._places(adapter))
        if not places:
            raise NotHereQuestion(
                f"its update {adapter[:16]}… is not here; cryoflux node pull fetches what peers offer, "
                "and what their opened verdicts rest on",
                path,
            )
        as_signed = (one for one in places if signed and file_digest(one / ADAPTER_CONFIG) == signed)
        folder = next(as_signed, places[0])
        for name, digest in {ADAPTER: adapter, ADAPTER_CONFIG: signed}.items():
            if digest is not None and file_digest(folder / name) != digest:
                what = f"{name} of its update {adapter[:16]}… is another file here than the one signed"
                if self.shown is None:
                    hint = "delete it, and cryoflux node pull fetches what peers offer"
                    raise OpenQuestion(f"{what}; {hint}")
                raise NotHereQuestion(what, path, is_false=True)
        return folder

    def lacking(self, listed: ListedVersion) -> list[str]:
        """All that is not here of what a version is certainly the sum of, as a peer's tree names it.

        What else adding it up may take, such as the list that an update trained in full hangs on, is only
        seen once the update is here.

        Args:
            listed: the version.
        """
        found = list[str]()

        def known(digest: str) -> tuple[Term, ...]:
            try:
                return lists(digest)
            except NotHereQuestion as question:
                found.extend(question.lacks)
                return ()

        with suppress(ModelError):  # they are too many, or hang too deep: nobody composes that
            lists = self.list_of(listed.lists())
            terms = updates_of(listed.composed.terms, known)
            found += [f"{CAPSULES}/{one.adapter}" for one in terms if not any(self._places(one.adapter))]
        return found

    def _places(self, adapter: str) -> Iterator[Path]:
        """Folders that have an update: what whoever judged it shows comes first."""
        shown = [] if self.shown is None else [self.shown(adapter)]
        for folder in (*shown, adapter_place(self.state)(adapter)):
            if (folder / ADAPTER).is_file() and (folder / ADAPTER_CONFIG).is_file():
                yield folder

    def is_unsigned(self, adapter: str, configs: Mapping[str, str]) -> bool:
        """Whether the settings of an update are no signed word that binds whoever judged it.

        Args:
            adapter: digest of it.
            configs: adapter → digest of its settings, as the log signs them.
        """
        return self.shown is not None and adapter not in configs and adapter not in self.configs

    def list_of(self, known: Mapping[str, tuple[Term, ...]]) -> ListOf:
        """A list by its digest, of those that a log has and those that are kept."""
        kept = parent_lists(self.state.path)

        def found(digest: str) -> tuple[Term, ...]:
            if digest in known:
                return known[digest]
            try:
                return kept(digest)
            except ModelError as error:
                raise NotHereQuestion(
                    f"the list {digest[:16]}…, which an update or a fold hangs on, is not here; "
                    "cryoflux node pull fetches those that offers need",
                    f"{LISTS}/{digest}",
                ) from error

        return found

    def genesis(self, listed: ListedVersion, into: Path) -> Path:
        """A copy of what a list begins at.

        Raises:
            OpenQuestion: it is not here, or has other files than the log says.
            VerificationError: it is another model.
        """
        digest = listed.composed.genesis
        if not is_whole(there := self.state.model(digest)):
            raise OpenQuestion(
                f"its genesis {digest[:16]}… is not kept here; a state that began with the same model has it "
                "in models/"
            )
        copy_listed(there, into)
        if version_digest(into) != digest:
            raise VerificationError("the genesis of its list here is another model than its name says")
        if listed.genesis is not None and not compare_folder(into, listed.genesis.files).intact:
            raise OpenQuestion("its genesis has other settings or vocabulary here than its log says")
        return into


def composed_in(
    folder: Path,
    listed: ListedVersion,
    sources: ModelSources,
    recomputer: Recomputer,
    configs: Mapping[str, str],
) -> Path:
    """A version added up from its genesis on, below a folder.

    Args:
        folder: that is not there yet.
        listed: the version.
        sources: what lies here.
        recomputer: adds it up.
        configs: adapter → digest of its settings, as the log signs them.

    Raises:
        OpenQuestion: something of it is not here; or nothing, or another version, comes of it by settings
            that are nobody's signed word.
        VerificationError: what comes of it is another version than the one recorded.
    """
    asked: list[str] = []

    def update(adapter: str) -> Path:
        asked.append(adapter)
        return sources.update(adapter, configs)

    try:
        genesis, model = _composed(folder, listed, sources, recomputer, update)
    except NotHereQuestion:
        raise
    except OpenQuestion as question:  # settings that cannot be used are those that were just read
        if not _unsigned(asked[-1:], sources, configs):
            raise
        raise _shown_falsely(question, asked[-1:]) from question
    except Exception as error:  # a library that adds up raises whatever it likes
        unsigned = _unsigned(asked, sources, configs)
        if not unsigned or is_of_this_machine(error):
            raise
        raise _shown_falsely(error, unsigned) from error
    # Its weights are the sum now, so whoever showed the settings showed those that were used.
    if _files_digest(genesis, model) != listed.version.files:
        raise VerificationError("its weights are the sum of its list, and beside them it has other files")
    return model


def _unsigned(asked: Sequence[str], sources: ModelSources, configs: Mapping[str, str]) -> list[str]:
    return [one for one in dict.fromkeys(asked) if sources.is_unsigned(one, configs)]


def _shown_falsely(error: Exception, unsigned: Sequence[str]) -> NotHereQuestion:
    """Which of several it is nobody can tell, so each is asked for again."""
    what = error.what if isinstance(error, CryoFluxError) else str(error) or type(error).__name__
    more = f" and {len(unsigned) - 1} more" if len(unsigned) > 1 else ""
    return NotHereQuestion(
        f"{what.rstrip('.')}, by unsigned settings of its update {unsigned[0][:16]}…{more}",
        *(f"{CAPSULES}/{one}" for one in unsigned),
        is_false=True,
    )


def _composed(
    folder: Path,
    listed: ListedVersion,
    sources: ModelSources,
    recomputer: Recomputer,
    update: Callable[[str], Path],
) -> tuple[Path, Path]:
    """The genesis of a version, and the version."""
    folder.mkdir()
    genesis, composed, model = sources.genesis(listed, folder / "genesis"), listed.composed, folder / "sum"
    if not composed.terms:
        model = genesis
    else:
        list_of = sources.list_of(listed.lists())
        models = Models(genesis, genesis, update, list_of)
        try:
            recomputer.compose(composed, models, model)
        except ModelError as error:
            raise VerificationError(f"its list cannot be added up: {error.what}") from error
    if (found := version_digest(model)) != listed.version.digest:
        raise VerificationError(
            f"genesis and {composed.counted} add up to {found[:16]}…, and "
            f"{listed.version.digest[:16]}… is recorded: its weights are not the sum of its list"
        )
    return genesis, model


def _files_digest(genesis: Path, model: Path) -> str:
    """The digest of a version's ``SHA256SUMS``: its changed files of weights, and the others of its genesis.

    Raises:
        VerificationError: they cannot be read.
    """
    try:
        listed, hashing = listed_digests(genesis), Hashing()
        for name in weight_files(genesis):
            there, here = genesis / name, model / name
            tensors = weights_of((there, here), hashing)
            if tensors[there] != tensors[here]:
                listed[name] = file_digest(here)
    except (CryoFluxError, OSError) as error:
        raise VerificationError(f"its files cannot be read: {error}") from error
    return sha256_hex(checksum_lines(listed))
