"""The page of flags has every flag that the code may set, and none besides."""

from __future__ import annotations

import re
from pathlib import Path

from cryoflux.quantities import Tier
from cryoflux.report.flag_words import flag_words
from cryoflux.runs.activity_form import FLAGS, FURTHER_FLAG
from cryoflux.verification import counters

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src/cryoflux"
ROW = re.compile(r"^\| (`[a-z`, -]+`) \|", re.MULTILINE)
SAID = re.compile(r"flag `([a-z-]+)`|`([a-z-]+)`(?= widens)|^\| `([a-z]+-[a-z-]+)` \|", re.MULTILINE)


def listed() -> set[str]:
    page = (ROOT / "docs/reference/flags.md").read_text("utf-8")
    return {name for row in ROW.findall(page) for name in re.findall(r"`([a-z-]+)`", row)}


def test_every_flag_that_is_known_somewhere_has_its_row() -> None:
    worded = re.findall(
        r'^    "([a-z-]+)": ', (SRC / "report/flag_words.py").read_text("utf-8"), re.MULTILINE
    )
    metering = (ROOT / "docs/explanation/metering.md").read_text("utf-8")
    told = {name for found in SAID.findall(metering) for name in found if name}
    matrix = (ROOT / "docs/reference/fault-matrix.md").read_text("utf-8")
    seen = {
        name
        for cells in re.findall(r"^\|[^|]*\|[^|]*\|[^|]*\|([^|]*)\|[^|]*\|[^|]*\|$", matrix, re.MULTILINE)
        for name in re.findall(r"`([a-z-]+)`", cells)
    }
    read_well = counters._READ_WELL
    assert len(worded) > 20
    assert len(told) > 10
    assert len(seen) > 5
    tiers = {str(tier) for tier in Tier}
    assert ({*worded, *FLAGS, FURTHER_FLAG, *read_well} | told | seen) - tiers - listed() == set()
    assert flag_words(worded[0]) != worded[0]


def test_every_flag_of_the_page_is_one_of_the_source() -> None:
    source = "\n".join(path.read_text("utf-8") for path in SRC.rglob("*.py"))
    assert [flag for flag in sorted(listed()) if f'"{flag}"' not in source] == []
