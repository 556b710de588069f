"""What the how-tos tell one to type, typed: each page's shell blocks, one after the other, beside a state."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from running import environment
from synthetic_state import SyntheticState

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
NEEDED = ("jq", "openssl", "xxd", "xz")
ELSEWHERE = ("trust.policy", "--witnessed")
"""what takes witnesses: test_witness.py"""


def blocks(page: str) -> list[str]:
    found: list[str] = re.findall(r"```sh\n(.*?)```", (HOW_TO / page).read_text("utf-8"), re.DOTALL)
    return [block for block in found if not any(word in block for word in ELSEWHERE)]


@pytest.mark.process
@pytest.mark.skipif(not all(shutil.which(tool) for tool in NEEDED), reason="needs stock tools")
@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("check-a-receipt-without-us.md", ["✓ PROVEN", "included"]),
        ("versions.md", ["is the head of lora_delta now, by entry", "pruned on", "✓ VERIFIED"]),
        ("claim-a-result.md", ["✓ CLAIM HOLDS", "Signature Verified Successfully", "joules_estimate"]),
    ],
)
def test_what_a_page_tells_one_to_type_works_beside_a_state(
    pristine: SyntheticState, tmp_path: Path, page: str, said: list[str]
) -> None:
    shutil.copytree(pristine.path, tmp_path / "state", symlinks=True)
    found = blocks(page)
    assert len(found) >= 4
    ours = f'cryoflux() {{ {shlex.quote(sys.executable)} -m cryoflux "$@"; }}'
    script = "\n".join(["set -eu", ours, *found])
    shown = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, f"{shown.stdout}\n{shown.stderr}"
    for words in said:
        assert words in shown.stdout, shown.stdout
