"""The integers do not depend on batches, order, threads or the processor's instructions."""

from __future__ import annotations

import json
from itertools import product

import pytest
import torch

from cryoflux.data.prepared import PreparedData
from cryoflux.evaluation.scoring import TransformersScorer
from cryoflux.receipts.profiles import (
    DOCUMENT_F32,
    DOCUMENT_F32_2,
    F32,
    LARGEST_F64_WORK,
    PROFILE,
    TOLERANCES,
    profile_for,
)
from cryoflux.registry.versions import Version
from running import ended, environment, python

COUNT, TOKENS = 24, 9
PROGRAM = """
import json, sys
import torch
from pathlib import Path
from cryoflux.data.prepared import load_examples
from cryoflux.evaluation.scoring import TransformersScorer
model, holdout, profile = sys.argv[1:]
torch.set_num_threads(1)
texts = load_examples(Path(holdout))[:24]
scorer = TransformersScorer(Path(model), texts, max_tokens=9, profile=profile)
print(json.dumps([torch.backends.cpu.get_cpu_capability(), scorer.score(range(24), lambda _: None)]))
"""


def score(
    version: Version, data: PreparedData, profile: str = PROFILE, batch: int = 16, *, ordered: bool = True
) -> tuple[list[int], list[bool]]:
    texts = data.examples("holdout")[:COUNT]
    scorer = TransformersScorer(version.folder, texts, max_tokens=TOKENS, profile=profile, batch_size=batch)
    parts = [range(COUNT)] if ordered else [range(COUNT)[at : at + batch] for at in range(0, COUNT, batch)]
    found = [scorer.score(part, lambda _: None) for part in parts]
    return [loss for losses, _ in found for loss in losses], [hit for _, hits in found for hit in hits]


def test_batch_order_and_threads_do_not_change_an_integer(version: Version, data: PreparedData) -> None:
    reference, before = score(version, data), torch.get_num_threads()
    try:
        for batch, ordered, threads in product((1, 8, 32), (True, False), (1, 2)):
            torch.set_num_threads(threads)
            assert score(version, data, batch=batch, ordered=ordered) == reference, (batch, ordered, threads)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kernels", ["default", "avx2", "avx512"])
def test_the_instruction_set_does_not_change_an_integer(
    version: Version, data: PreparedData, kernels: str
) -> None:
    isa = {"default": "SSE41", "avx2": "AVX2", "avx512": "AVX512_CORE"}[kernels]
    chosen = environment(ATEN_CPU_CAPABILITY=kernels, ONEDNN_MAX_CPU_ISA=isa)
    given = [version.folder, data.folder / "holdout.jsonl", PROFILE]
    done = ended(python("-c", PROGRAM, *given, env=chosen))
    assert done.code == 0, done.stderr
    capability, found = json.loads(done.stdout.splitlines()[-1])
    if capability != kernels.upper():
        pytest.skip(f"this processor has no {kernels}: torch uses {capability}")
    assert tuple(found) == score(version, data)


def test_float32_stays_within_its_tolerance_and_is_not_float64(version: Version, data: PreparedData) -> None:
    exact, near = score(version, data), score(version, data, F32, batch=1)
    assert near[0] != exact[0]
    assert TOLERANCES[F32].complaint(near[0], exact[0]) == ""


def test_size_chooses_the_profile() -> None:
    assert profile_for(11_000_000, 20_000) == PROFILE
    assert profile_for(LARGEST_F64_WORK, 1) == PROFILE
    assert profile_for(LARGEST_F64_WORK, 2) == F32


@pytest.mark.parametrize(
    ("profile", "found", "holds"),
    [
        (PROFILE, [5] * 399 + [6], True),
        (PROFILE, [5] * 398 + [6, 6], True),
        (PROFILE, [5] * 397 + [6, 6, 6], False),
        (PROFILE, [5] * 399 + [7], False),
        (F32, [5] * 399 + [100_005], True),
        (F32, [5] * 399 + [100_006], False),
        (F32, [1_005] * 400, True),
        (F32, [1_006] * 400, False),
    ],
)
def test_a_tolerance_holds_each_loss_and_the_mean(profile: str, found: list[int], holds: bool) -> None:
    assert (TOLERANCES[profile].complaint(found, [5] * 400) == "") is holds


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        ([29_990, 2_900_000], True),
        ([30_001, 0], False),
        ([0, 3_000_001], False),
        ([1_000_000, 0], False),
    ],
)
def test_a_document_has_room_for_each_of_its_target_tokens(found: list[int], holds: bool) -> None:
    tolerance = TOLERANCES[DOCUMENT_F32_2]
    assert (tolerance.complaint(found, [0, 0], [3, 300]) == "") is holds


def test_so_has_the_mean_of_many_documents_and_less_than_each_of_them() -> None:
    tolerance, recorded = TOLERANCES[DOCUMENT_F32_2], [10**9] * 400
    near, far = ([10**9 + off] * 400 for off in (1_500, 1_501))
    assert tolerance.complaint(near, recorded, [3] * 400) == ""
    assert tolerance.complaint(far, recorded, [3] * 400)
    # v1 had room for fifty thousand, however little a document says
    assert TOLERANCES[DOCUMENT_F32].complaint([10**9 + 50_000] * 400, recorded) == ""
