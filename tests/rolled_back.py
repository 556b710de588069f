"""A rollback of a synthetic state as a run writes it, to be forged field by field."""

from __future__ import annotations

__all__ = ["ALPHA_PPM", "COUNT", "WORSE", "Rollback", "three_heads"]

from dataclasses import dataclass
from pathlib import Path

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.monitor import MONITOR, cap_of, evidence_milli, needed_milli
from cryoflux.decision.reason import Reason
from cryoflux.digests import sha256_hex
from cryoflux.evaluation.losses import Losses, write_evidence
from cryoflux.quantities import NANO, NATS
from cryoflux.receipts.profiles import PROFILE
from cryoflux.receipts.statement import CROSS_ENTROPY, Base, CheckedAgainst, Measurement, MonitorTest, Move
from cryoflux.receipts.sums import sums_of
from cryoflux.state import StateFolder
from synthetic_state import SyntheticState, open_state

COUNT, ALPHA_PPM = 64, 10_000
WORSE = [2 * NANO + 1000 * n for n in range(COUNT)]
"""losses of a head that does worse by one nat"""


def three_heads(place: Path) -> SyntheticState:
    """A state that has kept two updates."""
    made = open_state(place)
    made.policy = "uniform/v1"
    made.attempt(0.05)
    made.attempt(0.02)
    return made


@dataclass
class Rollback:
    """A rollback of a state whose head is its third: what it says, to be forged field by field."""

    made: SyntheticState
    head: list[int]
    other: list[int]
    to: Base

    @property
    def content(self) -> bytes:
        flags = tuple([False] * COUNT), tuple([True] * COUNT)
        return write_evidence(Losses(tuple(self.head), flags[0]), Losses(tuple(self.other), flags[1]))

    def measurement(self, **changes: object) -> Measurement:
        hits = [False] * COUNT, [True] * COUNT
        said = {
            "profile": PROFILE,
            "metric": CROSS_ENTROPY,
            "sha256": "5" * 64,
            "count": COUNT,
            "per_example": sha256_hex(self.content),
            **sums_of(pair_losses(self.head, self.other, *hits)),
        }
        return Measurement(**{**said, **changes})

    def test(self, **changes: object) -> MonitorTest:
        known = self.made.memory.tasks[self.made.task]
        heads, among = known.heads, len(known.before_head())
        said = {
            "rule": MONITOR,
            "alpha_ppm": ALPHA_PPM,
            "head_number": heads,
            "compared": among,
            "cap_nano": cap_of(NATS),
            "needed_milli": needed_milli(ALPHA_PPM, heads, among),
            "evidence_milli": evidence_milli(self.head, self.other, cap_of(NATS)),
        }
        said |= changes
        if "against" not in changes:
            said["against"] = self.listed(said["evidence_milli"])
        return MonitorTest(**said)

    def listed(self, evidence: int) -> list[CheckedAgainst]:
        """What each version has shown: the one gone back to as it says, all others less."""
        known = self.made.memory.tasks[self.made.task]
        return [
            CheckedAgainst(
                version=made.version.digest,
                evidence_milli=evidence if made.version == self.to else evidence - 1,
                worse_nano=NANO if made.version == self.to else 7,
            )
            for made in known.before_head()
        ]

    def write(self, /, **changes: object) -> None:
        path = StateFolder(self.made.path).losses(sha256_hex(self.content))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.content)
        said = {"move": Move.ROLLBACK, "evidence": [self.measurement()], "test": self.test(), **changes}
        self.made.move(self.to, **{"reason": self.reason(said), **said})

    def reason(self, said: dict[str, object]) -> Reason:
        """The sentence that is due for what the entry says."""
        test, evidence = said["test"], said["evidence"]
        if not isinstance(test, MonitorTest) or not evidence:
            return Reason(code="said", numbers={"sentence": "Gone back."})
        one = evidence[0]
        worse = one.base_loss_sum - one.new_loss_sum
        numbers = {"count": one.count, "worse": worse, "unit": one.metric.unit, "alpha_ppm": test.alpha_ppm}
        return Reason(code="monitor-worse", numbers=numbers)
