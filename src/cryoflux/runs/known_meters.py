"""Keeps the public keys of the meters that charge for a fleet: `verify` can be told to trust them."""

from __future__ import annotations

__all__ = ["keep_key", "keep_key_of"]

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.energy.account.settlement import read_settlement
from cryoflux.files import storage_errors, write_atomic
from cryoflux.receipts.charged import MeteredPart
from cryoflux.signing.keys import key_id, public_pem
from cryoflux.state import StateFolder

_CHARACTERS = 16


def keep_key_of(state: StateFolder, part: MeteredPart) -> None:
    """Keep the key that a worker's part was signed by; nothing where it was not signed.

    Args:
        state: of the run.
        part: as it was believed.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    if part.settlement:
        keep_key(state, part.worker, read_settlement(part.settlement).meter_key)


def keep_key(state: StateFolder, name: str, meter_key: str) -> None:
    """Keep the key of a meter, under a name and the beginning of its id.

    Args:
        state: of the run.
        name: whose it is.
        meter_key: raw, in base64.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(meter_key))
    path = state.meters / f"{name}-{key_id(key)[:_CHARACTERS]}.pub"
    if not path.is_file():
        with storage_errors(path):
            state.meters.mkdir(parents=True, exist_ok=True)
        write_atomic(path, public_pem(key))
