"""What a version is composed of: a genesis and a list of updates, ``compose/v1``, as text that has a digest.

A list is one line an update, in the order of adoption: ``weight SP adapter-sha256 SP parent-list-sha256``.
The weight is decimal text, the adapter is named by the SHA-256 of its file, and the parent list names the
version that the update was trained on, over the same genesis. The SHA-256 of the text names the list; that of
the genesis itself is empty. What the sum is, to the bit, says `cryoflux.registry.compose`.

A list has at most 64 terms. What would be longer is *folded*: a list takes its place as one term, which says
its digest twice, ``weight SP list-sha256 SP list-sha256``, and adds what the list adds. So the genesis stays,
lists of several nodes still add up, and 16 lists of 64 terms hang below one another at most.
"""

from __future__ import annotations

__all__ = [
    "COMPOSE",
    "MOST_DEPTH",
    "MOST_TERMS",
    "MOST_UPDATES",
    "Composition",
    "Term",
    "beginnings",
    "cannot_compose",
    "folded",
    "list_digest",
    "parse_list",
]

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from cryoflux.digests import sha256_hex
from cryoflux.errors import ModelError
from cryoflux.signing.fields import END_OF_TEXT, Document, Sha256

COMPOSE = "compose/v1"
"""how a receipt names this way of merging; one that names none was merged in float32, ``merge/v1``"""
MOST_TERMS = 64
MOST_DEPTH = 16
"""lists that may hang below one another; a parent that is a beginning of the list itself costs no depth"""
MOST_UPDATES = MOST_TERMS * MOST_DEPTH
"""that a version may be the sum of, with all lists below its own"""
_WEIGHT = r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{0,11}[1-9])?"
_LINE = re.compile(rf"({_WEIGHT}) ([0-9a-f]{{64}}) ([0-9a-f]{{64}})")
_ONE = "1"


def cannot_compose(what: str) -> ModelError:
    """The error of a list, or of an update in it, that cannot be added up."""
    return ModelError(
        what,
        why="Its weights would be no numbers that anybody could make again.",
        hint="Take the files from a backup; cryoflux verify names what is damaged.",
    )


class Term(Document, frozen=True):
    """One update of a list, or a whole list in its place: that one says its digest twice."""

    weight: Annotated[str, Meta(pattern=f"^{_WEIGHT}{END_OF_TEXT}")]
    """decimal text, one spelling a number"""
    adapter: Sha256
    """of the adapter's file"""
    parent: Sha256
    """digest of the list of the version that it was trained on"""

    @property
    def line(self) -> str:
        """As the list has it."""
        return f"{self.weight} {self.adapter} {self.parent}\n"

    @property
    def is_list(self) -> bool:
        """Whether it stands for a list; no adapter has the digest of what it was trained on."""
        return self.adapter == self.parent


class Composition(Document, frozen=True):
    """A version as a sum: a genesis, and what was added to it."""

    genesis: Sha256
    """digest of the tensors of the version that the list begins at"""
    terms: Annotated[tuple[Term, ...], Meta(max_length=MOST_TERMS)] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the list."""
        return list_digest(self.terms)

    @property
    def counted(self) -> str:
        """How many updates, and lists that were folded, it names."""
        lists = sum(term.is_list for term in self.terms)
        updates = len(self.terms) - lists
        said = "1 update" if updates == 1 else f"{updates} updates"
        if not lists:
            return said
        return f"{'1 list' if lists == 1 else f'{lists} lists'} and {said}"

    @property
    def is_full(self) -> bool:
        """Whether one term more makes it a list that begins with this one, folded."""
        return len(self.terms) >= MOST_TERMS

    def adding(self, term: Term) -> Composition:
        """With one term more."""
        before = folded(self.terms) if self.is_full else self.terms
        return Composition(genesis=self.genesis, terms=(*before, term))

    def adopting(self, adapter: str) -> Composition:
        """With an update that was trained on this version added in full."""
        return self.adding(Term(weight=_ONE, adapter=adapter, parent=self.digest))

    @classmethod
    def rebased(cls, head: str, adapter: str) -> Composition:
        """The head as a new genesis, with an update that was trained on it."""
        term = Term(weight=_ONE, adapter=adapter, parent=list_digest(()))
        return cls(genesis=head, terms=(term,))

    def named(self, said: tuple[object, object], head: str, adapter: str) -> Composition | None:
        """What somebody names who added an update to this version; none where it does not follow from it.

        The update is added to this list, or to this version as a new genesis: the latter where whoever merged
        did not have all its files, or where lists hang too deep; and as it was done with full ones before.

        Args:
            said: digest of the genesis, and of the list.
            head: digest of this version.
            adapter: SHA-256 of the update's file.
        """
        for due in (self.adopting(adapter), self.rebased(head, adapter)):
            if said == (due.genesis, due.digest):
                return due
        return None


def folded(terms: Sequence[Term]) -> tuple[Term, ...]:
    """A list as one term of another; an empty one is none."""
    digest = list_digest(terms)
    return (Term(weight=_ONE, adapter=digest, parent=digest),) if terms else ()


def list_digest(terms: Sequence[Term]) -> str:
    """The digest that names a list."""
    return sha256_hex("".join(term.line for term in terms).encode())


def beginnings(terms: tuple[Term, ...]) -> dict[str, tuple[Term, ...]]:
    """Every beginning of a list by its digest, from the empty one to the whole."""
    hashing = hashlib.sha256()
    found = {hashing.hexdigest(): terms[:0]}
    for count, term in enumerate(terms, 1):
        hashing.update(term.line.encode())
        found[hashing.hexdigest()] = terms[:count]
    return found


def parse_list(content: bytes) -> tuple[Term, ...]:
    """The updates of a list.

    Raises:
        ModelError: it is no such list, or one in another spelling.
    """
    if len(content) > MOST_TERMS * 160:
        raise cannot_compose(f"A list of updates has more than {MOST_TERMS} lines.")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise cannot_compose("A list of updates is not plain text.") from error
    lines = text.split("\n")
    if lines.pop() or len(lines) > MOST_TERMS:
        raise cannot_compose(f"A list of updates has whole lines, at most {MOST_TERMS} of them.")
    terms = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None or found[1] == "-0":
            raise cannot_compose("A line of a list of updates is not: weight, adapter, parent list.")
        terms.append(Term(weight=found[1], adapter=found[4], parent=found[5]))
    return tuple(terms)
