"""What a meter says that a reservation cost, signed with a key of its own.

Whoever trains signs the receipt, whoever meters signs this statement, and the receipt carries it: so the
one cannot invent the joules of the other. Where both keys lie on one machine that is worth little: only a
verifier who knows the meter's key from elsewhere learns something. The same charge always gives the same
bytes, so that a repeated settlement is no second statement.

The second form says what for: the log, by its origin, and the announcement, by its leaf hash. Without them
one statement would fit into any log that has an attempt of the same name.
"""

from __future__ import annotations

__all__ = [
    "CounterWindow",
    "Figure",
    "OldSettlementStatement",
    "ParsedSettlement",
    "SettlementStatement",
    "parse_settlement",
    "read_settlement",
    "sign_settlement",
]

import base64
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from cryoflux.energy.account.charge import Charge
from cryoflux.energy.interface import Reservation
from cryoflux.errors import VerificationError
from cryoflux.quantities import Energy, Tier
from cryoflux.signing.canonical import parse_strictly
from cryoflux.signing.ed25519 import refuse_weak_key, verify_signature
from cryoflux.signing.envelope import METER_PAYLOAD, decode_base64, pae, parse_envelope, sign_document
from cryoflux.signing.fields import Count, Document, OptionalSha256, RawKey, Sha256, Signed
from cryoflux.signing.keys import raw_key_id, raw_public_key

_Text = Annotated[str, msgspec.Meta(max_length=500)]


class Figure(Document, frozen=True):
    """Energy between two ends; the tier beside it says of what kind they are."""

    microjoules: Signed
    lo_microjoules: Signed
    hi_microjoules: Signed

    @classmethod
    def of(cls, energy: Energy) -> Figure:
        """The signed form of a figure."""
        return cls(microjoules=energy.uj, lo_microjoules=energy.lo_uj, hi_microjoules=energy.hi_uj)


class CounterWindow(Document, frozen=True):
    """What a source showed at both ends of the window."""

    source: _Text
    first_microjoules: Count | None
    last_microjoules: Count | None
    first_epoch: _Text
    last_epoch: _Text


class OldSettlementStatement(
    Document, frozen=True, tag_field="kind", tag="https://cryoflux.dev/settlement/v1"
):
    """One settled reservation, in the first form, which does not say of which log."""

    meter_key: RawKey
    """the raw Ed25519 key that it is signed with"""
    boot: _Text
    """boot id of the machine that was metered"""
    request: _Text
    """request id of the take: the id of the attempt"""
    reservation: _Text
    reserved_microjoules: Count
    charged: Figure
    """net energy that the reserving process caused"""
    machine_net: Figure
    """the whole machine's net energy in the same window"""
    tier: Tier
    sources: list[_Text]
    flags: list[_Text]
    baseline: Sha256
    curve: _Text
    cpu_microseconds: Count
    window_nanoseconds: Count
    counters: list[CounterWindow]
    """empty where a crash came before the first note"""


class SettlementStatement(OldSettlementStatement, frozen=True, tag="https://cryoflux.dev/settlement/v2"):
    """One settled reservation."""

    log: _Text
    """origin of the receipt log that it is an attempt or a session of; empty where of none"""
    intent: OptionalSha256
    """leaf hash of the entry that announced the attempt; empty for a session, and where nobody said it"""


_DECODER = msgspec.json.Decoder(OldSettlementStatement | SettlementStatement)


def sign_settlement(reservation: Reservation, charge: Charge, boot_id: str, key: Ed25519PrivateKey) -> str:
    """The signed envelope around the statement of a settled charge, as one line of text."""
    statement = SettlementStatement(
        meter_key=base64.b64encode(raw_public_key(key.public_key())).decode(),
        boot=boot_id,
        request=reservation.request_id,
        reservation=reservation.id,
        log=reservation.log,
        intent=reservation.intent,
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


class ParsedSettlement(Struct, frozen=True):
    """A meter's statement, read; whether its signature is right is not known yet."""

    statement: OldSettlementStatement
    key: bytes
    """that it names, 32 bytes"""
    message: bytes
    """that was signed"""
    signature: bytes


def parse_settlement(envelope: str) -> ParsedSettlement:
    """Read the statement of an envelope without checking its signature.

    Raises:
        VerificationError: it is malformed, or names a key that is not sound.
    """
    signed = parse_envelope(envelope.encode(), METER_PAYLOAD)
    statement = parse_strictly(_DECODER, signed.payload, "The meter's statement")
    key = decode_base64(statement.meter_key, "The meter's key")
    refuse_weak_key(key, "The key that the meter's statement names")
    if signed.keyid != raw_key_id(key):
        raise VerificationError(
            "The meter's statement was not signed by the key that it names.",
            why="Somebody changed it after it was signed, or made it up.",
        )
    return ParsedSettlement(statement, key, pae(signed.payload, METER_PAYLOAD), signed.signature)


def read_settlement(envelope: str) -> OldSettlementStatement:
    """The statement of an envelope, once its signature is known to be of the key that it names.

    Whether that key is the one of a meter that anybody trusts is another question.

    Raises:
        VerificationError: it is malformed, or was not signed by that key.
    """
    parsed = parse_settlement(envelope)
    if not verify_signature(parsed.key, parsed.message, parsed.signature):
        raise VerificationError(
            "The meter's statement was not signed by the key that it names.",
            why="Somebody changed it after it was signed, or made it up.",
        )
    return parsed.statement
