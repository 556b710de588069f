"""A version of a peer that cannot be added up here refutes nobody by settings that nobody is bound by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryoflux.digests import sha256_hex
from cryoflux.errors import ModelError, VerificationError
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.verification import model_sources
from cryoflux.verification.model_sources import ModelSources, composed_in
from cryoflux.verification.open_question import NotHereQuestion, OpenQuestion
from cryoflux.verification.result import Status
from cryoflux.verification.rounds_again import _guarded

A, B = (sha256_hex(word) for word in (b"a", b"b"))
CONFIG = sha256_hex(b"config")


@pytest.fixture
def sources(tmp_path: Path) -> ModelSources:
    """Of a peer that shows two updates of others."""
    for word in (b"a", b"b"):
        (folder := tmp_path / "shown" / sha256_hex(word)).mkdir(parents=True)
        (folder / ADAPTER).write_bytes(word)
        (folder / ADAPTER_CONFIG).write_bytes(b"config")
    state = StateFolder(tmp_path / "state")
    return ModelSources(state, lambda root: tmp_path / root, {}, lambda adapter: tmp_path / "shown" / adapter)


def composed(
    sources: ModelSources, tmp_path: Path, raised: Exception | None, **configs: str
) -> Callable[[], Path]:
    """Add up both; the library then raises something, or the sum is another version."""

    class Recomputer:
        def compose(self, _composed: object, models: Any, _into: Path) -> None:
            for adapter in (A, B):
                models.capsule(adapter)
            if raised is not None:
                raise raised

    listed = SimpleNamespace(
        composed=SimpleNamespace(terms=(A, B), counted="2 updates"),
        lists=dict,
        version=SimpleNamespace(digest="recorded", files=""),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelSources, "genesis", lambda _self, _listed, into: into)
        patch.setattr(model_sources, "version_digest", lambda _model: "another")
        args: tuple[Any, ...] = (tmp_path / "made", listed, sources, Recomputer(), configs)
        return composed_in(*args)


@pytest.mark.parametrize("raised", [None, ModelError("It is odd."), OverflowError("too large")])
def test_of_several_updates_each_may_be_the_false_one(
    sources: ModelSources, tmp_path: Path, raised: Exception | None
) -> None:
    """Were one of them blamed alone, it would be asked for again and again, and the other one stay."""
    with pytest.raises(NotHereQuestion) as found:
        composed(sources, tmp_path, raised)
    assert (found.value.lacks, found.value.is_false) == ((f"capsules/{A}", f"capsules/{B}"), True)


def test_settings_that_nobody_can_use_are_false_where_nobody_is_bound_by_them(
    sources: ModelSources, tmp_path: Path
) -> None:
    unusable = OpenQuestion("The adapter's adapter_config.json has no usable r")
    with pytest.raises(NotHereQuestion) as found:
        composed(sources, tmp_path, unusable)
    assert (found.value.lacks, found.value.is_false) == ((f"capsules/{B}",), True)
    (tmp_path / "made").rmdir()
    with pytest.raises(OpenQuestion) as signed:
        composed(sources, tmp_path, unusable, **{B: CONFIG})
    assert signed.value is unusable, "what its own log signs is no question of what it shows"


def test_what_is_signed_refutes_and_a_file_that_is_not_the_signed_one_is_false(
    sources: ModelSources, tmp_path: Path
) -> None:
    with pytest.raises(VerificationError):
        composed(sources, tmp_path, None, **{A: CONFIG, B: CONFIG})
    (tmp_path / "made").rmdir()
    (tmp_path / "shown" / B / ADAPTER).write_bytes(b"1")
    for configs in ({A: CONFIG, B: CONFIG}, {}):
        with pytest.raises(NotHereQuestion) as found:
            composed(sources, tmp_path, None, **configs)
        assert (found.value.lacks, found.value.is_false) == ((f"capsules/{B}",), True)
        (tmp_path / "made").rmdir()


@pytest.mark.parametrize(
    "raised", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_a_machine_without_room_refutes_and_blames_nobody(
    sources: ModelSources, tmp_path: Path, raised: Exception
) -> None:
    with pytest.raises(type(raised)):
        composed(sources, tmp_path, raised)

    def run(_folder: Path) -> Any:
        raise raised

    ((finding,), summary) = _guarded("a look", run)
    assert (finding.status, summary) == (Status.UNKNOWN, "")
