"""Whether the times that entries say run forwards, along the log and within an attempt or a session.

They are labels: a clock is set back, a machine comes back with another one, and nobody has lied. So times
in an odd order only ever leave a question, and so do times that have not come yet by the clock of whoever
verifies: one of the two clocks is wrong, and this cannot know which. What a cosignature says of a time is
step 12.
"""

from __future__ import annotations

__all__ = ["Times", "begun_before_announced"]

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from cryoflux.quantities import utc_label
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Intent, Receipt

_TOLERATED_S = 60.0
"""that an entry may say to be older than one before it: attempts at once, and clocks that are set"""
_AHEAD_S = 86_400.0
"""that an entry may be ahead of the verifier's clock: one that runs fast, or is set to local time"""
_WRITTEN_S = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
"""when this was written: a clock that shows less has not been set, and is not gone by"""


class Times(Struct):
    """How far the times of a log have come; a step back is counted from where it went back to."""

    before_s: float | None = None
    """latest Unix seconds that an entry has said since the last step back; none at the beginning"""
    before: str = ""
    """the same, as it says it"""
    back: int = 0
    """steps back"""
    first: str = ""
    """the first of them, in words"""
    latest_s: float | None = None
    """latest Unix seconds that any entry has said; none at the beginning"""
    latest: str = ""
    """which entry that was, and what it says"""

    def take(self, entry: Entry) -> Iterator[str]:
        """What is odd about the times of the next entry itself; a step back along the log is only counted."""
        begin, end = _said(entry)
        moments = [(text, _moment(text)) for text in (begin, end) if text]
        for text, moment in moments:
            if moment is None:
                yield f"says {text!r}, which is no time"
        (from_text, from_s), (to_text, to_s) = moments[0], moments[-1]
        if from_s is not None and to_s is not None and to_s < from_s:
            yield f"says that it finished ({to_text}) before it started ({from_text})"
        self._note_latest(entry, moments)
        if to_s is None:
            return
        if self.before_s is None or to_s >= self.before_s:
            self.before_s, self.before = to_s, to_text
        elif to_s < self.before_s - _TOLERATED_S:
            self.back += 1
            self.first = self.first or f"{entry.name} says {to_text}, an entry before it {self.before}"
            self.before_s, self.before = to_s, to_text

    def _note_latest(self, entry: Entry, moments: list[tuple[str, float | None]]) -> None:
        for text, moment in moments:
            if moment is not None and (self.latest_s is None or moment > self.latest_s):
                self.latest_s, self.latest = moment, f"{entry.name} says {text}"

    def went_back(self) -> str:
        """Where times run backwards along the log, in words; empty where they do not."""
        if not self.back:
            return ""
        often = "once" if self.back == 1 else f"{self.back} times"
        return f"run backwards {often}: {self.first}; a clock that was set back does that too"

    def ahead(self, now_s: float) -> str:
        """What says that it is of a time that has not come yet, in words; empty where nothing does.

        Args:
            now_s: Unix seconds by the clock of whoever verifies.
        """
        if self.latest_s is None or self.latest_s <= max(now_s, _WRITTEN_S) + _AHEAD_S:
            return ""
        by = f"the clock of this machine, which shows {utc_label(now_s)}"
        if now_s < _WRITTEN_S:
            by = f"the date of this program, {utc_label(_WRITTEN_S)}, which is later than {by}"
        return f"have not come yet by {by}: {self.latest}, more than a day later; one of the two is wrong"


def begun_before_announced(intent: Intent, receipt: Receipt) -> Iterator[str]:
    """Whether an attempt says that it began before it was announced, by more than choosing an arm takes."""
    announced, began = _moment(intent.announced_at), _moment(receipt.started_at)
    if announced is not None and began is not None and began < announced - _TOLERATED_S:
        yield f"says that it began ({receipt.started_at}) before it was announced ({intent.announced_at})"


def _said(entry: Entry) -> tuple[str, str]:
    """When what an entry is about began, empty where it does not say that, and when it was written."""
    if (receipt := entry.receipt) is not None:
        return receipt.started_at, receipt.finished_at
    if (session := entry.session) is not None:
        return session.began_at, session.ended_at
    if (record := entry.round) is not None:
        return record.started_at, record.finished_at
    return "", entry.at


def _moment(timestamp: str) -> float | None:
    """Unix seconds; none for a label such as month 13, which has the right shape and is no time."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except (ValueError, OverflowError):
        return None
