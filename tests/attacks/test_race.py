"""A file that changes between the moment it is checked and the moment it is evaluated."""

from __future__ import annotations

import shutil
import struct

import pytest

from cryoflux.verification.again import Again
from cryoflux.verification.result import Status
from synthetic_parts import losses_of, tiny_safetensors
from synthetic_state import open_state
from verifying import verify_target


def values(path):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    body = content[8 + size :]
    return list(struct.unpack(f"<{len(body) // 4}f", body))


class Racer:
    """Merges and evaluates as told; may put another model in the place of the base meanwhile."""

    def __init__(self, swapped=None):
        self.swapped = swapped

    def merge(self, base, capsule, into):
        merged = into / "model"
        shutil.copytree(base, merged)
        _, gain, _ = values(base / "model.safetensors")
        more, number = values(capsule / "adapter_model.safetensors")
        content = tiny_safetensors([1.0, gain + more - 0.02, number])
        (merged / "model.safetensors").write_bytes(content)
        if self.swapped is not None:
            (self.swapped / "model.safetensors").write_bytes(tiny_safetensors([1.0, -0.02, 0.0]))
        return merged

    def evaluate(self, model, holdout):
        return losses_of(round(values(model / "model.safetensors")[1], 6))


@pytest.mark.parametrize("swap", [False, True])
def test_a_base_swapped_while_it_is_evaluated_changes_nothing(tmp_path, swap):
    made = open_state(tmp_path / "state")
    made.gain = -0.02  # the owner claims that the first model was worse than it is
    receipt = made.attempt(0.07).statement.predicate
    state = made.finish()
    base = state / "models" / receipt.base.digest
    report = verify_target(state, again=Again(lambda _: Racer(base if swap else None), losses=1))
    found = [check for check in report.checks if check.status is Status.FAIL]
    assert found, "the fabricated base losses passed"
