"""What a coordinator that died had lent, and what became of it at its workers.

What was lent has a word on the disk before it is lent, and the account that it was lent out of knows it too:
all of it is found, whichever of the two is whole. The worker's own account says what it was charged, once its
process is gone; where that account is not on this machine, its dispatcher asks there, and where nobody can,
what its meter signed last is what is known.
"""

from __future__ import annotations

__all__ = ["LeftBehind"]

from collections.abc import Callable, Sequence

from cryoflux.attempt.metered_parts import never_begun
from cryoflux.energy.interface import SESSION, JouleAgent, Reservation, lent_for, worker_request
from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.fleet.believed import Due, believed, is_believed
from cryoflux.fleet.charging import repay
from cryoflux.fleet.parts import last_part
from cryoflux.fleet.words import LastWord, LastWords
from cryoflux.receipts.charged import NEVER_RESERVED, MeteredPart

Settles = Callable[[str, str, str], str]
"""(where it is, worker, request id) → what its meter signed about that, empty where nothing was reserved;
raises a `CryoFluxError` where nobody can tell"""


class LeftBehind:
    """What was lent and is not in the log.

    Args:
        agent: whose bucket it was lent out of.
        words: the last words of workers' meters.
        settles: asks a worker's account.
        baseline: digest of the coordinator's idle baseline.
        own_key: of the coordinator's meter, raw in base64.
        charged: is told of each part, before it is in the log.
    """

    def __init__(
        self,
        agent: JouleAgent,
        words: LastWords,
        settles: Settles,
        baseline: str,
        own_key: str = "",
        charged: Callable[[MeteredPart], None] = lambda _: None,
    ) -> None:
        self._agent, self._words, self._settles = agent, words, settles
        self._baseline, self._own_key, self._charged = baseline, own_key, charged
        self._unread: set[str] = set()
        """request ids of what was lent whose word is gone, or cannot be read"""

    def close(self, request: str) -> list[MeteredPart]:
        """Repay all that was lent for an attempt or a session; what each worker's meter charged.

        Args:
            request: request id of the attempt, or of the session.
        """
        parts = []
        for word in self._known(request):
            if (lent := self._agent.find(word.lent)) is None:  # it died before it lent, or after it released
                if word.part is not None and not request.startswith(SESSION):
                    parts.append(word.part)
                else:
                    self._words.forget(word.lent)
                continue
            part = word.part or self._asked(word, request, lent)
            if NEVER_RESERVED in part.flags and request.startswith(SESSION):
                # A session is no attempt that ended before anything was reserved: it has no such part.
                self._agent.release(lent.id)
                self._words.forget(word.lent)
                continue
            self._words.put(word.but(part=part))  # so that a crash now finds the same
            repay(self._agent, lent, part)
            self._charged(part)
            parts.append(part)
        return parts

    def _known(self, request: str) -> list[LastWord]:
        """The words on what was lent for a request; an empty one where its file is gone, or unreadable."""
        known = {word.lent: word for word in self._words.all() if lent_for(word.lent) == request}
        for lent in self._agent.lent(request):
            if lent.request_id not in known:
                self._unread.add(lent.request_id)
                known[lent.request_id] = LastWord(lent=lent.request_id)
        return [known[lent] for lent in sorted(known)]

    def _asked(self, word: LastWord, request: str, lent: Reservation) -> MeteredPart:
        worker, lent_uj = word.lent.rpartition("/")[2], lent.reserved_uj
        taken = worker_request(request, worker)
        due = Due(worker, "", taken, lent_uj, lent.log, lent.intent, self._own_key)
        last = word.word if word.word and is_believed(word.word, due) else ""
        try:
            statement = self._settles(word.fleet, worker, due.request)
            if statement:
                return believed(statement, due)
        except UsageError:  # whoever asks has to say first how its cluster is joined
            raise
        except CryoFluxError:
            return last_part(worker, last, lent_uj, self._baseline)
        if last or word.lent in self._unread:  # its account has forgotten it, or is another one
            return last_part(worker, last, lent_uj, self._baseline)
        return never_begun(worker, lent_uj, baseline=self._baseline)

    def sweep(self) -> None:
        """Forget the words on what is in the log: a run died between the entry and forgetting them."""
        self._words.clear()

    def forget(self, parts: Sequence[MeteredPart], request: str) -> None:
        """They are in the log by now."""
        for word in self._words.all():
            if lent_for(word.lent) == request and word.part in parts:
                self._words.forget(word.lent)
