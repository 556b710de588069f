"""A receipt that names the adapter of another attempt as the one that made its model."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryoflux.verification.again import Again
from cryoflux.verification.result import Check, Status
from synthetic_parts import losses_of, tiny_safetensors
from synthetic_state import open_state
from verifying import verify_target

MODELS = {tiny_safetensors([1.0, gain, use]): gain for gain, use in ((0.0, 0.0), (0.05, 1.0), (0.07, 3.0))}
MERGED = {
    tiny_safetensors([0.05, 1.0]): tiny_safetensors([1.0, 0.05, 1.0]),
    tiny_safetensors([0.02, 3.0]): tiny_safetensors([1.0, 0.05 + 0.02, 3.0]),
}


class Recomputer:
    """Knows what each adapter makes of its base, and the losses of each model."""

    def evaluate(self, model: Path, _holdout: Path) -> tuple[list[int], list[bool]]:
        return losses_of(MODELS[(model / "model.safetensors").read_bytes()])

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        merged = into / "merged"
        shutil.copytree(base, merged)
        adapter = (capsule / "adapter_model.safetensors").read_bytes()
        (merged / "model.safetensors").write_bytes(MERGED[adapter])
        return merged

    def as_kept(self, *_paths: Path) -> None:
        """What was kept is further away than any rounding."""


def recomputed(state: Path) -> tuple[list[Check], list[Check]]:
    """Failed checks, and those of step 11."""
    report = verify_target(state, again=Again(lambda _max_tokens: Recomputer(), losses=1))
    failed = [check for check in report.checks if check.status is Status.FAIL]
    return failed, [check for check in report.checks if check.number == 11]


def test_an_adapter_that_made_its_model_is_equal(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.attempt(0.02)
    failed, (check,) = recomputed(made.finish())
    assert not failed
    assert "entry 3 (receipt a0002_2) equal" in check.detail


def test_an_adapter_of_another_attempt_is_refuted_though_the_model_was_kept(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.attempt(0.02, subject=made.entries[1].statement.subject)
    failed, checks = recomputed(made.finish())
    assert [check for check in failed if check.number != 9] == checks, "merging again tells it too"
    assert [check.subject for check in checks] == ["entry 3 (receipt a0002_2)"]
    assert "merge into another model" in checks[0].detail
