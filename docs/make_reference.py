"""Makes the parts of the docs that follow from the code: the reference, its lists of contents, the man page.

    python docs/make_reference.py            # write them
    python docs/make_reference.py --check    # say which are stale; exit 1 where one is

A page keeps what stands around its marks (``reference_from/markdown.py``); whole files are written anew.
``make test`` compares, and names this command where a page is stale.
"""

from __future__ import annotations

__all__ = ["RENEW", "made_files", "parts"]

import argparse
import sys
from functools import cache
from pathlib import Path

from reference_from.blocks import unrun_list
from reference_from.commands import commands_page
from reference_from.contents import contents, decisions, llms_text
from reference_from.failures import error_classes, exit_codes, messages_list
from reference_from.http import http_parts
from reference_from.manual import man_page
from reference_from.markdown import filled, made_names
from reference_from.metrics import metrics_table
from reference_from.receipt_fields import receipt_fields
from reference_from.settings import settings_page

ROOT = Path(__file__).parents[1]
RENEW = "make reference"


@cache
def parts() -> dict[str, str]:
    """Name of a mark → what stands between it and its end."""
    return {
        "commands": commands_page(),
        "settings": settings_page(),
        **http_parts(),
        "receipt-fields": receipt_fields(),
        "metrics": metrics_table(),
        "exit-codes": exit_codes(),
        "error-classes": error_classes(),
        "messages": messages_list(),
        "contents": contents(),
        "unrun-blocks": unrun_list(),
    }


def made_files(root: Path = ROOT) -> dict[Path, str]:
    """File → what it should hold: every page with marks, and what is made whole."""
    made = {}
    for path in sorted((root / "docs").rglob("*.md")):
        page = path.read_text("utf-8")
        if made_names(page):
            made[path] = filled(page, parts())
    made[root / "docs/adr/index.md"] = decisions()
    made[root / "docs/llms.txt"] = llms_text()
    made[root / "man/cryoflux.1"] = man_page()
    return made


def main() -> None:
    """Write the files, or say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is stale")
    check = parser.parse_args().check
    stale = [
        path for path, text in made_files().items() if not path.is_file() or path.read_text("utf-8") != text
    ]
    if not check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made_files()[path], "utf-8")
    for path in stale:
        print(f"{'stale' if check else 'wrote'} {path.relative_to(ROOT)}")  # noqa: T201
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
