"""The contents of the docs: every page with its title and first sentence, the decisions, ``llms.txt``."""

from __future__ import annotations

__all__ = ["Page", "contents", "decisions", "llms_text", "pages"]

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1]
SECTIONS = {
    "tutorial": ("Tutorial", "Learn it by doing it once, from nothing."),
    "how-to": ("How-to", "One task a page."),
    "reference": ("Reference", "Every command, setting, field and figure."),
    "explanation": ("Explanation", "How it works, and why it is so."),
    "adr": ("Decisions", "One decision a page, with its negative consequences."),
}
"""folder → its name and what it is for"""
BESIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
_QUESTION = re.compile(r"^- (?P<question>[^→\n]+\?) → (?P<answer>.+(?:\n  .+)*)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page, by its path from the folder of the docs."""

    path: str
    title: str
    said: str


def pages(section: str) -> list[Page]:
    """The pages of a section, by title; decisions by number."""
    found = [_page(path) for path in sorted((DOCS / section).glob("*.md")) if path.name != "index.md"]
    return found if section == "adr" else sorted(found, key=lambda page: page.title.lower())


def _page(path: Path) -> Page:
    text = path.read_text("utf-8")
    title = re.findall(r"^# (.+)$", text, re.MULTILINE)[0]
    said = "" if path.parent.name == "adr" else _first_sentence(text)
    return Page(path.relative_to(DOCS).as_posix(), title, said)


def _first_sentence(text: str) -> str:
    """The first sentence of the first paragraph that is words; empty where the page begins otherwise."""
    for block in re.split(r"\n\s*\n", text.partition("\n")[2]):
        words = " ".join(block.split())
        if not words or block.strip("\n").startswith(("    ", "<!--", "#", "```", "|", "**Status")):
            continue
        plain = re.sub(r"^\*\*[^*]+\.\*\* ", "", _LINK.sub(r"\1", words)).replace("**", "").rstrip(":")
        return re.split(r"(?<=[.!?]) (?=[A-ZΔ`])", plain)[0]
    return ""


def contents() -> str:
    """All pages by section, for the index."""
    parts = []
    for section, (name, purpose) in SECTIONS.items():
        if section == "adr":
            parts.append(f"### {name}\n\n[All of them, in their order](adr/index.md). {purpose}")
        elif listed := pages(section):
            lines = [f"- [{page.title}]({page.path}){_dashed(page.said)}" for page in listed]
            parts.append(f"### {name}\n\n{purpose}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _dashed(said: str) -> str:
    return f": {said}" if said else ""


def decisions() -> str:
    """The page of decisions."""
    lines = [
        f"{int(Path(p.path).name[:4])}. [{_numberless(p.title)}]({Path(p.path).name})" for p in pages("adr")
    ]
    head = "# Decisions\n\nEach says what was decided, why, and what it costs. "
    head += "Written by `python docs/make_reference.py` from the pages themselves."
    return head + "\n\n" + "\n".join(lines) + "\n"


def _numberless(title: str) -> str:
    return re.sub(r"^(ADR )?\d+[:.] *", "", title)


def llms_text() -> str:
    """``llms.txt``: what this is, the questions of the index, then every page."""
    index = (DOCS / "index.md").read_text("utf-8")
    title = re.findall(r"^# (.+)$", index, re.MULTILINE)[0]
    summary = " ".join(index.split("\n\n")[1].split())
    parts = [f"# {title}\n\n> {summary}", "## Questions"]
    asked = []
    for found in _QUESTION.finditer(index):
        asked += [
            f"- [{name}]({target}): {found['question']}" for name, target in _LINK.findall(found["answer"])
        ]
    parts.append("\n".join(asked))
    for section, (name, _) in SECTIONS.items():
        if listed := pages(section):
            parts += [f"## {name}", "\n".join(f"- [{p.title}]({p.path}){_dashed(p.said)}" for p in listed)]
    return "\n\n".join(parts) + "\n"
