"""Writes ``log-v2.jsonl``: a log of the second form with every kind of entry, to make other vectors of.

And ``fork-v1.jsonl``: a log that goes on from its first nine entries, with one attempt of its own.

Run it from the root of the repository: ``python tests/vectors/make_log.py``. It is kept byte for byte once
the second form is published, as the log of the first form is; until then it follows the form.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.decision.reason import Reason
from cryoflux.receipts.statement import (
    CROSS_ENTROPY,
    Cause,
    Decision,
    Hits,
    Measurement,
    Move,
    Outcome,
    Screen,
)
from plain_log import RULE, PlainLog, digest_of, figure, go_on_from, model, plain_log, training

TARGET = Path(__file__).with_name("log-v2.jsonl")
FORK_TARGET = Path(__file__).with_name("fork-v1.jsonl")
FORK_KEY = Ed25519PrivateKey.from_private_bytes(b"\x03" * 32)


def screened_out(log: PlainLog) -> None:
    """An attempt that its screen stops: no evaluation, but a decision."""
    intent = log.announce(rule=RULE.but(screen="screen/v1"))
    said = intent.intent
    assert said is not None
    screen = Screen(
        count=16,
        base_loss_sum=16_000_000_000,
        new_loss_sum=15_990_000_000,
        delta_squared_sum="100000000000000",
        hits=Hits(base=8, new=8, gained=0, lost=0),
    )
    numbers = {"count": 16, "delta": 10_000_000, "squared": screen.delta_squared_sum, "min_delta": 2_000_000}
    log.conclude(
        intent,
        kept=False,
        outcome=Outcome.REJECTED,
        reason=Reason(code="screen.below-smallest", numbers={**numbers, "gain": 0, "gained": 0, "lost": 0}),
        result=log.head("lora_delta"),
        training=training(screen=screen, stopped_by="hopeless", saved_microjoules=2_500_000, device="cpu"),
        evaluation=None,
        decision=Decision(rule=said.rule, bar=said.bar, accepted=False),
    )


def every_kind() -> PlainLog:
    """A log with every kind of entry, and every field that may be left out once there and once not."""
    log = plain_log()
    screened_out(log)
    first, second = log.announce(slots=2), log.announce("index_refresh", "rebuild", slots=2)
    reserved = figure(flags=["suspended"], sources=["cpu", "gpu0"])
    log.abort(first, Cause.EXHAUSTED, Reason(code="exhausted.preparing"), energy=reserved)
    log.abort(second, Cause.FAILED, Reason(code="failed", numbers={"what": "The loss is not a number."}))
    measured = Measurement(
        profile="f64-nanonat/v1",
        metric=CROSS_ENTROPY,
        sha256=digest_of("audit of lora_delta"),
        count=64,
        base_loss_sum=60_000_000_000,
        new_loss_sum=56_800_000_000,
        delta_squared_sum="160000000000000001",
        per_example=digest_of("losses on the audit set"),
        hits=Hits(base=30, new=33, gained=4, lost=1),
    )
    why = Reason(code="promoted", numbers={"why": "It was better on the audit set."})
    log.move(
        "lora_delta", model("made by 0"), log.entries[1], Move.PROMOTION, evidence=[measured], reason=why
    )
    log.session()
    return log


def content() -> bytes:
    """The log, one envelope a line."""
    return b"".join(entry.envelope + b"\n" for entry in every_kind().entries)


def fork() -> PlainLog:
    """A log that goes on from another one: its first entry, and a rejected attempt."""
    log = PlainLog(key=FORK_KEY)
    go_on_from(plain_log(), log, FORK_KEY.public_key())
    log.conclude(log.announce(), kept=False)
    return log


def fork_content() -> bytes:
    """The fork, one envelope a line."""
    return b"".join(entry.envelope + b"\n" for entry in fork().entries)


if __name__ == "__main__":
    TARGET.write_bytes(content())
    FORK_TARGET.write_bytes(fork_content())
