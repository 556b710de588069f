"""The integers do not depend on what stands beside a document, nor on order, threads or kernels."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import pytest
import torch

from cryoflux.decoder.model import Decoder
from running import ended, environment, python

Documents = list[tuple[list[int], int]]
PROGRAM = """
import json, sys
import torch
from pathlib import Path
from cryoflux.decoder.model import Decoder
torch.set_num_threads(1)
print(json.dumps(Decoder.open(Path(sys.argv[1])).losses(json.loads(sys.argv[2]))))
"""


def test_neither_batch_nor_order_nor_threads_change_an_integer(folder: Path, documents: Documents) -> None:
    decoder = Decoder.open(folder)
    due, before = decoder.losses(documents), torch.get_num_threads()
    order = list(range(len(documents)))
    random.Random(1).shuffle(order)
    try:
        for batch, threads in product((1, 3, 8), (1, 2)):
            torch.set_num_threads(threads)
            parts = [order[at : at + batch] for at in range(0, len(order), batch)]
            found = [loss for part in parts for loss in decoder.losses([documents[n] for n in part])]
            assert found == [due[n] for n in order], (batch, threads)
        for rows in (1, 64, 100_000):
            assert decoder.losses(documents, rows=rows) == due
    finally:
        torch.set_num_threads(before)
    assert len({*due}) > 20


@pytest.mark.parametrize(
    "chosen",
    [
        {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"},
        {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"},
        {"ATEN_CPU_CAPABILITY": "avx512", "MKL_CBWR": "AVX512"},
    ],
    ids=lambda chosen: chosen["ATEN_CPU_CAPABILITY"],
)
def test_the_processors_kernels_do_not_change_an_integer(
    folders: dict[str, Path], documents: Documents, chosen: dict[str, str]
) -> None:
    folder = folders["llama"]
    given = [str(folder), json.dumps(documents)]
    done = ended(python("-c", PROGRAM, *given, cold=True, env=environment(**chosen)))
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == Decoder.open(folder).losses(documents)
