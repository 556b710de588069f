"""Whether an Ed25519 signature is accepted: one rule, in one place, for every signature that is read here.

A signature of a message by a key is accepted if all of this holds:

1. The key has 32 bytes: the canonical encoding of a point A (y < p; no sign on x = 0) of prime order L.
   So A is neither one of the eight points of small order, under which anybody can sign, nor the sum of one
   of them and an honest key (mixed order), under which verifiers disagree.
2. The signature has 64 bytes, R and S: R is the canonical encoding of a point that is not of small order,
   and S < L.
3. [S]B = R + [k]A exactly, with k = SHA-512(R ‖ A ‖ message) mod L: the equation without the cofactor, which
   RFC 8032, 5.1.7 calls sufficient.

Whatever this accepts, every verifier of RFC 8032 accepts too, with or without the cofactor, one by one or
in batches. What it refuses beyond the others no honest signer makes. With 1. the equations with and without
the cofactor differ only where R has a part of small order, and only the key's owner can sign so: with the
cofactor such a signature would hold here, and fail for OpenSSL.

libsodium (PyNaCl) computes the equation; what it asks for beyond it is asked for here again, so that the rule
does not depend on how it was built. That A is of prime order is asked once a key. Each case is a vector:
``tests/vectors/ed25519.json``.
Sources: RFC 8032; Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs", 2020.
"""

from __future__ import annotations

__all__ = ["is_sound_key", "refuse_weak_key", "verify_signature"]

from functools import lru_cache
from typing import Final

from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

from cryoflux.errors import VerificationError

_POINT_BYTES = 32
_SIGNATURE_BYTES = 64
_PRIME: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""L: how many points the base point B generates"""
_SIGN: Final = 2**255
"""the highest bit of an encoding: whether x is odd"""
_EIGHTH: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
"""y of two of the four points of order 8; that of the other two is its negative"""
_SMALL: Final = frozenset(
    (y | sign).to_bytes(_POINT_BYTES, "little")
    for y in (1, _PRIME - 1, 0, _EIGHTH, _PRIME - _EIGHTH)  # of order 1, 2, 4, 8, 8
    for sign in (0, _SIGN)
)
"""canonical encodings of the points of small order, and the two that put a sign on x = 0"""


def _is_plain_point(encoded: bytes) -> bool:
    """Whether y < p, and the point, if it is one, is not of small order."""
    return encoded not in _SMALL and int.from_bytes(encoded, "little") % _SIGN < _PRIME


@lru_cache(maxsize=4096)
def is_sound_key(raw: bytes) -> bool:
    """Whether a public key is the canonical encoding of a point of prime order.

    Every key that Ed25519 makes is. The answer is kept, so that it costs a log of one signer nothing.

    Args:
        raw: 32 bytes; any others are no key.
    """
    return len(raw) == _POINT_BYTES and _is_plain_point(raw) and crypto_core_ed25519_is_valid_point(raw)


def refuse_weak_key(raw: bytes, what: str) -> None:
    """Make sure that a public key is sound.

    Args:
        raw: its bytes.
        what: the key, in words that begin a sentence.

    Raises:
        VerificationError: it is not.
    """
    if not is_sound_key(raw):
        raise VerificationError(
            f"{what} is not a sound Ed25519 key.",
            why="No signer has such a key: anybody can sign under it, or nobody, or verifiers disagree.",
            hint="Ask its owner for the public key once more.",
        )


def verify_signature(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is of a message by a key.

    Args:
        key: 32 bytes; what is not a sound key has signed nothing.
        message: what was signed.
        signature: 64 bytes; one of another length is of nothing.
    """
    if (
        len(signature) != _SIGNATURE_BYTES
        or int.from_bytes(signature[_POINT_BYTES:], "little") >= _ORDER
        or not _is_plain_point(signature[:_POINT_BYTES])
        or not is_sound_key(key)
    ):
        return False
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True
