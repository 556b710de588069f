"""Random inputs for everything that reads bytes of strangers.

    python benchmarks/fuzz.py --seconds 600 --seed 1
    python benchmarks/fuzz.py --target checkpoint --atheris

Each target (`fuzz_targets`) is given its seeds of ``tests/corpus``, changed at random: bits, bytes, numbers,
pieces that are repeated many times, pieces of other seeds, and words that parsers stumble over. It has to
return or raise an error of the project, within so much CPU time and memory for each byte. What breaks that is
written to ``--out``, named by its digest; put into ``tests/corpus`` it is tried by every test run.

``--atheris`` lets Google's coverage-guided fuzzer choose the inputs instead, where it is installed
(``pip install atheris``). The exit status is 1 if something was found.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryoflux.digests import sha256_hex

if "--atheris" in sys.argv:
    import atheris

    with atheris.instrument_imports(include=["cryoflux"]):  # what is imported later is not instrumented
        import fuzz_targets  # noqa: F401

from fuzz_targets import CORPUS, TARGETS, broken, seeds_of

_WORDS = [
    *(b"\0", b"\n", b"\r", b"\t", b" ", b'"', b"\\", b"{", b"[", b"}", b"]", b",", b":", b"=", b"+", b"-"),
    *(b"null", b"true", b"NaN", b"1e999", b"-0", b"9" * 30, b"9007199254740993", b"0.1", b"\\ud800"),
    *(b'{"a":', b'"":{},', b'{"":', b"[[", b"\xef\xbb\xbf", "\u2028".encode(), "\u0300\u0316".encode()),
    *("\N{EM DASH} ".encode(), b"\n\n", b"origin", b"-----BEGIN PUBLIC KEY-----", b"\xff\xff\xff\xff"),
    *(b"/", b"../", b"(", b"(a+)+", b"*" * 9, b"A" * 64, b"payload", b"signatures", b"__metadata__"),
    b"data_offsets",
]
_LONGEST = 200_000
_MEMORY_EACH = 50


def changed(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The same bytes, changed here and there."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at, length = rng.randrange(len(found) + 1), rng.choice((1, 1, 2, 4, 8, 40, 400))
        kind = rng.randrange(6)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del found[at : at + length]
        else:
            put = _piece(bytes(found[at : at + length]), length, others, rng)
            found[at : at + (len(put) if kind == 2 else 0)] = put
    return bytes(found[:_LONGEST])


def _piece(here: bytes, length: int, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Something to put in: noise, a word, a large number, what is here many times, or of another seed."""
    other = rng.choice(others)
    start, word = rng.randrange(len(other) + 1), rng.choice(_WORDS)
    many = here or word
    return rng.choice(
        (
            rng.randbytes(length),
            word,
            rng.choice((0, 1, 2**31, 2**53, 2**63, 2**64 - 1)).to_bytes(8, "little"),
            many * rng.choice((2, 10, 1000, _LONGEST // len(many))),
            other[start : start + length],
        )
    )


def inputs(target: str, seed: int) -> Iterator[bytes]:
    """The seeds of a target, and then what is made of them, without end."""
    rng = random.Random(f"{seed}/{target}")  # noqa: S311 - inputs that can be made again, not a secret
    seeds = seeds_of(target)
    yield from seeds
    others = [one for name in sorted(TARGETS) for one in seeds_of(name)[:2]]
    while True:
        yield changed(rng.choice(seeds), others, rng)


def fuzz(target: str, seconds: float, seed: int) -> tuple[int, dict[str, bytes]]:
    """Try inputs for some seconds of CPU time; how many were tried, and complaint → one that breaks it."""
    found: dict[str, bytes] = {}
    end, count = time.process_time() + seconds, 0
    for content in inputs(target, seed):
        if time.process_time() > end:
            break
        complaint = broken(target, content, memory=count % _MEMORY_EACH == 0)
        count += 1
        if complaint:
            kind = " ".join(complaint.split()[:2])
            if kind not in found:
                print(f"  {target}: {complaint} ({len(content)} bytes)", flush=True)
                found[kind] = content
    return count, found


def with_atheris(target: str, kept: Path, rest: list[str]) -> None:
    """Let atheris choose the inputs of one target, and keep the telling ones; it does not return."""
    kept.mkdir(parents=True, exist_ok=True)

    def once(content: bytes) -> None:
        if complaint := broken(target, content):
            raise RuntimeError(complaint)

    atheris.Setup([sys.argv[0], str(kept), str(CORPUS / target), *rest], once)
    atheris.Fuzz()


def main() -> None:
    """Fuzz the targets that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="of CPU time, for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--out", type=Path, default=Path("bench/fuzz"))
    parser.add_argument("--atheris", action="store_true")
    options, rest = parser.parse_known_args()
    targets = options.target or sorted(TARGETS)
    if options.atheris:
        with_atheris(targets[0], options.out / f"{targets[0]}-atheris", rest)
    bad = 0
    for target in targets:
        count, found = fuzz(target, options.seconds / len(targets), options.seed)
        print(f"{target:16} {count:8} inputs, {len(found)} kinds of broken promises")
        bad += len(found)
        for content in found.values():
            path = options.out / target / sha256_hex(content)[:16]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
