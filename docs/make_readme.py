"""Makes the pictures and the transcripts of the README from one run, so that they tell of the same state.

    python docs/make_readme.py [--budget 2kJ] [--into DIR] [--recorded DIR]

A run is made in an empty folder, by somebody without a home, settings or a past, on a screen of 80 columns.
What it printed, and what others say of its state, goes where the README has a mark; pictures of its
attempts go into docs/images. With ``--recorded`` the folder is that one and stays, with what each command
printed; a command whose ``NAME.txt`` lies there is not run again, so that no new run is needed.

    <!-- docs: run keep=meter,data,#1,all-in -->
    …
    <!-- docs end -->

The lines between are replaced. ``keep`` names the lines that are shown, by their first word; of what is left
out ``…`` remains.
"""

from __future__ import annotations

__all__ = ["filled", "kept_lines", "make_pages"]

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
COLUMNS = 80
COMMANDS = {
    "receipt": "cryoflux receipts show '#1'",
    "verify": "cryoflux verify state --recompute 1",
    "report": "cryoflux report",
    "claim": 'cryoflux claim "delta >= 0.05 and all_in_joules_estimate <= 2 kJ"',
}
"""name of a block → what is typed once the run is over"""
PICTURES = {
    "attempts.svg": "cryoflux report --svg -o attempts.svg",
    "progress.svg": "cryoflux report --svg --figure progress -o progress.svg",
}
"""file in docs/images → what draws it"""
_BLOCK = re.compile(r"<!-- docs: (?P<name>\w+)(?: keep=(?P<keep>\S+))? -->\n.*?<!-- docs end -->", re.DOTALL)
_SIGNS = {"✓", "✗", "?", "·"}


def clean_environment(home: Path) -> dict[str, str]:
    """The variables of somebody who has set nothing, at a screen of a fixed width."""
    theirs = ("CRYOFLUX_", "XDG_", "HF_", "NO_COLOR", "FORCE_COLOR", "TERM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return {**kept, "HOME": str(home), "COLUMNS": str(COLUMNS), "PYTHONPATH": str(ROOT / "src")}


def _printed(command: str, folder: Path, env: Mapping[str, str]) -> str:
    """What a person sees of a command that is typed in a folder."""
    program = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(
        program,
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if "claim" in command else None,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def _word(line: str) -> str:
    """What a line is about: its first word that is no sign."""
    return next((word for word in line.split() if word not in _SIGNS), "")


def kept_lines(text: str, keep: tuple[str, ...]) -> list[str]:
    """The lines whose first word is named, with those that they are wrapped into; all where none is named."""
    lines = text.strip("\n").splitlines()
    if not keep:
        return lines
    shown: list[str] = []
    keeping = False
    for line in filter(None, lines):
        if not line.startswith(" "):
            keeping = _word(line) in keep
        if keeping:
            shown.append(line)
        elif shown[-1:] != ["…"]:
            shown.append("…")
    return shown


def fenced(command: str, lines: list[str]) -> str:
    """A block of a console."""
    return "\n".join(["```console", f"$ {command}", *lines, "```"])


def filled(page: str, said: Mapping[str, tuple[str, str]]) -> str:
    """A page with its marked blocks made again.

    Args:
        page: its text.
        said: name of a block → what is typed, and what that printed.
    """

    def again(block: re.Match[str]) -> str:
        if block["name"] not in said:
            sys.exit(f"There is no block {block['name']}; there are {', '.join(said)}.")
        command, text = said[block["name"]]
        keep = tuple(block["keep"].split(",")) if block["keep"] else ()
        begun = block[0].partition("\n")[0]
        return f"{begun}\n{fenced(command, kept_lines(text, keep))}\n<!-- docs end -->"

    return _BLOCK.sub(again, page)


def _recorded(name: str, command: str, folder: Path, env: Mapping[str, str]) -> str:
    """What a command printed in a folder: what lies there of it, else what it prints now, which is kept."""
    place = folder / f"{name}.txt"
    if not place.is_file():
        place.write_text(_printed(command, folder, env), "utf-8")
    return place.read_text("utf-8")


def make_pages(budget: str, root: Path, folder: Path) -> None:
    """Make the run in a folder, unless it lies there; then README and pictures under ``root`` from it."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    env = clean_environment(folder / "home")
    said = {"run": ("make run", _recorded("run", f"cryoflux run --budget {budget}", folder, env))}
    said |= {name: (typed, _recorded(name, typed, folder, env)) for name, typed in COMMANDS.items()}
    for name, command in PICTURES.items():
        if not (folder / name).is_file():
            _printed(command, folder, env)
    for name in PICTURES:
        (root / "docs/images" / name).write_bytes((folder / name).read_bytes())
    page = root / "README.md"
    page.write_text(filled(page.read_text("utf-8"), said), "utf-8")


def main() -> None:
    """Read the options and make the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--budget", default="2kJ", help="of the run")
    parser.add_argument("--into", type=Path, default=ROOT, help="where README.md and docs/images are")
    parser.add_argument("--recorded", type=Path, help="where the run is kept, or was kept before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        make_pages(options.budget, options.into, (options.recorded or Path(place)).resolve())


if __name__ == "__main__":
    main()
