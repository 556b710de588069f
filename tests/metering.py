"""Statements of a meter, as an honest one signs them, and as a forger does."""

from __future__ import annotations

__all__ = ["in_the_first_form", "meter_key", "sign"]

import base64
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.settlement import OldSettlementStatement, read_settlement, sign_settlement
from cryoflux.energy.interface import Counter, Reservation
from cryoflux.quantities import Energy
from cryoflux.receipts.statement import EnergyFigure
from cryoflux.signing.envelope import METER_PAYLOAD, sign_document
from cryoflux.signing.keys import KEYS_FOLDER, METER_KEY, load_key, raw_public_key

_WINDOW_NS = 120_000_000_000
"""nearly as long as an attempt says to have taken"""


def meter_key(state: Path) -> Ed25519PrivateKey:
    """The key of a state's meter, made where there is none."""
    return load_key(state / KEYS_FOLDER, METER_KEY, create=True)


def sign(
    state: Path,
    task: str,
    said: EnergyFigure,
    *,
    reservation: str = "",
    log: str = "",
    intent: str = "",
    moved_uj: int | None = None,
    machine_uj: int | None = None,
    key: Ed25519PrivateKey | None = None,
) -> str:
    """What a meter signs of a figure.

    Args:
        state: whose meter it is.
        task: request id of the take.
        said: the figure.
        reservation: id of the reservation; one of the task's own by default.
        log: origin of the log.
        intent: leaf hash of the announcement.
        moved_uj: what the counter moved in 20 s; twice of what was charged by default.
        machine_uj: net energy of the whole machine meanwhile; what was charged by default.
        key: in place of the key of the state's meter.
    """
    moved = 2 * said.hi_microjoules if moved_uj is None else moved_uj
    energy = Energy(said.microjoules, said.lo_microjoules, said.hi_microjoules, said.tier, tuple(said.flags))
    net = energy if machine_uj is None else Energy(machine_uj, machine_uj, machine_uj, said.tier)
    charge = Charge(
        energy=energy,
        machine_net=net,
        sources=tuple(said.sources),
        baseline_digest=said.baseline,
        curve=said.curve,
        cpu_us=said.cpu_microseconds,
        window_ns=_WINDOW_NS,
        counters=tuple(Counter(name, 5, 5 + moved, "boot/0", "boot/0") for name in said.sources),
    )
    held = Reservation(reservation or f"r-{task}", task, said.reserved_microjoules, log, intent)
    return sign_settlement(held, charge, "boot", key or meter_key(state))


def in_the_first_form(envelope: str, key: Ed25519PrivateKey) -> str:
    """The same statement as an older meter signed it."""
    said = msgspec.structs.asdict(read_settlement(envelope))
    fields = {name: value for name, value in said.items() if name not in {"log", "intent"}}
    raw = base64.b64encode(raw_public_key(key.public_key())).decode()
    return sign_document(OldSettlementStatement(**{**fields, "meter_key": raw}), key, METER_PAYLOAD).decode()
