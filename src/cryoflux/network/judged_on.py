"""Gets what a peer's opened verdicts rest on: examples of its guest holdouts, and updates of its own.

It need not have offered these updates, but without them nobody can make its verdicts again. What an audit has
not found here is asked for in each pull, and how often that was in vain is remembered: books go by it.
"""

from __future__ import annotations

__all__ = ["fetch_judged_on"]

from collections.abc import Callable
from contextlib import suppress

from msgspec import structs

from cryoflux.digests import sha256_hex
from cryoflux.errors import ModelError, VerificationError
from cryoflux.network.collecting import Collector
from cryoflux.network.fetching import Fetches, PeerUnreachableError
from cryoflux.network.folder import EXAMPLES
from cryoflux.network.log_facts import LogFacts
from cryoflux.network.peer_record import MOST_EXAMPLES_BYTES, PeerRecord, Unmade
from cryoflux.verification.open_question import LISTS, OPENINGS


def fetch_judged_on(
    url: str, record: PeerRecord, facts: LogFacts, fetcher: Fetches, collector: Collector | None
) -> None:
    """Fetch what a peer has opened.

    Args:
        url: of its public tree.
        record: what is remembered of it.
        facts: of its log.
        fetcher: gets files of it.
        collector: gets its updates and lists; none where nobody goes by its verdicts.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    _examples(url, record, facts, fetcher)
    if collector is None:
        return
    newest = max((one.index for one in facts.rounds), default=0) if facts.openings else 0
    for adapter, (config, index) in facts.made.items():
        if index < newest:
            with suppress(PeerUnreachableError, VerificationError):  # an audit says that it is not here
                collector.collect_made(adapter, config)
    before = record.unmade
    after = {root: _asked_again(root, one, record, collector) for root, one in before.items()}
    if after != before:
        record.keep_unmade(after)


def _examples(url: str, record: PeerRecord, facts: LogFacts, fetcher: Fetches) -> None:
    for one in facts.openings:
        if record.examples(one.root):
            continue
        try:
            place = f"{url}/openings/{one.root}/{EXAMPLES}"
            content = fetcher.fetch(place, MOST_EXAMPLES_BYTES).content
        except PeerUnreachableError:
            continue
        if sha256_hex(content) == one.examples:
            record.keep_examples(one.root, content)


def _asked_again(root: str, one: Unmade, record: PeerRecord, collector: Collector) -> Unmade:
    """What is remembered of something that an audit lacked, once it was asked for again."""
    kind, _, name = one.lacks.partition("/")
    if kind == OPENINGS:
        why = "" if record.examples(root) else "its examples are not shown"
    else:
        why = _why_not(collector.collect_list if kind == LISTS else collector.collect_claimed, name)
    return structs.replace(one, tries=one.tries + 1 if why else 0, why=why)


def _why_not(collect: Callable[[str], None], name: str) -> str:
    """Why something is not here yet; empty where it is."""
    try:
        collect(name)
    except (PeerUnreachableError, VerificationError, ModelError) as error:
        return error.what
    return ""
