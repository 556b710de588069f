"""What workers' meters signed, as the parts of a figure that an entry says.

A worker hands over what its meter signed, and everything of the part is read from that: what a worker says
besides is no evidence. Of a worker that went away there is the last word of its meter, or none; then the
upper end takes in all that was lent to it.
"""

from __future__ import annotations

__all__ = ["lost_part", "never_begun", "own_part", "signed_part"]

from cryoflux.energy.account.settlement import read_settlement
from cryoflux.quantities import SO_FAR, Tier
from cryoflux.receipts.charged import NEVER_RESERVED, WORKER_LOST, EnergyFigure, MeteredPart


def own_part(figure: EnergyFigure) -> MeteredPart:
    """The coordinator's part, of a figure that its own meter charged.

    Args:
        figure: as `cryoflux.attempt.recording.figure_of` makes it.

    Raises:
        VerificationError: its statement does not verify.
    """
    boot = read_settlement(figure.settlement).boot if figure.settlement else ""
    return figure.own.but(boot=boot)


def signed_part(worker: str, envelope: str) -> MeteredPart:
    """A worker's part, all of it from what its meter signed.

    A word that is not the last one is taken for that: what was lent may have been spent after it.

    Args:
        worker: its name.
        envelope: the meter's statement: the final one, or one that is flagged so-far.

    Raises:
        VerificationError: it is malformed, or was not signed by the key that it names.
    """
    said = read_settlement(envelope)
    unfinished = SO_FAR in said.flags
    hi_uj = said.charged.hi_microjoules
    return MeteredPart(
        worker=worker,
        boot=said.boot,
        microjoules=said.charged.microjoules,
        lo_microjoules=said.charged.lo_microjoules,
        hi_microjoules=max(hi_uj, said.reserved_microjoules) if unfinished else hi_uj,
        reserved_microjoules=said.reserved_microjoules,
        tier=said.tier,
        sources=said.sources,
        baseline=said.baseline,
        curve=said.curve,
        flags=said.flags,
        cpu_microseconds=said.cpu_microseconds,
        settlement=envelope,
    )


def lost_part(worker: str, lent_uj: int, *, boot: str, baseline: str) -> MeteredPart:
    """The part of a worker that went away before its meter said anything: all may be spent, or nothing.

    Args:
        worker: its name.
        lent_uj: what was lent to it, µJ.
        boot: boot id of its machine, as it said when it began; empty where it did not.
        baseline: digest of its idle baseline, the same way; of the coordinator's where it did not.
    """
    return _unsigned(worker, lent_uj, lent_uj, WORKER_LOST, boot=boot, baseline=baseline)


def never_begun(worker: str, lent_uj: int, *, baseline: str) -> MeteredPart:
    """The part of a worker that never took what was to be lent to it, so that all of it was given back.

    Args:
        worker: its name.
        lent_uj: what was announced for it, µJ.
        baseline: digest of the coordinator's idle baseline.
    """
    return _unsigned(worker, lent_uj, 0, NEVER_RESERVED, boot="", baseline=baseline)


def _unsigned(worker: str, lent_uj: int, hi_uj: int, flag: str, *, boot: str, baseline: str) -> MeteredPart:
    return MeteredPart(
        worker=worker,
        boot=boot,
        microjoules=0,
        lo_microjoules=0,
        hi_microjoules=hi_uj,
        reserved_microjoules=lent_uj,
        tier=Tier.MODELLED,
        sources=[],
        baseline=baseline,
        curve="",
        flags=[flag],
        cpu_microseconds=0,
    )
