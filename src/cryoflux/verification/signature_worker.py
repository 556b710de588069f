"""A process that checks signatures: ``python -m cryoflux.verification.signature_worker``.

It reads how many there are (uint32 LE), then for each the length of its message (uint32 LE), the key (32
bytes), the signature (64 bytes) and the message; and writes a byte for each: 1 where they belong together,
else 0.
"""

from __future__ import annotations

__all__ = ["main"]

import struct
import sys

from cryoflux.signing.ed25519 import verify_signature

_LENGTH = struct.Struct("<I")


def main() -> None:
    """Answer until the input ends."""
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while header := stdin.read(_LENGTH.size):
        answer = bytearray()
        for _ in range(_LENGTH.unpack(header)[0]):
            (length,) = _LENGTH.unpack(stdin.read(_LENGTH.size))
            key, signature, message = stdin.read(32), stdin.read(64), stdin.read(length)
            answer.append(verify_signature(key, message, signature))
        stdout.write(answer)
        stdout.flush()


if __name__ == "__main__":
    main()
