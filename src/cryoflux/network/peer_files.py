"""Which files a peer is asked for beside its log: what it offers, and what its opened verdicts rest on.

What did not come is asked for again, each in its way. An offer is asked for at every pull, for a round may
wait for it. What lies behind an opening only an audit waits for: it is asked for again ever later, so that
who opens a guest holdout and shows nothing of it costs next to nothing. What an audit has not found here is
asked for in each pull, first of all, and how often that was in vain is remembered: books go by it.
"""

from __future__ import annotations

__all__ = ["PeerFiles"]

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from cryoflux.digests import sha256_hex
from cryoflux.errors import ModelError, VerificationError
from cryoflux.network.collecting import Collector, PeerSource
from cryoflux.network.fetching import PeerUnreachableError, Ration
from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.network.log_facts import LogFacts, OfferFact, OpeningFact
from cryoflux.network.peer_record import MOST_EXAMPLES_BYTES, FirstClaim, Missing, PeerRecord
from cryoflux.network.peers import PeerNode
from cryoflux.network.unmade import UnmadeByRoot, asked, in_turn
from cryoflux.network.unshown import Unshown
from cryoflux.verification.open_question import LISTS, OPENINGS

_OTHERS = 4
"""peers that are asked for what an offer needs, beside the one that offers it"""
_MOST_HIDDEN, _MOST_HIDDEN_IN_ALL = 4, 64
"""things of an opened guest holdout that a pull asks for in vain, and of all: one is enough to withhold"""


class PeerFiles:
    """Asks one peer for files.

    Args:
        folder: of the node's network.
        node: the peer.
        record: what is remembered of it.
        others: peers that are named, which may have what it does not show; for a stranger none is asked.
        rations: name of a peer → what it gets of this pull.
        claims: adapter → the log that committed to it first.
    """

    def __init__(
        self,
        folder: NetworkFolder,
        node: PeerNode,
        record: PeerRecord,
        others: Iterable[PeerNode],
        rations: Mapping[str, Ration],
        claims: Mapping[str, FirstClaim],
    ) -> None:
        self._node, self._record, self._ration = node, record, rations[node.name]
        named = [] if node.by_lottery else [one for one in others if one is not node][:_OTHERS]
        sources = [PeerSource(one.url, rations[one.name]) for one in (node, *named)]
        self._collector = Collector(folder, sources, node.origin, claims)

    def offered(self, due: Iterable[OfferFact]) -> dict[str, Missing]:
        """Fetch offers, with all that they need; those that did not come, by capsule.

        Args:
            due: them.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        record, missing = self._record, dict[str, Missing]()
        before = record.missing
        # What was asked for in vain least often comes first, so that nothing keeps others from being had.
        for offer in sorted(due, key=lambda one: _tries(before, one)):
            capsule = offer.update.adapter
            if self._collector.has(offer):
                continue
            try:
                mirror = record.mirror
                entries = mirror.entry(offer.index), mirror.entry(offer.receipt_index)
                self._collector.collect(offer, entries)
            except (PeerUnreachableError, VerificationError, ModelError) as error:
                missing[capsule] = Missing(_tries(before, offer) + 1, error.what)
        if missing != before:
            record.keep_missing(missing)
        return missing

    def opened(self, facts: LogFacts, now_s: int) -> dict[str, Missing]:
        """Fetch what opened verdicts rest on: the examples, and updates of the peer's own that were composed.

        It need not have offered those: without them nobody could make its verdicts again. Nobody is a
        verifier who was drawn, so of a stranger they are not asked for.

        Args:
            facts: of its log.
            now_s: Unix seconds.

        Returns:
            root of each guest holdout whose examples are not here → why they are not.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        unshown, missing = Unshown(self._record.folder, now_s), dict[str, Missing]()
        lacked = {one.lacks: one for some in self._record.unmade.values() for one in some}
        for one in facts.openings:
            known = lacked.get(f"{OPENINGS}/{one.root}")
            if known is None and not self._record.examples(one.root):
                self._ask(unshown, one.root, partial(self._examples, one))
            if not self._record.examples(one.root):
                by_audit = Missing(known.tries, known.why) if known is not None and known.why else None
                missing[one.root] = by_audit or unshown.missing(one.root)
        newest = max((one.index for one in facts.rounds), default=0) if facts.openings else 0
        made = {} if self._node.by_lottery else facts.made
        for adapter, (config, index) in made.items():
            if index < newest:
                self._ask(unshown, adapter, partial(self._collector.collect_made, adapter, config))
        unshown.keep()
        return missing

    def lacked(self, facts: LogFacts, *, answers: bool = True) -> None:
        """Ask again for what audits have not found here, before anything else.

        What the pull had no bytes or time left for was not asked for in vain; and whoever hides it cannot use
        those up before. Nor can he by being slow with many things: what is next to be withheld comes first.
        Where some of a guest holdout was asked for in vain, so was the rest of it: others are asked too, and
        not for thousands of files that nobody has.

        Args:
            facts: of its log.
            answers: whether the peer did when it was asked for that; else one thing is asked for.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        before = {} if self._node.by_lottery else self._record.unmade
        if not before:
            return
        openings = {one.root: one for one in facts.openings}
        whys = self._whys(before, openings, answers=answers)
        # An audit may have found more meanwhile: what was asked for is noted in what is remembered by now.
        self._record.change_unmade(lambda now: asked(before, now, whys))

    def _whys(
        self, unmade: UnmadeByRoot, openings: Mapping[str, OpeningFact], *, answers: bool
    ) -> dict[str, str]:
        """Path of what was asked for → why it did not come; empty where it did."""
        whys, hidden, left = dict[str, str](), Counter[str](), _MOST_HIDDEN_IN_ALL
        lacking = defaultdict[str, dict[str, bool]](dict)
        for root, some in unmade.items():
            for one in some:
                lacking[one.lacks][root] = one.false
        for path in in_turn(unmade):
            if self._ration.is_spent or not left:
                break
            roots = lacking[path]
            asks = (answers or not hidden) and any(hidden[root] < _MOST_HIDDEN for root in roots)
            collector = self._collector if asks else replace(self._collector, sources=())
            why = self._why_not_here(path, openings, collector, anew=any(roots.values()))
            if why is None or (why and self._ration.is_spent):
                continue
            whys[path] = why
            if why and asks:
                hidden.update(roots.keys())
                left -= 1
        return whys

    def _why_not_here(
        self, path: str, openings: Mapping[str, OpeningFact], collector: Collector, *, anew: bool
    ) -> str | None:
        """Why something does not come, asked for again; empty where it does, none where it was not asked."""
        kind, _, name = path.partition("/")
        if kind == OPENINGS:
            if (opening := openings.get(name)) is None:  # what is here of its log is read anew
                return None
            if not collector.sources and not self._record.examples(name):
                return "Nobody was asked."
            return _why_not(partial(self._examples, opening))
        if kind == LISTS:
            return _why_not(partial(collector.collect_list, name))
        return _why_not(partial(collector.collect_judged, name, self._record.shown(name), anew=anew))

    def _ask(self, unshown: Unshown, name: str, fetch: Callable[[], None]) -> None:
        if self._ration.is_spent or not unshown.is_due(name):
            return
        try:
            fetch()
        except (PeerUnreachableError, VerificationError) as error:
            if not self._ration.is_spent:  # else it was not asked at all
                unshown.missed(name, error.what)
        else:
            unshown.came(name)

    def _examples(self, opening: OpeningFact) -> None:
        if self._record.examples(opening.root):
            return
        url = f"{self._node.url}/openings/{opening.root}/{EXAMPLES}"
        content = self._ration.fetch(url, MOST_EXAMPLES_BYTES).content
        if sha256_hex(content) != opening.examples:
            raise VerificationError(f"{url} is not what was signed.", why="What came has another digest.")
        self._record.keep_examples(opening.root, content)


def _why_not(collect: Callable[[], None]) -> str:
    """Why something is not here yet; empty where it is."""
    try:
        collect()
    except (PeerUnreachableError, VerificationError, ModelError) as error:
        return error.what
    return ""


def _tries(missing: Mapping[str, Missing], offer: OfferFact) -> int:
    known = missing.get(offer.update.adapter)
    return known.tries if known is not None else 0
