r"""What draws the examples of a spot check: the verifier's own randomness, unless another is asked for.

- By default, bytes from the operating system of the verifier, new at each verification. The losses were
  signed before; nobody can have chosen them by the draw.
- A seed that is given repeats a draw. It is worth what is known of where it came from.
- A signed head of the log, so that everybody draws the same. Its signer can make one head after the other,
  or submit the same one to a witness again for a cosignature of another time, until the draw suits it.

Drawn from a head, ``seed = SHA-256("cryoflux/spot-check/v2\n" ‖ text of the head ‖ cosignatures)``, a
cosignature being key id, time and signature, those of the policy's witnesses alone, in ascending order.
"""

from __future__ import annotations

__all__ = [
    "Challenge",
    "Challenger",
    "DrawnBy",
    "Seed",
    "challenge_of",
    "challenger",
    "own_seed",
    "parse_seed",
]

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryoflux.errors import UsageError, VerificationError
from cryoflux.receipts.checkpoint import Note, cosigned_at, parse_note
from cryoflux.verification.walked import Walked
from cryoflux.witness.policy import Policy

_DOMAIN = b"cryoflux/spot-check/v2\n"
_SEED_BYTES = 16
_HEAD = "head"


class DrawnBy(StrEnum):
    """Where a seed came from."""

    VERIFIER = "verifier"
    GIVEN = "given seed"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Seed:
    """What one verification draws by; of a head, the value follows from the log."""

    drawn_by: DrawnBy
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A value that draws examples of a receipt, and how far it is beyond the signer's reach."""

    seed: bytes
    drawn_by: DrawnBy
    witnesses: tuple[str, ...] = ()
    """of a head: whose cosignatures it was made of; none where the log's own head has to do"""
    size: int = 0
    """of a head: entries that it covers"""

    def describe(self) -> str:
        """Where it came from, and what that is worth."""
        if self.drawn_by is DrawnBy.VERIFIER:
            return f"drawn at random here (again: {self.option})"
        if self.drawn_by is DrawnBy.GIVEN:
            return "drawn by the seed that was given, which nobody who signed may have known"
        head = f"the head of {self.size} entries"
        if self.witnesses:
            names = ", ".join(self.witnesses)
            return (
                f"drawn by the cosignatures of {names} over {head}: repeatable, and weaker, "
                "because whoever can submit that head again can choose among draws"
            )
        return f"drawn by {head}, which its signer can make again until the draw suits it: much weaker"

    @property
    def option(self) -> str:
        """What draws the same again."""
        return f"--spot-seed {_HEAD if self.drawn_by is DrawnBy.HEAD else self.seed.hex()}"


def own_seed() -> Seed:
    """A new one, from the operating system's randomness."""
    return Seed(DrawnBy.VERIFIER, secrets.token_bytes(_SEED_BYTES))


def parse_seed(said: str) -> Seed:
    """What ``--spot-seed`` names: ``head``, or a seed as a report shows it.

    Raises:
        UsageError: it is neither.
    """
    if said == _HEAD:
        return Seed(DrawnBy.HEAD)
    try:
        value = bytes.fromhex(said)
    except ValueError:
        value = b""
    if len(value) != _SEED_BYTES:
        raise UsageError(
            f"--spot-seed takes {2 * _SEED_BYTES} hexadecimal digits, or the word {_HEAD}.",
            why=f"{said[:80]!r} is neither.",
            hint="Leave it out to draw at random, or copy the seed of the report that is to be repeated.",
        )
    return Seed(DrawnBy.GIVEN, value)


Challenger = Callable[[int], Challenge | None]
"""Index of a receipt's entry → what draws its examples; none where nothing can."""


def challenger(seed: Seed, walked: Walked, notes: Sequence[bytes], policy: Policy | None) -> Challenger:
    """What draws the examples of each receipt.

    Args:
        seed: of this verification.
        walked: the log.
        notes: its signed heads, each with the cosignatures that it carries.
        policy: names the witnesses that count.
    """
    if seed.drawn_by is DrawnBy.HEAD:
        return lambda index: challenge_of(walked, notes, policy, index)
    return lambda _index: Challenge(seed.value, seed.drawn_by)


def challenge_of(
    walked: Walked, notes: Sequence[bytes], policy: Policy | None, index: int
) -> Challenge | None:
    """What a signed head draws for the receipt at ``index``; none where no signed head covers it.

    Args:
        walked: the log.
        notes: its signed heads, each with the cosignatures that it carries.
        policy: names the witnesses that count.
        index: of the receipt's entry.
    """
    found = []
    for content in notes:
        try:
            note = parse_note(content)
            point = note.checkpoint
            covers = index < point.size <= walked.size
            if covers and walked.roots.get(point.size) == point.root:
                found.append(_of_head(note, policy))
        except VerificationError:
            continue  # steps 4 and 12 say what is wrong with a head
    # the more witnesses the better, and then the first head: a later one could be waited for
    return min(found, key=lambda one: (-len(one.witnesses), one.size), default=None)


def _of_head(note: Note, policy: Policy | None) -> Challenge:
    names, signed = [], []
    for line in policy.witnesses if policy else ():
        # the signer may add lines, so only those of known witnesses count, each with all that it said
        if cosigned_at(note, line.key) is not None:
            names.append(line.name)
            signed += [line.key.id + signature for signature in note.by(line.key)]
    text = note.checkpoint.text
    seed = hashlib.sha256(_DOMAIN + text + b"".join(sorted(signed))).digest()
    return Challenge(seed, DrawnBy.HEAD, tuple(sorted(names)), note.checkpoint.size)
