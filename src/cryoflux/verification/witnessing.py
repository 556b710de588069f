"""Step 12: what others have seen of the log.

A log that is consistent in itself can still be an old one, or one of two. Against that only somebody
else's memory helps: the cosignatures of witnesses that a policy names, not older than somebody is content
with. That they are theirs is proven. That no larger head existed at their time, and no other history, is
what the witnesses say: it is attested.

Clocks differ, and the verifier's own may be the wrong one. A time that is ahead of it does not count where an
age is asked for, because it would look fresh for ever; otherwise the cosignature counts, and its time is a
question. A cosignature without a time is none.
"""

from __future__ import annotations

__all__ = ["WITNESSED", "CosignedTimes", "Demand", "check_witnessed", "read_witnessed", "times_in"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import VerificationError
from cryoflux.files import read_beginning
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    VerifierKey,
    cosigned_at,
    parse_note,
    verifier_key,
    verify_log,
)
from cryoflux.receipts.log import LOG_FOLDER
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.walked import Walked
from cryoflux.witness.cosigned import WITNESSED as WITNESSED_FILE
from cryoflux.witness.policy import MAX_CLOCK_SKEW_S, Policy

WITNESSED = NumberedStep(12, "witnessed by a quorum", Knowledge.ATTESTED)


@dataclass(frozen=True, slots=True)
class Demand:
    """What somebody wants to see from witnesses."""

    policy: Policy
    now_s: int
    """POSIX seconds"""
    max_age_s: int | None = None
    """how old the quorum may be; none for any age"""


@dataclass(frozen=True, slots=True)
class CosignedTimes:
    """When the witnesses of a policy cosigned a head."""

    counted: dict[str, int]
    """witness name → POSIX seconds"""
    ahead: dict[str, int]
    """by how much a time is ahead of the verifier's clock, s, of those that would be needed for a quorum"""
    without: tuple[str, ...]
    """witnesses whose cosignature says no time, so that it does not count"""
    since_s: int | None
    """time of the quorum; none where there is no quorum, or nobody is needed for one"""
    reached: bool

    @property
    def who(self) -> str:
        """Whose cosignatures count, and why others do not."""
        said = [", ".join(sorted(self.counted)) or "nobody"]
        said += [f"{name}'s time is {_ahead(by_s)}" for name, by_s in sorted(self.ahead.items())]
        said += [f"{name}'s cosignature says no time" for name in self.without]
        return "; ".join(said)

    def questions(self) -> Iterator[Finding]:
        """What is open about times that count."""
        late = [f"{name}'s time is {_ahead(by_s)}" for name, by_s in sorted(self.ahead.items())]
        if late and self.reached:
            yield unknown("cosignatures", f"{', '.join(late)}: one of the two clocks is wrong")


def _ahead(by_s: int) -> str:
    return f"{by_s} s ahead of this machine's clock"


def times_in(note: Note, demand: Demand) -> CosignedTimes:
    """When the witnesses of a policy cosigned a head, and whether they are a quorum.

    Raises:
        VerificationError: what claims to be the cosignature of one is not.
    """
    policy = demand.policy
    said = {line.name: cosigned_at(note, line.key) for line in policy.witnesses}
    times = {name: at for name, at in said.items() if at}
    without = tuple(sorted(name for name, at in said.items() if at == 0))
    counted = {name: at for name, at in times.items() if at <= demand.now_s + MAX_CLOCK_SKEW_S}
    ahead = {name: at - demand.now_s for name, at in times.items() if name not in counted}
    if policy.reached(set(counted)):
        ahead = {}
    elif demand.max_age_s is None and policy.reached(set(times)):
        counted = times
    return CosignedTimes(counted, ahead, without, policy.reached_at(counted), policy.reached(set(counted)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A head of this log, and when witnesses cosigned it."""

    point: Checkpoint
    times: CosignedTimes


def read_witnessed(target: Path) -> bytes | None:
    """The last head of a state that a quorum has cosigned; read it before the entries, which only grow."""
    path = target / LOG_FOLDER / WITNESSED_FILE
    try:
        return read_beginning(path, MAX_NOTE_BYTES + 1)
    except OSError:
        return None


def check_witnessed(walked: Walked, notes: Sequence[bytes], demand: Demand) -> list[Check]:
    """Step 12: a quorum has cosigned, recently enough, a head that covers every receipt.

    Args:
        walked: the log.
        notes: its signed heads, each with the cosignatures that it carries.
        demand: whom to believe, and how old it may be.
    """
    findings: list[Finding] = []
    seen: list[_Seen] = []
    for note in notes:
        try:
            seen.append(_look(walked, parse_note(note), demand))
        except VerificationError as error:
            findings.append(failed("signed head", error.what))
    best = max(seen, key=_worth, default=None)
    if best is None or not best.times.reached:
        who = best.times.who if best is not None else "nobody"
        detail = f"needed: {demand.policy.describe()}; cosigned by {who}"
        return conclude(WITNESSED, [*findings, failed("quorum", detail)], "")
    findings += [*_too_old(best, demand), *best.times.questions()]
    findings += _uncovered(walked, best.point.size)
    nothing = "" if best.times.counted else _nobody(best.point.size)
    return conclude(WITNESSED, findings, _summary(best, demand), nothing=nothing)


def _nobody(size: int) -> str:
    return f"the policy needs nobody, and nobody cosigned {size} entries"


def _worth(seen: _Seen) -> tuple[bool, int, bool, int]:
    times = seen.times
    return times.reached, seen.point.size, not times.ahead, times.since_s or 0


def _look(walked: Walked, note: Note, demand: Demand) -> _Seen:
    point = note.checkpoint
    keys = _log_keys(walked, demand.policy, point.origin)
    if not keys:
        raise VerificationError(f"the policy names no key of the log {point.origin}")
    _verify_any(note, keys)
    if point.size > walked.size:
        missing = f"entries {walked.size} to {point.size - 1} are missing"
        raise VerificationError(f"covers {point.size} entries, but there are {walked.size}: {missing}")
    if walked.roots.get(point.size) != point.root:
        raise VerificationError(f"the first {point.size} entries are not the ones that were signed")
    return _Seen(point, times_in(note, demand))


def _verify_any(note: Note, keys: Sequence[VerifierKey]) -> None:
    # A log that changed its key has two for a while; a key that signed nothing here is no obstacle.
    for key in [key for key in keys if note.by(key)] or keys:
        verify_log(note, key)


def _log_keys(walked: Walked, policy: Policy, origin: str) -> list[VerifierKey]:
    if policy.logs:
        return policy.log_keys(origin)
    own = walked.material.log_key
    return [verifier_key(origin, own)] if own is not None else []


def _too_old(best: _Seen, demand: Demand) -> Iterator[Finding]:
    if demand.max_age_s is None:
        return
    since_s = best.times.since_s
    if since_s is None:
        yield failed("quorum", "the policy needs nobody, so nobody says how old this head is")
    elif (age_s := demand.now_s - since_s) > demand.max_age_s:
        detail = f"the quorum over {best.point.size} entries is {age_s} s old, more than {demand.max_age_s} s"
        yield failed("quorum", f"{detail}: newer entries may exist, and be withheld")


def _uncovered(walked: Walked, size: int) -> Iterator[Finding]:
    if walked.size <= size:
        return
    receipts = [paired.name for paired in walked.pairs() if paired.entry.index >= size]
    if receipts:
        more = f", and {len(receipts) - 1} more" if len(receipts) > 1 else ""
        yield failed(f"{receipts[0]}{more}", f"no quorum has seen more than {size} entries")
    else:
        yield unknown("quorum", f"{walked.size - size} newer entries, no receipts, are not witnessed")


def _summary(best: _Seen, demand: Demand) -> str:
    since_s = best.times.since_s
    known = since_s is not None and since_s <= demand.now_s + MAX_CLOCK_SKEW_S
    age = f", {max(0, demand.now_s - since_s)} s ago" if since_s is not None and known else ""
    who = ", ".join(sorted(best.times.counted))
    return f"{best.point.size} entries cosigned by {who}{age}; needed: {demand.policy.describe()}"
