"""Builds the site of the docs: HTML that needs no network, no server and no script of others.

    python docs/make_site.py [--into site]

The pages are copied beside what they link to elsewhere in the repository, get the contents of their folders,
and go through Sphinx with warnings as errors: a link or an anchor that leads nowhere ends the build. Beside
each page lies its Markdown, and ``llms.txt`` names all of them. Needs what ``requirements/docs.txt`` lists.
"""

from __future__ import annotations

__all__ = ["main", "staged"]

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from reference_from.contents import BESIDE, DOCS, SECTIONS, pages

ROOT = DOCS.parent
_LINK = re.compile(r"(\]\(\s*)([^)\s]+)(\s*\))")
_FENCED = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LEADING_RULE = re.compile(r"(?<=\n)---\n(?=\n## )")
_LEFT_OUT = {"package.md"}
"""what a package index shows; it says what the README says"""
_MORE = (("whitepaper.md", "The whitepaper"), ("examples.md", ""), *((name.lower(), "") for name in BESIDE))
_SETTINGS = {
    "project": "CryoFlux",
    "html_title": "CryoFlux",
    "extensions": ["myst_parser"],
    "html_theme": "furo",
    "html_copy_source": False,
    "html_show_copyright": False,
    "html_show_search_summary": False,  # it fetches pages, which a browser refuses to files
    "html_show_sphinx": False,
    "html_last_updated_fmt": None,
    "html_permalinks_icon": "#",
    "myst_heading_anchors": 6,
    "myst_links_external_new_tab": False,
    "highlight_language": "text",
    "suppress_warnings": ["myst.header", "misc.highlighting_failure"],
    "html_theme_options": {"top_of_page_buttons": []},
    "nitpicky": True,
    "smartquotes": False,  # two hyphens are an option
    "html_use_index": False,
}


def staged(into: Path) -> None:
    """Lay the pages out in a folder, with links that lead within it."""
    taken = {ROOT / name: name.lower() for name in BESIDE} | {ROOT / "examples/README.md": "examples.md"}
    for path in sorted(DOCS.rglob("*.md")):
        if path.name not in _LEFT_OUT:
            taken[path] = path.relative_to(DOCS).as_posix()
    for path, place in taken.items():
        page = into / place
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_with_links(path, place, taken, into), "utf-8")
    index = into / "index.md"
    index.write_text(index.read_text("utf-8") + _contents(), "utf-8")
    decisions = into / "adr/index.md"
    decisions.write_text(
        decisions.read_text("utf-8") + _tree("", [Path(p.path).name for p in pages("adr")]), "utf-8"
    )


def _with_links(path: Path, place: str, taken: dict[Path, str], into: Path) -> str:
    def led(found: re.Match[str]) -> str:
        return f"{found[1]}{_target(found[2], path, place, taken, into)}{found[3]}"

    text = _LEADING_RULE.sub("", path.read_text("utf-8"))  # docutils has no line before the first heading
    pieces = _FENCED.split(text)
    return "".join(p if _FENCED.fullmatch(p) else _LINK.sub(led, p) for p in pieces)


def _target(target: str, path: Path, place: str, taken: dict[Path, str], into: Path) -> str:
    """Where a link leads in the site."""
    name, sign, anchor = target.partition("#")
    if not name or re.match(r"[a-z]+:", target):
        return target
    there = (path.parent / name).resolve()
    if there.is_dir():
        there = next((there / name for name in ("index.md", "README.md") if (there / name).is_file()), there)
    if there not in taken:
        if not there.is_file():
            sys.exit(f"{path.relative_to(ROOT)}: {target} leads nowhere.")
        inside = there.is_relative_to(DOCS)
        kept = there.relative_to(DOCS).as_posix() if inside else f"files/{there.relative_to(ROOT).as_posix()}"
        (into / kept).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(there, into / kept)
        return os.path.relpath(kept, Path(place).parent)
    return os.path.relpath(taken[there], Path(place).parent) + sign + anchor


def _contents() -> str:
    trees = []
    for section, (name, _) in SECTIONS.items():
        found = ["adr/index.md"] if section == "adr" else [page.path for page in pages(section)]
        if found:
            trees.append(_tree("More" if section == "adr" else name, found))
    more = [f"{title} <{place}>" if title else place for place, title in _MORE]
    trees[-1] = _tree("More", ["adr/index.md", *more])
    return "".join(trees)


def _tree(caption: str, entries: list[str]) -> str:
    said = f":caption: {caption}\n" if caption else ""
    return f"\n\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n{said}\n" + "\n".join(entries) + "\n```\n"


def _built(source: Path, into: Path, doctrees: Path) -> int:
    from sphinx.application import Sphinx

    app = Sphinx(
        source,
        None,
        into,
        doctrees,
        "html",
        confoverrides=_SETTINGS,
        status=None,
        warning=sys.stderr,
        warningiserror=True,
        freshenv=True,
    )
    app.build(force_all=True)
    return int(app.statuscode)


def _beside(source: Path, into: Path) -> None:
    """Each page's Markdown beside its HTML, and ``llms.txt`` over them."""
    for page in sorted(source.rglob("*.md")):
        shutil.copyfile(page, into / page.relative_to(source))
    named = (DOCS / "llms.txt").read_text("utf-8")
    for name in BESIDE:
        named = named.replace(f"](../{name}", f"]({name.lower()}")
    (into / "llms.txt").write_text(named, "utf-8")


def main() -> None:
    """Build the site."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--into", type=Path, default=ROOT / "site", help="where it goes; what lies there goes"
    )
    into = parser.parse_args().into.resolve()
    if into.exists() and not (into / "llms.txt").is_file():
        sys.exit(f"{into} is there, and is no site of these docs: name another folder with --into.")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "pages"
        staged(source)
        fresh = Path(folder) / "site"
        if code := _built(source, fresh, Path(folder) / "doctrees"):
            sys.exit(code)
        _beside(source, fresh)
        if into.exists():
            shutil.rmtree(into)
        shutil.copytree(fresh, into)
    print(f"{into}/index.html")  # noqa: T201


if __name__ == "__main__":
    main()
