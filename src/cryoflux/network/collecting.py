"""Gets what peers offer: adapters, with the lists and the adapters that those were trained on.

Everything is named by the SHA-256 of its bytes, and nothing is kept that has another one: so it does not
matter who brings it, nor in which order. An adapter has at most 8 MiB, lists lie at most 16 below one
another, and what one offer needs is bounded. Nothing that came is opened here: that is for whoever admits it.
"""

from __future__ import annotations

__all__ = ["Collector", "NeededLists", "PeerSource", "lacking"]

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.errors import CryoFluxError, ModelError, VerificationError
from cryoflux.files import read_regular, write_atomic
from cryoflux.network.capsule import (
    MOST_ADAPTER_BYTES,
    MOST_CAPSULE_BYTES,
    MOST_CONFIG_BYTES,
    CapsuleDocument,
    parse_capsule,
)
from cryoflux.network.fetching import Fetches, PeerUnreachableError
from cryoflux.network.folder import CAPSULE, NetworkFolder
from cryoflux.network.log_facts import OfferFact
from cryoflux.network.peer_record import FirstClaim
from cryoflux.registry.composition import MOST_DEPTH, MOST_TERMS, MOST_UPDATES, Term, beginnings, parse_list
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.signing.envelope import decode_base64
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder

_MOST_LIST_BYTES = MOST_TERMS * 160


def lacking(folder: NetworkFolder, update: OfferedUpdate) -> str:
    """What is not here of an update and of all that it was trained on; empty where nothing is.

    Args:
        folder: of the node's network.
        update: as it is offered.
    """
    try:
        adapters = {update.adapter, *NeededLists(folder, update.parent).adapters()}
    except CryoFluxError as error:
        return error.what
    for adapter in sorted(adapters):
        if not _is_here(folder, adapter):
            return f"the adapter {adapter[:16]}… is not here"
    return "" if (folder.capsule(update.adapter) / CAPSULE).is_file() else f"its {CAPSULE} is not here"


def _is_here(folder: NetworkFolder, adapter: str) -> bool:
    """Whether the files of an update are here: of the node's own making, adopted, or fetched."""
    places = (StateFolder(folder.path.parent).capsule(adapter), folder.capsule(adapter))
    return any(_is_filled(place / ADAPTER) and _is_filled(place / ADAPTER_CONFIG) for place in places)


def _is_filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


class NeededLists:
    """The lists that an update needs; beginnings of a list that is known are known too.

    Args:
        folder: of the node's network.
        parent: the list that its offer brings.
    """

    def __init__(self, folder: NetworkFolder, parent: tuple[Term, ...]) -> None:
        self._folder = folder
        self._parent = parent
        self._known: dict[str, tuple[Term, ...]] = {}
        self._know(parent)

    def _know(self, terms: tuple[Term, ...]) -> None:
        self._known |= beginnings(terms)

    def adapters(self) -> Iterator[str]:
        """The adapters of all its lists.

        Raises:
            ModelError: a list is not here, or they go too deep, or there are too many.
        """
        seen, found = set[str](), set[str]()
        level = [self._parent]
        for _ in range(MOST_DEPTH + 2):  # its own list, those below it, and the empty one
            below = {term.parent for terms in level for term in terms} - seen
            found |= {term.adapter for terms in level for term in terms if not term.is_list}
            seen |= below
            if len(found) > MOST_UPDATES or len(seen) > MOST_UPDATES:
                raise _too_much("needs too many other updates")
            level = [self._list(digest) for digest in sorted(below)]
            if not level:
                yield from sorted(found)
                return
        raise _too_much("has lists that lie too deep below one another")

    def _list(self, digest: str) -> tuple[Term, ...]:
        if digest not in self._known:
            self._know(self._read(digest))
        return self._known[digest]

    def _read(self, digest: str) -> tuple[Term, ...]:
        try:
            content = read_regular(self._folder.lists / digest, _MOST_LIST_BYTES)
        except OSError as error:
            raise _too_much(f"needs the list {digest[:16]}…, which is not here") from error
        if sha256_hex(content) != digest:
            raise _too_much(f"needs the list {digest[:16]}…, and what is here is another one")
        return parse_list(content)


def _too_much(what: str) -> ModelError:
    return ModelError(f"It {what}.", why="So it cannot be composed.", hint="Pull again later.")


class _FetchedLists(NeededLists):
    """The same, and what is not here is fetched."""

    def __init__(
        self, folder: NetworkFolder, parent: tuple[Term, ...], sources: Sequence[PeerSource]
    ) -> None:
        super().__init__(folder, parent)
        self._sources = sources

    def _read(self, digest: str) -> tuple[Term, ...]:
        path = self._folder.lists / digest
        if not path.is_file():
            write_atomic(path, _fetched(self._sources, f"lists/{digest}", _MOST_LIST_BYTES, digest))
        return super()._read(digest)


@dataclass(frozen=True, slots=True)
class PeerSource:
    """A peer that files are asked for."""

    url: str
    fetcher: Fetches


def _nobody() -> PeerUnreachableError:
    return PeerUnreachableError("Nobody was asked.")


def _fetched(sources: Sequence[PeerSource], path: str, most: int, digest: str) -> bytes:
    """A file of a digest, from the first peer that has it.

    Raises:
        PeerUnreachableError: none has it.
        VerificationError: what the last one has is another file.
    """
    problem: CryoFluxError = _nobody()
    for source in sources:
        try:
            content = source.fetcher.fetch(f"{source.url}/{path}", most).content
        except PeerUnreachableError as error:
            problem = error
            continue
        if sha256_hex(content) == digest:
            return content
        problem = VerificationError(
            f"{source.url}/{path} is not what its name says.", why="What came has another digest."
        )
    raise problem


@dataclass(frozen=True, slots=True)
class Collector:
    """Fetches what one peer offers.

    Args:
        folder: of the node's network.
        sources: that peer first, then others that may have what it needs.
        origin: of that peer's log.
        claims: adapter → who committed to it first: its settings and ``capsule.json`` are the ones kept.
    """

    folder: NetworkFolder
    sources: Sequence[PeerSource]
    origin: str
    claims: Mapping[str, FirstClaim]

    def has(self, offer: OfferFact) -> bool:
        """Whether an update is here, with all that it needs, and as the log offers it that has it first."""
        if lacking(self.folder, offer.update):
            return False
        claim = self.claims.get(offer.update.adapter)
        if claim is None or self.origin not in claim.first:
            return True
        here = self._here(offer.update.adapter)
        if here is None or here.origin not in claim.first:
            return False
        place = self.folder.capsule(offer.update.adapter) / ADAPTER_CONFIG
        return not claim.contested or _holds(place, here.config.sha256, MOST_CONFIG_BYTES)

    def _here(self, adapter: str) -> CapsuleDocument | None:
        """Whose offer of an update is here; none where none is that can be read."""
        try:
            return parse_capsule(read_regular(self.folder.capsule(adapter) / CAPSULE, MOST_CAPSULE_BYTES))
        except (OSError, VerificationError):
            return None

    def collect(self, offer: OfferFact, entries: tuple[bytes, bytes]) -> None:
        """Get an update, and all that it needs.

        Args:
            offer: it.
            entries: that offer it and that committed to it, as its log has them.

        Raises:
            PeerUnreachableError: nobody has a part of it.
            VerificationError: what came is not what was signed.
            ModelError: it needs more than is taken.
            StorageError: the disk is full, read-only, or refuses.
        """
        update = offer.update
        if offer.adapter_bytes > MOST_ADAPTER_BYTES:
            raise _too_much(f"has {offer.adapter_bytes:,} bytes, more than {MOST_ADAPTER_BYTES:,}")
        claim = self.claims.get(update.adapter)
        contests = claim is not None and self.origin in claim.contested
        if claim is None or (claim.config != offer.config and not contests):
            raise _too_much("has the bytes of an adapter that was committed before, with other settings")
        here = self._here(update.adapter) if contests else None
        if here is not None and here.origin in claim.contested - {self.origin}:
            return  # that one came first here, and its own offer brings the rest
        self._capsule(update.adapter, entries, first=self.origin in claim.first)
        self._adapter(update.adapter, offer.config, offer.adapter_bytes)
        for adapter in _FetchedLists(self.folder, update.parent, self.sources).adapters():
            if not _is_here(self.folder, adapter):
                if (below := self.claims.get(adapter)) is None:
                    raise _too_much(f"was trained on {adapter[:16]}…, which no log that is here has made")
                self._adapter(adapter, below.config, MOST_ADAPTER_BYTES)

    def collect_made(self, adapter: str, config: str) -> None:
        """Get an update that a log has made, offered or not.

        Args:
            adapter: digest of it.
            config: of its settings.

        Raises:
            PeerUnreachableError: nobody has a part of it.
            VerificationError: what came is not what was signed.
            StorageError: the disk is full, read-only, or refuses.
        """
        claim = self.claims.get(adapter)
        if claim is not None and claim.config == config and not _is_here(self.folder, adapter):
            self._adapter(adapter, config, MOST_ADAPTER_BYTES)

    def collect_judged(self, adapter: str, shown: Path, *, anew: bool) -> None:
        """Get an update that a verdict of the peer rests on, as the peer shows it.

        Of what others made its word of the settings is enough for its own verdict, and for nothing else: so
        that is kept apart. What logs here claim of it is asked for where the peer shows nothing: any of them
        could name a digest of others, with settings of its own.

        Args:
            adapter: digest of it.
            shown: folder for what the peer alone says.
            anew: whether what is here of it was found to be something else: then nothing else will do.

        Raises:
            PeerUnreachableError: nobody has a part of it.
            VerificationError: what came is not what was signed.
            StorageError: the disk is full, read-only, or refuses.
        """
        if not anew and _is_here(self.folder, adapter):
            return
        claim = None if anew else self.claims.get(adapter)
        if claim is None:
            self._shown(adapter, shown)
            return
        if claim.origin != self.origin:
            with suppress(PeerUnreachableError, VerificationError):
                self._shown(adapter, shown)
                return
        self._adapter(adapter, claim.config, MOST_ADAPTER_BYTES)

    def _shown(self, adapter: str, shown: Path) -> None:
        if not self.sources:
            raise _nobody()
        if not _is_filled(shown / ADAPTER_CONFIG):
            source, *_ = self.sources
            url = f"{source.url}/capsules/{adapter}/{ADAPTER_CONFIG}"
            write_atomic(shown / ADAPTER_CONFIG, source.fetcher.fetch(url, MOST_CONFIG_BYTES).content)
        if not _holds(shown / ADAPTER, adapter, MOST_ADAPTER_BYTES):
            content = _fetched(self.sources, f"capsules/{adapter}/{ADAPTER}", MOST_ADAPTER_BYTES, adapter)
            write_atomic(shown / ADAPTER, content)

    def collect_list(self, digest: str) -> None:
        """Get a list, and what hangs below it.

        Args:
            digest: of the list.

        Raises:
            PeerUnreachableError: nobody has it.
            VerificationError: what came is another one.
            ModelError: lists go too deep, or there are too many.
            StorageError: the disk is full, read-only, or refuses.
        """
        below = Term(weight="1", adapter=digest, parent=digest)
        for _ in _FetchedLists(self.folder, (below,), self.sources).adapters():
            pass

    def _capsule(self, adapter: str, entries: tuple[bytes, bytes], *, first: bool) -> None:
        path = self.folder.capsule(adapter) / CAPSULE
        if path.is_file() and _speaks_of(read_regular(path, MOST_CAPSULE_BYTES), entries):
            return
        source, *_ = self.sources  # who else has the adapter may offer it too, in a log of its own
        url = f"{source.url}/capsules/{adapter}/{CAPSULE}"
        content = source.fetcher.fetch(url, MOST_CAPSULE_BYTES).content
        if not _speaks_of(content, entries):
            raise VerificationError(
                f"{url} is not about what its log offers.", why="It brings other entries than the log has."
            )
        if first or not path.is_file():
            write_atomic(path, content)

    def _adapter(self, adapter: str, config: str, most: int) -> None:
        place = self.folder.capsule(adapter)
        for name, digest, bound in (
            (ADAPTER_CONFIG, config, MOST_CONFIG_BYTES),
            (ADAPTER, adapter, most),
        ):
            if not _holds(place / name, digest, bound):
                path = f"capsules/{adapter}/{name}"
                write_atomic(place / name, _fetched(self.sources, path, bound, digest))


def _holds(path: Path, digest: str, most: int) -> bool:
    """Whether a file is here, with these bytes."""
    try:
        return sha256_hex(read_regular(path, most)) == digest
    except OSError:
        return False


def _speaks_of(content: bytes, entries: tuple[bytes, bytes]) -> bool:
    """Whether a ``capsule.json`` brings these entries."""
    try:
        said = parse_capsule(content)
        brought = tuple(decode_base64(one.entry, "An entry") for one in (said.offer, said.receipt))
    except VerificationError:
        return False
    return brought == entries
