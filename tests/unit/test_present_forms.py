"""A page that names a form or a rule by an earlier version names the present one, too."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from cryoflux.settings import DecisionSettings

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src/cryoflux"
NAME = re.compile(r"(?<![\w.-])(?P<family>[a-z]+[a-z0-9]*(?:-[a-z0-9]+)*)/v(?P<version>\d+)\b")
AND_MORE = re.compile(r"(?P<family>[a-z0-9-]+)/v\d+`*(?:,| and| or) `*/?v(?P<version>\d+)\b")
SIDE_BY_SIDE = {"chain-eta"}
"""v2 is for tasks with different units, and no successor"""
OF_THEN = {"CHANGELOG.md", "docs/whitepaper.md"}
"""what says what was so at a time; the decisions of docs/adr do, too"""


def versions(texts: Iterable[str]) -> dict[str, set[int]]:
    """Family of names → its versions, as texts name them."""
    found: dict[str, set[int]] = defaultdict(set)
    for text in texts:
        for match in (*NAME.finditer(text), *AND_MORE.finditer(text)):
            found[match["family"]].add(int(match["version"]))
    return found


def pages() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return [
        page for page in found if page.relative_to(ROOT).as_posix() not in OF_THEN and "adr" not in page.parts
    ]


def test_who_names_an_earlier_version_names_the_present_one_too() -> None:
    present = {
        family: max(numbers)
        for family, numbers in versions(path.read_text("utf-8") for path in SRC.rglob("*.py")).items()
        if len(numbers) > 1 and family not in SIDE_BY_SIDE
    }
    assert present["evidence"] == int(DecisionSettings().rule.removeprefix("evidence/v"))
    behind = []
    for page in pages():
        for family, numbers in versions([page.read_text("utf-8")]).items():
            if max(numbers) < present.get(family, 0):
                behind.append(f"{page.relative_to(ROOT)}: {family}/v{present[family]}")
    assert behind == []


def test_what_the_script_decides_by_is_what_its_page_says() -> None:
    script = (SRC / "receipts/verify.sh").read_text("utf-8")
    page = (ROOT / "docs/how-to/check-a-receipt-without-us.md").read_text("utf-8")
    row = re.findall(r"^\| decisions \| (.*) \|$", page, re.MULTILINE)[0]
    assert set(re.findall(r"`([a-z-]+/v\d)`", row)) == set(re.findall(r'r\.name == "([^"]+)"', script))


def test_versions_are_read_however_they_are_listed() -> None:
    assert versions(["`evidence/v1`, `no-worse/v1` or v4; `trace/v2` and /v3, https://x.dev/fork/v7"]) == {
        "evidence": {1},
        "no-worse": {1, 4},
        "trace": {2, 3},
        "fork": {7},
    }
