"""How far apart adapters come to lie that are trained again with other instructions, all else being equal.

    python benchmarks/retrain_distances.py [--state DIR] [--kept 3]

Trains the last kept updates of a state again (without one: of a short run on the embedded defaults), once as
the machine is and once for each of the instruction sets below, in a process of its own because the libraries
choose once. What `cryoflux verify --retrain` says of each is printed as it stands.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from recompute_identity import make_state

KERNELS = {
    "as found": {},
    "MKL SSE": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "oneDNN AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "torch AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "torch none": {"ATEN_CPU_CAPABILITY": "default"},
    "all low": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
}


def trained_again(state: Path, kept: int, kernels: str) -> Iterator[tuple[str, str]]:
    """Status and words of step 15, for each update."""
    asked = ["verify", str(state), "--no-memory", "--json", "--retrain", str(kept)]
    done = subprocess.run(
        [sys.executable, "-m", "cryoflux", *asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **KERNELS[kernels]},
    )
    for check in json.loads(done.stdout)["checks"]:
        if check["number"] == 15:
            yield check["status"], f"{check['subject']} {check['detail']}".strip()


def main() -> None:
    """Print a line for each update and instruction set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--kept", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = arguments.state or make_state(folder)
        for kernels in KERNELS:
            for status, said in trained_again(state, arguments.kept, kernels):
                print(f"{kernels}: {status}: {said}", flush=True)


if __name__ == "__main__":
    main()
