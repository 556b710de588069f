"""An adapter that is none, or that is merged twice."""

from __future__ import annotations

from pathlib import Path

import pytest

import synthetic_parts
from cryoflux.verification.result import Check, Status
from synthetic_state import open_state
from verifying import verify_target


def failures(state: Path) -> list[Check]:
    return [check for check in verify_target(state).checks if check.status is Status.FAIL]


def test_a_signed_adapter_that_is_no_safetensors_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_state(tmp_path / "state")
    plain = synthetic_parts.tiny_safetensors
    forged = b"\x80\x04pickle"
    monkeypatch.setattr(synthetic_parts, "tiny_safetensors", lambda v: forged if len(v) == 2 else plain(v))
    made.attempt(0.05)
    (found,) = failures(made.finish())
    assert "is no safetensors file" in found.detail


def test_one_adapter_does_not_improve_a_model_twice(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.attempt(0.02, subject=made.entries[1].statement.subject)
    (found,) = failures(made.finish())
    assert found.subject == "entry 3 (receipt a0002_2)"
    assert "merges the adapter of entry 1" in found.detail
