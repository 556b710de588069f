"""A document as Markdown: GitHub's flavour, and nothing of a stranger's text is markup in it."""

from __future__ import annotations

__all__ = ["markdown_part", "markdown_text", "write_markdown"]

import re

from cryoflux.report.layout import visible
from cryoflux.report.parts import ReportDocument, ReportPart, ReportTable

_MARKUP = re.compile(r"[\\`*_|~#$@!^]|(?<=\w)://|(?i:www)\.")
_INTERVAL = re.compile(r"\[[-+−\d., ]+\](?![\[(:])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def markdown_text(text: str) -> str:
    """A text that Markdown shows as it is: no link, no HTML, no emphasis, no table cell more."""
    shown = visible(text).replace("\N{NO-BREAK SPACE}", " ")
    kept: list[str] = []
    begin = 0
    for interval in _INTERVAL.finditer(shown):  # our own intervals stay readable
        kept += [_escaped(shown[begin : interval.start()]), interval[0]]
        begin = interval.end()
    return "".join([*kept, _escaped(shown[begin:])])


def _escaped(text: str) -> str:
    spelt = "".join(_ENTITIES.get(character, character) for character in text)
    spelt = _MARKUP.sub(lambda found: _broken(found[0]), spelt)
    return re.sub(r"[\[\]]", r"\\\g<0>", spelt)


def _broken(markup: str) -> str:
    """Markup that is none any more; an address is broken where it would be made a link of."""
    if markup == "://":
        return r"\://"
    return f"{markup[:-1]}\\{markup[-1]}"


def write_markdown(document: ReportDocument) -> str:
    """The document, ending in a line feed."""
    lines = [f"# {markdown_text(document.title)}", "", f"**{markdown_text(document.headline)}**"]
    for part in document.parts:
        lines += ["", markdown_part(part, level=2)]
    return "\n".join(lines) + "\n"


def markdown_part(part: ReportPart, *, level: int) -> str:
    """A part with its heading of a level, without a line feed at its end."""
    return "\n".join([f"{'#' * level} {markdown_text(part.title)}", *_part(part)])


def _part(part: ReportPart) -> list[str]:
    lines: list[str] = []
    for paragraph in part.text:
        lines += ["", markdown_text(paragraph)]
    for table in part.tables:
        if table.rows:
            lines += ["", *_table(table)]
    if part.points:
        lines.append("")
        for said, command in part.points:
            lines.append(f"- {markdown_text(said)}{f' {_code(command)}' if command else ''}")
    if part.commands:
        lines += ["", "```console", *(f"$ {visible(command)}" for command in part.commands), "```"]
    for paragraph in part.after:
        lines += ["", markdown_text(paragraph)]
    return lines


def _code(text: str) -> str:
    """An inline code span that holds a text, whatever backticks that has."""
    shown = visible(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _table(table: ReportTable) -> list[str]:
    rule = ["---:" if right else "---" for right in table.right]
    rows = [table.heading, *table.rows]
    cells = [[markdown_text(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:])]
