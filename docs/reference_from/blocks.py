"""The blocks of code in the pages, and what a page says of each before it.

    <!-- not run: why it cannot be run here -->   the tests pass over the block; it is listed with its reason
    <!-- file: NAME -->                           the block is added to that file, for the commands after it
    <!-- output varies -->                        what a console shows is not compared with what comes

Every other block is run: ``sh`` and ``console`` in a shell, ``python`` by Python; ``json`` and ``toml`` are
read, ``diff`` is applied by tests/unit/test_worked_diffs.py where it is a whole one, and ``text`` is no code.
"""

from __future__ import annotations

__all__ = ["LANGUAGES", "ROOT", "RUN_LANGUAGES", "Block", "blocks_of", "pages_with_code", "unrun_list"]

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reference_from.markdown import worded

ROOT = Path(__file__).parents[2]
RUN_LANGUAGES = {"sh", "console", "python"}
LANGUAGES = RUN_LANGUAGES | {"diff", "json", "toml", "text"}
_QUOTED = {"docs/whitepaper.md"}
"""what is shown as it was written, before there was any of this"""
_FENCE = re.compile(
    r"(?:^<!-- (?P<said>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A block of code."""

    page: str
    line: int
    language: str
    text: str
    said: str
    """what the comment before it says; empty without one"""

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def not_run(self) -> str:
        """Why it is not run; empty where it is."""
        return self._of("not run:")

    @property
    def file(self) -> str:
        """The file that it is added to; empty where it is none's."""
        return self._of("file:")

    @property
    def varies(self) -> bool:
        """Whether its output is not compared."""
        return self.said == "output varies"

    @property
    def recorded(self) -> bool:
        """Whether it was recorded from a larger run: only its labels have to come again."""
        return self.said.startswith("docs:")

    def _of(self, mark: str) -> str:
        return self.said.removeprefix(mark).strip() if self.said.startswith(mark) else ""


@cache
def pages_with_code() -> tuple[Path, ...]:
    """The pages whose blocks are held."""
    found = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return tuple(page for page in found if page.relative_to(ROOT).as_posix() not in _QUOTED)


@cache
def blocks_of(page: Path) -> tuple[Block, ...]:
    """The blocks of a page, in their order."""
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name
    return tuple(
        Block(
            name,
            text[: found.start("language")].count("\n") + 1,
            found["language"],
            found["text"],
            found["said"] or "",
        )
        for found in _FENCE.finditer(text)
    )


def unrun_list() -> str:
    """How many blocks there are, and which are not run, by reason."""
    code = [b for page in pages_with_code() for b in blocks_of(page) if b.language in RUN_LANGUAGES]
    unrun = [block for block in code if block.not_run]
    by_reason: dict[str, list[str]] = {}
    for block in unrun:
        by_reason.setdefault(block.not_run, []).append(Path(block.page).name)
    lines = [f"- {worded(reason)}: {_counted(names)}" for reason, names in sorted(by_reason.items())]
    return f"{len(code) - len(unrun)} of {len(code)} blocks are run. Not run are:\n\n" + "\n".join(lines)


def _counted(names: list[str]) -> str:
    several = {name: names.count(name) for name in names}
    return ", ".join(name if times == 1 else f"{name} ({times})" for name, times in several.items())
