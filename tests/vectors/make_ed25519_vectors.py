"""Writes ed25519.json beside it: signatures that verifiers may disagree about; the same bytes every time.

Run it from the root of the repository: ``python tests/vectors/make_ed25519_vectors.py``. It needs nothing but
the standard library: the curve is written down here once more, slowly, so that what is expected does not come
from a library that is tested with it. Cases of small and mixed order follow Chalkias, Garillot, Nikolaenko,
"Taming the many EdDSAs" (2020), with keys and messages of our own. Private keys are known to everybody.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "ed25519.json"
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
SIGN = 2**255
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]
"""X, Y, Z, T with x = X/Z, y = Y/Z, T = XY/Z"""
Made = tuple[bytes, bytes, bytes]
"""key, message, signature"""
Case = dict[str, Any]
ZERO: Point = (0, 1, 1, 0)


def add(one: Point, two: Point) -> Point:
    """RFC 8032, 5.1.4; complete, so it doubles as well."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar: int, point: Point) -> Point:
    result = ZERO
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def negative(point: Point) -> Point:
    return (-point[0] % P, point[1], point[2], -point[3] % P)


def same(one: Point, two: Point) -> bool:
    return (one[0] * two[2] - two[0] * one[2]) % P == (one[1] * two[2] - two[1] * one[2]) % P == 0


def encode(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return spell(y, x & 1)


def spell(y: int, sign: int) -> bytes:
    """32 bytes, whether or not there is such a point."""
    return (y | sign << 255).to_bytes(32, "little")


def decode(content: bytes) -> Point | None:
    """The point of an encoding, canonical or not."""
    number = int.from_bytes(content, "little")
    y, sign = number % SIGN % P, number >> 255
    over, under = (y * y - 1) % P, (D * y * y + 1) % P
    x = over * pow(under, 3, P) * pow(over * pow(under, 7, P), (P - 5) // 8, P) % P
    if (under * x * x + over) % P == 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (under * x * x - over) % P:
        return None
    if x & 1 != sign:
        x = -x % P
    return (x, y, 1, x * y % P)


def is_canonical(content: bytes) -> bool:
    point = decode(content)
    return point is not None and encode(point) == content


def is_small(point: Point) -> bool:
    return same(times(8, point), ZERO)


def _base() -> Point:
    point = decode(spell(4 * pow(5, -1, P) % P, 0))
    assert point is not None
    return point


def _eighth() -> Point:
    for y in count(2):
        point = decode(spell(y, 0))
        if point is not None and not same(times(4 * L, point), ZERO):
            return times(L, point)
    raise AssertionError


B = _base()
TORSION = [times(i, _eighth()) for i in range(8)]
"""all points of small order"""


@cache
def key_of(seed: bytes) -> tuple[int, bytes, Point]:
    """The secret scalar of a seed, the beginning of its nonces, and its public point."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:], times(scalar, B)


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def sign(message: bytes, seed: bytes = bytes(32), key: bytes | None = None, r_more: Point = ZERO) -> Made:
    """Key, message and signature: honest, unless the key is another, or something is added to R."""
    secret, beginning, public = key_of(seed)
    key = key or encode(public)
    nonce = int.from_bytes(hashlib.sha512(beginning + message).digest(), "little") % L
    r = encode(add(times(nonce, B), r_more))
    s = (nonce + challenge(r, key, message) * secret) % L
    return key, message, r + s.to_bytes(32, "little")


def under_small(key: bytes, r_more: Point = ZERO, nonce: int = 7) -> Callable[[bytes], Made]:
    """Signatures that no private key is needed for: the key has small order."""
    r = encode(add(times(nonce, B), r_more))
    return lambda message: (key, message, r + nonce.to_bytes(32, "little"))


def under_mixed(extra: Point, r: bytes | None = None, r_more: Point = ZERO) -> Callable[[bytes], Made]:
    """Signatures under an honest key to which a point of small order is added; ``r`` replaces R."""
    secret, _, public = key_of(bytes(32))
    key = encode(add(public, extra))
    if r is None:
        return lambda message: sign(message, key=key, r_more=r_more)

    def made(message: bytes) -> Made:
        return key, message, r + (challenge(r, key, message) * secret % L).to_bytes(32, "little")

    return made


class Terms:
    """What a rule may ask for, of one key, message and signature of the right lengths."""

    def __init__(self, key: bytes, message: bytes, signature: bytes) -> None:
        self.s = int.from_bytes(signature[32:], "little")
        self.key, self.r = key, signature[:32]
        self.a, self.r_point = decode(self.key), decode(self.r)
        self.left = ZERO
        if self.a is not None:
            k = challenge(self.r, self.key, message)
            self.left = add(times(self.s, B), negative(times(k, self.a)))
        self.exact = self.a is not None and encode(self.left) == self.r
        """R is what the equation gives, byte for byte"""
        self.times_eight = (
            self.a is not None
            and self.r_point is not None
            and is_small(add(self.left, negative(self.r_point)))
        )


def openssl(terms: Terms) -> bool:
    return terms.s < L and terms.exact


def libsodium(terms: Terms) -> bool:
    return (
        openssl(terms)
        and is_canonical(terms.key)
        and not any(point is None or is_small(point) for point in (terms.a, terms.r_point))
    )


def zip215(terms: Terms) -> bool:
    return terms.s < L and terms.times_eight


def is_sound(key: bytes) -> bool:
    """Whether the rule takes a key."""
    point = decode(key) if len(key) == 32 else None
    if point is None or not is_canonical(key):
        return False
    return same(times(L, point), ZERO) and not is_small(point)


def refusal(key: bytes, message: bytes, signature: bytes) -> str:
    """Why the rule refuses a signature; empty where it accepts it."""
    if len(signature) != 64:
        return "form: the signature has not 64 bytes"
    if not is_sound(key):
        return f"key: {_weakness(key)}"
    terms = Terms(key, message, signature)
    if terms.s >= L:
        return "signature: S is not below L"
    if terms.r_point is None or not is_canonical(terms.r):
        return "signature: R is not the canonical encoding of a point"
    if is_small(terms.r_point):
        return "signature: R has small order"
    return "" if terms.exact else "signature: the equation does not hold"


def _weakness(key: bytes) -> str:
    point = decode(key) if len(key) == 32 else None
    if len(key) != 32:
        return "it has not 32 bytes"
    if point is None:
        return "it is not a point"
    if is_small(point):
        return "small order" + ("" if is_canonical(key) else ", not canonical")
    return "mixed order" if is_canonical(key) else "not canonical"


def case(name: str, made: Made) -> Case:
    key, _, signature = made
    why = refusal(*made)
    judged = Terms(*made) if len(key) == 32 and len(signature) == 64 else None
    others = {rule.__name__: judged is not None and rule(judged) for rule in (openssl, libsodium, zip215)}
    encoded = (base64.b64encode(content).decode() for content in made)
    return {
        "name": name,
        **dict(zip(("key", "message", "signature"), encoded, strict=True)),
        "soundKey": is_sound(key),
        "verdict": "refuse" if why else "accept",
        "why": why,
        "others": {who: "accept" if good else "refuse" for who, good in others.items()},
    }


def first(make: Callable[[bytes], Made], wanted: Callable[[Terms], bool]) -> Made:
    """The first of the messages ``0``, ``1``, … whose signature is as wanted."""
    return next(made for made in map(make, (b"%d" % i for i in count())) if wanted(Terms(*made)))


def only_times_eight(terms: Terms) -> bool:
    return terms.times_eight and not terms.exact


def small_encodings() -> Iterator[tuple[str, bytes]]:
    """Every spelling of every point of small order that fits into 32 bytes."""
    for i, point in enumerate(TORSION):
        order = next(n for n in (1, 2, 4, 8) if i * n % 8 == 0)
        y = int.from_bytes(encode(point), "little") % SIGN
        for written, sign in [(y, 0), (y, 1), (y + P, 0), (y + P, 1)]:
            encoded = spell(written, sign) if written < SIGN else b""
            if encoded and (found := decode(encoded)) is not None and same(found, point):
                marks = ["y + p"] * (written != y)
                marks += ["a sign on x = 0"] * (sign == 1 and order < 4)
                yield f"{i}T, of order {order}" + (f", with {' and '.join(marks)}" if marks else ""), encoded


def honest_cases() -> Iterator[Case]:
    published = {  # RFC 8032, 7.1: seed, message
        "1": ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", ""),
        "2": ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72"),
        "3": ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82"),
    }
    begins = {"1": "e5564300c360ac72", "2": "92a009a9f0d4cab8", "3": "6291d657deec2402"}
    for number, (seed, message) in published.items():
        made = sign(bytes.fromhex(message), bytes.fromhex(seed))
        assert made[2].hex().startswith(begins[number])
        yield case(f"RFC 8032, test {number}", made)
    yield case("a message of 5,000 bytes", sign(bytes(range(250)) * 20))
    yield case("an empty message", sign(b"", b"\1" * 32))


def flip(content: bytes, bit: int) -> bytes:
    return (int.from_bytes(content, "little") ^ 1 << bit).to_bytes(len(content), "little")


def changed_cases() -> Iterator[Case]:
    key, message, signature = sign(b"signed")
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    other = encode(key_of(b"\1" * 32)[2])
    for name, made in {
        "a flipped bit in the message": (key, flip(message, 3), signature),
        "the first bit of R is flipped": (key, message, flip(signature, 0)),
        "the sign of R is flipped": (key, message, flip(signature, 255)),
        "the first bit of S is flipped": (key, message, flip(signature, 256)),
        "the last bit of S is flipped": (key, message, flip(signature, 511)),
        "a bit of the key is flipped, and it is a point still": (_other_point(key), message, signature),
        "the sign of the key is flipped": (flip(key, 255), message, signature),
        "another key": (other, message, signature),
        "R and S change places": (key, message, signature[32:] + r),
        "S is negated": (key, message, r + (L - s).to_bytes(32, "little")),
        "S + L (speccheck 6)": (key, message, r + (s + L).to_bytes(32, "little")),
        "S + 14 L (speccheck 7)": (key, message, r + (s + 14 * L).to_bytes(32, "little")),
        "S is L, under a key of small order": (spell(1, 0), message, spell(1, 0) + L.to_bytes(32, "little")),
        "a byte less": (key, message, signature[:-1]),
        "a byte more": (key, message, signature + b"\0"),
        "no signature": (key, message, b""),
        "a key with a byte less": (key[:-1], message, signature),
        "a key with a byte more": (key + b"\0", message, signature),
        "R is no point": (key, message, _no_point() + signature[32:]),
        "the key is no point": (_no_point(), message, signature),
        "all bits of the signature are set": (key, message, b"\xff" * 64),
        "nothing but zeros": (bytes(32), b"", bytes(64)),
    }.items():
        yield case(name, made)


def _other_point(key: bytes) -> bytes:
    return next(flip(key, bit) for bit in count() if decode(flip(key, bit)) is not None)


def _no_point() -> bytes:
    return next(spell(y, 0) for y in count(2) if decode(spell(y, 0)) is None)


def small_order_cases() -> Iterator[Case]:
    secret, _, public = key_of(bytes(32))
    key, message = encode(public), b"signed"
    for name, encoded in small_encodings():
        yield case(f"A is {name}", first(under_small(encoded), lambda terms: terms.exact))
        s = challenge(encoded, key, message) * secret % L
        yield case(f"R is {name}", (key, message, encoded + s.to_bytes(32, "little")))
    beyond = (y for y in range(P + 2, SIGN) if decode(spell(y, 0)) is not None)
    encoded = spell(next(beyond), 0)
    yield case("A is not canonical, and not of small order", (encoded, message, sign(message)[2]))
    yield case("R is not canonical, and not of small order", (key, message, encoded + sign(message)[2][32:]))


def mixed_order_cases() -> Iterator[Case]:
    for i in range(1, 8):
        extra = TORSION[i]
        holds = first(under_mixed(extra), lambda terms: terms.exact)
        yield case(f"A + {i}T, and [k] takes it away again", holds)
        yield case(f"A + {i}T, only the equation times 8 holds", first(under_mixed(extra), only_times_eight))
        yield case(f"R + {i}T, only the equation times 8 holds", sign(b"signed", r_more=extra))


def speccheck_cases() -> Iterator[Case]:
    """Cases 0 to 5 and 8 to 11 of the paper; 6 and 7 are among `changed_cases`."""
    one, three = TORSION[1], TORSION[3]
    odd = spell(1, 1)
    secret, _, public = key_of(bytes(32))
    mixed = encode(add(public, one))

    def hashed_anew(message: bytes) -> Made:
        # k over the canonical encoding of R, while R is written otherwise
        s = challenge(spell(1, 0), mixed, message) * secret % L
        return mixed, message, odd + s.to_bytes(32, "little")

    wanted = {
        "0: S = 0, A and R of small order": first(under_small(encode(one), three, 0), lambda t: t.exact),
        "1: A of small order, R mixed": first(under_small(encode(one), three), lambda t: t.exact),
        "2: A mixed, R of small order": first(under_mixed(one, r=encode(three)), lambda t: t.exact),
        "3: A and R mixed, both equations hold": first(under_mixed(one, r_more=three), lambda t: t.exact),
        "4: A and R mixed, only times 8": first(under_mixed(one, r_more=three), only_times_eight),
        "5: A mixed, only times 8": first(under_mixed(one), only_times_eight),
        "8: A mixed, R of small order and not canonical": first(under_mixed(one, r=odd), only_times_eight),
        "9: the same, k over R in its canonical encoding": hashed_anew(b"signed"),
        "10: A of small order and not canonical, R mixed": first(under_small(odd, one), only_times_eight),
        "11: the same, k over A in its canonical encoding": under_small(odd, one)(b"signed"),
    }
    for name, made in wanted.items():
        yield case(f"speccheck {name}", made)


def build() -> bytes:
    """The file's content."""
    document = {
        "rule": "src/cryoflux/signing/ed25519.py",
        "others": {
            "openssl": "no cofactor; any encoding of A; S < L. As cryptography 50.0.2 (OpenSSL 4.0) has it",
            "libsodium": "no cofactor; A canonical; A, R not of small order; S < L. As PyNaCl 1.6.2 has it",
            "zip215": "times 8; any encoding of A and R; S < L. As py-ed25519-zebra-bindings 1.3.0 has it",
        },
        "cases": [
            *honest_cases(),
            *changed_cases(),
            *small_order_cases(),
            *mixed_order_cases(),
            *speccheck_cases(),
        ],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    FILE.write_bytes(build())
