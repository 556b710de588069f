"""What each meter charged of a figure, in the flat view of an entry: nothing here is signed or verified."""

from __future__ import annotations

__all__ = ["flat_parts", "meter_keyid"]

from typing import Any

from cryoflux.errors import VerificationError
from cryoflux.quantities import MICRO
from cryoflux.receipts.charged import EnergyFigure, MeteredPart
from cryoflux.signing.envelope import METER_PAYLOAD, parse_envelope


def flat_parts(figure: EnergyFigure) -> list[dict[str, Any]] | None:
    """What each meter charged, the coordinator's first; none where one meter charged all of it."""
    return [
        {
            "worker": part.worker or None,
            "meter_key_id": meter_keyid(part) or None,
            "boot": part.boot or None,
            "joules": part.microjoules / MICRO,
            "joules_lo": part.lo_microjoules / MICRO,
            "joules_hi": part.hi_microjoules / MICRO,
            "joules_reserved": part.reserved_microjoules / MICRO,
            "tier": part.tier.value,
            "range_kind": part.tier.range_kind.value,
            "flags": part.flags,
        }
        for part in figure.parts
    ] or None


def meter_keyid(part: MeteredPart) -> str:
    """Id of the key that its statement says to be signed with; empty where none can be read."""
    try:
        return parse_envelope(part.settlement.encode(), METER_PAYLOAD).keyid if part.settlement else ""
    except VerificationError:  # that it cannot be read, `verify` says
        return ""
