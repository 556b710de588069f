"""What checking one Ed25519 signature costs, by ours and by the libraries that are installed beside it.

    python benchmarks/ed25519.py --message 3200

Our function is ``cryoflux.signing.ed25519.verify_signature``: the rule's own checks, and libsodium.
Beside it stand the libraries alone, as far as they are installed: cryptography (OpenSSL), PyNaCl
(libsodium), solders and vodozemac (dalek), py-ed25519-zebra-bindings. All take turns in one process, with
one signer and another message each time; told are the median and the least of the rounds, in µs of CPU
time a signature. Each is also started in a process of its own, which tells by how many MiB its resident
memory grows until it has checked its first signature; and for each it is told in how many of the cases of
``tests/vectors/ed25519.json`` its verdict is not that of the rule.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "tests" / "vectors" / "ed25519.json"
Check = Callable[[bytes, bytes, bytes], bool]
"""key, message, signature"""
RFC_8032_TEST_1 = (
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    b"",
    bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    ),
)


def ours() -> Check:
    """The rule, in one function."""
    from cryoflux.signing.ed25519 import verify_signature

    return verify_signature


def cryptography() -> Check:
    """OpenSSL, with the key kept loaded."""
    from functools import lru_cache

    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    loaded = lru_cache(Ed25519PublicKey.from_public_bytes)

    def check(key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            loaded(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    return check


def pynacl() -> Check:
    """libsodium, by its own word."""
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    def check(key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            crypto_sign_open(signature + message, key)
        except BadSignatureError:
            return False
        return True

    return check


def solders() -> Check:
    """``verify_strict`` of dalek."""
    from functools import lru_cache

    from solders.pubkey import Pubkey
    from solders.signature import Signature

    loaded = lru_cache(Pubkey.from_bytes)
    return lambda key, message, signature: Signature.from_bytes(signature).verify(loaded(key), message)


def vodozemac() -> Check:
    """``verify_strict`` of dalek, in a library for encrypted chats; it takes base64."""
    from functools import lru_cache

    from vodozemac import Ed25519PublicKey, Ed25519Signature, SignatureException

    loaded = lru_cache(lambda key: Ed25519PublicKey.from_base64(base64.b64encode(key).decode()))

    def check(key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            read = Ed25519Signature.from_base64(base64.b64encode(signature).decode())
            loaded(key).verify_signature(message, read)
        except (SignatureException, ValueError):
            return False
        return True

    return check


def zebra() -> Check:
    """ZIP-215: the equation times 8."""
    from ed25519_zebra import ed_verify

    return lambda key, message, signature: bool(ed_verify(signature, message, key))


LIBRARIES: dict[str, tuple[Callable[[], Check], str]] = {
    "ours": (ours, "cryoflux"),
    "cryptography": (cryptography, "cryptography"),
    "PyNaCl": (pynacl, "PyNaCl"),
    "solders": (solders, "solders"),
    "vodozemac": (vodozemac, "vodozemac"),
    "zebra": (zebra, "py-ed25519-zebra-bindings"),
}


def present() -> dict[str, str]:
    """Names of those that are installed, with their versions."""
    found = {}
    for name, (make, package) in LIBRARIES.items():
        try:
            make()
            found[name] = version(package)
        except (ImportError, PackageNotFoundError):
            print(f"{name} is not installed", file=sys.stderr)
    return found


def times_us(checks: dict[str, Check], length: int, count: int, rounds: int) -> dict[str, list[float]]:
    """CPU time a signature of each round, µs; messages of ``length`` bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    signer = Ed25519PrivateKey.generate()
    key = signer.public_key().public_bytes_raw()
    signed = [(message, signer.sign(message)) for message in (os.urandom(length) for _ in range(count))]
    taken: dict[str, list[float]] = {name: [] for name in checks}
    for _ in range(rounds):
        for name, check in checks.items():
            start = time.process_time()
            good = sum(check(key, message, signature) for message, signature in signed) == count
            taken[name].append((time.process_time() - start) / count * 1e6)
            if not good:
                raise SystemExit(f"{name} refuses an honest signature")
    return taken


def differing(check: Check) -> int:
    """Cases of the vectors in which a verdict is not that of the rule; only those with the right lengths."""
    cases = json.loads(VECTORS.read_text("utf-8"))["cases"]
    decoded = [
        (*(base64.b64decode(case[name]) for name in ("key", "message", "signature")), case["verdict"])
        for case in cases
    ]
    return sum(
        check(key, message, signature) != (verdict == "accept")
        for key, message, signature, verdict in decoded
        if (len(key), len(signature)) == (32, 64)
    )


def resident_mib() -> float:
    """Memory of this process that is in RAM, MiB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def alone(name: str) -> None:
    """Print how this process grew to check one signature, MiB."""
    before = resident_mib()
    if not LIBRARIES[name][0]()(*RFC_8032_TEST_1):
        raise SystemExit(f"{name} refuses RFC 8032, test 1")
    print(f"{resident_mib() - before:.1f}")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--message", type=int, default=3200, help="bytes of a message")
    parser.add_argument("--count", type=int, default=500, help="signatures a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--alone", choices=LIBRARIES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        alone(asked.alone)
        return
    versions = present()
    checks = {name: LIBRARIES[name][0]() for name in versions}
    taken = times_us(checks, asked.message, asked.count, asked.rounds)
    print(f"{asked.message} bytes a message, {asked.rounds} rounds of {asked.count}\n")
    print("| | version | µs, median | µs, least | resident memory, MiB | cases unlike the rule |")
    print("|---|---|--:|--:|--:|--:|")
    for name, found in versions.items():
        command = [sys.executable, __file__, "--alone", name]
        grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        figures = f"{statistics.median(taken[name]):.1f} | {min(taken[name]):.1f} | +{grown}"
        print(f"| {name} | {found} | {figures} | {differing(checks[name])} |")


if __name__ == "__main__":
    main()
