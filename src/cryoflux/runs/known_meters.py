"""Keeps the public keys of the meters that charge for a state's runs: `verify` can be told to trust them."""

from __future__ import annotations

__all__ = ["keep_meter_key"]

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.files import storage_errors, write_atomic
from cryoflux.signing.keys import key_id, public_pem
from cryoflux.state import StateFolder

_CHARACTERS = 16


def keep_meter_key(state: StateFolder, worker: str, meter_key: str) -> None:
    """Keep the key of a worker's meter, under its name and the beginning of its id.

    Args:
        state: of the run.
        worker: its name.
        meter_key: raw, in base64.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(meter_key))
    path = state.meters / f"{worker}-{key_id(key)[:_CHARACTERS]}.pub"
    if not path.is_file():
        with storage_errors(path):
            state.meters.mkdir(parents=True, exist_ok=True)
        write_atomic(path, public_pem(key))
