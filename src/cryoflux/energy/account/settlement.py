"""What a meter says that a reservation cost, signed with a key of its own.

Whoever trains signs the receipt, whoever meters signs this statement, and the receipt carries it: so the
one cannot invent the joules of the other. Where both keys lie on one machine that is worth little, and the
receipt says so (``self-reported``). The same charge always gives the same bytes, so that a repeated
settlement is no second statement.
"""

from __future__ import annotations

__all__ = ["CounterWindow", "Figure", "SettlementStatement", "read_settlement", "sign_settlement"]

import base64
from typing import Annotated, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.alias_generators import to_camel

from cryoflux.energy.account.charge import Charge
from cryoflux.energy.interface import Reservation
from cryoflux.errors import VerificationError
from cryoflux.quantities import Energy, Tier
from cryoflux.signing.canonical import parse_strictly
from cryoflux.signing.envelope import METER_PAYLOAD, decode_base64, parse_envelope, sign_document, verify
from cryoflux.signing.keys import raw_public_key

_SAFE = 2**53 - 1
_Count = Annotated[int, Field(ge=0, le=_SAFE)]
_Signed = Annotated[int, Field(ge=-_SAFE, le=_SAFE)]
_Text = Annotated[str, StringConstraints(max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )


class Figure(_Strict):
    """Energy with its 95 % interval."""

    microjoules: _Signed
    lo_microjoules: _Signed
    hi_microjoules: _Signed

    @classmethod
    def of(cls, energy: Energy) -> Figure:
        """The signed form of a figure."""
        return cls(microjoules=energy.uj, lo_microjoules=energy.lo_uj, hi_microjoules=energy.hi_uj)


class CounterWindow(_Strict):
    """What a source showed at both ends of the window."""

    source: _Text
    first_microjoules: _Count | None
    last_microjoules: _Count | None
    first_epoch: _Text
    last_epoch: _Text


class SettlementStatement(_Strict):
    """One settled reservation."""

    kind: Literal["https://cryoflux.dev/settlement/v1"] = "https://cryoflux.dev/settlement/v1"
    meter_key: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z+/]{43}=$")]
    """the raw Ed25519 key that it is signed with"""
    boot: _Text
    """boot id of the machine that was metered"""
    request: _Text
    """request id of the take: the id of the attempt"""
    reservation: _Text
    reserved_microjoules: _Count
    charged: Figure
    """net energy that the reserving process caused"""
    machine_net: Figure
    """the whole machine's net energy in the same window"""
    tier: Tier
    sources: list[_Text]
    flags: list[_Text]
    baseline: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    curve: _Text
    cpu_microseconds: _Count
    window_nanoseconds: _Count
    counters: list[CounterWindow]
    """empty where a crash came before the first note"""


_STATEMENT = TypeAdapter(SettlementStatement)


def sign_settlement(reservation: Reservation, charge: Charge, boot_id: str, key: Ed25519PrivateKey) -> str:
    """The signed envelope around the statement of a settled charge, as one line of text."""
    statement = SettlementStatement(
        meter_key=base64.b64encode(raw_public_key(key.public_key())).decode(),
        boot=boot_id,
        request=reservation.request_id,
        reservation=reservation.id,
        reserved_microjoules=reservation.reserved_uj,
        charged=Figure.of(charge.energy),
        machine_net=Figure.of(charge.machine_net),
        tier=charge.energy.tier,
        sources=list(charge.sources),
        flags=list(charge.energy.flags),
        baseline=charge.baseline_digest,
        curve=charge.curve,
        cpu_microseconds=charge.cpu_us,
        window_nanoseconds=charge.window_ns,
        counters=[
            CounterWindow(
                source=counter.source,
                first_microjoules=counter.first_uj,
                last_microjoules=counter.last_uj,
                first_epoch=counter.first_epoch,
                last_epoch=counter.last_epoch,
            )
            for counter in charge.counters
        ],
    )
    return sign_document(statement, key, METER_PAYLOAD).decode()


def read_settlement(envelope: str) -> SettlementStatement:
    """The statement of an envelope, once its signature is known to be of the key that it names.

    Whether that key is the one of a meter that anybody trusts is another question.

    Raises:
        VerificationError: it is malformed, or was not signed by that key.
    """
    signed = parse_envelope(envelope.encode(), METER_PAYLOAD)
    statement = parse_strictly(_STATEMENT, signed.payload, "The meter's statement")
    try:
        key = Ed25519PublicKey.from_public_bytes(decode_base64(statement.meter_key, "The meter's key"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError("The meter's statement names no Ed25519 key.") from error
    if not verify(signed, key):
        raise VerificationError(
            "The meter's statement was not signed by the key that it names.",
            why="Somebody changed it after it was signed, or made it up.",
        )
    return statement
